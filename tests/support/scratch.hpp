// A fresh directory in shared memory, gone at the end of the test.
//
// It lies in $RINGWAY_TEST_DIR, which `dev` makes and removes; without it, in /dev/shm/ringway-test.<pid>, which the next `dev test` removes
// should this process be killed before it can.

#pragma once

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace ringway_test {

class ScratchDir {
 public:
  ScratchDir() : base_(base()) {
    std::string name = base_ / "t.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    if (::getpid() != owner_) return;  // a forked copy
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    if (std::getenv("RINGWAY_TEST_DIR") == nullptr) ::rmdir(base_.c_str());  // fails while another ScratchDir is in it
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  static std::filesystem::path base() {
    if (const char* given = std::getenv("RINGWAY_TEST_DIR"); given != nullptr && *given != '\0') return given;
    const std::string own = "/dev/shm/ringway-test." + std::to_string(::getpid());
    if (::mkdir(own.c_str(), 0700) != 0 && errno != EEXIST)
      throw std::system_error(errno, std::generic_category(), own);
    return own;
  }

  const pid_t owner_ = ::getpid();
  std::filesystem::path base_;
  std::filesystem::path path_;
};

}  // namespace ringway_test

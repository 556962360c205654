// A topic of the smallest ring whose two files are written anew, in place, for every input: as its creator left them.
// Whatever an input removed is linked again, so every input meets the same two inodes.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/watch.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_fuzz {

namespace detail = ringway::detail;

class FileImage {
 public:
  FileImage(std::string path, std::string kept, std::size_t bytes)
      : path_(std::move(path)), kept_(std::move(kept)), clean_(bytes) {
    if (::link(path_.c_str(), kept_.c_str()) != 0) fail("link " + kept_);
    file_ = detail::open_file(path_, O_RDWR);
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (at == MAP_FAILED) fail("mmap " + path_);
    bytes_ = static_cast<std::byte*>(at);
    std::memcpy(clean_.data(), bytes_, bytes);
  }
  // The contents as created.
  void reset() { std::memcpy(bytes_, clean_.data(), clean_.size()); }
  // The name and the size too.
  void restore() {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) != 0 && ::link(kept_.c_str(), path_.c_str()) != 0) fail("link " + path_);
    if (::fstat(file_.get(), &status) != 0 || static_cast<std::size_t>(status.st_size) != clean_.size())
      resize(clean_.size());
  }
  void resize(std::uint64_t bytes) {
    if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) fail("ftruncate " + path_);
  }
  [[nodiscard]] std::byte* at(std::size_t offset) const { return bytes_ + offset % clean_.size(); }
  [[nodiscard]] std::size_t size() const { return clean_.size(); }
  [[nodiscard]] int descriptor() const { return file_.get(); }

 private:
  std::string path_;
  std::string kept_;
  std::vector<std::byte> clean_;
  detail::Descriptor file_;
  std::byte* bytes_ = nullptr;
};

class TopicImage {
 public:
  static constexpr const char* kName = "t";

  TopicImage(const std::string& directory, const detail::TopicSpec& spec)
      : directory_(directory),
        limits_(spec.limits),
        data_((made(directory, spec), detail::data_path(directory, kName)), directory + "/kept-d",
              detail::data_bytes(spec.limits)),
        control_(detail::control_path(directory, kName), directory + "/kept-c", detail::control_bytes(spec.limits)) {}

  FileImage& data() { return data_; }
  FileImage& control() { return control_; }
  [[nodiscard]] const detail::Limits& limits() const { return limits_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  void reset() {
    data_.reset();
    control_.reset();
  }
  void restore() {
    data_.restore();
    control_.restore();
  }

 private:
  static void made(const std::string& directory, const detail::TopicSpec& spec) {
    std::filesystem::create_directory(directory);
    ringway_test::make_topic(directory, kName, spec);
  }
  std::string directory_;
  detail::Limits limits_;
  FileImage data_;
  FileImage control_;
};

}  // namespace ringway_fuzz

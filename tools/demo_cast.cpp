#include "demo_cast.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "cli.hpp"
#include "stop.hpp"

namespace ringway::tool {

using namespace std::chrono_literals;

Cast::Cast(const std::string& directory) {
  void* memory = ::mmap(nullptr, sizeof(Scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "cannot map shared memory");
  scene_ = new (memory) Scene();
  try {
    for (std::size_t part = 0; part < kParts.size(); ++part) start(part, directory);
  } catch (...) {
    end();
    throw;
  }
}

Cast::~Cast() { end(); }

void Cast::end() {
  for (std::size_t part = 0; part < kParts.size(); ++part) {
    if (!running_[part]) continue;
    ::kill(pids_[part], SIGKILL);
    reap(part, 0);
  }
  ::munmap(scene_, sizeof(Scene));
}

bool Cast::await_attached() {
  const auto all = [this] {
    return std::all_of(scene_->figures.begin(), scene_->figures.end(),
                       [](const Figures& one) { return one.attached.load(std::memory_order_relaxed) != 0; });
  };
  while (!all() && look_after() && sleep_unless_stopped(1ms)) {
  }
  return all();
}

bool Cast::look_after() {
  for (std::size_t part = 0; part < kParts.size(); ++part)
    if (reap(part, WNOHANG)) failed_ = true;
  return !failed_;
}

void Cast::await_end(bool publishers) {
  for (std::size_t part = 0; part < kParts.size(); ++part)
    if ((kParts[part].role == Role::publisher) == publishers) reap(part, 0);
}

void Cast::start(std::size_t part, const std::string& directory) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "cannot start a process");
  if (pid == 0) ::_exit(child(part, directory, parent));
  pids_[part] = pid;
  running_[part] = true;
}

// SIGINT goes to the whole group: the parent answers it, and tells the others to end by the phase.
int Cast::child(std::size_t part, const std::string& directory, pid_t parent) noexcept {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return kFailed;
  try {
    return play(part, directory, *scene_) ? kDone : kFailed;
  } catch (const std::exception& error) {
    complain(fmt::format("{} {}: {}", kParts[part].kind, kParts[part].name, error.what()));
    return kFailed;
  }
}

// True if it has ended just now.
bool Cast::reap(std::size_t part, int options) {
  int status = 0;
  pid_t got = 0;
  if (!running_[part]) return false;
  while ((got = ::waitpid(pids_[part], &status, options)) < 0 && errno == EINTR) {
  }
  if (got == 0) return false;
  running_[part] = false;
  if (status != 0) failed_ = true;
  return true;
}

}  // namespace ringway::tool

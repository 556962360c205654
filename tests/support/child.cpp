#include "support/child.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <system_error>

namespace ringway_test {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// A test that writes to a program that has ended wants an error, not its own death. Children get the default back, and want the
// same when they are tests themselves.
void ignore_broken_pipes() { ::signal(SIGPIPE, SIG_IGN); }

// fork(), with the watchdog and the end of the parent set in the child.
pid_t fork_watched(std::chrono::seconds watchdog) {
  std::cout.flush();
  std::fflush(nullptr);  // else both processes would print it
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    ::setpgid(pid,
              pid);  // on both sides, so that neither has to wait for the other; it fails here if the child has exec'ed
    return pid;
  }
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(99);  // the parent ended before prctl
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(static_cast<unsigned>(watchdog.count()));
  return 0;
}

int run_body(const std::function<int()>& body) {
  const bool failed_before = ::testing::Test::HasFailure();
  int status = 98;
  try {
    status = body();
    if (!failed_before && ::testing::Test::HasFailure()) status = 97;
  } catch (const std::exception& error) {
    std::cerr << "child: " << error.what() << '\n';
  }
  std::cout.flush();
  std::fflush(nullptr);
  return status;
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (auto& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

}  // namespace

Child Child::fork(const std::function<int()>& body, std::chrono::seconds watchdog) {
  const pid_t pid = fork_watched(watchdog);
  if (pid == 0) ::_exit(run_body(body));
  return Child(pid);
}

Child Child::spawn(const std::vector<std::string>& argv, const SpawnOptions& options) {
  std::vector<std::string> arguments = argv;
  std::vector<std::string> environment = options.environment;  // first: getenv finds the first of a name
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const auto argument_pointers = pointers(arguments);
  const auto environment_pointers = pointers(environment);
  const pid_t pid = fork_watched(options.watchdog);
  if (pid > 0) return Child(pid);
  // Three copies above 2 first, so that the order does not matter when the descriptors given are themselves 0 to 2.
  std::array<int, 3> given = {options.in, options.out, options.err};
  for (int& fd : given) {
    if (fd >= 0) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  }
  for (int target = 0; target < 3; ++target) {
    if (given[static_cast<std::size_t>(target)] >= 0) ::dup2(given[static_cast<std::size_t>(target)], target);
  }
  ::execvpe(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
  ::_exit(127);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    stop();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
  }
  return *this;
}

int Child::wait() {
  int status = 0;
  while (status_ < 0) {
    if (::waitpid(pid_, &status, 0) == pid_) {
      status_ = status_of(status);
    } else if (errno != EINTR) {
      fail("waitpid");
    }
  }
  return status_;
}

bool Child::wait_stopped() {
  int status = 0;
  while (status_ < 0) {
    if (::waitpid(pid_, &status, WUNTRACED) == pid_) {
      if (WIFSTOPPED(status)) return true;
      status_ = status_of(status);
    } else if (errno != EINTR) {
      fail("waitpid");
    }
  }
  return false;
}

bool Child::ended() {
  int status = 0;
  if (status_ < 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status_of(status);
  return status_ >= 0;
}

void Child::kill(int signal) const {
  if (status_ < 0) ::kill(pid_, signal);  // once reaped, the number may be another's
}

void Child::stop() noexcept {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  if (status_ >= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Output run(const std::vector<std::string>& argv, std::string_view input, const SpawnOptions& options) {
  ignore_broken_pipes();
  Pipe in;
  Pipe out;
  Pipe err;
  SpawnOptions own = options;
  own.in = in.read_end();
  own.out = out.write_end();
  own.err = err.write_end();
  Child child = Child::spawn(argv, own);
  in.close_read_end();
  out.close_write_end();
  err.close_write_end();
  ::fcntl(in.write_end(), F_SETFL,
          O_NONBLOCK);  // a program that does not read must not stop us from reading what it writes
  if (input.empty()) in.close_write_end();

  Output result{};
  const auto deadline = std::chrono::steady_clock::now() + options.watchdog;
  while (out.read_end() >= 0 || err.read_end() >= 0) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) {  // also of a grandchild that holds our pipes
      std::cerr << "run: " << argv.front() << " was killed by the watchdog\n";
      child.kill(SIGKILL);
      break;
    }
    std::array<pollfd, 3> polled = {
        pollfd{in.write_end(), POLLOUT, 0}, {out.read_end(), POLLIN, 0}, {err.read_end(), POLLIN, 0}};
    ::poll(polled.data(), polled.size(), static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    if (polled[0].revents != 0) {
      const ssize_t written = ::write(in.write_end(), input.data(), input.size());
      if (written > 0) input.remove_prefix(static_cast<std::size_t>(written));
      if (input.empty() || (written < 0 && errno != EAGAIN && errno != EINTR)) in.close_write_end();
    }
    const auto drain = [](Pipe& pipe, const pollfd& polled_pipe, std::string& text) {
      if (polled_pipe.revents == 0) return;
      std::array<char, 65536> buffer;
      const ssize_t count = ::read(pipe.read_end(), buffer.data(), buffer.size());
      if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
      if (count == 0 || (count < 0 && errno != EINTR)) pipe.close_read_end();
    };
    drain(out, polled[1], result.out);
    drain(err, polled[2], result.err);
  }
  result.status = child.wait();
  return result;
}

Pipe::Pipe() {
  if (::pipe2(ends_, O_CLOEXEC) != 0) fail("pipe2");
}

Pipe::~Pipe() {
  close_end(0);
  close_end(1);
}

void Pipe::close_end(int which) { close_fd(ends_[which]); }

void Pipe::signal() {
  ignore_broken_pipes();
  while (::write(write_end(), "!", 1) < 0 && errno == EINTR) {
  }
}

bool Pipe::await() {
  char step = 0;
  ssize_t count = 0;
  do {
    count = ::read(read_end(), &step, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

namespace {
std::string held_tool;
}

void hold_tool() {
  const int tool = ::open(program("ringway").c_str(), O_PATH);  // children have it, too
  if (tool >= 0) held_tool = "/proc/self/fd/" + std::to_string(tool);
}

std::string program(std::string_view name) {
  if (name == "ringway" && !held_tool.empty()) return held_tool;
  static const auto bin = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  return bin / name;
}

}  // namespace ringway_test

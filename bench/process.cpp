#include "process.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace bench {
namespace {

constexpr std::string_view kShared = "/dev/shm";
constexpr std::string_view kPrefix = "ringway-bench.";

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (auto& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

// fork(); the child dies with this process.
pid_t fork_bound() {
  std::fflush(nullptr);  // else both would print it
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail_with_errno("fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it ended before prctl
  }
  return pid;
}

bool try_pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

// Directories of benchmarks that were killed before they could remove them.
void remove_leftovers() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(kShared, ignored)) {
    const std::string name = entry.path().filename();
    pid_t owner = 0;
    if (!name.starts_with(kPrefix)) continue;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), owner);
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) std::filesystem::remove_all(entry.path(), ignored);
  }
}

}  // namespace

void fail(const std::string& text) { throw std::runtime_error(text); }

void fail_with_errno(const std::string& text) { throw std::system_error(errno, std::generic_category(), text); }

void pin(int cpu) {
  if (!try_pin(cpu)) fail_with_errno(fmt::format("pinning to core {}", cpu));
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) fail_with_errno("sched_getaffinity");
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');) {
    directory.append("/").append(program);
    if (::access(directory.c_str(), X_OK) == 0) return true;
  }
  return false;
}

Process Process::fork(const std::function<void()>& body) {
  const pid_t pid = fork_bound();
  if (pid > 0) return Process(pid);
  try {
    body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "ringway-bench: {}\n", error.what());
    std::fflush(nullptr);
    ::_exit(1);
  }
  std::fflush(nullptr);
  ::_exit(0);
}

Process Process::spawn(const std::vector<std::string>& argv, const SpawnOptions& options) {
  std::vector<std::string> arguments = argv;
  std::vector<std::string> environment = options.environment;  // first: getenv finds the first of a name
  for (char** entry = ::environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const auto argument_pointers = pointers(arguments);
  const auto environment_pointers = pointers(environment);
  const pid_t pid = fork_bound();
  if (pid > 0) return Process(pid);
  if (options.in >= 0) ::dup2(options.in, 0);
  if (options.out >= 0) ::dup2(options.out, 1);
  if (const int nowhere = options.silent ? ::open("/dev/null", O_WRONLY) : -1; nowhere >= 0) {
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
  }
  if (options.cpu < 0 || try_pin(options.cpu))
    ::execvpe(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
  std::perror(argument_pointers[0]);
  ::_exit(127);
}

void Process::join(const std::string& name) {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) fail(fmt::format("{}: ended by signal {}", name, WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) fail(fmt::format("{}: exit status {}", name, WEXITSTATUS(status)));
}

void Process::stop(int signal) noexcept {
  if (pid_ < 0) return;
  ::kill(pid_, signal);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void join_both(Process& one, Process& other, const std::string& name) {
  siginfo_t ended{};
  while (::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  Process& first = ended.si_pid == one.pid() ? one : other;
  Process& second = ended.si_pid == one.pid() ? other : one;
  first.join(name);  // throws if it failed, and the second is ended with its Process
  second.join(name);
}

int supervise(const std::function<int(const std::string& directory)>& body) {
  remove_leftovers();
  const std::string directory = fmt::format("{}/{}{}", kShared, kPrefix, ::getpid());
  sigset_t signals;
  sigset_t before;
  ::sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  if (::mkdir(directory.c_str(), 0700) != 0) fail_with_errno(directory);

  const pid_t pid = fork_bound();
  if (pid == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    const int status = body(directory);
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = 0;
  int signal = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (::sigwait(&signals, &signal) == 0 && signal != SIGCHLD) ::kill(pid, SIGKILL);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace bench

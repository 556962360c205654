// Processes of the benchmark: pinned, and ended with the one that started them. And the place for their files.
//
// Thread safety: one thread. Crash: a child is killed by the kernel when its parent dies (PR_SET_PDEATHSIG).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// Throw: what goes wrong in a measurement is never worth going on for.
[[noreturn]] void fail(const std::string& text);
[[noreturn]] void fail_with_errno(const std::string& text);

void pin(int cpu);
std::vector<int> allowed_cpus();
std::string read_file(const std::string& path);  // empty if it cannot be read
bool installed(const std::string& program);      // found in PATH

// What a spawned program gets: descriptors (-1: ours), "NAME=value" added to our environment, a core (-1: any).
struct SpawnOptions {
  int in = -1;
  int out = -1;
  int cpu = -1;
  std::vector<std::string> environment = {};
  bool silent = false;  // what it prints goes nowhere
};

class Process {
 public:
  // Runs `body`, then ends by _exit(0).
  static Process fork(const std::function<void()>& body);
  // Runs a program, searched in PATH.
  static Process spawn(const std::vector<std::string>& argv, const SpawnOptions& options = {});

  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&&) = delete;
  ~Process() { kill(); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Waits for its end; anything but exit status 0 is a failure.
  void join(const std::string& name);
  void stop(int signal) noexcept;  // and waits for its end
  void kill() noexcept { stop(SIGKILL); }

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

// Waits for the end of both; the failure of one ends the other.
void join_both(Process& one, Process& other, const std::string& name);

// Runs `body` in a child with a fresh directory in shared memory, whose path it is given, and gives its exit status. The
// directory is removed when the child has ended, however it did, and if a signal ends us.
int supervise(const std::function<int(const std::string& directory)>& body);

}  // namespace bench

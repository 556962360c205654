// Processes for tests: each ends with the test, whatever happens.
//
// Thread safety: a Child belongs to one thread, and the thread that starts it must live as long as the child should: the kernel kills the
// child when that thread ends (PR_SET_PDEATHSIG). A watchdog (SIGALRM in the child) ends it in any case.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ringway_test {

inline constexpr std::chrono::seconds kWatchdog{60};

// What a spawned program gets: descriptors (-1: ours), and "NAME=value" strings added to our environment.
struct SpawnOptions {
  int in = -1;
  int out = -1;
  int err = -1;
  std::vector<std::string> environment = {};
  std::chrono::seconds watchdog = kWatchdog;
};

class Child {
 public:
  // Runs `body` in a forked process, which ends by _exit with its result: no destructor, no atexit handler of ours runs there. A gtest failure
  // in it is status 97, an exception 98. Fork before starting threads (ThreadSanitizer, for one, forbids threads after a fork from several).
  static Child fork(const std::function<int()>& body, std::chrono::seconds watchdog = kWatchdog);

  // Runs a program (searched in PATH) in a process group of its own. A program that cannot be started is status 127.
  static Child spawn(const std::vector<std::string>& argv, const SpawnOptions& options = {});

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  Child& operator=(Child&& other) noexcept;
  ~Child() { stop(); }  // SIGKILL, to its process group too, and reaps

  pid_t pid() const { return pid_; }

  // The exit status; 128 + n if signal n ended it (142: the watchdog). May be called again.
  int wait();
  // Waits until it is stopped by a signal; false if it ended instead.
  bool wait_stopped();
  // Has it ended? Does not wait.
  bool ended();

  void kill(int signal) const;

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  void stop() noexcept;

  pid_t pid_;
  int status_ = -1;  // as wait() gives it, once reaped
};

struct Output {
  int status;  // as Child::wait() gives it
  std::string out;
  std::string err;
};

// Runs a program to its end, with `input` as its standard input, and gives back what it wrote. Killed after the watchdog's time.
Output run(const std::vector<std::string>& argv, std::string_view input = {}, const SpawnOptions& options = {});

// A pipe to tell each other about steps: `await` returns once the other side said `signal`, false if it is gone without.
class Pipe {
 public:
  Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe();

  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_read_end() { close_end(0); }
  void close_write_end() { close_end(1); }  // in the process that awaits: else it would wait for itself

  void signal();
  bool await();

 private:
  void close_end(int which);
  int ends_[2] = {-1, -1};
};

// The built programs: `program("ringway")` is the tool, `program("tests/writer_main")` is support/writer_main.cpp.
std::string program(std::string_view name);
// From now on program("ringway") can be run here also by a user who may not enter its directory.
void hold_tool();

}  // namespace ringway_test

// A process that is led through one operation, an instruction or a system call at a time.
//
// It forks, prepares what it needs, and calls mark() just before the operation and just after it. Between the two the
// tracer decides when it runs; so it can be killed, or left standing, anywhere.
//
// Thread safety: a Traced belongs to the thread that started it (ptrace). Progress: each call waits for the child, which a
// watchdog ends. Crash: the child dies with its tracer.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ringway_crash {

// Called by the traced process: the operation begins or ends here.
void mark();

class Traced {
 public:
  // Forks, and runs `body` up to its first mark. Its result is the exit status; an exception is status 98.
  explicit Traced(const std::function<int()>& body);
  ~Traced();  // SIGKILL, and reaps
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;

  // One instruction further. False: it stands at its second mark, or has ended.
  bool step();
  // To the next entry to or return from a system call. False: as for step.
  bool system_call();
  void kill();
  // Lets it run on by itself, to its end.
  void let_go();
  // The exit status once it has ended, 128 + n if signal n did it; does not wait.
  std::optional<int> ended();

  [[nodiscard]] std::uintptr_t at() const;  // the instruction that comes next
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  // Is `address` in the program itself, not in a library of the system?
  static bool own_code(std::uintptr_t address);

 private:
  bool went_on(int signal);
  pid_t pid_ = -1;
  std::uint64_t steps_ = 0;
  std::optional<int> status_;
};

// "function at file:line" of an instruction of this program.
std::string symbol(std::uintptr_t address);

}  // namespace ringway_crash

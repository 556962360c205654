#include "crash/traced.hpp"

#include <elf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>

// Where the program begins and ends, by the linker's names.
extern "C" const char __executable_start;  // NOLINT(bugprone-reserved-identifier)
extern "C" const char etext;

namespace ringway_crash {
namespace {

constexpr unsigned kWatchdog = 60;  // seconds

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

int run(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "traced process: %s\n", error.what());
    return 98;
  }
}

}  // namespace

// A stop signal is what the tracer sees when it does not step; when it does, it stops at the function's first instruction.
[[gnu::noinline]] void mark() { ::raise(SIGSTOP); }

Traced::Traced(const std::function<int()>& body) {
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(kWatchdog);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::_exit(run(body));
  }
  int status = 0;
  if (::waitpid(pid_, &status, 0) != pid_) fail("waitpid");
  if (!WIFSTOPPED(status)) {
    pid_ = -1;
    throw std::runtime_error("the traced process ended before its mark, wait status " + std::to_string(status));
  }
  if (::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) != 0) fail("ptrace");
}

Traced::~Traced() { kill(); }

void Traced::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) == pid_ && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
  pid_ = -1;
}

// True: it stands again. Signals of its own are handed on, but for the one of its mark.
bool Traced::went_on(int request) {
  int signal = 0;
  for (;;) {
    if (pid_ < 0 || ::ptrace(static_cast<__ptrace_request>(request), pid_, nullptr, signal) != 0) return false;
    int status = 0;
    if (::waitpid(pid_, &status, __WALL) != pid_) fail("waitpid");
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      pid_ = -1;
      return false;
    }
    signal = WSTOPSIG(status);
    if (signal == SIGSTOP) return false;
    if (signal == SIGTRAP || signal == (SIGTRAP | 0x80)) return true;
  }
}

bool Traced::step() {
  ++steps_;
  return went_on(PTRACE_SINGLESTEP) && at() != reinterpret_cast<std::uintptr_t>(&mark);
}

bool Traced::system_call() { return went_on(PTRACE_SYSCALL); }

void Traced::let_go() {
  if (pid_ >= 0) ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
}

std::optional<int> Traced::ended() {
  int status = 0;
  while (pid_ >= 0 && ::waitpid(pid_, &status, WNOHANG | __WALL) == pid_) {
    if (WIFSTOPPED(status)) {
      const int signal = WSTOPSIG(status);
      ::ptrace(PTRACE_CONT, pid_, nullptr, signal == SIGSTOP || signal == SIGTRAP ? 0 : signal);
      continue;
    }
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    pid_ = -1;
  }
  return status_;
}

std::uintptr_t Traced::at() const {
  user_regs_struct registers{};
  iovec to{&registers, sizeof registers};
  if (pid_ < 0 || ::ptrace(PTRACE_GETREGSET, pid_, NT_PRSTATUS, &to) != 0) return 0;
#if defined(__x86_64__)
  return registers.rip;
#else
  return registers.pc;
#endif
}

bool Traced::own_code(std::uintptr_t address) {
  return address >= reinterpret_cast<std::uintptr_t>(&__executable_start) &&
         address < reinterpret_cast<std::uintptr_t>(&etext);
}

std::string symbol(std::uintptr_t address) {
  if (!Traced::own_code(address)) return "a system library";
  // A position-independent program's addresses are counted from where it lies.
  const std::uintptr_t base = reinterpret_cast<std::uintptr_t>(&__executable_start);
  char command[128];
  std::snprintf(command, sizeof command, "addr2line -Cfsie /proc/%d/exe 0x%zx 2>/dev/null", ::getpid(),
                static_cast<std::size_t>(base >= 0x1000'0000 ? address - base : address));
  std::string text;
  if (FILE* pipe = ::popen(command, "r")) {
    char line[512];
    for (int lines = 0; std::fgets(line, sizeof line, pipe) != nullptr && lines < 4; ++lines) text += line;
    ::pclose(pipe);
  }
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text.empty() ? "unknown" : text;
}

}  // namespace ringway_crash

#include "crash/reporter.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "crash/traced.hpp"

namespace ringway_crash {
namespace {

constexpr std::uint64_t kPrinted = 3;  // of an operation; the rest is only counted
constexpr unsigned kWatchdog = 30;     // seconds a check may take

char where[256];  // what is being checked, for the handler

void die(int signal) {
  char text[320];
  const int bytes = std::snprintf(text, sizeof text, "BAD %s: %s\n", where,
                                  signal == SIGALRM ? "the check does not end" : strsignal(signal));
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, text, static_cast<std::size_t>(bytes));
  ::_exit(1);
}

}  // namespace

Reporter::Reporter(Row& row, const Options& options) : row_(row), options_(options) {
  for (const int signal : {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE}) ::signal(signal, die);
}

void Reporter::note(const char* mode, std::uint64_t step, std::uintptr_t at) {
  ::alarm(kWatchdog);
  std::snprintf(where, sizeof where, "%s, %s at step %llu (0x%zx)", row_.name.c_str(), mode,
                static_cast<unsigned long long>(step), at);
}

void Reporter::bad(const char* mode, std::uint64_t step, std::uintptr_t at, const std::string& what,
                   const Image* image) {
  if (++row_.bad > kPrinted) return;
  std::string kept;
  if (image != nullptr && !options_.keep.empty()) {
    kept = options_.keep + "/" + row_.name + "-" + mode + "-" + std::to_string(step);
    std::filesystem::create_directories(kept);
    write_image(*image, kept);
    kept = "\n    its image: " + kept;
  }
  std::printf("BAD %s, %s at step %llu (0x%zx, %s): %s%s\n", row_.name.c_str(), mode,
              static_cast<unsigned long long>(step), at, symbol(at).c_str(), what.c_str(), kept.c_str());
  std::fflush(stdout);
}

}  // namespace ringway_crash

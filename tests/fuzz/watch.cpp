#include "watch.hpp"

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace ringway_fuzz {
namespace {

constexpr std::uintptr_t kHole = 1 << 20;
constexpr std::int64_t kMostCpu = 1'000'000'000;  // ns an input; the slowest takes a hundredth

std::uintptr_t next_mapping = kArena + kHole;
std::uint64_t mappings = 0;
std::uint64_t all_loads = 0;

const char* call = nullptr;  // null: nothing is counted
std::uint64_t loads = 0;
std::uint64_t most_loads = 0;
std::array<Change, 16> changes;
std::size_t first_change = 0;
std::size_t last_change = 0;
std::int64_t started = 0;

std::int64_t cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Not instrumented: it is what the instrumentation calls.
__attribute__((no_sanitize("address", "undefined", "coverage"))) inline void on_load(const void* address) {
  if (reinterpret_cast<std::uintptr_t>(address) - kArena >= kArenaBytes || call == nullptr) return;
  ++all_loads;
  if (++loads > most_loads) {
    std::string text = std::string(call) + " has loaded " + std::to_string(most_loads) + " shared words and goes on";
    call = nullptr;
    fail(text);
  }
  while (first_change < last_change) {
    Change& change = changes[first_change];
    if (change.after-- > 0) return;
    *change.word = change.value;
    ++first_change;
  }
}

}  // namespace

void begin_call(const char* name, std::uint64_t most) {
  call = name;
  loads = 0;
  most_loads = most;
}
void end_call() { call = nullptr; }

void schedule(const Change& change) {
  if (first_change == last_change) first_change = last_change = 0;
  if (last_change < changes.size()) changes[last_change++] = change;
}
void forget_schedule() { first_change = last_change = 0; }

void begin_input() { started = cpu_ns(); }
void end_input() {
  end_call();
  forget_schedule();
  const std::int64_t used = cpu_ns() - started;
  if (used > kMostCpu) fail("one input took " + std::to_string(used / 1'000'000) + " ms of the processor");
}

void fail(const std::string& text) {
  std::fprintf(stderr, "FAILED: %s\n", text.c_str());
  std::abort();
}

void check_watch() {
  if (mappings == 0 || all_loads == 0) fail("no mapping or no load was seen: the target is built without its wrappers");
}

}  // namespace ringway_fuzz

// NOLINTBEGIN: names that the linker's --wrap and clang's -fsanitize-coverage=trace-loads give
extern "C" {
void* __real_mmap(void* address, std::size_t bytes, int protection, int flags, int file, long offset);

void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int file, long offset) {
  using namespace ringway_fuzz;
  const bool shared = (flags & MAP_SHARED) != 0 || protection == PROT_NONE;  // PROT_NONE: room for a double mapping
  if (address != nullptr || !shared) return __real_mmap(address, bytes, protection, flags, file, offset);
  for (int tries = 0; tries < 100'000; ++tries) {
    if (next_mapping + bytes + kHole > kArena + kArenaBytes) next_mapping = kArena + kHole;
    void* const place = reinterpret_cast<void*>(next_mapping);
    next_mapping += (bytes + 2 * kHole - 1) / kHole * kHole;
    void* const result = __real_mmap(place, bytes, protection, flags | MAP_FIXED_NOREPLACE, file, offset);
    if (result != MAP_FAILED) ++mappings;
    if (result != MAP_FAILED || errno != EEXIST) return result;
  }
  errno = ENOMEM;
  return MAP_FAILED;
}

int __wrap_nanosleep(const timespec*, timespec*) { return 0; }

void __sanitizer_cov_load1(const void* address) { ringway_fuzz::on_load(address); }
void __sanitizer_cov_load2(const void* address) { ringway_fuzz::on_load(address); }
void __sanitizer_cov_load4(const void* address) { ringway_fuzz::on_load(address); }
void __sanitizer_cov_load8(const void* address) { ringway_fuzz::on_load(address); }
void __sanitizer_cov_load16(const void* address) { ringway_fuzz::on_load(address); }
}
// NOLINTEND

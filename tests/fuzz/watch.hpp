// What the fuzz targets see of the library at work: every load of a shared word. Clang calls back before each one, so a
// word can be changed between two given loads, and a loop that does not end is counted, without a clock.
//
// Whatever the program maps shared lies in an arena of its own, with a hole on either side of each mapping: what reads
// past one faults. Sleeps between tries end at once.
#pragma once

#include <cstdint>
#include <string>

namespace ringway_fuzz {

inline constexpr std::uintptr_t kArena = 0x4000'0000'0000;
inline constexpr std::uintptr_t kArenaBytes = 1ULL << 42;

// A change of one word, made just before the `after`-th load of a shared word from now.
struct Change {
  std::uint32_t after = 0;
  std::uint64_t* word = nullptr;  // in a mapping that may be written
  std::uint64_t value = 0;
};

// Starts counting for a call; more than `most` loads in it are a failure.
void begin_call(const char* name, std::uint64_t most = 1 << 20);
void end_call();
void schedule(const Change& change);
void forget_schedule();

// Between calls and in them: how much the process may use of the processor for one input.
void begin_input();
void end_input();

// Ends the process with `text`, as libFuzzer expects it.
[[noreturn]] void fail(const std::string& text);

// The wrappers are linked in and were used; a target that measures nothing proves nothing.
void check_watch();

class Call {
 public:
  explicit Call(const char* name, std::uint64_t most = 1 << 20) { begin_call(name, most); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { end_call(); }
};

}  // namespace ringway_fuzz

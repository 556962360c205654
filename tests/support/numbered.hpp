// Messages that say who sent them and which they are, with a checksum over the rest, so that a lost, doubled, mixed or
// torn one is found. And the dice that stress tests throw: RINGWAY_TEST_SEED repeats a run's choices (not its
// interleaving).

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "support/sanitizer.hpp"

namespace ringway_test {

inline constexpr std::uint32_t kMaxWriters = 4;

inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("RINGWAY_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  }();
  return value;
}

// A thread's or process's own choices.
class Dice {
 public:
  explicit Dice(std::uint64_t stream) : engine_(seed() * 1000 + stream) {}
  std::uint64_t up_to(std::uint64_t most) { return std::uniform_int_distribution<std::uint64_t>(0, most)(engine_); }
  bool one_in(std::uint64_t n) { return up_to(n - 1) == 0; }

 private:
  std::mt19937_64 engine_;
};

// What a message says of itself.
struct Head {
  std::uint64_t writer;
  std::uint64_t number;
  std::uint64_t sum;
};

inline std::uint64_t sum_of(const std::byte* bytes, std::size_t count, const Head& head) {
  std::uint64_t sum = head.writer * 0x9E37'79B9'7F4A'7C15 ^ head.number ^ count;
  for (std::size_t i = 0; i < count; ++i) sum = sum * 31 + static_cast<std::uint64_t>(bytes[i]);
  return sum;
}

inline void fill(std::byte* to, std::size_t bytes, std::uint64_t writer, std::uint64_t number) {
  Head head{writer, number, 0};
  for (std::size_t i = sizeof head; i < bytes; ++i) to[i] = static_cast<std::byte>(number * 7 + i);
  head.sum = sum_of(to + sizeof head, bytes - sizeof head, head);
  std::memcpy(to, &head, sizeof head);
}

// What a message says of itself; what is wrong with it, or nothing.
inline std::string read_head(const std::byte* bytes, std::size_t count, Head& head) {
  if (count < sizeof head) return "too short: " + std::to_string(count);
  std::memcpy(&head, bytes, sizeof head);
  if (head.writer >= kMaxWriters) return "writer " + std::to_string(head.writer);
  if (head.sum != sum_of(bytes + sizeof head, count - sizeof head, head))
    return "checksum of number " + std::to_string(head.number);
  return {};
}

// Checks a message and tells how many of its writer's were missed before it. Empty text: all is well.
class Checker {
 public:
  std::string check(const std::byte* bytes, std::size_t count, std::uint64_t& missed) {
    missed = 0;
    Head head;
    if (std::string wrong = read_head(bytes, count, head); !wrong.empty()) return wrong;
    std::uint64_t& next = next_[head.writer];
    if (head.number < next)
      return "number " + std::to_string(head.number) + " again, " + std::to_string(next) + " was next";
    missed = head.number - next;
    next = head.number + 1;
    ++received_;
    lost_ += missed;
    return {};
  }
  std::uint64_t next(std::uint64_t writer) const { return next_[writer]; }
  std::uint64_t received() const { return received_; }
  std::uint64_t lost() const { return lost_; }

 private:
  std::array<std::uint64_t, kMaxWriters> next_{};
  std::uint64_t received_ = 0;
  std::uint64_t lost_ = 0;
};

// rounds(), as messages are counted.
inline std::uint64_t times(int n) { return static_cast<std::uint64_t>(rounds(n)); }

}  // namespace ringway_test

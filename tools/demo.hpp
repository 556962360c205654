// What the processes of `ringway demo` share: a scene in anonymous shared memory, and what each of them does.
//
// Every word is an atomic, written by one process and read by the parent: relaxed, for they are figures, and the phase
// carries no data. Crash: the parent sees a child that ended early, and ends the demo.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringway/bus.hpp"

namespace ringway::tool {

inline constexpr std::string_view kDemoTopic = "ticks";

// What the demo's publishers publish.
struct Tick {
  std::uint64_t publisher;
  std::uint64_t number;  // 0, 1, 2, ...
  std::uint64_t check;   // of the two
};
constexpr std::uint64_t check_of(std::uint64_t publisher, std::uint64_t number) {
  return (publisher + 1) * 0x9E37'79B9'7F4A'7C15 ^ number;
}

// Times in 16 buckets an octave: good to 6 %.
class Histogram {
 public:
  void add(std::chrono::nanoseconds time) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
    buckets_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
  }
  // The time that `share` of all (0 to 1) stay below.
  [[nodiscard]] std::chrono::nanoseconds percentile(double share) const;

 private:
  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < 16) return ns;
    const auto octave = static_cast<std::size_t>(std::bit_width(ns)) - 5;
    return octave * 16 + (ns >> octave);
  }
  std::array<std::atomic<std::uint64_t>, 976> buckets_{};
};

enum class Phase : std::uint32_t { attach, publish, finish, drain };

struct Figures {
  std::atomic<std::uint32_t> attached{0};
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> lost{0};
  std::atomic<std::uint64_t> wrong{0};  // out of order, or with other bytes than were published
  Histogram latency;
};

enum class Role : std::uint8_t { publisher, reliable, lossy, durable, observer };
struct Part {
  Role role;
  std::string_view kind;  // for people
  std::string_view name;
};
inline constexpr std::array<Part, 6> kParts = {{{Role::reliable, "reliable", "screen"},
                                                {Role::lossy, "lossy", "ticker"},
                                                {Role::durable, "durable", "ledger"},
                                                {Role::observer, "observer", "watcher"},
                                                {Role::publisher, "publisher", "feed-1"},
                                                {Role::publisher, "publisher", "feed-2"}}};

struct Scene {
  std::atomic<Phase> phase{Phase::attach};
  std::array<Figures, kParts.size()> figures;
};

// One process's part, to its end. Throws Error; gives false if a message was not as it should be.
bool play(std::size_t part, const std::string& directory, Scene& scene);

}  // namespace ringway::tool

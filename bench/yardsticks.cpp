#include "yardsticks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "futex.hpp"
#include "halves.hpp"

namespace bench {
namespace {

struct alignas(64) Line {
  std::atomic<std::uint64_t> word;
};

// Left writes odd numbers, right even ones.
class LimitLink {
 public:
  LimitLink(Side side, Line& line) : right_(side == Side::right ? 1 : 0), line_(line) {}
  void send(std::uint64_t number) { line_.word.store(2 * number + right_, std::memory_order_release); }
  void expect(std::uint64_t number) const {
    while (line_.word.load(std::memory_order_acquire) != 2 * number + 1 - right_) {
    }
  }

 private:
  std::uint64_t right_;
  Line& line_;
};

struct FutexPair {
  struct alignas(64) {
    std::atomic<std::uint32_t> word;
  } sides[2];
};

class FutexLink {
 public:
  FutexLink(Side side, FutexPair& pair)
      : out_(pair.sides[side == Side::left ? 0 : 1].word), in_(pair.sides[side == Side::left ? 1 : 0].word) {}
  void send(std::uint64_t number) {
    out_.store(static_cast<std::uint32_t>(number), std::memory_order_release);
    futex_wake(out_);
  }
  void expect(std::uint64_t number) {
    const auto expected = static_cast<std::uint32_t>(number);
    for (std::uint32_t seen = 0; (seen = in_.load(std::memory_order_acquire)) != expected;) futex_wait(in_, seen);
  }

 private:
  std::atomic<std::uint32_t>& out_;
  std::atomic<std::uint32_t>& in_;
};

using Element = Payload<64>;
constexpr std::size_t kElements = 1024;
using Queue = boost::lockfree::spsc_queue<Element, boost::lockfree::capacity<kElements>>;
struct QueuePair {
  Queue to_right;
  Queue to_left;
};

class SpscLink {
 public:
  SpscLink(Queue& out, Queue& in, bool one_at_a_time = true) : out_(out), in_(in), one_at_a_time_(one_at_a_time) {}
  void send(std::uint64_t number) {
    element_.fill(number);
    while (!out_.push(element_)) relax();
  }
  void expect(std::uint64_t number) {
    while (!in_.pop(element_)) relax();
    element_.check(number);
  }
  void take(std::uint64_t first, std::uint64_t count) {
    if (one_at_a_time_) {
      for (std::uint64_t i = 0; i < count; ++i) expect(first + i);
      return;
    }
    for (const std::uint64_t end = first + count; first != end;) {
      if (in_.consume_all([&first](const Element& element) { element.check(first++); }) == 0) relax();
    }
  }

 private:
  Queue& out_;
  Queue& in_;
  bool one_at_a_time_;
  Element element_{};
};

// What a single-producer ring can do at best: slots of one line, filled and read in place, the two indices on lines of their
// own, each side with a copy of the other's that it refreshes when it runs out. No headers, no wake-ups, no gating.
struct BareRing {
  static constexpr std::uint64_t kSlots = 1024;
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  alignas(64) std::array<Element, kSlots> slots;
};

class BareRingLink {
 public:
  explicit BareRingLink(BareRing& ring) : ring_(ring) {}
  void send(std::uint64_t number) {
    while (own_ - other_ == BareRing::kSlots) {
      other_ = ring_.read.load(std::memory_order_acquire);
      if (own_ - other_ == BareRing::kSlots) relax();
    }
    ring_.slots[own_ % BareRing::kSlots].fill(number);
    ring_.written.store(++own_, std::memory_order_release);
  }
  void expect(std::uint64_t number) {
    while (own_ == other_) {
      other_ = ring_.written.load(std::memory_order_acquire);
      if (own_ == other_) relax();
    }
    ring_.slots[own_ % BareRing::kSlots].check(number);
    ring_.read.store(++own_, std::memory_order_release);
  }

 private:
  BareRing& ring_;
  std::uint64_t own_ = 0;
  std::uint64_t other_ = 0;
};

// The same for large messages: each is copied into a slot, and read there in full.
struct HandoverRing {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
};

class HandoverLink {
 public:
  HandoverLink(HandoverRing& ring, std::byte* slots, std::size_t bytes, std::size_t region)
      : ring_(ring), slots_(slots), stride_((bytes + 32 + 63) / 64 * 64), count_(region / stride_), message_(bytes) {}
  void send(std::uint64_t number) {
    fill_ends(message_, number);
    while (own_ - other_ == count_) {
      other_ = ring_.read.load(std::memory_order_acquire);
      if (own_ - other_ == count_) relax();
    }
    std::memcpy(slot(), message_.data(), message_.size());
    ring_.written.store(++own_, std::memory_order_release);
  }
  void expect(std::uint64_t number) {
    while (own_ == other_) {
      other_ = ring_.written.load(std::memory_order_acquire);
      if (own_ == other_) relax();
    }
    const std::span message(slot(), message_.size());
    read_all(message);
    check_ends(message, number);
    ring_.read.store(++own_, std::memory_order_release);
  }

 private:
  [[nodiscard]] std::byte* slot() const { return slots_ + own_ % count_ * stride_; }
  HandoverRing& ring_;
  std::byte* slots_;
  std::size_t stride_;
  std::uint64_t count_;
  std::vector<std::byte> message_;
  std::uint64_t own_ = 0;
  std::uint64_t other_ = 0;
};

// Copies to a place that walks over `region` bytes.
class Memcpy {
 public:
  Memcpy(std::size_t bytes, std::size_t region) : from_(bytes, 'x'), to_(std::max(bytes, region)) {}
  void operator()(std::uint64_t count) {
    for (; count != 0; --count) {
      if (at_ + from_.size() > to_.size()) at_ = 0;
      std::memcpy(to_.data() + at_, from_.data(), from_.size());
      asm volatile("" : : "r"(to_.data()) : "memory");  // the copy counts
      at_ += (from_.size() + 32 + 63) / 64 * 64;        // as a frame of that payload
    }
  }

 private:
  std::vector<char> from_;
  std::vector<char> to_;
  std::size_t at_ = 0;
};

}  // namespace

Contestant limit_ping_pong() {
  auto* line = make_shared_memory<Line>();
  return {"limit", [line](Side side) { return std::make_unique<PingPong<LimitLink>>(side, side, *line); }};
}

Contestant futex_ping_pong() {
  auto* pair = make_shared_memory<FutexPair>();
  return {"bare futex", [pair](Side side) { return std::make_unique<PingPong<FutexLink>>(side, side, *pair); }};
}

Contestant spsc_ping_pong() {
  auto* pair = make_shared_memory<QueuePair>();
  return {"spsc_queue", [pair](Side side) {
            const bool left = side == Side::left;
            return std::make_unique<PingPong<SpscLink>>(side, left ? pair->to_right : pair->to_left,
                                                        left ? pair->to_left : pair->to_right);
          }};
}

Contestant spsc_stream(bool one_at_a_time) {
  auto* queue = make_shared_memory<Queue>();
  return {one_at_a_time ? "spsc_queue" : "spsc_queue consume_all",
          [=](Side side) { return std::make_unique<Stream<SpscLink>>(side, *queue, *queue, one_at_a_time); }};
}

Contestant bare_ring_stream() {
  auto* ring = make_shared_memory<BareRing>();
  return {"bare ring", [ring](Side side) { return std::make_unique<Stream<BareRingLink>>(side, *ring); }};
}

Contestant memcpy_loop(std::size_t bytes, std::size_t region) {
  return {"memcpy", [=](Side side) { return std::make_unique<Solo<Memcpy>>(side, Memcpy(bytes, region)); }};
}

Contestant bare_handover(std::size_t bytes, std::size_t region) {
  auto* ring = make_shared_memory<HandoverRing>();
  auto* slots = static_cast<std::byte*>(map_shared(region));
  return {"bare handover",
          [=](Side side) { return std::make_unique<Stream<HandoverLink>>(side, *ring, slots, bytes, region); }};
}

Contestant clock_loop() {
  const auto read_clock = [](std::uint64_t count) {
    timespec now{};
    for (; count != 0; --count) ::clock_gettime(CLOCK_MONOTONIC, &now);
  };
  return {"clock_gettime", [=](Side side) { return std::make_unique<Solo<decltype(read_clock)>>(side, read_clock); }};
}

}  // namespace bench

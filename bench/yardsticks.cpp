#include "yardsticks.hpp"

#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <cstring>
#include <memory>

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

class Memcpy final : public Half {
 public:
  Memcpy(Side side, std::size_t bytes) : side_(side), from_(bytes, 'x'), to_(bytes) {}
  void run(std::uint64_t count, Histogram* /*trips*/) override {
    if (side_ == Side::right) return;
    for (; count != 0; --count) {
      std::memcpy(to_.data(), from_.data(), from_.size());
      asm volatile("" : : "r"(to_.data()) : "memory");  // the copy counts
    }
  }

 private:
  Side side_;
  std::vector<char> from_;
  std::vector<char> to_;
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

Contestant memcpy_loop(std::size_t bytes) {
  return {"memcpy", [bytes](Side side) { return std::make_unique<Memcpy>(side, bytes); }};
}

}  // namespace bench

// The two patterns that everything is measured in, over any link: ping-pong and stream.
//
// A link has `send(n)` and `expect(n)`: message n carries n in its first and last bytes, and expect checks both. So a
// lost, repeated or torn message ends the benchmark. It may have `take(first, count)`, and `send_all(first, count)` if
// `batches()`, for several at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "process.hpp"
#include "rounds.hpp"

namespace bench {

// A message of N bytes.
template <std::size_t N>
struct Payload {
  std::array<std::uint64_t, N / 8> words;

  // A small one is written in full; of a large one what is checked.
  void fill(std::uint64_t number) {
    if constexpr (N <= 64) {
      words.fill(number);
    } else {
      words.front() = number;
      words.back() = number;
    }
  }
  void check(std::uint64_t number) const {
    if (words.front() != number || words.back() != number) [[unlikely]]
      fail("a message was lost or torn");
  }
};

// The same in a message whose size is not known to the compiler: of at least 8 bytes.
inline void fill_ends(std::span<std::byte> message, std::uint64_t number) {
  std::memcpy(message.data(), &number, sizeof number);
  std::memcpy(message.data() + message.size() - sizeof number, &number, sizeof number);
}
inline void check_ends(std::span<const std::byte> message, std::uint64_t number) {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::memcpy(&first, message.data(), sizeof first);
  std::memcpy(&last, message.data() + message.size() - sizeof last, sizeof last);
  if (first != number || last != number) [[unlikely]]
    fail("a message was lost or torn");
}

// Reads every byte, as fast as the C library does: all but the two ends are zero.
inline void read_all(std::span<const std::byte> message) {
  constexpr std::size_t kEnds = 2 * sizeof(std::uint64_t);
  if (message.size() > kEnds && std::memchr(message.data() + kEnds / 2, 'x', message.size() - kEnds) != nullptr)
      [[unlikely]]
    fail("a message was torn");
}

// An operation is a round trip.
template <class Link>
class PingPong final : public Half {
 public:
  template <class... Arguments>
  explicit PingPong(Side side, Arguments&&... arguments) : side_(side), link_(std::forward<Arguments>(arguments)...) {}

  void run(std::uint64_t count, Histogram* trips) override {
    if (side_ == Side::right) {
      answer(count);
    } else if (trips == nullptr) {
      for (; count != 0; --count) trip();
    } else {
      for (std::uint64_t last = ticks(); count != 0; --count) {
        trip();
        const std::uint64_t now = ticks();
        trips->add(now - last);
        last = now;
      }
    }
  }

 private:
  void trip() {
    link_.send(++number_);
    link_.expect(number_);
  }
  void answer(std::uint64_t count) {
    for (; count != 0; --count) {
      link_.expect(++number_);
      link_.send(number_);
    }
  }
  Side side_;
  std::uint64_t number_ = 0;
  Link link_;
};

// From left to right; an operation is a message.
template <class Link>
class Stream final : public Half {
 public:
  template <class... Arguments>
  explicit Stream(Side side, Arguments&&... arguments) : side_(side), link_(std::forward<Arguments>(arguments)...) {}

  void run(std::uint64_t count, Histogram* /*trips*/) override {
    if (side_ == Side::left) {
      send(count);
    } else if constexpr (requires { link_.take(number_, count); }) {
      link_.take(number_, count);
    } else {
      for (std::uint64_t i = 0; i < count; ++i) link_.expect(number_ + i);
    }
    number_ += count;
  }

 private:
  void send(std::uint64_t count) {
    if constexpr (requires { link_.send_all(number_, count); }) {
      if (link_.batches()) return link_.send_all(number_, count);
    }
    for (std::uint64_t i = 0; i < count; ++i) link_.send(number_ + i);
  }
  Side side_;
  std::uint64_t number_ = 1;
  Link link_;
};

// One process alone: `work(count)` on the left, nothing on the right.
template <class Work>
class Solo final : public Half {
 public:
  Solo(Side side, Work work) : side_(side), work_(std::move(work)) {}
  void run(std::uint64_t count, Histogram* /*trips*/) override {
    if (side_ == Side::left) work_(count);
  }

 private:
  Side side_;
  Work work_;
};

}  // namespace bench

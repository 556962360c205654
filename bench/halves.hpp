// The two patterns that everything is measured in, over any link: ping-pong and stream.
//
// A link has `send(n)` and `expect(n)`: message n carries n in its first and last bytes, and expect checks both. So a
// lost, repeated or torn message ends the benchmark.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

// From left to right; an operation is a message. `take(first, count)` of the link receives and checks that many.
template <class Link>
class Stream final : public Half {
 public:
  template <class... Arguments>
  explicit Stream(Side side, Arguments&&... arguments) : side_(side), link_(std::forward<Arguments>(arguments)...) {}

  void run(std::uint64_t count, Histogram* /*trips*/) override {
    if (side_ == Side::left) {
      for (std::uint64_t i = 0; i < count; ++i) link_.send(number_ + i);
    } else {
      link_.take(number_, count);
    }
    number_ += count;
  }

 private:
  Side side_;
  std::uint64_t number_ = 1;
  Link link_;
};

}  // namespace bench

// Measuring in rounds: two pinned processes do a few milliseconds of one thing, the same of the next, again and again.
//
// Absolute times of a shared machine mean little, and change from one minute to the next; what holds is the ratio of two
// things done side by side. So all contestants of a figure run in the same two processes, in turn, and ratios are taken
// round by round.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "statistics.hpp"

namespace bench {

enum class Side : std::uint8_t { left, right };

// One process's half of a contestant, its handles open.
class Half {
 public:
  Half() = default;
  Half(const Half&) = delete;
  Half& operator=(const Half&) = delete;
  virtual ~Half() = default;
  // Does its part of `count` operations. Left, with `trips`: adds the ticks of each.
  virtual void run(std::uint64_t count, Histogram* trips) = 0;
};

// Two halves that are measured together. `open` is called in the process that will run the half.
struct Contestant {
  std::string name;
  std::function<std::unique_ptr<Half>(Side)> open;
};

enum class Cores : std::uint8_t { two, one };

struct RoundOptions {
  Cores cores = Cores::two;
  int rounds = 40;
  std::uint64_t round_ns = 3'000'000;
  std::uint64_t timed_trips = 0;  // then also a longer run, each operation timed
};

struct Measured {
  std::string name;
  std::vector<double> ns = {};  // an operation, by round
  Histogram trips = {};         // ticks an operation
};

// In the order given.
std::vector<Measured> measure(const std::vector<Contestant>& contestants, const RoundOptions& options);

// Memory that processes forked later share: a T, zero-initialised.
void* map_shared(std::size_t bytes);
template <class T>
T* make_shared_memory() {
  return new (map_shared(sizeof(T))) T();
}

}  // namespace bench

// What must hold after a death, and what those who go on must find.
//
// Thread safety: any. Progress: only calls that do not wait; a fault ends in an exception. Crash: none expected.
#pragma once

#include <stdexcept>
#include <string>

#include "crash/image.hpp"

namespace ringway_crash {

// Something that must not be.
struct Bad : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What an operation may have changed since `base`.
struct Rules {
  Image base;
  std::size_t adds = 0;
  std::size_t releases = 0;
  bool moves_cursor = false;
  std::size_t acks = 0;
  std::size_t buries = 0;
};

// Throws Bad unless `now` can be seen while the operation runs; `finished`: its message must be there.
void check_image(const Image& now, const Rules& rules, bool finished);

// Whoever comes next to the topic "t", all others dead: reads exactly what is committed, in order; publishes three
// capacities, which all receive; takes every slot. Throws Bad or Error. `readers_first`: or the publisher.
void survive(const std::string& directory, bool readers_first);

}  // namespace ringway_crash

// The duty of ringwayd that is off unless its configuration asks for it: removing what belongs to nobody.
//
// One thread. Progress: as long as removing takes; where somebody holds a topic's locks, it gives up after a second and comes again.
// Crash: as a crash of `ringway gc --apply`: whoever opens the topic next finishes what was begun.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config.hpp"

namespace ringway::daemon {

class Collector {
 public:
  using Clock = std::chrono::steady_clock;
  using Say = std::function<void(const std::string&)>;

  // From now on of these buses, so often; unset: never.
  void set(const std::vector<Place>& places, std::optional<std::chrono::nanoseconds> every);
  // Removes, if it is time to. Says what it has removed; and what it could not, when that is news.
  void collect(const Say& say);

 private:
  void collect_on(const Place& place, const Say& say);

  std::vector<Place> places_;
  std::optional<std::chrono::nanoseconds> every_;
  Clock::time_point next_;
  std::set<std::string> told_;  // what has failed the last time
  std::set<std::string> failing_;
};

}  // namespace ringway::daemon

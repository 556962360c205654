#include "collector.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "look/leftovers.hpp"

namespace ringway::daemon {

void Collector::set(const std::vector<Place>& places, std::optional<std::chrono::nanoseconds> every) {
  places_ = places;
  every_ = every;
  next_ = Clock::now();
}

void Collector::collect(const Say& say) {
  if (!every_ || Clock::now() < next_) return;
  for (const Place& place : places_) {
    try {
      collect_on(place, say);
    } catch (const std::exception& error) {
      failing_.insert(fmt::format("gc: {}", error.what()));
    }
  }
  for (const std::string& failure : failing_)
    if (!told_.contains(failure)) say(failure);
  told_ = std::exchange(failing_, {});
  next_ = Clock::now() + *every_;
}

void Collector::collect_on(const Place& place, const Say& say) {
  struct stat status {};
  if (::stat(place.directory.c_str(), &status) != 0) return;  // Bus::at would make it
  const Bus bus = Bus::at(place.directory);
  for (const tool::Leftover& leftover : tool::leftovers_of(bus)) {
    try {
      tool::remove_leftover(bus, leftover);
      say(fmt::format("gc: {}: removed from {}: {}", leftover.topic, place.name, leftover.text));
    } catch (const Error& error) {
      const bool denied = error.code() == Code::no_permission || error.system_errno() == EROFS;
      failing_.insert(fmt::format("gc: {}: {}{}", leftover.topic, error.what(),
                                  denied ? "; a unit that keeps the bus read-only needs ringwayd-gc.conf" : ""));
    }
  }
}

}  // namespace ringway::daemon

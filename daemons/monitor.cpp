#include "monitor.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "ringway/error.hpp"

namespace ringway::daemon {

void Series::add(double value) {
  if (points_.size() < kPoints) {
    points_.push_back(static_cast<float>(value));
  } else {
    points_[next_] = static_cast<float>(value);
    next_ = (next_ + 1) % kPoints;
  }
}

std::vector<float> Series::values(std::size_t most) const {
  const std::size_t count = std::min(most, points_.size());
  std::vector<float> values;
  values.reserve(count);
  for (std::size_t i = points_.size() - count; i < points_.size(); ++i)
    values.push_back(points_[(next_ + i) % points_.size()]);
  return values;
}

std::string lag_name(const SubscriptionInfo& subscription) {
  return subscription.name.empty() ? "slot " + std::to_string(subscription.slot) : subscription.name;
}

void Monitor::set_places(const std::vector<Place>& places, std::chrono::nanoseconds refresh) {
  refresh_ = std::chrono::duration<double>(refresh).count();
  std::vector<Watched> watched;
  for (const Place& place : places) {
    const auto old = std::ranges::find_if(watched_, [&place](const Watched& one) {
      return one.place.name == place.name && one.place.directory == place.directory;
    });
    if (old != watched_.end()) {
      watched.push_back(std::move(*old));
    } else {
      watched.push_back({place, {}});
    }
  }
  watched_ = std::move(watched);
}

BusSeen Monitor::look_at(Watched& watched) {
  BusSeen seen{.name = watched.place.name, .directory = watched.place.directory, .problem = {}};
  const char* path = seen.directory.c_str();
  struct stat status {};
  if (::stat(path, &status) != 0) {  // Bus::at would make it
    const std::string cause = errno == ENOENT ? "not there yet" : std::generic_category().message(errno);
    watched.view.reset();
    seen.problem = seen.directory + ": " + cause;
    return seen;
  }
  try {
    if (!watched.view) watched.view.emplace(Bus::at(seen.directory));
    watched.view->refresh();
    seen.topics = watched.view->topics();
    seen.rates = watched.view->rates();
    seen.findings = watched.view->findings();
  } catch (const std::exception& error) {
    watched.view.reset();
    seen.problem = error.what();
  }
  struct statvfs space {};
  if (::statvfs(path, &space) == 0) {
    seen.file_system_bytes = std::uint64_t{space.f_blocks} * space.f_frsize;
    seen.file_system_free = std::uint64_t{space.f_bavail} * space.f_frsize;
  }
  return seen;
}

void Monitor::look() {
  const auto begin = std::chrono::steady_clock::now();
  auto seen = std::make_shared<Seen>();
  seen->number = ++looks_;
  seen->refresh = refresh_;
  for (Watched& watched : watched_) seen->buses.push_back(look_at(watched));
  seen->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::lock_guard lock(mutex_);
  remember(*seen);
  add_up(*seen);
  seen_ = std::move(seen);
}

void Monitor::remember(const Seen& seen) {
  for (const BusSeen& bus : seen.buses) {
    for (std::size_t i = 0; i < bus.topics.size(); ++i) {
      const TopicInfo& topic = bus.topics[i];
      auto found = past_.find({bus.name, topic.name});
      if (found == past_.end()) {
        if (past_.size() >= kRemembered) continue;
        found = past_.emplace(std::pair(bus.name, topic.name), History{}).first;
      }
      History& history = found->second;
      if (history.inode != topic.inode) history = {.inode = topic.inode};
      const tool::TopicRates& rates = bus.rates[i];
      history.last_look = seen.number;
      if (rates.seconds > 0) {
        history.messages.add(rates.published.messages);
        history.bytes.add(rates.published.bytes);
      }
      for (const SubscriptionInfo& one : topic.subscriptions)
        history.lags[lag_name(one)].add(static_cast<double>(one.lag_bytes));
      std::erase_if(history.lags, [&topic](const auto& lag) {
        return std::ranges::none_of(topic.subscriptions,
                                    [&lag](const auto& one) { return lag_name(one) == lag.first; });
      });
    }
  }
  std::erase_if(past_, [&seen](const auto& one) { return one.second.last_look != seen.number; });
}

void Monitor::add_up(const Seen& seen) {
  tool::Rate sum;
  double fullest = 0;
  for (const BusSeen& bus : seen.buses) {
    for (std::size_t i = 0; i < bus.topics.size(); ++i) {
      sum.messages += bus.rates[i].published.messages;
      sum.bytes += bus.rates[i].published.bytes;
      for (const SubscriptionInfo& one : bus.topics[i].subscriptions)
        fullest = std::max(fullest, static_cast<double>(one.lag_bytes) /
                                        static_cast<double>(bus.topics[i].options.capacity_bytes.value_or(1)));
    }
  }
  if (seen.number == 1) return;  // there is no rate yet
  totals_.messages.add(sum.messages);
  totals_.bytes.add(sum.bytes);
  totals_.fullest.add(std::min(fullest, 1.0));
}

Totals Monitor::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

std::shared_ptr<const Seen> Monitor::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::optional<History> Monitor::history(const std::string& bus, const std::string& topic) const {
  const std::lock_guard lock(mutex_);
  const auto found = past_.find({bus, topic});
  return found == past_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace ringway::daemon

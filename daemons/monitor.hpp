// The buses as ringwayd has just seen them, and how they were in the minutes before.
//
// Thread safety: look() from one thread; the others from any. Progress: look() takes no lock of a bus and waits for nobody; the
// others wait at most for the end of its bookkeeping. Crash: nothing is shared with the buses but mappings that only read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "look/view.hpp"

namespace ringway::daemon {

struct BusSeen {
  std::string name;
  std::string directory;
  std::string problem;                  // not empty: why there is nothing else
  std::uint64_t file_system_bytes = 0;  // of the file system it is on
  std::uint64_t file_system_free = 0;
  std::vector<TopicInfo> topics = {};
  std::vector<tool::TopicRates> rates = {};  // one for each of topics
  std::vector<tool::Finding> findings = {};
};

// One look at everything; never changes.
struct Seen {
  std::uint64_t number = 0;  // of the look, from 1
  double seconds = 0;        // that it took
  double refresh = 0;        // seconds from one look to the next
  std::vector<BusSeen> buses = {};
};

// One number after the other, the oldest of more than kPoints forgotten.
class Series {
 public:
  static constexpr std::size_t kPoints = 300;
  void add(double value);
  [[nodiscard]] std::vector<float> values(std::size_t most = kPoints) const;  // the oldest first

 private:
  std::vector<float> points_;
  std::size_t next_ = 0;
};

// What the charts show of a topic.
struct History {
  std::uint64_t inode = 0;                  // another one: another topic of that name
  std::uint64_t last_look = 0;              // the number of the last point's
  Series messages = {};                     // a second
  Series bytes = {};                        // a second
  std::map<std::string, Series> lags = {};  // bytes; by the subscription's name, or "slot 3"
};

// What the charts show of everything together.
struct Totals {
  Series messages;  // a second
  Series bytes;     // a second
  Series fullest;   // the largest lag as a part of its ring, 0 to 1
};

std::string lag_name(const SubscriptionInfo& subscription);

class Monitor {
 public:
  // Of at most this many topics the past is kept.
  static constexpr std::size_t kRemembered = 1000;

  // Looks at these from now on.
  void set_places(const std::vector<Place>& places, std::chrono::nanoseconds refresh);
  void look();

  [[nodiscard]] std::shared_ptr<const Seen> seen() const;
  // Empty if that topic is not among those seen last.
  [[nodiscard]] std::optional<History> history(const std::string& bus, const std::string& topic) const;
  [[nodiscard]] Totals totals() const;

 private:
  struct Watched {
    Place place;
    std::optional<tool::View> view;
  };

  static BusSeen look_at(Watched& watched);
  void remember(const Seen& seen);
  void add_up(const Seen& seen);

  std::vector<Watched> watched_;  // of the thread that looks
  std::uint64_t looks_ = 0;
  double refresh_ = 1;
  mutable std::mutex mutex_;
  std::shared_ptr<const Seen> seen_ = std::make_shared<Seen>();
  std::map<std::pair<std::string, std::string>, History> past_;
  Totals totals_;
};

}  // namespace ringway::daemon

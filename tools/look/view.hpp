// A bus looked at again and again: snapshots, the rates between the last two, and findings.
//
// One thread at a time. Reads only, as ringway/watch.hpp says.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "look/findings.hpp"
#include "ringway/bus.hpp"

namespace ringway::tool {

struct Rate {
  double messages = 0;  // a second
  double bytes = 0;     // of payloads, a second
};

struct SubscriptionRate {
  double received = 0;            // messages a second
  double lost = 0;                // messages a second
  LatencyHistogram latency = {};  // of what was received between the two looks
};

// Beside one TopicInfo: what happened since the look before. All 0 where there was none, or another topic of that name.
struct TopicRates {
  double seconds = 0;
  Rate published = {};
  std::vector<Rate> publishers = {};                 // one for each of TopicInfo::publishers
  std::vector<SubscriptionRate> subscriptions = {};  // one for each of TopicInfo::subscriptions
};

TopicRates rates_between(const TopicInfo& before, const TopicInfo& after);

class View {
 public:
  // Of all topics, or of one.
  explicit View(const Bus& bus, std::string_view topic = {})
      : watch_(bus.watch(topic)), directory_(bus.directory()), only_(topic) {}

  // Looks again. Throws Error, as Watch::look; what was seen before stays.
  void refresh();

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::vector<TopicInfo>& topics() const { return topics_; }    // by name
  [[nodiscard]] const std::vector<TopicRates>& rates() const { return rates_; }     // one for each of topics()
  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }  // the gravest first

 private:
  void find();

  Watch watch_;
  std::string directory_;
  std::string only_;
  std::vector<TopicInfo> topics_;
  std::vector<TopicRates> rates_;
  std::vector<Finding> findings_;
  std::vector<TopicInfo> some_time_ago_;  // what growth is judged from: 10 to 20 s old, or the first look
  std::vector<TopicInfo> later_;
  std::uint64_t later_ns_ = 0;
  std::map<std::string, std::uint64_t> first_seen_;  // of each finding
};

}  // namespace ringway::tool

#include "look/view.hpp"

#include <algorithm>
#include <utility>

#include "look/words.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;
constexpr auto kTrend = 10s;

// Both are sorted by name.
const TopicInfo* find_topic(const std::vector<TopicInfo>& topics, const std::string& name) {
  const auto place =
      std::lower_bound(topics.begin(), topics.end(), name,
                       [](const TopicInfo& topic, const std::string& wanted) { return topic.name < wanted; });
  return place == topics.end() || place->name != name ? nullptr : &*place;
}

double per_second(std::uint64_t before, std::uint64_t after, double seconds) {
  return after > before && seconds > 0 ? static_cast<double>(after - before) / seconds : 0;
}

}  // namespace

TopicRates rates_between(const TopicInfo& before, const TopicInfo& after) {
  TopicRates rates;
  if (before.inode == after.inode && before.device == after.device && after.seen_ns > before.seen_ns)
    rates.seconds = static_cast<double>(after.seen_ns - before.seen_ns) / 1e9;
  for (const PublisherInfo& publisher : after.publishers) {
    const PublisherInfo* then = in_slot(before.publishers, publisher.slot);
    const Rate rate = {per_second(then ? then->messages : 0, publisher.messages, rates.seconds),
                       per_second(then ? then->bytes : 0, publisher.bytes, rates.seconds)};
    rates.published.messages += rate.messages;
    rates.published.bytes += rate.bytes;
    rates.publishers.push_back(rate);
  }
  for (const SubscriptionInfo& subscription : after.subscriptions) {
    const SubscriptionInfo* then = in_slot(before.subscriptions, subscription.slot);
    if (then != nullptr && (then->name != subscription.name || then->received > subscription.received)) then = nullptr;
    rates.subscriptions.push_back({per_second(then ? then->received : 0, subscription.received, rates.seconds),
                                   per_second(then ? then->lost : 0, subscription.lost, rates.seconds),
                                   then ? subscription.latency.since(then->latency) : subscription.latency});
  }
  return rates;
}

void View::refresh() {
  std::vector<TopicInfo> now = watch_.look();
  rates_.clear();
  for (const TopicInfo& topic : now) {
    const TopicInfo* before = find_topic(topics_, topic.name);
    rates_.push_back(rates_between(before == nullptr ? topic : *before, topic));
  }
  topics_ = std::move(now);
  find();
  const std::uint64_t now_ns = monotonic_now();
  if (later_ns_ != 0 && since(later_ns_, now_ns) < kTrend) return;
  some_time_ago_ = later_ns_ == 0 ? topics_ : std::exchange(later_, {});
  later_ = topics_;
  later_ns_ = now_ns;
}

void View::find() {
  findings_ = findings_of_place(directory_);
  for (const TopicInfo& topic : topics_) {
    auto found = findings_of(topic, find_topic(some_time_ago_, topic.name));
    std::move(found.begin(), found.end(), std::back_inserter(findings_));
  }
  std::map<std::string, std::uint64_t> seen;
  for (Finding& finding : findings_) {
    const std::string key = finding.id + '\n' + finding.topic + '\n' + finding.about;
    const auto known = first_seen_.find(key);
    if (known != first_seen_.end()) finding.since_ns = std::min(finding.since_ns, known->second);
    seen[key] = finding.since_ns;
    // A lock that is held whenever one looks is no longer somebody who attaches just now.
    if (finding.id == "locked" && since(finding.since_ns, monotonic_now()) >= 1s) finding.severity = Severity::warning;
  }
  first_seen_ = std::move(seen);
  sort(findings_);
}

}  // namespace ringway::tool

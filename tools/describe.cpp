#include "describe.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <numeric>
#include <string_view>

#include "text.hpp"

namespace ringway::tool {
namespace {

std::string with_pid(const PublisherInfo& publisher) {
  return fmt::format("{} (pid {}{})", name_of(publisher), publisher.pid, publisher.stopped ? ", stopped" : "");
}

std::chrono::nanoseconds since(std::uint64_t then_ns, std::uint64_t now_ns) {
  return std::chrono::nanoseconds(now_ns > then_ns ? static_cast<std::int64_t>(now_ns - then_ns) : 0);
}

// "subscription billing, 1.0 MiB behind, owner stopped": who is in a waiting publisher's way.
std::string in_the_way(const TopicInfo& topic, const PublisherInfo& waiting) {
  for (const auto& subscription : topic.subscriptions) {
    if (name_of(subscription) != waiting.waiting_for) continue;
    std::string owner = "nobody attached";
    if (subscription.attached) owner = subscription.stopped ? "owner stopped" : "owner alive";
    if (subscription.attached) owner += fmt::format(" (pid {})", subscription.pid);
    return fmt::format("{}, {} behind, {}", waiting.waiting_for, bytes_text(subscription.lag_bytes), owner);
  }
  for (const auto& publisher : topic.publishers) {
    if (name_of(publisher) == waiting.waiting_for && publisher.open_claim)
      return fmt::format("the open claim of {}", with_pid(publisher));
  }
  return waiting.waiting_for.empty() ? "somebody who has just left" : waiting.waiting_for;
}

std::string time_text(std::uint64_t realtime_ns) {
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(seconds));
}

std::string type_text(const TopicInfo& topic) {
  if (topic.type_size == 0) return "bytes";
  return fmt::format("{}, {}, aligned to {}, fingerprint {}",
                     topic.type_name.empty() ? "unnamed type" : topic.type_name, count_text(topic.type_size, "byte"),
                     topic.type_alignment, topic.type_fingerprint);
}

std::string publisher_table(const TopicInfo& topic) {
  Table table({"publisher", ">slot", ">pid", "state", ">messages", ">bytes", "open claim"});
  for (const auto& publisher : topic.publishers) {
    std::string state = "gone";
    if (publisher.alive) state = publisher.stopped ? "stopped" : "alive";
    if (publisher.waiting_ns) state += ", waits";
    const std::string claim =
        publisher.open_claim ? fmt::format("{} at {}", bytes_text(publisher.open_claim_bytes), *publisher.open_claim)
                             : "";
    table.add({publisher.name.empty() ? "-" : publisher.name, fmt::to_string(publisher.slot),
               fmt::to_string(publisher.pid), state, fmt::to_string(publisher.messages), bytes_text(publisher.bytes),
               claim});
  }
  return table.text();
}

std::string subscription_table(const TopicInfo& topic) {
  Table table({"subscription", ">slot", "kind", "", "owner", ">cursor", ">lag", ">received", ">lost", ">backstops"});
  for (const auto& subscription : topic.subscriptions) {
    table.add({subscription.name.empty() ? "-" : subscription.name, fmt::to_string(subscription.slot),
               subscription.durable ? "durable" : "ephemeral", reliability_text(subscription), owner_text(subscription),
               fmt::to_string(subscription.cursor), bytes_text(subscription.lag_bytes),
               fmt::to_string(subscription.received), fmt::to_string(subscription.lost),
               fmt::to_string(subscription.backstops)});
  }
  return table.text();
}

}  // namespace

std::string name_of(const PublisherInfo& publisher) {
  if (publisher.name.empty()) return fmt::format("publisher in slot {}", publisher.slot);
  return "publisher " + publisher.name;
}

std::string name_of(const SubscriptionInfo& subscription) {
  if (subscription.name.empty()) return fmt::format("subscription in slot {}", subscription.slot);
  return "subscription " + subscription.name;
}

std::string reliability_text(const SubscriptionInfo& subscription) {
  if (subscription.max_lag_bytes != 0) return "lag of " + bytes_text(subscription.max_lag_bytes);
  return std::string(text_of(subscription.reliability));
}

std::string owner_text(const SubscriptionInfo& subscription) {
  if (!subscription.attached) return "nobody";
  std::string text = fmt::format("pid {}", subscription.pid);
  if (subscription.stopped) return text + ", stopped";
  return subscription.sleeping ? text + ", sleeps" : text;
}

std::uint64_t messages_of(const TopicInfo& topic) {
  return std::accumulate(topic.publishers.begin(), topic.publishers.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const PublisherInfo& publisher) { return sum + publisher.messages; });
}

std::uint64_t monotonic_now() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

std::vector<std::string> findings(const TopicInfo& topic, std::uint64_t now_ns) {
  std::vector<std::string> found;
  for (const auto& publisher : topic.publishers) {
    if (publisher.waiting_ns) {
      found.push_back(fmt::format("blocked: {} for {} by {}", with_pid(publisher),
                                  duration_text(since(*publisher.waiting_ns, now_ns)), in_the_way(topic, publisher)));
    }
    if (!publisher.alive && publisher.open_claim) {
      found.push_back(fmt::format("dead: {} left an open claim of {} at position {}; readers wait there",
                                  with_pid(publisher), bytes_text(publisher.open_claim_bytes), *publisher.open_claim));
    }
  }
  if (topic.lock_blocked)
    found.emplace_back("locked: somebody is attaching or repairing just now; others who attach wait");
  return found;
}

std::string describe(const TopicInfo& topic, std::uint64_t now_ns) {
  std::string text = fmt::format("topic        {}\n", topic.name);
  if (!topic.problem.empty())
    return text + fmt::format("layout       {}\nproblem      {}\n", topic.layout_version, topic.problem);
  const TopicOptions& options = topic.options;
  text += fmt::format("type         {}\n", type_text(topic));
  text += fmt::format("capacity     {}; the largest message has {} bytes, payloads are aligned to {}\n",
                      bytes_text(options.capacity_bytes.value_or(0)), topic.max_payload_bytes,
                      options.payload_alignment.value_or(0));
  text += fmt::format("publishers   {}, at most {}; subscriptions at most {}\n",
                      text_of(options.publishers.value_or(Publishers::shared)), options.max_publishers.value_or(0),
                      options.max_subscriptions.value_or(0));
  text += fmt::format("messages     {} published; positions {} to {} are in the ring{}{}\n", messages_of(topic),
                      topic.oldest, topic.tail, options.stamped.value_or(false) ? ", stamped" : "",
                      options.temporary.value_or(false) ? "; temporary" : "");
  text += fmt::format("files        {}, device {} inode {}, layout {}, created {}\n", bytes_text(topic.file_bytes),
                      topic.device, topic.inode, topic.layout_version, time_text(topic.created_ns));
  if (!topic.publishers.empty()) text += '\n' + publisher_table(topic);
  if (!topic.subscriptions.empty()) text += '\n' + subscription_table(topic);
  const auto found = findings(topic, now_ns);
  if (!found.empty()) text += '\n';
  for (const auto& finding : found) text += finding + '\n';
  return text;
}

}  // namespace ringway::tool

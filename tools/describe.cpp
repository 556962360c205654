#include "describe.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "look/findings.hpp"
#include "look/words.hpp"

namespace ringway::tool {
namespace {

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
               kind_text(subscription), reliability_text(subscription), owner_text(subscription),
               fmt::to_string(subscription.cursor), bytes_text(subscription.lag_bytes),
               fmt::to_string(subscription.received), fmt::to_string(subscription.lost),
               fmt::to_string(subscription.backstops)});
  }
  std::string text = table.text();
  for (const auto& subscription : topic.subscriptions) {
    if (!subscription.group) continue;
    const std::string since =
        subscription.held == 0 ? "" : " (the oldest since " + oldest_held_text(subscription, monotonic_now()) + ")";
    text += fmt::format(
        "\ngroup        {}: {} held{}, {} to be retried, {} redelivered, {} dead-lettered\n  each job: {}\n",
        subscription.name, subscription.held, since, subscription.returned, subscription.redelivered,
        subscription.dead_lettered, attempts_text(subscription));
    for (const std::string& member : subscription.members) text += "  " + member + '\n';
  }
  return text;
}

}  // namespace

std::string describe(const TopicInfo& topic) {
  std::string text = fmt::format("topic        {}\n", topic.name);
  if (!topic.problem.empty())
    return text + fmt::format("files        {}, device {} inode {}, layout {}\nproblem      {}\n",
                              bytes_text(topic.file_bytes), topic.device, topic.inode, topic.layout_version,
                              topic.problem);
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
  if (topic.discarded != 0)
    text += fmt::format("discarded    {}, in use when the machine stopped\n", count_text(topic.discarded, "message"));
  text += fmt::format("files        {}, device {} inode {}, layout {}, created {}\n", bytes_text(topic.file_bytes),
                      topic.device, topic.inode, topic.layout_version, time_text(topic.created_ns));
  if (!topic.publishers.empty()) text += '\n' + publisher_table(topic);
  if (!topic.subscriptions.empty()) text += '\n' + subscription_table(topic);
  for (const SubscriptionInfo& subscription : topic.subscriptions)
    if (subscription.latency.total() != 0)
      text += fmt::format("latency      {}: {}\n", name_of(subscription), percentiles_text(subscription.latency));
  std::string found;
  for (const auto& publisher : topic.publishers)
    if (publisher.waiting_ns) found += fmt::format("blocked: {}\n", blocked_text(topic, publisher));
  for (const Finding& finding : findings_of(topic))
    if (finding.id != "held-back") found += fmt::format("{}: {}\n", text_of(finding.severity), finding.text);
  return found.empty() ? text : text + '\n' + found;
}

}  // namespace ringway::tool

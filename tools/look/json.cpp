#include "look/json.hpp"

#include "look/words.hpp"

namespace ringway::tool {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json options_json(const TopicOptions& options) {
  Json access;
  if (options.access) {
    access = {{"publish", text_of(options.access->publish)},
              {"subscribe", text_of(options.access->subscribe)},
              {"observe", text_of(options.access->observe)},
              {"unix_group", options.access->unix_group}};
  }
  return {{"capacity_bytes", or_null(options.capacity_bytes)},
          {"publishers", options.publishers ? Json(text_of(*options.publishers)) : Json()},
          {"max_publishers", or_null(options.max_publishers)},
          {"max_subscriptions", or_null(options.max_subscriptions)},
          {"payload_alignment", or_null(options.payload_alignment)},
          {"stamped", or_null(options.stamped)},
          {"access", access},
          {"temporary", or_null(options.temporary)},
          {"max_groups", or_null(options.max_groups)},
          {"max_members", or_null(options.max_members)},
          {"max_in_flight", or_null(options.max_in_flight)},
          {"latency", or_null(options.latency)}};
}

Json publisher_json(const PublisherInfo& publisher) {
  return {{"slot", publisher.slot},
          {"name", publisher.name},
          {"pid", publisher.pid},
          {"alive", publisher.alive},
          {"died", publisher.died},
          {"stopped", publisher.stopped},
          {"messages", publisher.messages},
          {"bytes", publisher.bytes},
          {"waiting_ns", or_null(publisher.waiting_ns)},
          {"waiting_for", publisher.waiting_for},
          {"waiting_for_subscription", or_null(publisher.waiting_for_subscription)},
          {"waiting_for_publisher", or_null(publisher.waiting_for_publisher)},
          {"open_claim", or_null(publisher.open_claim)},
          {"open_claim_bytes", publisher.open_claim_bytes},
          {"open_claim_seen_ns", or_null(publisher.open_claim_seen_ns)},
          {"max_retries", publisher.max_retries}};
}

Json latency_json(const LatencyHistogram& latency) {
  if (latency.counts.empty()) return {};
  return {{"messages", latency.total()},
          {"p50_ns", latency.percentile_ns(0.5)},
          {"p99_ns", latency.percentile_ns(0.99)},
          {"p999_ns", latency.percentile_ns(0.999)}};
}

template <class Info>
Json array_of(const std::vector<Info>& infos, Json (*one)(const Info&)) {
  Json array = Json::array();
  for (const Info& info : infos) array.push_back(one(info));
  return array;
}

}  // namespace

Json json_of(const SubscriptionInfo& subscription) {
  return {{"slot", subscription.slot},
          {"name", subscription.name},
          {"durable", subscription.durable},
          {"reliability", text_of(subscription.reliability)},
          {"max_lag_bytes", subscription.max_lag_bytes},
          {"cursor", subscription.cursor},
          {"lag_bytes", subscription.lag_bytes},
          {"received", subscription.received},
          {"lost", subscription.lost},
          {"backstops", subscription.backstops},
          {"sleeping", subscription.sleeping},
          {"attached", subscription.attached},
          {"pid", subscription.pid},
          {"stopped", subscription.stopped},
          {"group", subscription.group},
          {"members", subscription.members},
          {"held", subscription.held},
          {"returned", subscription.returned},
          {"redelivered", subscription.redelivered},
          {"dead_lettered", subscription.dead_lettered},
          {"oldest_held_ns", or_null(subscription.oldest_held_ns)},
          {"max_attempts", subscription.max_attempts},
          {"retry_delay_ns", subscription.retry_delay.count()},
          {"dead_letter", subscription.dead_letter},
          {"dead_letter_full", subscription.group ? Json(text_of(subscription.dead_letter_full)) : Json()},
          {"latency", latency_json(subscription.latency)}};
}

Json json_of(const TopicInfo& topic) {
  return {{"name", topic.name},
          {"seen_ns", topic.seen_ns},
          {"layout_version", topic.layout_version},
          {"problem", topic.problem},
          {"options", options_json(topic.options)},
          {"type_name", topic.type_name},
          {"type_size", topic.type_size},
          {"type_alignment", topic.type_alignment},
          {"type_fingerprint", topic.type_fingerprint},
          {"created_ns", topic.created_ns},
          {"discarded", topic.discarded},
          {"tail", topic.tail},
          {"oldest", topic.oldest},
          {"max_payload_bytes", topic.max_payload_bytes},
          {"file_bytes", topic.file_bytes},
          {"device", topic.device},
          {"inode", topic.inode},
          {"lock_blocked", topic.lock_blocked},
          {"publishers", array_of(topic.publishers, publisher_json)},
          {"subscriptions", array_of<SubscriptionInfo>(topic.subscriptions, json_of)}};
}

Json json_of(const Finding& finding) {
  return {{"id", finding.id},
          {"severity", text_of(finding.severity)},
          {"topic", finding.topic},
          {"about", finding.about},
          {"text", finding.text},
          {"next", finding.next},
          {"since_ns", finding.since_ns}};
}

}  // namespace ringway::tool

#include "describe.hpp"
#include "text.hpp"

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
          {"max_in_flight", or_null(options.max_in_flight)}};
}

Json publisher_json(const PublisherInfo& publisher) {
  return {{"slot", publisher.slot},
          {"name", publisher.name},
          {"pid", publisher.pid},
          {"alive", publisher.alive},
          {"stopped", publisher.stopped},
          {"messages", publisher.messages},
          {"bytes", publisher.bytes},
          {"waiting_ns", or_null(publisher.waiting_ns)},
          {"waiting_for", publisher.waiting_for},
          {"open_claim", or_null(publisher.open_claim)},
          {"open_claim_bytes", publisher.open_claim_bytes},
          {"max_retries", publisher.max_retries}};
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
          {"members", subscription.members}};
}

Json json_of(const TopicInfo& topic) {
  return {{"name", topic.name},
          {"layout_version", topic.layout_version},
          {"problem", topic.problem},
          {"options", options_json(topic.options)},
          {"type_name", topic.type_name},
          {"type_size", topic.type_size},
          {"type_alignment", topic.type_alignment},
          {"type_fingerprint", topic.type_fingerprint},
          {"created_ns", topic.created_ns},
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

}  // namespace ringway::tool

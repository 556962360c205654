#include "api.hpp"

#include <algorithm>

#include "look/words.hpp"

namespace ringway::daemon {
namespace {

using tool::Json;

constexpr std::size_t kRecent = 60;  // points

Json rate_json(const tool::Rate& rate) { return {{"messages", rate.messages}, {"bytes", rate.bytes}}; }

Json latency_json(const LatencyHistogram& latency) {
  if (latency.counts.empty()) return nullptr;
  return {
      {"messages", latency.total()}, {"p50_ns", latency.percentile_ns(0.5)}, {"p99_ns", latency.percentile_ns(0.99)}};
}

Json rates_json(const tool::TopicRates& rates) {
  Json publishers = Json::array();
  for (const auto& one : rates.publishers) publishers.push_back(rate_json(one));
  Json subscriptions = Json::array();
  for (const auto& one : rates.subscriptions)
    subscriptions.push_back({{"received", one.received}, {"lost", one.lost}, {"latency", latency_json(one.latency)}});
  return {{"seconds", rates.seconds},
          {"published", rate_json(rates.published)},
          {"publishers", std::move(publishers)},
          {"subscriptions", std::move(subscriptions)}};
}

Json with_bus(const std::string& bus, const Json& fields) {
  Json all = {{"bus", bus}};
  all.update(fields);
  return all;
}

Json history_json(const History& history) {
  Json lags = Json::object();
  for (const auto& [name, lag] : history.lags) lags[name] = lag.values();
  return {{"messages_per_second", history.messages.values()},
          {"bytes_per_second", history.bytes.values()},
          {"lag_bytes", std::move(lags)}};
}

Json brief_json(const BusSeen& bus, std::size_t index) {
  const TopicInfo& topic = bus.topics[index];
  const tool::Rate& rate = bus.rates[index].published;
  std::uint64_t lag = 0;
  for (const auto& one : topic.subscriptions) lag = std::max(lag, one.lag_bytes);
  return {{"bus", bus.name},
          {"name", topic.name},
          {"problem", topic.problem},
          {"capacity_bytes", topic.options.capacity_bytes.value_or(0)},
          {"messages", tool::messages_of(topic)},
          {"messages_per_second", rate.messages},
          {"bytes_per_second", rate.bytes},
          {"lag_bytes", lag},
          {"publishers", std::ranges::count_if(topic.publishers, &PublisherInfo::alive)},
          {"publishers_waiting",
           std::ranges::count_if(topic.publishers, [](const auto& one) { return one.waiting_ns.has_value(); })},
          {"subscriptions", topic.subscriptions.size()}};
}

}  // namespace

Json buses_json(const Seen& seen) {
  Json all = Json::array();
  for (const BusSeen& bus : seen.buses)
    all.push_back({{"name", bus.name},
                   {"directory", bus.directory},
                   {"problem", bus.problem},
                   {"topics", bus.topics.size()},
                   {"file_system_bytes", bus.file_system_bytes},
                   {"file_system_free_bytes", bus.file_system_free}});
  return all;
}

Json topics_json(const Seen& seen) {
  Json all = Json::array();
  for (const BusSeen& bus : seen.buses)
    for (std::size_t i = 0; i < bus.topics.size(); ++i) {
      all.push_back(with_bus(bus.name, tool::json_of(bus.topics[i])));
      all.back()["rates"] = rates_json(bus.rates[i]);
    }
  return all;
}

Json findings_json(const Seen& seen) {
  const std::uint64_t now = tool::monotonic_now();
  Json all = Json::array();
  for (const BusSeen& bus : seen.buses)
    for (const tool::Finding& finding : bus.findings) {
      all.push_back(with_bus(bus.name, tool::json_of(finding)));
      all.back()["seconds"] = std::chrono::duration<double>(tool::since(finding.since_ns, now)).count();
    }
  return all;
}

Json summary_json(const Seen& seen, const Monitor* recent) {
  Json topics = Json::array();
  for (const BusSeen& bus : seen.buses)
    for (std::size_t i = 0; i < bus.topics.size(); ++i) {
      topics.push_back(brief_json(bus, i));
      if (recent == nullptr) continue;
      const auto history = recent->history(bus.name, bus.topics[i].name);
      topics.back()["recent"] = history ? history->messages.values(kRecent) : std::vector<float>();
    }
  Json all = {{"version", RINGWAY_VERSION}, {"look", seen.number},         {"refresh_seconds", seen.refresh},
              {"buses", buses_json(seen)},  {"topics", std::move(topics)}, {"findings", findings_json(seen)}};
  if (recent == nullptr) return all;
  const Totals totals = recent->totals();
  all["history"] = {{"messages_per_second", totals.messages.values()},
                    {"bytes_per_second", totals.bytes.values()},
                    {"fullest", totals.fullest.values()}};
  return all;
}

std::optional<Json> topic_json(const Seen& seen, const Monitor& monitor, const std::string& bus,
                               const std::string& topic) {
  const auto on = std::ranges::find(seen.buses, bus, &BusSeen::name);
  if (on == seen.buses.end()) return {};
  const auto found = std::ranges::find(on->topics, topic, &TopicInfo::name);
  if (found == on->topics.end()) return {};
  Json all = with_bus(bus, tool::json_of(*found));
  all["rates"] = rates_json(on->rates[static_cast<std::size_t>(found - on->topics.begin())]);
  const auto history = monitor.history(bus, topic);
  all["history"] = history ? history_json(*history) : Json();
  return all;
}

}  // namespace ringway::daemon

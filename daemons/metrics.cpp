#include "metrics.hpp"

#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "look/words.hpp"
#include "ringway/detail/layout.hpp"

namespace ringway::daemon {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Families in the order in which they are named first.
class Families {
 public:
  void gauge(const char* name, const char* help, Labels labels, double value) {
    row(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void counter(const char* name, const char* help, Labels labels, double value) {
    row(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  ClientMetric::Histogram& histogram(const char* name, const char* help, Labels labels) {
    return row(name, help, MetricType::Histogram, std::move(labels)).histogram;
  }
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, all_);
    return std::move(out).str();
  }

 private:
  ClientMetric& row(const char* name, const char* help, MetricType type, Labels labels) {
    const auto [place, is_new] = places_.try_emplace(name, all_.size());
    if (is_new) all_.push_back({name, help, type, {}});
    ClientMetric& added = all_[place->second].metric.emplace_back();
    added.label = std::move(labels);
    return added;
  }

  std::vector<MetricFamily> all_;
  std::map<std::string, std::size_t> places_;
};

double seconds_since(std::uint64_t then_ns, std::uint64_t now_ns) {
  return std::chrono::duration<double>(tool::since(then_ns, now_ns)).count();
}

// What is said of a topic, or of several together.
struct TopicFigures {
  double messages = 0;
  double bytes = 0;
  double capacity = 0;
  double files = 0;
  double lag = 0;  // the largest
  double publishers = 0;
  double waiting = 0;
  double waiting_seconds = 0;  // the longest
  double claim_seconds = 0;    // the longest
  double dead_claims = 0;
  double subscriptions = 0;
  bool readable = true;

  void add(const TopicInfo& topic);
};

void TopicFigures::add(const TopicInfo& topic) {
  readable = readable && topic.problem.empty();
  files += static_cast<double>(topic.file_bytes);
  capacity += static_cast<double>(topic.options.capacity_bytes.value_or(0));
  subscriptions += static_cast<double>(topic.subscriptions.size());
  for (const PublisherInfo& one : topic.publishers) {
    messages += static_cast<double>(one.messages);
    bytes += static_cast<double>(one.bytes);
    publishers += one.alive ? 1 : 0;
    if (one.waiting_ns) {
      ++waiting;
      waiting_seconds = std::max(waiting_seconds, seconds_since(*one.waiting_ns, topic.seen_ns));
    }
    if (one.open_claim && !one.alive) ++dead_claims;
    if (one.open_claim && one.alive)
      claim_seconds =
          std::max(claim_seconds, seconds_since(one.open_claim_seen_ns.value_or(topic.seen_ns), topic.seen_ns));
  }
  for (const SubscriptionInfo& one : topic.subscriptions) lag = std::max(lag, static_cast<double>(one.lag_bytes));
}

void add_topic(Families& to, const Labels& labels, const TopicFigures& of) {
  to.counter("ringway_topic_messages_total", "Messages published since the topic was created.", labels, of.messages);
  to.counter("ringway_topic_bytes_total", "Bytes of payload published since the topic was created.", labels, of.bytes);
  to.gauge("ringway_topic_capacity_bytes", "Size of the ring.", labels, of.capacity);
  to.gauge("ringway_topic_file_bytes", "Size of the topic's two files.", labels, of.files);
  to.gauge("ringway_topic_lag_bytes", "How far behind its furthest subscription is.", labels, of.lag);
  to.gauge("ringway_topic_publishers", "Publishers that are attached and alive.", labels, of.publishers);
  to.gauge("ringway_topic_publishers_waiting", "Publishers that wait for space.", labels, of.waiting);
  to.gauge("ringway_topic_waiting_seconds", "How long the one that waits longest has waited; 0 if none does.", labels,
           of.waiting_seconds);
  to.gauge("ringway_topic_open_claim_seconds", "Least age of the oldest claim that is open; 0 if none is.", labels,
           of.claim_seconds);
  to.gauge("ringway_topic_dead_claims", "Claims left open by publishers that died.", labels, of.dead_claims);
  to.gauge("ringway_topic_subscriptions", "Subscriptions, attached or not.", labels, of.subscriptions);
  to.gauge("ringway_topic_readable", "1 if the topic could be read, else 0.", labels, of.readable ? 1 : 0);
}

// Every second octave of the file's buckets: 16 series are enough, and each has to be stored.
void add_latency(Families& to, const Labels& labels, const LatencyHistogram& latency) {
  constexpr double kNs = 1e-9;
  auto& histogram = to.histogram("ringway_subscription_latency_seconds",
                                 "From commit to receive, of topics with latency; the sum is an estimate.", labels);
  for (std::size_t i = 0; i < latency.counts.size(); ++i) {
    const double start = static_cast<double>(detail::histogram_bucket_start(i)) * kNs;
    if (i % 4 == 1) histogram.bucket.push_back({histogram.sample_count, start});
    histogram.sample_count += latency.counts[i];
    histogram.sample_sum += static_cast<double>(latency.counts[i]) * start * (i == 0 ? 0 : 1.2);
  }
}

void add_subscriptions(Families& to, const Labels& labels, const TopicInfo& topic) {
  for (const SubscriptionInfo& one : topic.subscriptions) {
    Labels mine = labels;
    mine.push_back({"subscription", lag_name(one)});
    const auto waiting = std::ranges::count_if(topic.publishers, [&one](const PublisherInfo& publisher) {
      return publisher.waiting_ns && publisher.waiting_for_subscription == one.slot;
    });
    to.gauge("ringway_subscription_lag_bytes", "How far it is behind.", mine, static_cast<double>(one.lag_bytes));
    to.counter("ringway_subscription_received_messages_total", "Messages received.", mine,
               static_cast<double>(one.received));
    to.counter("ringway_subscription_lost_messages_total", "Messages that were overtaken before it read them.", mine,
               static_cast<double>(one.lost));
    to.gauge("ringway_subscription_attached", "1 if it has a live owner, else 0.", mine, one.attached ? 1 : 0);
    to.gauge("ringway_subscription_stopped", "1 if its owner is stopped, by a signal or a debugger.", mine,
             one.stopped ? 1 : 0);
    to.gauge("ringway_subscription_publishers_waiting", "Publishers that it holds back.", mine,
             static_cast<double>(waiting));
    if (!one.latency.counts.empty()) add_latency(to, mine, one.latency);
  }
}

void add_bus(Families& to, const BusSeen& bus) {
  const Labels labels = {{"bus", bus.name}};
  to.gauge("ringway_bus_up", "1 if the bus could be read, else 0.", labels, bus.problem.empty() ? 1 : 0);
  to.gauge("ringway_bus_topics", "Topics on the bus.", labels, static_cast<double>(bus.topics.size()));
  for (const auto severity : {tool::Severity::note, tool::Severity::warning, tool::Severity::problem}) {
    const auto count =
        std::ranges::count_if(bus.findings, [severity](const auto& one) { return one.severity == severity; });
    to.gauge("ringway_bus_findings", "What needs attention, by severity: /api/v1/findings has it in words.",
             {{"bus", bus.name}, {"severity", std::string(text_of(severity))}}, static_cast<double>(count));
  }
  if (bus.file_system_bytes == 0) return;
  to.gauge("ringway_bus_file_system_bytes", "Size of the file system that the bus is on.", labels,
           static_cast<double>(bus.file_system_bytes));
  to.gauge("ringway_bus_file_system_free_bytes", "What is free of it.", labels,
           static_cast<double>(bus.file_system_free));
}

void add_monitor(Families& to, const Seen& seen, std::size_t summed_up) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;  // the second number
  to.gauge("ringwayd_build_info", "Always 1; the version is a label.", {{"version", RINGWAY_VERSION}}, 1);
  to.counter("ringwayd_looks_total", "Times that the buses were looked at.", {}, static_cast<double>(seen.number));
  to.gauge("ringwayd_look_seconds", "How long the last look took.", {}, seen.seconds);
  to.gauge("ringwayd_topics_summed_up", "Topics beyond the first 1,000, which are in topic=\"other\".", {},
           static_cast<double>(summed_up));
  to.counter("process_cpu_seconds_total", "Time on processors, of the monitor itself.", {},
             seconds(usage.ru_utime) + seconds(usage.ru_stime));
  to.gauge("process_resident_memory_bytes", "Resident memory of the monitor, mapped topics included.", {},
           static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace

void Metrics::add(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  std::map<Key, const TopicInfo*> there;
  for (const BusSeen& bus : seen.buses)
    for (const TopicInfo& topic : bus.topics) there.emplace(Key(bus.name, topic.name), &topic);
  std::erase_if(labelled_, [&there](const Key& key) { return !there.contains(key); });
  std::erase_if(others_, [&there](const auto& other) { return !there.contains(other.first); });
  for (const auto& [key, topic] : there) {
    if (labelled_.contains(key)) continue;
    if (labelled_.size() < kLabelled && !others_.contains(key)) {
      labelled_.insert(key);
      continue;
    }
    TopicFigures now;
    now.add(*topic);
    Counts& then = others_[key];
    if (then.inode != topic->inode) then = {.inode = topic->inode};
    const auto grown = [](double value, std::uint64_t before) {
      return std::max(0.0, value - static_cast<double>(before));
    };
    other_messages_ += grown(now.messages, then.messages);
    other_bytes_ += grown(now.bytes, then.bytes);
    then.messages = static_cast<std::uint64_t>(now.messages);
    then.bytes = static_cast<std::uint64_t>(now.bytes);
  }
}

std::string Metrics::text(const Seen& seen) const {
  const std::lock_guard lock(mutex_);
  Families families;
  TopicFigures rest;
  std::size_t summed_up = 0;
  for (const BusSeen& bus : seen.buses) {
    add_bus(families, bus);
    for (const TopicInfo& topic : bus.topics) {
      if (!labelled_.contains({bus.name, topic.name})) {
        ++summed_up;
        rest.add(topic);
        continue;
      }
      const Labels labels = {{"bus", bus.name}, {"topic", topic.name}};
      TopicFigures figures;
      figures.add(topic);
      add_topic(families, labels, figures);
      add_subscriptions(families, labels, topic);
    }
  }
  rest.messages = other_messages_;
  rest.bytes = other_bytes_;
  if (summed_up != 0 || other_messages_ > 0) add_topic(families, {{"bus", ""}, {"topic", "other"}}, rest);
  add_monitor(families, seen, summed_up);
  return families.text();
}

}  // namespace ringway::daemon

#include "look/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace ringway::tool {

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string capacity_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string duration_text(std::chrono::nanoseconds time) {
  const auto ns = static_cast<double>(std::max<std::int64_t>(time.count(), 0));
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.{}f} us", ns / 1e3, ns < 1e4 ? 1 : 0);
  if (ns < 1e9) return fmt::format("{:.{}f} ms", ns / 1e6, ns < 1e7 ? 1 : 0);
  if (ns < 120e9) return fmt::format("{:.{}f} s", ns / 1e9, ns < 1e10 ? 1 : 0);
  return fmt::format("{:.0f} min", ns / 60e9);
}

std::string count_text(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string_view text_of(Reliability reliability) { return reliability == Reliability::lossy ? "lossy" : "reliable"; }
std::string_view text_of(Publishers publishers) { return publishers == Publishers::exclusive ? "exclusive" : "shared"; }
std::string_view text_of(Who who) {
  if (who == Who::owner) return "owner";
  return who == Who::unix_group ? "group" : "everyone";
}

std::string_view text_of(DeadLetterFull policy) { return policy == DeadLetterFull::wait ? "wait" : "keep"; }

Table::Table(std::vector<std::string> header) {
  for (auto& name : header) {
    right_.push_back(name.starts_with('>'));
    if (right_.back()) name.erase(0, 1);
  }
  rows_.push_back(std::move(header));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(right_.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) line += "  ";
      line += right_[i] ? fmt::format("{:>{}}", row[i], widths[i]) : fmt::format("{:<{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string name_of(const PublisherInfo& publisher) {
  if (publisher.name.empty()) return fmt::format("publisher in slot {}", publisher.slot);
  return "publisher " + publisher.name;
}

std::string name_of(const SubscriptionInfo& subscription) {
  if (subscription.name.empty()) return fmt::format("subscription in slot {}", subscription.slot);
  return (subscription.group ? "group " : "subscription ") + subscription.name;
}

std::string reliability_text(const SubscriptionInfo& subscription) {
  if (subscription.max_lag_bytes != 0) return "lag of " + bytes_text(subscription.max_lag_bytes);
  return std::string(text_of(subscription.reliability));
}

std::string kind_text(const SubscriptionInfo& subscription) {
  if (subscription.group) return "group";
  return subscription.durable ? "durable" : "ephemeral";
}

std::string oldest_held_text(const SubscriptionInfo& subscription, std::uint64_t now_ns) {
  if (!subscription.oldest_held_ns) return "-";
  const std::uint64_t since = *subscription.oldest_held_ns;
  return duration_text(std::chrono::nanoseconds(now_ns > since ? static_cast<std::int64_t>(now_ns - since) : 0));
}

bool is_stopped(const std::string& member) { return member.ends_with(", stopped)"); }

std::string owner_text(const SubscriptionInfo& subscription) {
  if (subscription.group && !subscription.members.empty()) {
    const auto stopped = std::count_if(subscription.members.begin(), subscription.members.end(), is_stopped);
    return count_text(subscription.members.size(), "member") +
           (stopped == 0 ? "" : fmt::format(", {} stopped", stopped));
  }
  if (!subscription.attached) return "nobody";
  std::string text = fmt::format("pid {}", subscription.pid);
  if (subscription.stopped) return text + ", stopped";
  return subscription.sleeping ? text + ", sleeps" : text;
}

std::string attempts_text(const SubscriptionInfo& subscription) {
  const std::string second = "the second after " + duration_text(subscription.retry_delay);
  if (subscription.max_attempts == 0) return "any number of attempts, " + second;
  return fmt::format("at most {}, {}, then to topic {} ({} if that is full)",
                     count_text(subscription.max_attempts, "attempt"), second, subscription.dead_letter,
                     text_of(subscription.dead_letter_full));
}

std::string percentiles_text(const LatencyHistogram& latency) {
  const auto at = [&](double share) {
    return duration_text(std::chrono::nanoseconds(static_cast<std::int64_t>(latency.percentile_ns(share))));
  };
  return fmt::format("p50 {}, p99 {}, p99.9 {}", at(0.5), at(0.99), at(0.999));
}

std::uint64_t messages_of(const TopicInfo& topic) {
  return std::accumulate(topic.publishers.begin(), topic.publishers.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const PublisherInfo& publisher) { return sum + publisher.messages; });
}

std::chrono::nanoseconds since(std::uint64_t then_ns, std::uint64_t now_ns) {
  return std::chrono::nanoseconds(now_ns > then_ns ? static_cast<std::int64_t>(now_ns - then_ns) : 0);
}

std::uint64_t monotonic_now() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace ringway::tool

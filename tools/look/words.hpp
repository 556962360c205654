// Numbers, sizes, times, names and tables as people read them.
//
// Plain functions of their arguments.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringway/info.hpp"

namespace ringway::tool {

std::string bytes_text(std::uint64_t bytes);               // "1.0 MiB", "512 B"
std::string capacity_text(std::uint64_t bytes);            // "4MiB", as --capacity takes it; bytes: a power of two
std::string duration_text(std::chrono::nanoseconds time);  // "12 s", "85 us"
std::string count_text(std::uint64_t count, std::string_view what);  // "1 message", "2 messages"
std::string_view text_of(Reliability reliability);
std::string_view text_of(Publishers publishers);
std::string_view text_of(Who who);
std::string_view text_of(DeadLetterFull policy);

std::string name_of(const PublisherInfo& publisher);           // "publisher feed", "publisher in slot 3"
std::string name_of(const SubscriptionInfo& subscription);     // "subscription billing", likewise
std::string owner_text(const SubscriptionInfo& subscription);  // "pid 12, stopped", "3 members, 1 stopped", "nobody"
bool is_stopped(const std::string& member);                    // one of a group's, as SubscriptionInfo names them
std::string kind_text(const SubscriptionInfo& subscription);   // "durable", "group", "ephemeral"
// Of a group: since when its oldest job is held, "3 s"; else "-".
std::string oldest_held_text(const SubscriptionInfo& subscription, std::uint64_t now_ns);
std::string reliability_text(const SubscriptionInfo& subscription);  // "reliable", "lossy", "lag of 64.0 KiB"
// Of a group: "at most 3 attempts, the second after 100 ms, then to topic jobs.dead (keep if that is full)".
std::string attempts_text(const SubscriptionInfo& subscription);
std::string percentiles_text(const LatencyHistogram& latency);  // "p50 1.2 us, p99 8.0 us, p99.9 12 us"
std::uint64_t messages_of(const TopicInfo& topic);              // published since its creation

// The row in that slot; null if there is none.
template <class Info>
const Info* in_slot(const std::vector<Info>& all, std::optional<std::uint32_t> slot) {
  const auto found = std::find_if(all.begin(), all.end(), [slot](const Info& one) { return one.slot == slot; });
  return found == all.end() ? nullptr : &*found;
}

std::uint64_t monotonic_now();  // ns
// From `then_ns` to `now_ns`; nothing if that is in the future.
std::chrono::nanoseconds since(std::uint64_t then_ns, std::uint64_t now_ns);

// Columns as wide as their widest cell; those named with a leading '>' are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ringway::tool

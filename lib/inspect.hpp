// What can be told of a topic from its tables and locks, without touching it.
//
// Thread safety: pure reads. Progress: bounded by the tables. Crash: nothing is left behind.
#pragma once

#include <span>
#include <string>
#include <unordered_map>

#include "ringway/info.hpp"
#include "segment.hpp"

namespace ringway::detail {

// A name in a table, of at most 256 bytes. relaxed: for display, or under the table lock.
std::string read_name(std::span<const std::atomic<std::uint64_t>> words);
void write_name(std::span<std::atomic<std::uint64_t>> words, const std::string& name);

// Stopped by a signal or a debugger, as far as /proc tells; for display. Each process is looked at once.
class Processes {
 public:
  bool stopped(std::int32_t pid);

 private:
  std::unordered_map<std::int32_t, bool> known_;
};

// A snapshot. Never throws for what the tables hold.
TopicInfo inspect(const Segment& segment, const std::string& topic, Prober& publishers, Prober& subscribers,
                  Processes& processes);
TopicInfo inspect(const Segment& segment, const std::string& topic);

// What can be told of a topic that cannot be opened, of any layout version.
TopicInfo unreadable(const std::string& directory, const std::string& topic, const std::string& problem);

// Throws Error busy, naming who is attached or what is unread. REQUIRES: both table locks.
void refuse_if_used(const Segment& segment, const std::string& topic);

// A live publisher or ephemeral subscriber. REQUIRES: both table locks.
bool anyone_keeps(const Segment& segment);

}  // namespace ringway::detail

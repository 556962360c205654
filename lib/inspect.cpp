#include "inspect.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>

#include "repair.hpp"
#include "ringway/detail/jobs.hpp"
#include "ringway/detail/wait.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

constexpr std::size_t kLongestName = sizeof(GroupHeader::dead_letter);

std::string owner_name(const std::string& kind, const std::string& name, std::uint32_t slot) {
  return kind + " " + (name.empty() ? "in slot " + std::to_string(slot) : name);
}

std::string subscription_name(bool group, const std::string& name, std::uint32_t slot) {
  return owner_name(group ? "group" : "subscription", name, slot);
}

PublisherInfo inspect_publisher(const SegmentMemory& memory, std::uint32_t slot, Prober& prober, Processes& processes) {
  // relaxed throughout: a snapshot for display.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const PublisherSlot& row = memory.publisher(slot);
  PublisherInfo info;
  info.slot = slot;
  info.name = read_name(row.name);
  info.pid = static_cast<std::int32_t>(row.pid.load(kRelaxed));
  const bool owned = row.state.load(kRelaxed) == PublisherState::owned;
  info.alive = owned && prober.probe(kSlotBytes + slot) != Prober::Answer::dead;
  info.died = owned && !info.alive;
  info.stopped = info.alive && processes.stopped(info.pid);
  info.messages = row.sequence.load(kRelaxed);
  info.bytes = row.bytes.load(kRelaxed);
  info.max_retries = row.retries.load(kRelaxed);
  const std::uint64_t record = row.record.load(kRelaxed);
  if (record != kNoRecord) {
    info.open_claim = position_of(record);
    info.open_claim_bytes = frame_start(row.record_extent.load(kRelaxed));
  }
  const WaitingLine& line = memory.waiting_line(slot);
  if (info.alive && line.waiting.load(kRelaxed) == 1) {
    info.waiting_ns = line.since_ns.load(kRelaxed);
    const std::uint32_t blocker = line.blocker.load(kRelaxed);
    const std::uint32_t other = blocker & ~kBlockedByPublisher;
    if ((blocker & kBlockedByPublisher) != 0 && other < memory.max_publishers) {
      info.waiting_for = owner_name("publisher", read_name(memory.publisher(other).name), other);
      info.waiting_for_publisher = other;
    } else if (blocker < memory.max_subscriptions) {
      const SubscriptionSlot& other_row = memory.subscription(blocker);
      info.waiting_for = subscription_name(other_row.kind.load(kRelaxed) == SubscriptionKind::group,
                                           read_name(other_row.name), blocker);
      info.waiting_for_subscription = blocker;
    }
  }
  return info;
}

// What only a group has. relaxed: a snapshot.
void inspect_group(const SegmentMemory& memory, std::uint32_t group, std::uint64_t tail, Prober& prober,
                   Processes& processes, SubscriptionInfo& info) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  info.group = true;
  const GroupHeader& header = memory.group(group);
  info.max_attempts = header.max_attempts.load(kRelaxed);
  info.retry_delay = std::chrono::nanoseconds(static_cast<std::int64_t>(header.retry_delay_ns.load(kRelaxed)));
  info.dead_letter = read_name(header.dead_letter);
  info.dead_letter_full = header.dead_letter_full.load(kRelaxed) != 0 ? DeadLetterFull::wait : DeadLetterFull::keep;
  const std::uint64_t lowest = lowest_in_hand(memory, group);  // where the gate can move to
  if (before(info.cursor, lowest)) info.cursor = lowest;
  info.lag_bytes = lag(info.cursor, tail);
  info.sleeping = false;
  bool all_stopped = true;
  for (std::uint32_t slot = 0; slot < memory.max_members; ++slot) {
    const MemberSlot& member = memory.member(group, slot);
    info.received += member.acked.load(kRelaxed);
    info.redelivered += member.redelivered.load(kRelaxed);
    info.dead_lettered += member.dead_lettered.load(kRelaxed);
    info.backstops += member.backstops.load(kRelaxed);
    if (!member_lives(memory, prober, group, slot)) continue;
    const std::string name = read_name(member.name);
    const auto pid = static_cast<std::int32_t>(member.pid.load(kRelaxed));
    const bool stopped = processes.stopped(pid);
    info.members.push_back((name.empty() ? "slot " + std::to_string(slot) : name) + " (pid " + std::to_string(pid) +
                           (stopped ? ", stopped)" : ")"));
    all_stopped = all_stopped && stopped;
    if (!info.attached) info.pid = pid;
    info.attached = true;
    info.sleeping = info.sleeping || (memory.member_bits(group)[slot / 64].load(kRelaxed) >> (slot % 64) & 1) != 0;
  }
  info.stopped = info.attached && all_stopped;
  const std::uint32_t used = entries_used(memory, group);
  for (std::uint32_t index = 0; index < used; ++index) {
    const InFlightEntry& entry = memory.entry(group, index);
    const EntryState state = state_of(entry.word.load(kRelaxed));
    if (state == EntryState::returned) ++info.returned;
    if (state != EntryState::held) continue;
    ++info.held;
    const std::uint64_t since = entry.time_ns.load(kRelaxed);
    if (!info.oldest_held_ns || since < *info.oldest_held_ns) info.oldest_held_ns = since;
  }
}

SubscriptionInfo inspect_subscription(const SegmentMemory& memory, std::uint32_t slot, std::uint64_t tail,
                                      Prober& prober, Processes& processes, bool latency) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // a snapshot
  const SubscriptionSlot& row = memory.subscription(slot);
  SubscriptionInfo info;
  info.slot = slot;
  info.name = read_name(row.name);
  const SubscriptionKind kind = row.kind.load(kRelaxed);
  info.durable = kind == SubscriptionKind::durable || kind == SubscriptionKind::group;
  info.reliability = row.wanted.load(kRelaxed) == static_cast<std::uint32_t>(SubscriptionState::lossy)
                         ? Reliability::lossy
                         : Reliability::reliable;
  info.max_lag_bytes = row.max_lag_bytes.load(kRelaxed);
  info.cursor = row.cursor.load(kRelaxed);
  info.lag_bytes = lag(info.cursor, tail);
  info.received = row.received.load(kRelaxed);
  info.lost = row.lost.load(kRelaxed);
  info.backstops = row.backstops.load(kRelaxed);
  info.sleeping = (memory.parked[slot / 64].load(kRelaxed) >> (slot % 64) & 1) != 0;
  info.attached = row.owned.load(kRelaxed) == 1 && prober.probe(kSlotBytes + slot) != Prober::Answer::dead;
  info.pid = info.attached ? static_cast<std::int32_t>(row.pid.load(kRelaxed)) : 0;
  info.stopped = info.attached && processes.stopped(info.pid);
  info.sleeping = info.sleeping && info.attached;
  if (latency)
    for (const auto& count : row.histogram) info.latency.counts.push_back(count.load(kRelaxed));
  const std::uint32_t group = row.group.load(kRelaxed);
  if (kind == SubscriptionKind::group && group < memory.max_groups)
    inspect_group(memory, group, tail, prober, processes, info);
  return info;
}

}  // namespace

std::string read_name(std::span<const std::atomic<std::uint64_t>> words) {
  std::array<char, kLongestName> bytes{};
  for (std::size_t word = 0; word < words.size(); ++word) {
    const std::uint64_t value = words[word].load(std::memory_order_relaxed);
    std::memcpy(&bytes[word * 8], &value, 8);
  }
  std::string name(bytes.data(), ::strnlen(bytes.data(), words.size() * 8));
  for (char& c : name)
    if (c < 0x20 || c > 0x7E) c = '?';  // whatever a faulty process put there does not reach a terminal
  return name;
}

void write_name(std::span<std::atomic<std::uint64_t>> words, const std::string& name) {
  std::array<char, kLongestName> bytes{};
  std::copy_n(name.begin(), std::min(name.size(), words.size() * 8), bytes.begin());
  for (std::size_t word = 0; word < words.size(); ++word) {
    std::uint64_t value = 0;
    std::memcpy(&value, &bytes[word * 8], 8);
    words[word].store(value, std::memory_order_relaxed);
  }
}

bool Processes::stopped(std::int32_t pid) {
  const auto [entry, added] = known_.try_emplace(pid, false);
  if (!added || pid == 0) return entry->second;
  const Descriptor file = open_file("/proc/" + std::to_string(pid) + "/stat", O_RDONLY);
  std::array<char, 512> bytes{};
  const ssize_t count = file ? ::read(file.get(), bytes.data(), bytes.size()) : 0;
  const std::string_view text(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  const std::size_t end = text.rfind(')');
  entry->second =
      end != std::string_view::npos && end + 2 < text.size() && (text[end + 2] == 'T' || text[end + 2] == 't');
  return entry->second;
}

TopicInfo inspect(const Segment& segment, const std::string& topic) {
  Prober publishers(segment.data_file());
  Prober subscribers(segment.control_file());
  Processes processes;
  return inspect(segment, topic, publishers, subscribers, processes);
}

TopicInfo inspect(const Segment& segment, const std::string& topic, Prober& publishers, Prober& subscribers,
                  Processes& processes) {
  const SegmentMemory& memory = segment.memory();
  const TopicSpec& spec = segment.geometry().spec;
  TopicInfo info;
  info.name = topic;
  info.seen_ns = static_cast<std::uint64_t>(monotonic_ns());
  info.layout_version = kLayoutVersion;
  info.options = to_options(spec);
  info.type_name = spec.type_name;
  info.type_size = spec.type_size;
  info.type_alignment = spec.type_alignment;
  info.type_fingerprint = spec.type_fingerprint;
  info.created_ns = segment.geometry().created_ns;
  info.oldest = memory.oldest().load(std::memory_order_relaxed);  // a snapshot
  info.tail = visible_tail(memory);
  info.discarded = segment.geometry().discarded;
  info.max_payload_bytes = memory.max_extent - memory.payload_offset;
  info.file_bytes = data_bytes(spec.limits) + control_bytes(spec.limits);
  info.device = segment.data_file().id.device;
  info.inode = segment.data_file().id.inode;
  info.lock_blocked = publishers.anyone_locks(kTableByte) || subscribers.anyone_locks(kTableByte);
  const std::uint32_t publishers_used = memory.publishers_used();
  for (std::uint32_t slot = 0; slot < publishers_used; ++slot) {
    const PublisherSlot& row = memory.publisher(slot);
    if (row.state.load(std::memory_order_relaxed) == PublisherState::owned ||
        row.sequence.load(std::memory_order_relaxed) != 0)
      info.publishers.push_back(inspect_publisher(memory, slot, publishers, processes));
  }
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot)
    if (memory.subscription(slot).kind.load(std::memory_order_relaxed) != SubscriptionKind::none)
      info.subscriptions.push_back(inspect_subscription(memory, slot, info.tail, subscribers, processes, spec.latency));
  return info;
}

TopicInfo unreadable(const std::string& directory, const std::string& topic, const std::string& problem) {
  TopicInfo info;
  info.name = topic;
  info.seen_ns = static_cast<std::uint64_t>(monotonic_ns());
  info.problem = problem;
  const Descriptor data = open_file(data_path(directory, topic), O_RDONLY);
  struct stat status {};
  Prefix prefix{};
  if (data && ::fstat(data.get(), &status) == 0 && S_ISREG(status.st_mode)) {
    info.device = status.st_dev;
    info.inode = status.st_ino;
    info.file_bytes = static_cast<std::uint64_t>(status.st_size);
    if (::pread(data.get(), &prefix, sizeof prefix, 0) == sizeof prefix && prefix.magic == kDataMagic)
      info.layout_version = prefix.layout_version;
  }
  if (::lstat(control_path(directory, topic).c_str(), &status) == 0 && S_ISREG(status.st_mode))
    info.file_bytes += static_cast<std::uint64_t>(status.st_size);
  return info;
}

void refuse_if_used(const Segment& segment, const std::string& topic) {
  const TopicInfo info = inspect(segment, topic);
  const std::string next_step = "; `ringway rm --force`, or Remove::always, removes it all the same";
  for (const PublisherInfo& publisher : info.publishers)
    if (publisher.alive)
      throw Error(Code::busy, topic,
                  owner_name("publisher", publisher.name, publisher.slot) + " (pid " + std::to_string(publisher.pid) +
                      ") is attached" + next_step);
  for (const SubscriptionInfo& subscription : info.subscriptions) {
    if (subscription.attached)
      throw Error(Code::busy, topic,
                  subscription_name(subscription.group, subscription.name, subscription.slot) + " (pid " +
                      std::to_string(subscription.pid) + ") is attached" + next_step);
    if (subscription.durable && subscription.lag_bytes != 0)
      throw Error(Code::busy, topic,
                  subscription_name(subscription.group, subscription.name, subscription.slot) + " has " +
                      human_bytes(subscription.lag_bytes) + " unread" + next_step);
  }
  const bool never_had_one = segment.memory().control->had_durable.load(std::memory_order_relaxed) == 0;  // table lock
  if (never_had_one && info.tail != segment.geometry().spec.first_position)
    throw Error(Code::busy, topic,
                "it holds messages, and never had a durable subscription that could have read them" + next_step);
}

bool anyone_keeps(const Segment& segment) {
  const TopicInfo info = inspect(segment, {});
  return std::any_of(info.publishers.begin(), info.publishers.end(), [](const auto& one) { return one.alive; }) ||
         std::any_of(info.subscriptions.begin(), info.subscriptions.end(),
                     [](const auto& one) { return one.attached && !one.durable; });
}

}  // namespace ringway::detail

namespace ringway {

std::uint64_t LatencyHistogram::total() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t LatencyHistogram::percentile_ns(double share) const {
  const double wanted = share * static_cast<double>(total());
  double below = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    const auto here = static_cast<double>(counts[bucket]);
    if (here > 0 && below + here >= wanted) {
      const auto start = static_cast<double>(detail::histogram_bucket_start(bucket));
      const auto end = static_cast<double>(detail::histogram_bucket_start(bucket + 1));
      return static_cast<std::uint64_t>(start + (end - start) * std::max(wanted - below, 0.0) / here);
    }
    below += here;
  }
  return 0;
}

LatencyHistogram LatencyHistogram::since(const LatencyHistogram& before) const {
  LatencyHistogram rest = *this;
  const std::size_t both = std::min(counts.size(), before.counts.size());
  for (std::size_t bucket = 0; bucket < both; ++bucket)
    rest.counts[bucket] -= std::min(rest.counts[bucket], before.counts[bucket]);
  return rest;
}

}  // namespace ringway

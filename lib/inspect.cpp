#include "inspect.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "ringway/detail/wait.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

std::string owner_name(const std::string& kind, const std::string& name, std::uint32_t slot) {
  return kind + " " + (name.empty() ? "in slot " + std::to_string(slot) : name);
}

PublisherInfo inspect_publisher(const SegmentMemory& memory, std::uint32_t slot, Prober& prober) {
  // relaxed throughout: a snapshot for display.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const PublisherSlot& row = memory.publisher(slot);
  PublisherInfo info;
  info.slot = slot;
  info.name = read_name(row.name);
  info.pid = static_cast<std::int32_t>(row.pid.load(kRelaxed));
  info.alive =
      row.state.load(kRelaxed) == PublisherState::owned && prober.probe(kSlotBytes + slot) != Prober::Answer::dead;
  info.stopped = info.alive && is_stopped(info.pid);
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
    if ((blocker & kBlockedByPublisher) != 0 && other < memory.max_publishers)
      info.waiting_for = owner_name("publisher", read_name(memory.publisher(other).name), other);
    else if (blocker < memory.max_subscriptions)
      info.waiting_for = owner_name("subscription", read_name(memory.subscription(blocker).name), blocker);
  }
  return info;
}

SubscriptionInfo inspect_subscription(const SegmentMemory& memory, std::uint32_t slot, std::uint64_t tail,
                                      Prober& prober) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // a snapshot
  const SubscriptionSlot& row = memory.subscription(slot);
  SubscriptionInfo info;
  info.slot = slot;
  info.name = read_name(row.name);
  info.durable = row.kind.load(kRelaxed) == SubscriptionKind::durable;
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
  info.stopped = info.attached && is_stopped(info.pid);
  info.sleeping = info.sleeping && info.attached;
  return info;
}

}  // namespace

std::string read_name(const std::array<std::atomic<std::uint64_t>, kNameWords>& words) {
  std::array<char, kNameWords * 8> bytes{};
  for (std::size_t word = 0; word < kNameWords; ++word) {
    const std::uint64_t value = words[word].load(std::memory_order_relaxed);  // display, or under the table lock
    std::memcpy(&bytes[word * 8], &value, 8);
  }
  std::string name(bytes.data(), ::strnlen(bytes.data(), bytes.size()));
  for (char& c : name)
    if (c < 0x20 || c > 0x7E) c = '?';  // whatever a faulty process put there does not reach a terminal
  return name;
}

void write_name(std::array<std::atomic<std::uint64_t>, kNameWords>& words, const std::string& name) {
  std::array<char, kNameWords * 8> bytes{};
  std::copy_n(name.begin(), std::min(name.size(), bytes.size()), bytes.begin());
  for (std::size_t word = 0; word < kNameWords; ++word) {
    std::uint64_t value = 0;
    std::memcpy(&value, &bytes[word * 8], 8);
    words[word].store(value, std::memory_order_relaxed);  // as above
  }
}

bool is_stopped(std::int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t end = text.rfind(')');
  return end != std::string::npos && end + 2 < text.size() && (text[end + 2] == 'T' || text[end + 2] == 't');
}

TopicInfo inspect(const Segment& segment, const std::string& topic) {
  const SegmentMemory& memory = segment.memory();
  const TopicSpec& spec = segment.geometry().spec;
  TopicInfo info;
  info.name = topic;
  info.layout_version = kLayoutVersion;
  info.options = to_options(spec);
  info.type_name = spec.type_name;
  info.type_size = spec.type_size;
  info.type_alignment = spec.type_alignment;
  info.type_fingerprint = spec.type_fingerprint;
  info.created_ns = segment.geometry().created_ns;
  info.oldest = memory.oldest().load(std::memory_order_relaxed);  // a snapshot
  info.tail = visible_tail(memory);
  info.max_payload_bytes = memory.max_extent - memory.payload_offset;
  info.file_bytes = data_bytes(spec.limits) + control_bytes(spec.limits);
  info.device = segment.data_file().id.device;
  info.inode = segment.data_file().id.inode;
  Prober publishers(segment.data_file());
  Prober subscribers(segment.control_file());
  info.lock_blocked = publishers.anyone_locks(kTableByte) || subscribers.anyone_locks(kTableByte);
  const std::uint32_t publishers_used = memory.publishers_used();
  for (std::uint32_t slot = 0; slot < publishers_used; ++slot) {
    const PublisherSlot& row = memory.publisher(slot);
    if (row.state.load(std::memory_order_relaxed) == PublisherState::owned ||
        row.sequence.load(std::memory_order_relaxed) != 0)
      info.publishers.push_back(inspect_publisher(memory, slot, publishers));
  }
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot)
    if (memory.subscription(slot).kind.load(std::memory_order_relaxed) != SubscriptionKind::none)
      info.subscriptions.push_back(inspect_subscription(memory, slot, info.tail, subscribers));
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
                  owner_name("subscription", subscription.name, subscription.slot) + " (pid " +
                      std::to_string(subscription.pid) + ") is attached" + next_step);
    if (subscription.durable && subscription.lag_bytes != 0)
      throw Error(Code::busy, topic,
                  owner_name("subscription", subscription.name, subscription.slot) + " has " +
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

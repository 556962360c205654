// Taking and leaving slots.
#include "attachment.hpp"

#include <unistd.h>

#include <string>

#include "inspect.hpp"
#include "reboot.hpp"
#include "repair.hpp"
#include "ringway/error.hpp"

namespace ringway::detail {
namespace {

// Takes the first row that can be had, and its life lock.
std::uint32_t take_publisher_slot(const Segment& segment, Attachment& attachment, const std::string& topic) {
  const SegmentMemory& memory = segment.memory();
  bool unresolved = false;
  bool blocked = false;
  std::uint32_t chosen = kNoBlocker;
  for (std::uint32_t slot = 0; slot < memory.max_publishers; ++slot) {
    PublisherSlot& row = memory.publisher(slot);
    const bool owned = row.state.load(std::memory_order_acquire) == PublisherState::owned;  // the table lock
    const bool alive = owned && attachment.publishers.probe(kSlotBytes + slot) != Prober::Answer::dead;
    if (alive && memory.exclusive)
      throw Error(Code::taken, topic,
                  "the topic is exclusive and has a publisher: " + read_name(row.name) + " (slot " +
                      std::to_string(slot) + ", pid " + std::to_string(row.pid.load()) +
                      "); close it, or create the topic with Publishers::shared");
    if (alive || chosen != kNoBlocker) continue;
    const std::uint64_t record = row.record.load(std::memory_order_acquire);  // the table lock
    bool settled = settle_record(memory, slot);
    if (!settled) {
      resolve_frame(memory, position_of(record), attachment.publishers);
      settled = settle_record(memory, slot);
    }
    if (!settled) {
      unresolved = true;  // another's claim at the same place is open yet
      continue;
    }
    if (attachment.life.begin(segment.data_file(), kSlotBytes + slot)) {
      chosen = slot;
      if (!memory.exclusive) break;
    } else {
      blocked = true;
    }
  }
  if (chosen == kNoBlocker) throw table_full(topic, "publisher", memory.max_publishers, unresolved, blocked);
  return chosen;
}

void own_publisher_slot(PublisherCore& core, const Segment& segment, std::uint32_t slot, const std::string& name) {
  const SegmentMemory& memory = segment.memory();
  PublisherSlot& row = memory.publisher(slot);
  if (memory.tail_line->publishers_used.load(std::memory_order_relaxed) <= slot)          // the table lock
    memory.tail_line->publishers_used.store(slot + 1, std::memory_order_release);         // pairs with N2
  const std::uint64_t incarnation = row.incarnation.load(std::memory_order_relaxed) + 1;  // the table lock
  row.incarnation.store(incarnation, std::memory_order_relaxed);                          // as above
  row.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);       // display only
  row.claimed_ns.store(0, std::memory_order_relaxed);                                     // display only
  write_name(row.name, name);
  memory.waiting_line(slot).waiting.store(0, std::memory_order_relaxed);  // a dead one's
  const Bed bed = waiting_bed(memory, slot);
  bed.word->fetch_and(~bed.bit, std::memory_order_relaxed);  // as above
  const std::uint64_t next =
      memory.exclusive ? settle_exclusive(memory) : memory.tail().load(std::memory_order_acquire);
  row.state.store(PublisherState::owned, std::memory_order_release);
  mark_attached(segment);
  core.ring.attach(memory, slot, next, join_heavy_fences());
}

}  // namespace

Error table_full(const std::string& topic, const std::string& what, std::uint32_t most, bool unresolved, bool blocked) {
  std::string text = "all " + std::to_string(most) + " " + what + " slots are in use";
  if (unresolved) text += ", some by publishers that died inside a claim";
  if (blocked) text += ", or locked by a process that has no slot";
  return {Code::table_full, topic, text + "; close some, or create the topic with a larger max_" + what + "s"};
}

bool Attachment::topic_stands_now() noexcept {
  looked_ns_ = monotonic_ns();
  stands_ = stands_ && !removed() && segment->standing();
  return stands_;
}

bool Attachment::topic_stands(std::int64_t now) noexcept {
  return stands_ && !removed() && (now - looked_ns_ < kNamesLook || topic_stands_now());
}

std::unique_ptr<PublisherCore> attach_publisher(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                                const PublisherOptions& options, const TypeInfo& type) {
  if (!options.name.empty()) check_component("publisher", options.name, topic);
  std::unique_ptr<PublisherCore> core;
  with_topic(
      *bus, topic, {Role::publish, options.topic, type, options.attach_timeout},
      [&](const OpenFiles& files) -> const Segment& {
        core = new_core<PublisherCore>(*bus);
        core->attachment = std::make_unique<PublisherAttachment>(
            bus, topic, std::make_unique<Segment>(files, Role::publish, topic, options.memory.huge_pages),
            options.wait);
        const Segment& segment = *core->attachment->segment;
        core->attachment->memory = obtain_memory(segment, options.memory, Role::publish, topic);
        return segment;
      },
      [&](const Segment& segment) {
        const std::uint32_t slot = take_publisher_slot(segment, *core->attachment, topic);
        own_publisher_slot(*core, segment, slot, options.name);
      });
  core->attachment->stepped_at = core->ring.limit();
  return core;
}

PublisherCore::PublisherCore() = default;
PublisherCore::~PublisherCore() = default;
ReaderCore::ReaderCore() = default;
ReaderCore::~ReaderCore() = default;
MemberCore::MemberCore() = default;
MemberCore::~MemberCore() = default;

void close(PublisherCore* core) noexcept {
  const std::unique_ptr<PublisherCore> owned(core);
  if (core->forked()) return;  // the slot is the parent's
  PublisherAttachment& attachment = *core->attachment;
  const SegmentMemory& memory = core->ring.memory();
  PublisherSlot& row = memory.publisher(core->ring.slot());
  row.state.store(PublisherState::free, std::memory_order_release);  // its record is NONE: no claim is open
  attachment.life.end();
  mark_left(*attachment.segment, attachment.publishers, attachment.subscribers);
  if (attachment.segment->geometry().spec.temporary)
    remove_if_unkept(*attachment.bus, attachment.topic, *attachment.segment);
}

}  // namespace ringway::detail

#include "repair.hpp"

#include <array>

#include "ringway/detail/wait.hpp"

namespace ringway::detail {

void free_subscription(const SegmentMemory& memory, std::uint32_t slot) noexcept {
  SubscriptionSlot& row = memory.subscription(slot);
  const Bed bed = parked_bed(memory, slot);
  const std::uint64_t cursor = row.cursor.load(std::memory_order_relaxed);
  // release: pairs with S4: publishers no longer wait for it. Death after it: a row that is `owned` and dead still.
  row.state.store(SubscriptionState::free, std::memory_order_release);
  bed.word->fetch_and(~bed.bit, std::memory_order_relaxed);           // a sleeper's bit; nobody sleeps there
  row.kind.store(SubscriptionKind::none, std::memory_order_relaxed);  // the table lock, or ownership, orders these
  row.owned.store(0, std::memory_order_release);                      // last: from here on the row can be taken
  SegmentMemory::full_fence();                                        // pairs with the waiter's announce (B3)
  if (anyone_waiting(memory)) wake_waiting(memory, slot, cursor + memory.capacity);
}

bool free_dead_ephemeral(const Segment& segment, Prober& subscribers, std::uint32_t slot) noexcept {
  const SegmentMemory& memory = segment.memory();
  if (slot >= memory.max_subscriptions) return false;
  SubscriptionSlot& row = memory.subscription(slot);
  const auto is_candidate = [&row] {
    return row.kind.load(std::memory_order_relaxed) == SubscriptionKind::ephemeral &&  // checked again under the lock
           row.owned.load(std::memory_order_relaxed) == 1;                             // as above
  };
  if (!is_candidate() || subscribers.probe(kSlotBytes + slot) != Prober::Answer::dead) return false;
  try {
    KernelLocks locks;
    if (locks.try_lock(segment.control_file(), kTableByte) != KernelLocks::Answer::taken) return false;
    if (!is_candidate() || subscribers.probe(kSlotBytes + slot) != Prober::Answer::dead) return false;
    free_subscription(memory, slot);
    return true;
  } catch (...) {  // no descriptor to be had: the next look tries again
    return false;
  }
}

bool evict_impossible(const Segment& segment, std::uint32_t slot) noexcept {
  const SegmentMemory& memory = segment.memory();
  if (slot >= memory.max_subscriptions) return false;
  SubscriptionSlot& row = memory.subscription(slot);
  // acquire: state before cursor before tail, so that a cursor is judged by a tail that was there after it.
  const auto impossible = [&](std::uint64_t& cursor) {
    if (row.state.load(std::memory_order_acquire) != SubscriptionState::reliable) return false;
    cursor = row.cursor.load(std::memory_order_acquire);  // pairs with R4
    const std::uint64_t tail = visible_tail(memory);
    const std::uint64_t start = frame_start(cursor);
    if (!before(cursor, tail)) return false;
    return tail - start > memory.capacity || (tagged(memory, start) && !holds(memory, cursor));
  };
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  const std::uint64_t incarnation = row.incarnation.load(std::memory_order_relaxed);  // checked again under the lock
  if (!impossible(first)) return false;
  try {
    KernelLocks locks;
    if (locks.try_lock(segment.control_file(), kTableByte) != KernelLocks::Answer::taken) return false;
    if (row.incarnation.load(std::memory_order_relaxed) != incarnation || !impossible(second) || first != second)
      return false;
    free_subscription(memory, slot);
    return true;
  } catch (...) {  // no descriptor to be had: the next look tries again
    return false;
  }
}

bool settle_record(const SegmentMemory& memory, std::uint32_t slot) noexcept {
  PublisherSlot& row = memory.publisher(slot);
  const std::uint64_t record = row.record.load(std::memory_order_acquire);  // pairs with W1, W3, W5, W7
  if (record == kNoRecord) return true;
  const std::uint64_t position = position_of(record);
  // acquire: pairs with W2. Where tail has not been, nothing was claimed, and the dead one will not do it now.
  const bool never = !before(position, memory.tail().load(std::memory_order_acquire));
  const bool passed = never || before(position, memory.oldest().load(std::memory_order_acquire));  // pairs with S3
  if (!passed && !tagged(memory, position)) return false;
  if (!passed) {
    const FrameHeader& frame = memory.frame(position);
    const std::uint64_t origin = frame.origin.load(std::memory_order_relaxed);  // ordered by the tag
    const std::uint64_t size = frame.size.load(std::memory_order_relaxed);      // as above
    const std::uint64_t known = row.sequence.load(std::memory_order_relaxed);   // under the table lock
    // It died between the tag and its counter.
    if (publisher_of(origin) == slot && sequence_of(origin) == (known & kSequenceMask))
      row.sequence.store(known + messages_of(size, origin), std::memory_order_relaxed);
  }
  row.record.store(kNoRecord, std::memory_order_release);  // pairs with S2
  return true;
}

Ruling resolve_frame(const SegmentMemory& memory, std::uint64_t position, Prober& publishers) noexcept {
  const auto is_dead = [&](std::uint32_t slot) { return publishers.probe(kSlotBytes + slot) == Prober::Answer::dead; };
  const Ruling ruling = judge(memory, position, is_dead);
  if (ruling.verdict == Verdict::open || ruling.verdict == Verdict::corrupt) return ruling;
  if (ruling.verdict == Verdict::resolved) {
    const std::uint64_t size = pack_size(0, ruling.end - position, FrameKind::aborted);
    const std::uint64_t sequence = memory.publisher(ruling.slot).sequence.load(std::memory_order_relaxed);  // the lock
    // Death before its tag: done again. Death after it: the records are settled by whoever is held back by them, or takes
    // those slots; sleepers wait for their backstop.
    write_frame(memory, position, size, pack_origin(ruling.slot, sequence), 0);
  }
  const std::uint32_t used = memory.publishers_used();
  std::array<std::uint64_t, kMaxPublishers / 64> settled{};
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    const std::uint64_t record = memory.publisher(slot).record.load(std::memory_order_acquire);  // pairs with W1
    if (record != kNoRecord && position_of(record) == position && is_dead(slot) && settle_record(memory, slot))
      settled[slot / 64] |= 1ULL << (slot % 64);
  }
  SegmentMemory::full_fence();  // as W10
  wake_parked(memory);
  if (!anyone_waiting(memory)) return ruling;
  for (std::uint32_t slot = 0; slot < used; ++slot)
    if ((settled[slot / 64] >> (slot % 64) & 1) != 0)
      wake_waiting(memory, slot | kBlockedByPublisher, memory.tail().load(std::memory_order_relaxed));
  return ruling;
}

Ruling resolve_dead_claim(const Segment& segment, Prober& publishers, std::uint64_t position) noexcept {
  try {
    KernelLocks locks;
    if (locks.try_lock(segment.data_file(), kTableByte) == KernelLocks::Answer::taken)
      return resolve_frame(segment.memory(), position, publishers);
  } catch (...) {  // no descriptor to be had: the next look tries again
  }
  return {Verdict::open};
}

std::uint64_t settle_exclusive(const SegmentMemory& memory) noexcept {
  const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);  // pairs with W6
  const std::uint64_t next = walk(memory, tail, [&](std::uint64_t, std::uint64_t size, std::uint64_t origin) {
    const std::uint32_t slot = publisher_of(origin);
    if (slot >= memory.max_publishers) return true;
    auto& sequence = memory.publisher(slot).sequence;
    const std::uint64_t known = sequence.load(std::memory_order_relaxed);  // under the table lock
    if (sequence_of(origin) == (known & kSequenceMask))
      sequence.store(known + messages_of(size, origin), std::memory_order_relaxed);
    return true;
  });
  for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth)  // of a claim that never got its tag
    if (before(next, memory.mark(eighth).load(std::memory_order_relaxed)))
      memory.mark(eighth).store(0, std::memory_order_relaxed);
  memory.tail().store(next, std::memory_order_release);  // pairs with G2
  return next;
}

}  // namespace ringway::detail

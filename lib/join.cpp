// Joining: where a subscription or an observer starts, and what it counts its losses from.
#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "attachment.hpp"

namespace ringway::detail {
namespace {

// A message that is there to be read is at `position`, and no claim that has won covers it.
bool starts_a_message(const SegmentMemory& memory, std::uint64_t position) noexcept {
  const std::uint64_t frame = frame_start(position);
  const std::uint64_t tail = visible_tail(memory);
  if (before(frame, memory.oldest().load(std::memory_order_acquire))) return false;  // S3
  if (position == tail) return true;                                                 // the next one
  if (!before(position, tail) || !tagged(memory, frame) || !holds(memory, position)) return false;
  const std::uint32_t used = memory.publishers_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    const PublisherSlot& row = memory.publisher(slot);
    const std::uint64_t record = row.record.load(std::memory_order_acquire);  // pairs with W3
    if ((record & kRecordWon) == 0) continue;
    const std::uint64_t start = position_of(record);
    const std::uint64_t extent =
        frame_start(row.record_extent.load(std::memory_order_relaxed));  // ordered by the record
    if (before(start, frame) && before(frame, start + extent)) return false;
  }
  return true;
}

bool choose(const SegmentMemory& memory, From from, std::uint64_t& position) noexcept {
  switch (from.place()) {
    case From::Place::position: position = from.position(); return starts_a_message(memory, position);
    case From::Place::oldest:
      position = memory.oldest().load(std::memory_order_acquire);  // pairs with S3
      return true;
    case From::Place::newest:
    case From::Place::automatic: break;
  }
  position = visible_tail(memory);
  return true;
}

// `oldest` beyond the end, which only a faulty process can have written: to choose again would lead nowhere else.
bool beyond_the_end(const SegmentMemory& memory, std::uint64_t oldest) noexcept {
  return before(visible_tail(memory), oldest);
}

// J2, J3: either a publisher's scan of the cursors (S4) sees this one active, or this load of oldest sees what that
// publisher made its limit from; then the place is chosen again. Gives the cursor; false: nothing starts there.
bool place(const SegmentMemory& memory, std::uint32_t slot, From from, std::uint64_t& cursor) noexcept {
  SubscriptionSlot& row = memory.subscription(slot);
  for (int tries = 0; tries < 10'000; ++tries) {
    // Death after it: publishers ignore the row; whoever opens it next joins anew.
    row.state.store(SubscriptionState::joining, std::memory_order_seq_cst);
    if (!choose(memory, from, cursor)) return false;
    row.cursor.store(cursor, std::memory_order_release);                    // pairs with S4
    const std::uint32_t group = row.group.load(std::memory_order_relaxed);  // the table lock, also for what follows
    if (row.kind.load(std::memory_order_relaxed) == SubscriptionKind::group && group < memory.max_groups)
      memory.group(group).next.store(cursor, std::memory_order_relaxed);
    const auto wanted = static_cast<SubscriptionState>(row.wanted.load(std::memory_order_relaxed));  // own word
    const bool overtaken = wanted == SubscriptionState::lossy || wanted == SubscriptionState::limited;
    row.state.store(overtaken ? wanted : SubscriptionState::reliable, std::memory_order_seq_cst);  // J2
    const std::uint64_t oldest = memory.oldest().load(std::memory_order_seq_cst);                  // J3
    if (!before(cursor, oldest)) return true;
    if (beyond_the_end(memory, oldest)) break;
  }
  return row.state.load(std::memory_order_relaxed) !=
         SubscriptionState::reliable;  // publishers lap faster than this joins: who is overtaken counts a gap
}

// The next sequence of a shared topic's publisher: its counter, and what a claim before `next` that is under way will add, which
// is nobody's loss who starts at `next`. The record first: a commit in between is then in the counter (W9, W5). If that claim
// was lost to another publisher, is aborted or committed short, as many losses may go uncounted.
std::uint64_t count_claim(const SegmentMemory& memory, std::uint32_t slot, std::uint64_t next) noexcept {
  const std::uint64_t record = memory.publisher(slot).record.load(std::memory_order_acquire);  // pairs with W3, W5
  const std::uint64_t claimed = memory.publisher(slot).record_extent.load(std::memory_order_relaxed);  // ordered by it
  const std::uint64_t counter = memory.publisher(slot).sequence.load(std::memory_order_acquire) & kSequenceMask;  // W9
  const std::uint64_t position = position_of(record);
  if (record == kNoRecord || !before(position, next)) return counter;
  if (!tagged(memory, position)) return counter + std::max<std::uint64_t>(index_of(claimed), 1);
  const FrameHeader& frame = memory.frame(position);
  const std::uint64_t origin = frame.origin.load(std::memory_order_relaxed);  // ordered by the tag
  const std::uint64_t size = frame.size.load(std::memory_order_relaxed);      // as above
  return publisher_of(origin) == slot && sequence_of(origin) == counter ? counter + messages_of(size, origin) : counter;
}

// The next sequence of each publisher as seen from `next`.
void expect(const SegmentMemory& memory, std::uint64_t next, std::vector<std::uint64_t>& expected) noexcept {
  const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);  // pairs with W6: what is below is counted
  const std::uint32_t used = memory.publishers_used();
  // The counters first, also of rows yet to be owned: whoever publishes from here on is met by the walk, or after it.
  for (std::uint32_t slot = 0; slot < memory.max_publishers; ++slot) {
    expected[slot] = (memory.exclusive ? memory.publisher(slot).sequence.load(std::memory_order_acquire)  // W9
                                       : count_claim(memory, slot, next)) &
                     kSequenceMask;
  }
  if (memory.exclusive)  // committed, but perhaps not counted yet
    walk(memory, tail, [&](std::uint64_t position, std::uint64_t size, std::uint64_t origin) {
      if (!before(position, next)) return false;
      if (publisher_of(origin) < expected.size())
        expected[publisher_of(origin)] = (sequence_of(origin) + messages_of(size, origin)) & kSequenceMask;
      return true;
    });
  std::array<std::uint64_t, kMaxPublishers / 64> met{};
  std::uint32_t to_meet = used;
  walk(memory, frame_start(next), [&](std::uint64_t position, std::uint64_t, std::uint64_t origin) {
    const std::uint32_t publisher = publisher_of(origin);
    if (publisher >= expected.size() || (met[publisher / 64] >> (publisher % 64) & 1) != 0) return true;
    met[publisher / 64] |= 1ULL << (publisher % 64);
    const std::uint64_t done = position == frame_start(next) ? index_of(next) : 0;  // of a packed frame
    expected[publisher] = (sequence_of(origin) + done) & kSequenceMask;
    return publisher >= used || --to_meet > 0;
  });
}

std::uint64_t sum(const std::vector<std::uint64_t>& sequences) noexcept {
  return std::accumulate(sequences.begin(), sequences.end(), std::uint64_t{0});
}

// How many messages were published before a lossy subscription's place, less those it has dealt with, so that its next
// owner can tell what it lost. Exact but for what a killed owner had in its hands. relaxed: own words.
void note_base(const SegmentMemory& memory, std::uint32_t slot, std::uint64_t published) noexcept {
  SubscriptionSlot& row = memory.subscription(slot);
  row.base.store(published - row.received.load(std::memory_order_relaxed) - row.lost.load(std::memory_order_relaxed),
                 std::memory_order_relaxed);
}

}  // namespace

bool join_row(const SegmentMemory& memory, std::uint32_t slot, From from) {
  std::uint64_t cursor = 0;
  std::vector<std::uint64_t> expected(memory.max_publishers);  // before anything is done
  if (!place(memory, slot, from, cursor)) return false;
  if (memory.subscription(slot).state.load(std::memory_order_relaxed) != SubscriptionState::reliable) {  // own word
    expect(memory, cursor, expected);
    note_base(memory, slot, sum(expected));
  }
  return true;
}

bool join(ReaderCore& core, From from) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  std::uint64_t cursor = 0;
  for (int tries = 0; tries < 1000; ++tries) {
    if (core.slot == kNoBlocker ? !choose(memory, from, cursor) : !place(memory, core.slot, from, cursor)) return false;
    core.ring.go_on_at(cursor);
    if (core.in_place) return true;
    set_expectations(core);
    const std::uint64_t oldest = memory.oldest().load(std::memory_order_acquire);  // pairs with S3
    if (!before(cursor, oldest)) return true;
    if (from.place() == From::Place::position) return false;
    if (beyond_the_end(memory, oldest)) break;
  }
  return true;  // overtaken at once, each time: the first receive counts the gap as well as it can
}

void set_expectations(ReaderCore& core) noexcept {
  if (!core.in_place) expect(core.ring.memory(), core.ring.next(), core.attachment->expected);
}

void note_base(ReaderCore& core) noexcept {
  if (!core.in_place && core.slot != kNoBlocker)
    note_base(core.ring.memory(), core.slot, sum(core.attachment->expected));
}

void resume(ReaderCore& core, std::uint64_t cursor) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  SubscriptionSlot& row = memory.subscription(core.slot);
  core.ring.go_on_at(cursor);
  const std::uint64_t told = row.discarded_from.load(std::memory_order_relaxed);   // the table lock
  const std::uint64_t to_tell = row.discarded_to.load(std::memory_order_relaxed);  // as above
  if (to_tell > told) {
    core.lost = core.attachment->lost_away = to_tell - told;
    row.discarded_from.store(to_tell, std::memory_order_relaxed);  // as above
  }
  if (core.in_place) return;
  bool overtaken = false;
  for (int tries = 0; tries < 1000; ++tries) {
    set_expectations(core);
    const std::uint64_t oldest = memory.oldest().load(std::memory_order_acquire);  // pairs with S3
    if (!before(core.ring.next(), oldest)) break;
    core.ring.go_on_at(oldest);
    overtaken = true;
  }
  const std::uint64_t base = row.base.load(std::memory_order_relaxed);  // own words from here on
  if (overtaken && base != kUnknown) {
    const std::uint64_t missing = sum(core.attachment->expected) - base - row.received.load(std::memory_order_relaxed) -
                                  row.lost.load(std::memory_order_relaxed);
    if (missing <= kSequenceMask / 2) {
      core.attachment->lost_away += missing;
      core.lost += missing;
      row.lost.store(row.lost.load(std::memory_order_relaxed) + missing, std::memory_order_relaxed);
    }
  }
  note_base(core);
}

Status seek(ReaderCore& core, From from) noexcept {
  if (core.forked()) return Code::forked;
  if (core.views_begin != core.views_end || core.views_allowed == 0) return Code::busy;
  if (!core.attachment->topic_stands_now()) return Code::topic_gone;
  const SegmentMemory& memory = core.ring.memory();
  const std::uint64_t before_it = core.ring.next();
  if (from.place() == From::Place::position && !starts_a_message(memory, from.position()))
    return Code::invalid_argument;
  const bool found = join(core, from);
  if (!found) {  // the place was overwritten just now: stay where we were, or at the oldest after that
    join(core, starts_a_message(memory, before_it) ? From::at(before_it) : From::oldest);
  }
  core.attachment->gap = false;
  note_base(core);
  if (core.slot != kNoBlocker) {
    SegmentMemory::full_fence();  // pairs with the waiter's announce (B3)
    if (anyone_waiting(memory)) wake_waiting(memory, core.slot, core.ring.next());
  }
  return found ? Status() : Status(Code::invalid_argument);
}

}  // namespace ringway::detail

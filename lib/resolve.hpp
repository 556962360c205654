// A frame below tail without a tag: whose it is, and if its publisher is dead, where it ends.
//
// Subscribers and observers, who cannot write the data file, skip the frame by this rule; publishers write it down as an
// aborted one. Both come to the same end, because tail takes only true frame ends. Say E is the end that a dead candidate
// wrote down. If the true end is larger, E lies inside the frame: tail never was E, nobody recorded E, no tag is there.
// If E is the true end, tail stands there, or the next claimer recorded E before it moved tail on, and that record stays
// until the tag at E is stored. So evidence moves from tail to a record to a tag, and a look in that order cannot miss it.
//
// Thread safety: pure reads. Progress: bounded by the table and kTries. Crash: nothing is left behind.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ringway/detail/ring.hpp"

namespace ringway::detail {

enum class Verdict : std::uint8_t {
  changed,   // it is tagged or passed by now, or below no tail: look at it again
  open,      // a live publisher's: it will commit or withdraw
  resolved,  // a dead publisher's: it ends at `end`
  corrupt,   // nobody's: some word of the data file cannot be true
};

struct Ruling {
  Verdict verdict = Verdict::corrupt;
  std::uint32_t slot = kNoBlocker;  // whose; open: of one that may own it
  std::uint64_t end = 0;
};

// The dead ones whose records stand at a frame, and what they say.
struct DeadCandidates {
  struct One {
    std::uint32_t slot;
    std::uint64_t end;
  };
  std::array<One, kMaxPublishers> all;
  std::size_t count = 0;

  // The one with the smallest end above `above`; null: none.
  [[nodiscard]] const One* next(std::uint64_t above) const noexcept {
    const One* smallest = nullptr;
    for (std::size_t i = 0; i < count; ++i)
      if (before(above, all[i].end) && (smallest == nullptr || before(all[i].end, smallest->end))) smallest = &all[i];
    return smallest;
  }
};

// Did a claim end, and the next one begin, at `end`? The order of the three looks matters, see above.
template <class Memory>
bool is_frame_end(const Memory& memory, std::uint64_t end) noexcept {
  if (memory.tail().load(std::memory_order_acquire) == end) return true;  // D4: pairs with W2
  const std::uint32_t used = memory.publishers_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    const std::uint64_t record =
        memory.publisher(slot).record.load(std::memory_order_acquire);  // D5: pairs with W1, W5
    if (record != kNoRecord && position_of(record) == end) return true;
  }
  return tagged(memory, end);
}

// Has the frame been committed, resolved or passed since? acquire fence: pairs with S5, so that whoever has read a later
// lap's bytes in place of the tag sees that oldest has passed.
template <class Memory>
bool tagged_or_passed(const Memory& memory, std::uint64_t position) noexcept {
  if (tagged(memory, position)) return true;
  Memory::acquire_fence();
  return before(position, memory.oldest().load(std::memory_order_acquire));  // pairs with S3
}

// One look. Nothing: it was not conclusive, try again.
template <class Memory, class IsDead>
Ruling look_at_claim(const Memory& memory, std::uint64_t position, IsDead& is_dead, bool& conclusive) noexcept {
  conclusive = true;
  if (!before(position, memory.tail().load(std::memory_order_acquire))) return {Verdict::changed};  // D1: pairs with W2
  DeadCandidates dead;
  std::uint32_t open = kNoBlocker;
  const std::uint32_t used = memory.exclusive ? 0 : memory.publishers_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    auto& row = memory.publisher(slot);
    std::uint64_t record = row.record.load(std::memory_order_acquire);  // D2: pairs with W1, W3, W5
    if (record == kNoRecord || position_of(record) != position) continue;
    if (!is_dead(slot)) {
      open = slot;
      continue;
    }
    record = row.record.load(std::memory_order_acquire);  // D3: what it says after the death counts; pairs with W1, W3
    if (record == kNoRecord || position_of(record) != position) {
      conclusive = false;
      return {};
    }
    const std::uint64_t extent = frame_start(row.record_extent.load(std::memory_order_relaxed));  // ordered by D3
    if (extent == 0 || extent > memory.max_extent) continue;                                      // no claim of ours
    const std::uint64_t end = position + extent;
    if ((record & kRecordWon) != 0)
      return tagged_or_passed(memory, position) ? Ruling{Verdict::changed} : Ruling{Verdict::resolved, slot, end};
    dead.all[dead.count++] = {slot, end};
  }
  Ruling ruling;
  if (open != kNoBlocker) {
    ruling = {Verdict::open, open};
  } else {
    const DeadCandidates::One* one = dead.next(position);
    conclusive = one == nullptr;  // candidates without evidence: the evidence was on its way
    for (; one != nullptr && !conclusive; one = dead.next(one->end))
      if (is_frame_end(memory, one->end)) {
        ruling = {Verdict::resolved, one->slot, one->end};
        conclusive = true;
      }
  }
  // What was found at the frame since then goes before all.
  return tagged_or_passed(memory, position) ? Ruling{Verdict::changed} : ruling;
}

// The rule. `is_dead(slot)` asks the kernel; alive if in doubt.
template <class Memory, class IsDead>
Ruling judge(const Memory& memory, std::uint64_t position, IsDead is_dead) noexcept {
  constexpr int kTries = 64;
  Ruling ruling;
  for (int tries = 0; tries < kTries; ++tries) {
    bool conclusive = false;
    ruling = look_at_claim(memory, position, is_dead, conclusive);
    if (conclusive || ruling.verdict == Verdict::changed) return ruling;
  }
  return ruling;  // corrupt
}

}  // namespace ringway::detail

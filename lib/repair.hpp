// What a death leaves, and how it is set right: a function per half-state.
//
// Thread safety: REQUIRES the table lock of the file that the slot is in, and a proven "dead" or a slot of one's own.
// Progress: bounded. Crash: each can be killed anywhere and done again, to the same end.
#pragma once

#include <cstdint>

#include "liveness.hpp"
#include "resolve.hpp"
#include "ringway/detail/slots.hpp"
#include "segment.hpp"

namespace ringway::detail {

// Owned, and not by a dead one. relaxed: the table lock, or display only.
inline std::uint64_t member_byte(std::uint32_t group, std::uint32_t member) {
  return kMemberBytes + std::uint64_t{group} * kMaxMembers + member;
}
inline bool member_lives(const SegmentMemory& memory, Prober& prober, std::uint32_t group, std::uint32_t member) {
  return memory.member(group, member).owned.load(std::memory_order_relaxed) == 1 &&
         prober.probe(member_byte(group, member)) != Prober::Answer::dead;
}

// Frees an ephemeral subscription's row, and wakes the publishers that wait for it.
void free_subscription(const SegmentMemory& memory, std::uint32_t slot) noexcept;

// The same for a dead owner's, with the lock taken here, if it can be had at once. True: it holds nobody back any more.
bool free_dead_ephemeral(const Segment& segment, Prober& subscribers, std::uint32_t slot) noexcept;

// Takes away a subscription whose cursor cannot be true: further behind tail than the ring is long, or beyond the messages of
// its frame, in two looks at an unchanged row. The lock is taken here, if it can be had at once. True: it holds nobody back any more; its owner is told
// `evicted`.
bool evict_impossible(const Segment& segment, std::uint32_t slot) noexcept;

// Clears a dead publisher's record if it counts for nobody: none, never claimed, committed, resolved or passed. False: its
// frame is unresolved, and its slot cannot be reused.
bool settle_record(const SegmentMemory& memory, std::uint32_t slot) noexcept;

// A frame below tail: if it has no tag and its publisher is dead, it becomes padding; then the records of all who died there
// are settled. Tells what it was.
Ruling resolve_frame(const SegmentMemory& memory, std::uint64_t position, Prober& publishers) noexcept;

// The same with the lock taken here, if it can be had at once; else nothing is done (open).
Ruling resolve_dead_claim(const Segment& segment, Prober& publishers, std::uint64_t position) noexcept;

// Where an exclusive publisher goes on: the end of the walk over valid tags, with the counters, the marks and tail set
// right.
std::uint64_t settle_exclusive(const SegmentMemory& memory) noexcept;

}  // namespace ringway::detail

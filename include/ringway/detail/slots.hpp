// An attached topic's addresses and private geometry, and what its tables say: the control-path reads.
//
// Memory is the one policy of the data path: it supplies the atomics, the storage and the fences. SegmentMemory is
// what ships; the model supplies its own with the same members.
//
// Thread safety: SegmentMemory is immutable after attach; the words it names are atomics. Progress: every loop is
// bounded by the geometry copied at attach. Crash: reads only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ringway/detail/layout.hpp"

namespace ringway::detail {

// a < b on positions: true distances are below 2^63, so this also holds at any start.
constexpr bool before(std::uint64_t a, std::uint64_t b) { return static_cast<std::int64_t>(a - b) < 0; }

// How much of the ring a cursor holds.
constexpr std::uint64_t lag(std::uint64_t cursor, std::uint64_t tail) {
  return before(cursor, tail) ? tail - frame_start(cursor) : 0;
}

struct SegmentMemory {
  // Geometry, copied and checked at attach; nothing below is read from the segment again.
  std::uint64_t capacity = 0;
  std::uint64_t epoch = 0;
  std::uint64_t max_extent = 0;  // bytes of the largest frame
  std::uint32_t payload_offset = 0;
  std::uint32_t payload_alignment = 1;
  std::uint32_t eighth_shift = 0;  // position >> eighth_shift numbers the eighths
  std::uint32_t max_publishers = 0;
  std::uint32_t max_subscriptions = 0;
  std::uint32_t max_groups = 0;
  std::uint32_t max_members = 0;    // a group
  std::uint32_t max_in_flight = 0;  // a group
  bool exclusive = false;
  bool stamped = false;
  // Addresses in this process.
  std::byte* ring = nullptr;  // mapped twice, back to back
  TailLine* tail_line = nullptr;
  OldestLine* oldest_line = nullptr;
  LapMarks* marks = nullptr;
  PublisherSlot* publishers = nullptr;
  ControlHeader* control = nullptr;
  std::atomic<std::uint64_t>* parked = nullptr;
  std::atomic<std::uint64_t>* waiting = nullptr;
  WaitingLine* waiting_lines = nullptr;
  SubscriptionSlot* subscriptions = nullptr;
  std::byte* groups = nullptr;
  std::uint64_t group_bytes = 0;

  [[nodiscard]] std::atomic<std::uint64_t>& bias() const { return control->bias; }
  [[nodiscard]] std::atomic<std::uint64_t>& tail() const { return tail_line->tail; }
  [[nodiscard]] std::atomic<std::uint64_t>& oldest() const { return oldest_line->oldest; }
  [[nodiscard]] std::atomic<std::uint64_t>& mark(std::uint64_t eighth) const { return marks->mark[eighth % kEighths]; }
  [[nodiscard]] PublisherSlot& publisher(std::uint32_t slot) const { return publishers[slot]; }
  [[nodiscard]] SubscriptionSlot& subscription(std::uint32_t slot) const { return subscriptions[slot]; }
  [[nodiscard]] GroupHeader& group(std::uint32_t index) const {
    return *reinterpret_cast<GroupHeader*>(groups + index * group_bytes);
  }
  [[nodiscard]] MemberSlot& member(std::uint32_t group, std::uint32_t slot) const {
    return reinterpret_cast<MemberSlot*>(groups + group * group_bytes + sizeof(GroupHeader))[slot];
  }
  [[nodiscard]] InFlightEntry& entry(std::uint32_t group, std::uint32_t index) const {
    return reinterpret_cast<InFlightEntry*>(groups + group * group_bytes + sizeof(GroupHeader) +
                                            max_members * sizeof(MemberSlot))[index];
  }
  // The parked bits of a group's members: behind those of the subscriptions.
  [[nodiscard]] std::atomic<std::uint64_t>* member_bits(std::uint32_t group) const {
    return parked + bit_words(max_subscriptions) + group * bit_words(max_members);
  }
  [[nodiscard]] WaitingLine& waiting_line(std::uint32_t publisher) const { return waiting_lines[publisher]; }
  // Low bits, which only a faulty process can have set, are taken off: no header is ever read unaligned.
  [[nodiscard]] std::byte* bytes_at(std::uint64_t position) const { return ring + (position & (capacity - kLine)); }
  [[nodiscard]] FrameHeader& frame(std::uint64_t position) const {
    return *reinterpret_cast<FrameHeader*>(bytes_at(position));
  }
  // How many rows to look at. seq_cst N1: pairs with the store under the table lock, which precedes `joining` (J1).
  [[nodiscard]] std::uint32_t subscriptions_used() const {
    return std::min(control->subscriptions_used.load(std::memory_order_seq_cst), max_subscriptions);
  }
  // acquire N2: pairs with the store under the table lock, which precedes the row's first record.
  [[nodiscard]] std::uint32_t publishers_used() const {
    return std::min(tail_line->publishers_used.load(std::memory_order_acquire), max_publishers);
  }

#if defined(__SANITIZE_THREAD__)
#define RINGWAY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RINGWAY_TSAN 1
#endif
#endif
#ifdef RINGWAY_TSAN
  // TSan does not know fences: a read-modify-write that both sides make orders them in the machine and for TSan.
  // Whoever is overtaken, a lossy reader or a publisher that walks, may find a later lap's payload in place of a header,
  // and then finds that out: `oldest` has passed the place, so the reader sees a gap and the publisher's CAS (S3) fails.
  // TSan is not asked.
  __attribute__((no_sanitize("thread"), noinline)) static std::uint64_t peek(const std::atomic<std::uint64_t>& word) {
    return *reinterpret_cast<const volatile std::uint64_t*>(&word);
  }
  // A tag that was peeked at, and whose frame cannot be overtaken any more.
  static void see(const std::atomic<std::uint64_t>& tag) { static_cast<void>(tag.load(std::memory_order_acquire)); }
  static void full_fence() {
    static std::atomic<std::uint32_t> fence{0};
    fence.fetch_add(1, std::memory_order_seq_cst);
  }
  static void acquire_fence() { full_fence(); }
  static void release_fence() { full_fence(); }
#else
  // acquire: at a tag it pairs with W4; elsewhere it costs nothing more.
  static std::uint64_t peek(const std::atomic<std::uint64_t>& word) { return word.load(std::memory_order_acquire); }
  static void see(const std::atomic<std::uint64_t>&) {}
  static void full_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
  static void acquire_fence() { std::atomic_thread_fence(std::memory_order_acquire); }
  static void release_fence() { std::atomic_thread_fence(std::memory_order_release); }
#endif
  // Keeps the compiler from moving accesses across; the machine is held by a heavy fence of whoever pairs with it.
  static void commit_fence() { std::atomic_signal_fence(std::memory_order_seq_cst); }
  // Makes every running thread of every process that publishes pass a full fence: one of this thread before, one after.
  // False: the kernel refuses. In wait.hpp.
  static bool heavy_fence() noexcept;
  static constexpr std::uint32_t kQuietCommits = 4096;  // a heavy fence costs some us, spread over as many commits

  // Copies bytes that may be overwritten meanwhile, in 8-byte loads of its own, so that TSan can leave it out; the caller
  // checks afterwards whether the copy is good.
  __attribute__((no_sanitize("thread"), noinline)) static void racy_copy(std::byte* to, const std::byte* from,
                                                                         std::uint64_t bytes) noexcept {
    for (std::uint64_t at = 0; at < bytes; at += 8) {
      const std::uint64_t word = *reinterpret_cast<const volatile std::uint64_t*>(from + at);
      *reinterpret_cast<volatile std::uint64_t*>(to + at) = word;
    }
  }
  // Ends the loads before it, so that a spinning reader asks for a line once, and leaves its writer the time to fill it.
  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
  }
};

// The subscription that publishers wait for first.
struct SlowestCursor {
  bool any = false;
  std::uint32_t slot = 0;
  std::uint64_t position = 0;  // low six bits off
};

// The smallest cursor of the active reliable subscriptions, judged from `reference` (any position within half the
// number space). seq_cst S4: pairs with the subscriber's `active` (J2): either this scan sees the cursor, or the
// joiner's later load of `oldest` (J3) sees what this publisher's limit was made from.
template <class Memory>
SlowestCursor slowest_cursor(const Memory& memory) noexcept {
  SlowestCursor slowest;
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    auto& row = memory.subscription(slot);
    if (row.state.load(std::memory_order_seq_cst) != SubscriptionState::reliable) continue;
    const std::uint64_t cursor = frame_start(row.cursor.load(std::memory_order_seq_cst));
    if (!slowest.any || before(cursor, slowest.position)) slowest = {true, slot, cursor};
  }
  return slowest;
}

// The first position that is kept for limited subscriptions: each one's cursor, but not more than its lag limit (half the
// ring at most) below `tail`. A frame starts within the largest extent below it or at it.
template <class Memory>
std::uint64_t lowest_kept(const Memory& memory, std::uint64_t tail) noexcept {
  std::uint64_t lowest = tail;
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    auto& row = memory.subscription(slot);
    // acquire L1: pairs with J2, so that cursor and limit are there. Whoever joins later counts a gap.
    if (row.state.load(std::memory_order_acquire) != SubscriptionState::limited) continue;
    const std::uint64_t limit = std::min(row.max_lag_bytes.load(std::memory_order_relaxed), memory.capacity / 2);
    const std::uint64_t floor = tail - align_up(limit, kLine);
    const std::uint64_t cursor = frame_start(row.cursor.load(std::memory_order_relaxed));  // stale: more is kept
    const std::uint64_t kept = before(floor, cursor) ? cursor : floor;
    if (before(kept, lowest)) lowest = kept;
  }
  return lowest;
}

// True if the frame that starts at `position` is committed. acquire G1: pairs with the tag's release (W4), so that header and
// payload are there.
template <class Memory>
bool tagged(const Memory& memory, std::uint64_t position) noexcept {
  return Memory::peek(memory.frame(position).tag) == (position ^ memory.epoch);
}

// Follows valid tags from a frame start and gives the first untagged position, at most one capacity further; `visit`
// is called with the position and header words of each frame and may return false to stop there. An extent that cannot
// be true ends the walk. Where `oldest` can pass the place meanwhile, the result counts only if it has not.
template <class Memory, class Visit>
std::uint64_t walk(const Memory& memory, std::uint64_t from, Visit visit) noexcept {
  std::uint64_t position = from;
  while (position - from < memory.capacity && tagged(memory, position)) {
    auto& frame = memory.frame(position);
    const std::uint64_t size = Memory::peek(frame.size);
    const std::uint64_t origin = Memory::peek(frame.origin);
    const std::uint64_t extent = extent_of(size);
    if (extent == 0 || extent > memory.max_extent || !visit(position, size, origin)) break;
    position += extent;
  }
  return position;
}

// True unless the low bits of `position`, which is not beyond the tail, count further than the frame there has messages.
// Where `oldest` can pass the place meanwhile, the answer counts only if it has not.
template <class Memory>
bool holds(const Memory& memory, std::uint64_t position) noexcept {
  if (index_of(position) == 0) return true;
  const std::uint64_t start = frame_start(position);
  if (!tagged(memory, start)) return false;
  auto& frame = memory.frame(start);
  return kind_of(Memory::peek(frame.size)) == FrameKind::packed &&
         index_of(position) < count_of(Memory::peek(frame.origin));
}

// Where the next frame will start, as far as can be seen: `tail`, and on an exclusive topic the walk beyond it.
template <class Memory>
std::uint64_t visible_tail(const Memory& memory) noexcept {
  // acquire G2: pairs with the claim's CAS (W2) and the exclusive publisher's store (W6).
  const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);
  if (!memory.exclusive) return tail;
  return walk(memory, tail, [](std::uint64_t, std::uint64_t, std::uint64_t) { return true; });
}

}  // namespace ringway::detail

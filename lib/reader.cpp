// Reading off the data path: gaps, counting, waiting.
#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "attachment.hpp"
#include "resolve.hpp"
#include "uncancelled.hpp"

namespace ringway::detail {
namespace {

constexpr std::uint32_t kLookAfter = 64;  // tries that meet the same untagged frame before its claimer is looked at
constexpr std::uint32_t kSpinsPerLook = 1024;
constexpr std::uint32_t kSpinsPerFence = 64;  // a message that comes sooner is not held up by a fence
constexpr std::uint32_t kEagerSpins = 1000;
constexpr std::int32_t kPausesForDistance = 64;    // kStreak messages of one that publishes as fast as it can
constexpr std::int32_t kStreakAfterNone = -1024;   // messages to the next try, after one that took all those pauses
constexpr std::uint64_t kLargestKept = 4 * kLine;  // of larger frames the header's line counts for little

Code fail(ReaderCore& core, Code code) noexcept {
  core.code = code;
  return code;
}

Code corrupt(ReaderCore& core, const char* where, std::uint64_t value, std::uint64_t limit) noexcept {
  return fail(core, corrupt_word(core.cause, where, value, limit));
}

// Aborted frames in front of the cursor are let go when no view is held.
void pass_padding(ReaderCore& core) noexcept {
  if (core.slot == kNoBlocker || core.views_begin != core.views_end || core.views_allowed == 0) return;
  const std::uint64_t next = core.ring.next();
  if (core.ring.memory().subscription(core.slot).cursor.load(std::memory_order_relaxed) != next)  // own word
    move_cursor(core, next, 0);
}

void add_lost(ReaderCore& core, std::uint64_t missing) noexcept {
  core.lost += missing;
  if (missing == 0 || core.slot == kNoBlocker) return;
  auto& lost = core.ring.memory().subscription(core.slot).lost;  // own word
  lost.store(lost.load(std::memory_order_relaxed) + missing, std::memory_order_relaxed);
}

// Counts the message found in the subscription's histogram. Its own words, by one reader: relaxed, for display.
void record_latency(const ReaderCore& core) noexcept {
  auto& count = latency_count(core.ring.memory(), core.slot, core.copied.stamp);
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// What every message that is not found directly is counted in.
void arrive(ReaderCore& core) noexcept {
  if (!core.in_place) account(core);
  if (core.attachment->timed) record_latency(core);
}

// ok: as find_slowly; would_block: nothing there; corrupt.
Code look_once(ReaderCore& core) noexcept {
  Found& found = core.copied;
  ReaderAttachment& attachment = *core.attachment;
  for (int gaps = 0; gaps < 64; ++gaps) {
    const Look look = core.in_place ? core.ring.look(found) : core.ring.copy(found, attachment.buffer.get());
    switch (look) {
      case Look::message:
        if (core.direct)
          core.ring.go_on_at(found.position);
        else
          arrive(core);
        return fail(core, Code::ok);
      case Look::corrupt:
        return corrupt(core, "data file: size, extent and kind of a frame", found.size, core.ring.memory().max_extent);
      case Look::gap:
        core.ring.go_on_at(core.ring.memory().oldest().load(std::memory_order_acquire));  // pairs with S3
        attachment.gap = true;
        break;
      case Look::nothing:
        if (core.evicted()) {
          core.cause = {};
          return fail(core, Code::evicted);
        }
        pass_padding(core);
        if (attachment.gap) account_idle(core);
        return Code::would_block;
    }
  }
  return Code::would_block;  // publishers overtake faster than this reader reads
}

bool something(const ReaderCore& core) noexcept {
  const std::uint64_t next = core.ring.next();
  return tagged(core.ring.memory(), frame_start(next)) ||
         (!core.in_place &&
          before(next, core.ring.memory().oldest().load(std::memory_order_acquire)));  // pairs with S3
}

// The frame at the cursor, if it is below tail and has no tag: a dead publisher's is passed (ok: look again); a live one's is
// named, and whether it lives (would_block); corrupt.
Code look_at_claimer(ReaderCore& core) noexcept {
  std::uint64_t end = core.ring.next();
  const Code code = look_at_claimer(*core.attachment, frame_start(core.ring.next()), core.cause, end);
  if (code == Code::corrupt) return fail(core, code);
  if (code == Code::ok) core.ring.go_on_at(end);
  return code;
}

// After many tries at the same frame in a row its claimer is looked at.
Code count_stuck(ReaderCore& core) noexcept {
  ReaderAttachment& attachment = *core.attachment;
  if (attachment.stuck_at != core.ring.next()) {
    attachment.stuck_at = core.ring.next();
    attachment.stuck = 0;
    core.cause = {};
  }
  return ++attachment.stuck % kLookAfter == 0 ? look_at_claimer(core) : Code::would_block;
}

void observer_nap(ReaderCore& core, std::int64_t until) noexcept {
  ReaderAttachment& attachment = *core.attachment;
  const std::int64_t nap = std::min(attachment.nap_ns, until - monotonic_ns());
  attachment.nap_ns = std::min<std::int64_t>(attachment.nap_ns * 2, 10'000'000);
  if (nap <= 0) return;
  const Uncancelled to_the_end;
  const int saved = errno;
  const timespec time{nap / 1'000'000'000, nap % 1'000'000'000};
  ::nanosleep(&time, nullptr);
  errno = saved;
}

void sleep_for_message(ReaderCore& core, std::int64_t until) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  const Bed bed = parked_bed(memory, core.slot);
  const std::uint32_t seen = bed.announce(memory, Waker::commit);
  const bool woken = something(core) || futex_wait(*bed.doorbell, seen, until);
  bed.leave();
  if (woken || !something(core)) return;
  auto& backstops = memory.subscription(core.slot).backstops;  // own word, display only
  backstops.store(backstops.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Between two of the first looks. Where a look takes the line away from a writer in the middle of it (Intel hands a changed
// line over whole), a pause; elsewhere a pause would cost half as much as a line's way. bench/NOTES.md has the figures.
void between_looks() noexcept {
#if defined(__x86_64__)
  static const bool pauses = __builtin_cpu_is("intel") != 0;
  if (!pauses) {
    asm volatile("lfence" : : : "memory");  // no look before the last has ended
    return;
  }
#endif
  SegmentMemory::pause();
}

// Wakes the publishers that wait for this subscription and did not see its last release.
void wake_held_back(const ReaderCore& core) noexcept {
  if (core.slot == kNoBlocker) return;
  const SegmentMemory& memory = core.ring.memory();
  SegmentMemory::full_fence();  // R5: between the cursor's store and this look; pairs with the waiter's announce (B3)
  if (anyone_waiting(memory))
    wake_waiting(memory, core.slot,
                 memory.subscription(core.slot).cursor.load(std::memory_order_relaxed));  // own word
}

// One wait: a spin (the first time, or if that is the strategy), then a sleep of at most a backstop. ok: look again.
Code wait_for_message(ReaderCore& core, std::int64_t deadline, bool first) noexcept {
  ReaderAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  const std::uint32_t all = first || attachment.wait == Wait::spin ? spins(attachment.wait) : 0;
  for (std::uint32_t spin = 1; spin <= all; ++spin) {
    __builtin_prefetch(memory.bytes_at(core.ring.next() + kLine));  // most frames' second line: both come at once
    if (something(core)) return Code::ok;
    if (spin < kEagerSpins)
      between_looks();
    else
      SegmentMemory::pause();
    if (spin == kSpinsPerFence) wake_held_back(core);
    if (spin % kSpinsPerLook != 0) continue;  // not at the first: tail's line is the publishers'
    const Code claimer = look_at_claimer(core);
    if (claimer != Code::would_block) return claimer;
    if (attachment.bus->interrupted() || monotonic_ns() >= deadline) break;
  }
  wake_held_back(core);
  const std::int64_t now = monotonic_ns();
  if (something(core)) return Code::ok;
  if (attachment.bus->interrupted()) return Code::interrupted;
  const Code claimer = look_at_claimer(core);
  if (claimer != Code::would_block) return claimer;
  if (now >= deadline) return Code::timeout;
  if (!attachment.topic_stands(now)) return something(core) ? Code::ok : Code::topic_gone;
  const std::int64_t until = std::min(deadline, now + longest_sleep(attachment.wait));
  if (core.slot == kNoBlocker)
    observer_nap(core, until);
  else
    sleep_for_message(core, until);
  return Code::ok;
}

}  // namespace

Code corrupt_word(Cause& cause, const char* where, std::uint64_t value, std::uint64_t limit) noexcept {
  cause = {};
  cause.about = Cause::About::word;
  std::strncpy(cause.name, where, sizeof cause.name - 1);
  cause.value = value;
  cause.limit = limit;
  return Code::corrupt;
}

Code look_at_claimer(Attachment& attachment, std::uint64_t position, Cause& cause, std::uint64_t& end) noexcept {
  const SegmentMemory& memory = attachment.segment->memory();
  cause = {};
  if (!before(position, memory.tail().load(std::memory_order_acquire))) return Code::would_block;  // pairs with W2
  const Ruling ruling = judge(memory, position, [&](std::uint32_t slot) {
    return attachment.publishers.probe(kSlotBytes + slot) == Prober::Answer::dead;
  });
  switch (ruling.verdict) {
    case Verdict::changed: break;
    case Verdict::resolved: end = ruling.end; return Code::ok;
    case Verdict::corrupt:
      return corrupt_word(cause, "data file: the tag of a frame below tail",
                          memory.frame(position).tag.load(std::memory_order_relaxed) ^ memory.epoch,  // display only
                          position);
    case Verdict::open:
      const PublisherSlot& row = memory.publisher(ruling.slot);
      cause.about = Cause::About::open_claim;
      cause.owned = true;
      cause.slot = ruling.slot;
      cause.pid = static_cast<std::int32_t>(row.pid.load(std::memory_order_relaxed));  // display only
      cause.value = position;
      for (std::size_t word = 0; word < kNameWords; ++word) {
        const std::uint64_t value = row.name[word].load(std::memory_order_relaxed);  // display only
        std::memcpy(cause.name + word * 8, &value, 8);
      }
  }
  return Code::would_block;
}

void keep_distance(ReaderCore& core) noexcept {
  core.streak = 0;
  const std::uint64_t next = core.ring.next();
  const std::uint64_t extent = core.ring.last_extent();
  if (!core.direct || next % kLine != 0 || extent % kLine != 0 || extent > kLargestKept) return;
  const SegmentMemory& memory = core.ring.memory();
  if (!tagged(memory, next + extent)) return;  // one by one, and each before it is asked for: no run
  // If all frames are as long as the last, a frame starts there. If not, that word, whatever it is, costs some pauses.
  const std::uint64_t ahead = next + kStreak * extent;
  for (std::int32_t i = 0; i < kPausesForDistance; ++i) {
    if (tagged(memory, ahead)) return;
    SegmentMemory::pause();
  }
  core.streak = kStreakAfterNone;
}

Code find_slowly(ReaderCore& core, std::int64_t timeout) noexcept {
  if (core.forked()) {
    core.cause = {};
    return fail(core, Code::forked);
  }
  if (core.stopped(timeout)) {
    core.cause = {};
    return fail(core, Code::interrupted);
  }
  if (core.views_end - core.views_begin >= core.views_allowed) {
    core.cause = {};
    return fail(core, Code::busy);
  }
  std::int64_t deadline = -1;
  bool first = true;
  for (;;) {
    const Code looked = look_once(core);
    if (looked != Code::ok) core.streak = std::min(core.streak, 0);
    if (looked != Code::would_block) {
      core.attachment->nap_ns = 50'000;
      return looked;
    }
    if (timeout == 0) {
      const Code claimer = count_stuck(core);
      if (claimer == Code::ok) continue;
      if (claimer == Code::corrupt) return claimer;
      if (core.attachment->topic_stands(coarse_ns())) return fail(core, Code::would_block);
      core.cause = {};
      return fail(core, Code::topic_gone);
    }
    if (deadline < 0) {
      deadline = deadline_after(timeout);
      core.cause = {};
    }
    const Code waited = wait_for_message(core, deadline, first);
    first = false;
    if (waited != Code::ok) return fail(core, waited);
    if (core.direct && core.ring.here()) return fail(core, Code::ok);
  }
}

void put_back(ReaderCore& core, const Found& found) noexcept {
  core.ring.go_on_at(found.position);
  if (core.in_place) return;
  const std::uint32_t publisher = publisher_of(found.origin);
  std::vector<std::uint64_t>& expected = core.attachment->expected;
  if (publisher < expected.size()) expected[publisher] = sequence_of(found.origin);  // it may be overtaken yet
}

void wake_publishers(const ReaderCore& core, std::uint64_t cursor) noexcept {
  wake_waiting(core.ring.memory(), core.slot, cursor);
}

Status refuse_length(ReaderCore& core, std::uint64_t length, std::uint64_t expected) noexcept {
  return {corrupt(core, "data file: length of a typed message", length, expected), core.cause};
}

void account(ReaderCore& core) noexcept {
  const std::uint32_t publisher = publisher_of(core.copied.origin);
  core.lost_before = std::exchange(core.attachment->lost_away, 0);
  if (publisher >= core.attachment->expected.size()) return;  // a faulty header: nothing to count by
  std::uint64_t& expected = core.attachment->expected[publisher];
  const std::uint64_t sequence = sequence_of(core.copied.origin);
  if (expected != kUnknown) {
    const std::uint64_t missing = (sequence - expected) & kSequenceMask;
    if (missing <= kSequenceMask / 2) {
      core.lost_before += missing;
      add_lost(core, missing);
    }
  }
  expected = (sequence + 1) & kSequenceMask;
}

void account_idle(ReaderCore& core) noexcept {
  ReaderAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  // acquire: pairs with W2 and W6, so that the counters of all that lies below are there.
  const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);
  if (tail != core.ring.next()) return;
  const std::uint32_t used = memory.publishers_used();
  std::vector<std::uint64_t>& expected = attachment.expected;
  std::uint64_t missing = 0;
  for (std::uint32_t slot = 0; slot < used && slot < expected.size(); ++slot) {
    const std::uint64_t counter = memory.publisher(slot).sequence.load(std::memory_order_acquire) & kSequenceMask;
    // acquire, W9: keeps the second look behind it; tail as before, and no tag there: nothing new was counted.
    if (memory.tail().load(std::memory_order_acquire) != tail || tagged(memory, tail)) return;
    if (expected[slot] == kUnknown) continue;
    const std::uint64_t behind = (counter - expected[slot]) & kSequenceMask;
    if (behind > kSequenceMask / 2) continue;
    missing += behind;
    expected[slot] = counter;
  }
  attachment.gap = false;
  add_lost(core, missing);
}

}  // namespace ringway::detail

namespace ringway {

std::uint64_t Subscriber::lag_bytes() const noexcept {
  if (core_ == nullptr) return 0;
  const detail::SegmentMemory& memory = core_->ring.memory();
  const std::uint64_t tail = detail::visible_tail(memory);
  return detail::lag(memory.subscription(core_->slot).cursor.load(std::memory_order_relaxed), tail);  // own word
}

}  // namespace ringway

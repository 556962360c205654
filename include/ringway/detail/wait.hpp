// Sleeping and waking: parked bits, waiting bits, doorbells, futexes.
//
// The order on the sleeper's side is doorbell - bit - fence - look - sleep; on the waker's side it is change - fence -
// bits - clear - doorbell - wake. So either the sleeper's look sees the change, or the waker sees the bit; and a bell
// that rings between the doorbell's load and the sleep makes the kernel return at once.
//
// Commits are many and sleeps are few, so a commit does not pay for its fence: it fences and looks only while the bias word is
// armed. Whoever goes to sleep arms it after its bit, and makes all publishers pass a barrier (membarrier) unless it finds
// the word ready, which says that somebody did so since it was armed. A commit that still found it unarmed came before that
// barrier, so its tag is seen by the look that follows. A publisher that has found nobody for kQuietCommits commits
// disarms: it loads the word, looks at all bits, and replaces the word if nobody has gone to sleep since (each adds a park,
// so the word differs). `ready` is stored only within the generation, the count of disarmings, that it was earned in.
//
// Thread safety: any number of wakers, one sleeper per bit. Progress: waking is wait-free but for the system call;
// sleeping ends at its deadline at the latest. Crash: a waker that dies between clearing a bit and ringing leaves its
// sleeper asleep until the backstop; a sleeper that dies leaves a bit that the next wake clears.
#pragma once

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>
#include <limits>

#include "ringway/detail/slots.hpp"

namespace ringway::detail {

inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kBackstop = 50'000'000;  // ns: the longest sleep without a look

inline std::int64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The same, some milliseconds behind, for a few ns: to tell how long ago something was looked at.
inline std::int64_t coarse_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A wait of `timeout` ns from now as a point in time; saturates.
inline std::int64_t deadline_after(std::int64_t timeout) noexcept {
  if (timeout <= 0) return 0;
  const std::int64_t now = monotonic_ns();
  return timeout > kForever - now ? kForever : now + timeout;
}

// Sleeps while *word == expected, until woken or the deadline (CLOCK_MONOTONIC ns); goes on after signals. Keeps errno.
// False: the deadline passed.
inline bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) noexcept {
  const int saved = errno;
  timespec until{deadline / 1'000'000'000, deadline % 1'000'000'000};
  long result = 0;
  do {
    result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  } while (result != 0 && errno == EINTR);
  const bool passed = result != 0 && errno == ETIMEDOUT;
  errno = saved;
  return !passed;
}

inline void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  const int saved = errno;
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  errno = saved;
}

inline bool SegmentMemory::heavy_fence() noexcept {
  const int saved = errno;
  const bool done = ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
  errno = saved;
  return done;
}

// Lets heavy fences reach this process. Its publishers need not look at every commit then; false: they must.
inline bool join_heavy_fences() noexcept {
  const int saved = errno;
  const bool done = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  errno = saved;
  return done;
}

// Spares the next sleepers the barrier that was made after the bias became `armed`; not if it was disarmed since. Lock-free.
template <class Memory>
void tell_ready(const Memory& memory, std::uint64_t armed) noexcept {
  for (std::uint64_t word = armed; (word & kReady) == 0 && ((word ^ armed) & ~(kGeneration - 1)) == 0;)
    // release B9: pairs with B7. Death before it: the next sleeper makes the barrier once more.
    if (memory.bias().compare_exchange_strong(word, word | kReady, std::memory_order_release,
                                              std::memory_order_relaxed))
      return;
}

// Makes commits look for sleepers, from the return on. Called with the own bit set. Lock-free.
template <class Memory>
void arm(const Memory& memory) noexcept {
  constexpr std::uint64_t kParks = kGeneration - kOnePark;
  std::uint64_t word = memory.bias().load(std::memory_order_relaxed);  // B7 decides
  std::uint64_t mine = 0;
  do {
    mine = (word & ~kParks) | ((word + kOnePark) & kParks) | kArmed;
    // acq_rel B7: pairs with B10, so that who disarms sees the bit; and with B9, so that the look behind `ready` is behind
    // that barrier. Death after it: commits look in vain until one disarms.
  } while (!memory.bias().compare_exchange_strong(word, mine, std::memory_order_acq_rel, std::memory_order_relaxed));
  if ((mine & (kReady | kAlways)) != 0) return;
  if (!Memory::heavy_fence()) {                                  // B8: pairs with W8
    memory.bias().fetch_or(kAlways, std::memory_order_relaxed);  // late for this sleep: a backstop
    return;
  }
  tell_ready(memory, mine);
}

// Rings a doorbell. release B1: pairs with the sleeper's load (B2), so that what was changed is seen after waking.
template <class Bell>
void ring_doorbell(Bell& doorbell) noexcept {
  doorbell.fetch_add(1, std::memory_order_release);
  futex_wake(doorbell);
}

// Who wakes a sleeper: a commit, which looks only while the bias is armed, or a release, which always looks.
enum class Waker : std::uint8_t { commit, release };

// One sleeper's place: its bit, and the word it sleeps on. The two types are the Memory's.
template <class Bits, class Bell>
struct Bed {
  Bits* word;
  std::uint64_t bit;
  Bell* doorbell;

  // Announces the sleep; the caller must look once more before `sleep`. acquire B2: pairs with B1. seq_cst B3 and the
  // fence: pair with the waker's fence (W10, R5). A death afterwards leaves the bit, which the next wake clears.
  template <class Memory>
  [[nodiscard]] std::uint32_t announce(const Memory& memory, Waker waker) const noexcept {
    const std::uint32_t seen = doorbell->load(std::memory_order_acquire);
    word->fetch_or(bit, std::memory_order_seq_cst);
    if (waker == Waker::commit) arm(memory);
    Memory::full_fence();
    return seen;
  }
  // relaxed: an own bit that a waker clears at the same time costs one needless ring.
  void leave() const noexcept { word->fetch_and(~bit, std::memory_order_relaxed); }
};
template <class Bits, class Bell>
Bed(Bits*, std::uint64_t, Bell*) -> Bed<Bits, Bell>;

template <class Memory>
auto parked_bed(const Memory& memory, std::uint32_t subscription) noexcept {
  return Bed{&memory.parked[subscription / 64], 1ULL << (subscription % 64),
             &memory.subscription(subscription).doorbell};
}

template <class Memory>
auto waiting_bed(const Memory& memory, std::uint32_t publisher) noexcept {
  return Bed{&memory.waiting[publisher / 64], 1ULL << (publisher % 64), &memory.waiting_line(publisher).doorbell};
}

// A member sleeps on its own bell. Beside its own bit it sets that of the group's row, so that publishers look at one word
// for all; it leaves that one set.
template <class Memory>
auto member_bed(const Memory& memory, std::uint32_t group, std::uint32_t member) noexcept {
  return Bed{&memory.member_bits(group)[member / 64], 1ULL << (member % 64), &memory.member(group, member).doorbell};
}

// As Bed::announce. seq_cst B13 and the fence: pair with B12 and with the waker's fence (W10). The bias is armed behind the
// row's bit, which is what disarming looks at.
template <class Memory>
[[nodiscard]] std::uint32_t announce_member(const Memory& memory, std::uint32_t row, std::uint32_t group,
                                            std::uint32_t member) noexcept {
  const std::uint32_t seen = member_bed(memory, group, member).announce(memory, Waker::release);
  memory.parked[row / 64].fetch_or(1ULL << (row % 64), std::memory_order_seq_cst);
  arm(memory);
  Memory::full_fence();  // B13
  return seen;
}

// True if a member of the group sleeps. relaxed: where it must not be missed, the caller fences first.
template <class Memory>
bool any_member_parked(const Memory& memory, std::uint32_t group) noexcept {
  const auto* bits = memory.member_bits(group);
  std::uint64_t any = bits[0].load(std::memory_order_relaxed);
  for (std::uint64_t word = 1; word * 64 < memory.max_members; ++word)
    any |= bits[word].load(std::memory_order_relaxed);
  return any != 0;
}

// True if somebody sleeps for messages. relaxed: the caller's full fence (W10) orders it after the tag.
template <class Memory>
bool anyone_parked(const Memory& memory) noexcept {
  std::uint64_t any = memory.parked[0].load(std::memory_order_relaxed);
  for (std::uint64_t word = 1; word * 64 < memory.max_subscriptions; ++word)
    any |= memory.parked[word].load(std::memory_order_relaxed);
  return any != 0;
}

// True if a publisher waits. relaxed: after a release of the cursor the one race left costs a backstop; elsewhere the
// caller fences first.
template <class Memory>
[[gnu::always_inline]] inline bool anyone_waiting(const Memory& memory) noexcept {
  std::uint64_t any = memory.waiting[0].load(std::memory_order_relaxed);
  for (std::uint64_t word = 1; word * 64 < memory.max_publishers; ++word)
    any |= memory.waiting[word].load(std::memory_order_relaxed);
  return any != 0;
}

// Nobody sleeps for commits any more, as far as can be seen: from here on they need not look.
template <class Memory>
void disarm(const Memory& memory) noexcept {
  // acquire B10: pairs with B7: the bits of those who have armed it are seen.
  std::uint64_t word = memory.bias().load(std::memory_order_acquire);
  if ((word & kArmed) == 0 || anyone_parked(memory) || anyone_waiting(memory)) return;
  const std::uint64_t disarmed = (word & kAlways) | ((word & ~(kGeneration - 1)) + kGeneration);
  // relaxed: only the value counts: it fails if anybody has gone to sleep since.
  memory.bias().compare_exchange_strong(word, disarmed, std::memory_order_relaxed, std::memory_order_relaxed);
}

// Rings one parked member of the group; true: one was rung. `more`: others sleep yet. acq_rel B11: as B4.
template <class Memory>
bool ring_member(const Memory& memory, std::uint32_t group, bool& more) noexcept {
  auto* bits = memory.member_bits(group);
  const std::uint64_t turn =
      memory.group(group).next.load(std::memory_order_relaxed) / kLine % 64;  // not always the same
  bool rung = false;
  for (std::uint32_t word = 0; word * 64 < memory.max_members; ++word) {
    std::uint64_t parked = bits[word].load(std::memory_order_relaxed);  // B11 decides
    while (parked != 0) {
      if (rung) {
        more = true;
        return true;
      }
      const std::uint64_t later = parked & ~0ULL << turn;
      const int at = std::countr_zero(later != 0 ? later : parked);
      parked &= ~(1ULL << at);
      const std::uint32_t member = word * 64 + static_cast<std::uint32_t>(at);
      if ((bits[word].fetch_and(~(1ULL << at), std::memory_order_acq_rel) >> at & 1) == 0) continue;
      if (member < memory.max_members) ring_doorbell(memory.member(group, member).doorbell);
      rung = true;
    }
  }
  return rung;
}

// Wakes one parked member of the group in that row; true: one was woken. When it was the last, the row's bit goes. A member that
// lies down sets its own bit before the row's: either it does so after that went, or whoever takes that away (B12) sees the
// member's own, and puts it back. Death on the way: the others look at their backstops.
template <class Memory>
bool wake_member(const Memory& memory, std::uint32_t row) noexcept {
  const std::uint32_t group = memory.subscription(row).group.load(std::memory_order_relaxed);  // written before any bit
  if (group >= memory.max_groups) return false;
  bool more = false;
  const bool rung = ring_member(memory, group, more);
  auto& rows = memory.parked[row / 64];
  const std::uint64_t own = 1ULL << (row % 64);
  if (more || (rows.load(std::memory_order_relaxed) & own) == 0) return rung;  // or gone already
  rows.fetch_and(~own, std::memory_order_acquire);                             // B12: pairs with B13
  if (!any_member_parked(memory, group)) return rung;
  rows.fetch_or(own, std::memory_order_relaxed);  // B14 orders it
  arm(memory);                                    // it may have been disarmed meanwhile
  // B14: between the row's bit and the look at the ring; pairs with W10: a commit while the bit was gone has woken nobody.
  Memory::full_fence();
  const std::uint64_t next = memory.group(group).next.load(std::memory_order_relaxed);  // who moves it looks himself
  return (tagged(memory, frame_start(next)) && ring_member(memory, group, more)) || rung;
}

// Wakes every parked subscriber, and one member of each group that sleeps. acq_rel B4: whoever clears a bit, and only it,
// rings that bell.
template <class Memory>
void wake_parked(const Memory& memory) noexcept {
  for (std::uint32_t word = 0; word * 64 < memory.max_subscriptions; ++word) {
    std::uint64_t chosen = memory.parked[word].load(std::memory_order_relaxed);  // B4 decides
    for (std::uint64_t bits = chosen; bits != 0; bits &= bits - 1) {
      const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      // relaxed: the kind was there before its owner's, or its member's, first bit.
      if (slot >= memory.max_subscriptions ||
          memory.subscription(slot).kind.load(std::memory_order_relaxed) != SubscriptionKind::group)
        continue;
      wake_member(memory, slot);
      chosen &= ~(bits & -bits);
    }
    if (chosen == 0) continue;
    std::uint64_t cleared = memory.parked[word].fetch_and(~chosen, std::memory_order_acq_rel) & chosen;
    for (; cleared != 0; cleared &= cleared - 1) {
      const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(cleared));
      if (slot < memory.max_subscriptions) ring_doorbell(memory.subscription(slot).doorbell);
    }
  }
}

// Wakes the publishers that wait for `blocker` (a subscription, or a publisher | kBlockedByPublisher) and whose position
// `reached` has come to. acquire B5: pairs with the waiter's B3, so that its line is whole. acq_rel B6: as B4.
template <class Memory>
void wake_waiting(const Memory& memory, std::uint32_t blocker, std::uint64_t reached) noexcept {
  for (std::uint32_t word = 0; word * 64 < memory.max_publishers; ++word) {
    std::uint64_t bits = memory.waiting[word].load(std::memory_order_acquire);
    for (; bits != 0; bits &= bits - 1) {
      const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      if (slot >= memory.max_publishers) return;
      auto& line = memory.waiting_line(slot);
      if (line.blocker.load(std::memory_order_relaxed) != blocker) continue;         // ordered by B5
      if (before(reached, line.position.load(std::memory_order_relaxed))) continue;  // as above
      const std::uint64_t bit = 1ULL << (slot % 64);
      if (memory.waiting[word].fetch_and(~bit, std::memory_order_acq_rel) & bit) ring_doorbell(line.doorbell);
    }
  }
}

}  // namespace ringway::detail

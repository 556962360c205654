// A group's data path: take, hand out, acknowledge, give back, take over; and the gate that publishers respect.
//
// A group is a row of the subscription table whose cursor is its gate; `next` is where the next job is taken. From its take
// to its acknowledgment a job is in an entry of a fixed table.
//
// Thread safety: a RingMember belongs to one thread at a time; any number of them, in any processes, work in one group.
// Progress: take is lock-free, the others are wait-free; all loops over the table are bounded by it. No system calls.
// Cost: one exchange, on `next`, for each run of jobs. A member keeps the entries that it has used for its next jobs.
//
// Invariants:
//   M1  gate <= the position of every job taken and not done, and gate <= next: nothing that is in hand is overwritten.
//   M2  next grows by one exchange for each run of jobs, so nobody else takes them; whoever moves it has entries that say so.
//   M3  an entry that is kept, trying or held is changed by its owner alone while that lives; by others by exchange of its
//       word.
//
// Why M1 holds, though the gate is made from a scan that is not atomic: the scan loads next (K1), then the words (K3). Every
// job below that next was taken by an exchange on it (T4) that comes before the load, and its entry said so before that. So
// the scan sees it there, or what its entry says later: that it is done.
//
// Whoever dies between saying that he takes a job and saying that he has it may have lost it to another, long ago: then no
// scan need have seen his entry, and the gate may pass it at any time. What he left is handed out once more, marked, as a
// copy that is checked against the gate (T3): either it is whole, or another has had the job.
//
// Each ordered access has a number and names its partner. "Death" says what a crash just before or after it leaves.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "ringway/detail/layout.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/detail/slots.hpp"

namespace ringway::detail {

inline constexpr std::uint64_t kNever = ~0ULL;
inline constexpr std::uint64_t kCopyAgain = 100'000'000;  // ns: until a job whose copy found no room is tried again

// A job in hand.
struct Taken {
  std::uint64_t word = 0;  // of its entry, as its owner stored it
  std::uint32_t entry = 0;
  Found found;
};

enum class Took : std::uint8_t { job, nothing, table_full, corrupt };

// How many entries to look at. relaxed: it has grown before an entry is used, and who looks for that use has seen more (K1).
template <class Memory>
std::uint32_t entries_used(const Memory& memory, std::uint32_t group) noexcept {
  return std::min(memory.group(group).entries_used.load(std::memory_order_relaxed), memory.max_in_flight);
}

// The gate as it could be: `next`, or the first position in hand if that is lower.
template <class Memory>
std::uint64_t lowest_in_hand(const Memory& memory, std::uint32_t group) noexcept {
  std::uint64_t lowest = memory.group(group).next.load(std::memory_order_acquire);  // K1: pairs with T4, see above
  const std::uint32_t used = entries_used(memory, group);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = memory.entry(group, index);
    // acquire K3: pairs with T7, so that nothing is overwritten before it was read.
    if (!has_job(state_of(entry.word.load(std::memory_order_acquire)))) continue;
    // acquire K6: pairs with T17, as K3 does with T7: the word may be that of an earlier use, whose job is done.
    const std::uint64_t position = entry.position.load(std::memory_order_acquire);
    if (before(position, lowest)) lowest = position;
  }
  return lowest;
}

// Moves the gate as far as it goes, and gives it. Anyone may: a member after an acknowledgment, a publisher that is held back.
template <class Memory>
std::uint64_t move_gate(const Memory& memory, std::uint32_t row, std::uint32_t group) noexcept {
  auto& cursor = memory.subscription(row).cursor;
  std::uint64_t gate = cursor.load(std::memory_order_acquire);  // K4: pairs with K5
  const std::uint64_t lowest = lowest_in_hand(memory, group);
  if (!before(gate, lowest)) return gate;
  // acq_rel K5: pairs with S4, so that no byte is overwritten while it is still read. It fails if somebody else moved it.
  // Death after it: a waiting publisher's backstop.
  return cursor.compare_exchange_strong(gate, lowest, std::memory_order_acq_rel, std::memory_order_acquire) ? lowest
                                                                                                            : gate;
}

// One member's side of a group.
template <class Memory>
class RingMember {
 public:
  void attach(const Memory& memory, std::uint32_t row, std::uint32_t group, std::uint32_t slot,
              std::uint64_t incarnation) noexcept {
    memory_ = memory;
    header_ = &memory.group(group);
    entries_ = &memory.entry(group, 0);
    row_ = row;
    group_ = group;
    slot_ = slot;
    incarnation_ = static_cast<std::uint32_t>(incarnation) & kIncarnationMask;
    kept_count_ = 0;
    used_seen_ = 0;
    own_ = pack_word({EntryState::free, false, false, slot_, 0, incarnation_, 0});
    // Entries are looked for from here on, so that members do not meet in one line.
    const std::uint32_t share = memory.max_in_flight / memory.max_members;
    hint_ = slot * std::max(share, 1U) % memory.max_in_flight;
    most_kept_ = std::min(share, kMostKept);  // so that what others keep leaves everybody as many
  }

  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  [[nodiscard]] std::uint32_t row() const noexcept { return row_; }
  [[nodiscard]] std::uint32_t group() const noexcept { return group_; }
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  [[nodiscard]] std::uint64_t next() const noexcept {
    return header().next.load(std::memory_order_acquire);  // T0: pairs with T4, so that what others passed is known
  }

  // Grows after each job that came back. relaxed: a hint, loaded again by whoever looks for one.
  [[nodiscard]] std::uint32_t returns() const noexcept { return header().returns.load(std::memory_order_relaxed); }

  // A message, or padding, is next.
  [[nodiscard]] bool something() const noexcept { return tagged(memory_, frame_start(next())); }

  // Takes up to `most` new jobs, in the ring's order. The first is in hand from here on, its attempt counted; the others wait
  // for hand_out. Passes padding. `got`: how many.
  [[nodiscard]] Took take(Taken* jobs, std::uint32_t most, std::uint64_t now_ns, std::uint32_t& got) noexcept;

  // As take of one where a message is next and an entry is kept, which is the usual case. False: take.
  [[nodiscard, gnu::always_inline]] bool take_next(Taken& job, std::uint64_t now_ns) noexcept {
    if (kept_count_ == 0) return false;
    std::uint64_t from = next();
    Found& found = job.found;
    if (!tagged(memory_, from)) return false;  // so, too, within a packed frame
    peek_header(from, found);
    if (kind_of(found.size) != FrameKind::message || !fits(memory_, found.size, length_of(found.size))) return false;
    found.next = from + extent_of(found.size);
    found.length = length_of(found.size);
    found.payload = memory_.bytes_at(from) + memory_.payload_offset;
    claim_kept_entry(job);
    announce(job);
    if (!move_next(from, found.next)) {
      ack(job);
      return false;
    }
    hold_new(job, 1, now_ns);
    return true;
  }

  // Passes padding, or a dead publisher's frame: nobody's job. acq_rel T16: as T4. Death after it: nothing is missed.
  void pass(std::uint64_t from, std::uint64_t end) noexcept {
    header().next.compare_exchange_strong(from, end, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // A job that waited goes to the user: an attempt from here on.
  void hand_out(Taken& job, std::uint64_t now_ns) noexcept {
    JobWord word = unpack_word(job.word);
    word.attempt = std::min(word.attempt + 1, kMaxAttempts);
    word.died = false;
    hold(job, pack_word(word), now_ns);
  }

  // Done: the gate may pass.
  void ack(const Taken& job) noexcept { finish(job.entry, job.word); }

  // What it keeps for its next jobs is free for others: before it sleeps or leaves, or where others wait for an entry.
  void let_go() noexcept {
    while (kept_count_ != 0) {
      auto& word = entry_at(kept_[--kept_count_]).word;
      // release T19: as T7. Death before it: kept by the dead; whoever looks for jobs frees it.
      word.store(free_word(word.load(std::memory_order_relaxed)), std::memory_order_release);
    }
  }

  // Comes again, to whoever takes it, not before that time.
  void give_back(const Taken& job, std::uint64_t not_before_ns) noexcept {
    JobWord word = unpack_word(job.word);
    word.state = EntryState::returned;
    auto& entry = entry_at(job.entry);
    entry.time_ns.store(not_before_ns, std::memory_order_relaxed);  // T8 orders it
    // release T8: pairs with T9. Death before it: held by the dead. Death after it: those who do not look by themselves do
    // so at their backstop.
    entry.word.store(pack_word(word), std::memory_order_release);
    // release T11: pairs with those who look whether it changed.
    header().returns.fetch_add(1, std::memory_order_release);
  }

  // A job that came back and is due, or that a dead member had: it is this one's from here on, but not yet handed out. `due`:
  // when the next one is due that is not yet. `is_dead(slot, incarnation)` asks the kernel, after the word was loaded; alive
  // if in doubt. `copy(job)` makes found.payload a copy, which is checked afterwards; false: there is no room for it now.
  template <class IsDead, class Copy>
  [[nodiscard]] Took take_over(Taken& job, std::uint64_t now_ns, std::uint64_t& due, IsDead is_dead,
                               Copy copy) noexcept;

  // Before anything else: what earlier owners of this slot had comes back. REQUIRES: the table lock.
  void settle() noexcept;

  // Whether the group has any entry for another job.
  [[nodiscard]] bool any_free() const noexcept {
    const std::uint32_t used = entries_used(memory_, group_);
    if (used < memory_.max_in_flight) return true;
    for (std::uint32_t index = 0; index < used; ++index)  // relaxed: T18 decides
      if (state_of(entry_at(index).word.load(std::memory_order_relaxed)) == EntryState::free) return true;
    return false;
  }

 private:
  using Header = std::remove_reference_t<decltype(std::declval<const Memory&>().group(0))>;
  using Entry = std::remove_reference_t<decltype(std::declval<const Memory&>().entry(0, 0))>;

  [[nodiscard]] Header& header() const noexcept { return *header_; }
  [[nodiscard]] Entry& entry_at(std::uint32_t index) const noexcept { return entries_[index]; }

  // From a header that may be overwritten meanwhile.
  [[gnu::always_inline]] void peek_header(std::uint64_t position, Found& found) const noexcept {
    auto& frame = memory_.frame(position);
    found.position = position;
    found.size = Memory::peek(frame.size);
    found.origin = Memory::peek(frame.origin) + index_of(position) * kNextSequence;
    found.stamp = Memory::peek(frame.stamp);
  }

  // What starts at `position`, from a header that may be overwritten meanwhile: it counts only if next is still there, or the
  // position is in an entry. message: `found` has it; nothing; gap: padding until found.next; corrupt.
  [[nodiscard]] Look look_at(std::uint64_t position, Found& found) const noexcept {
    const std::uint64_t start = frame_start(position);
    const std::uint64_t index = index_of(position);
    if (!tagged(memory_, start)) return Look::nothing;
    peek_header(position, found);
    const bool packed = kind_of(found.size) == FrameKind::packed;
    if (!plausible(memory_, found.size, found.origin)) return Look::corrupt;
    if (index != 0 && (!packed || index >= count_of(found.origin))) return Look::corrupt;
    const bool more = packed && index + 1 < count_of(found.origin);
    found.next = more ? position + 1 : start + extent_of(found.size);
    if (kind_of(found.size) == FrameKind::aborted) return Look::gap;
    found.length = length_of(found.size);
    found.payload = memory_.bytes_at(start) + memory_.payload_offset;
    if (packed) found.payload += index * stride_of(found.length, memory_.payload_alignment);
    return Look::message;
  }

  // What the dead owner of an entry left: a job that was taken, or may have been (then `word` says so), or none.
  [[nodiscard]] bool left_a_job(Entry& entry, JobWord& word) const noexcept {
    if (word.state == EntryState::kept) return false;
    if (word.state == EntryState::trying) {
      // The dead one's last stores are there. acquire T10: pairs with T4.
      const std::uint64_t next = header().next.load(std::memory_order_acquire);
      if (!before(entry.position.load(std::memory_order_relaxed), next)) return false;  // 'dead' comes after it
      word.again = true;
    }
    word.died = word.attempt != 0;
    return true;
  }

  // Frees a dead one's entry that has no job. acq_rel T12: as T13. Death after it: nothing is missed.
  void clear(Entry& entry, std::uint64_t seen) noexcept {
    entry.word.compare_exchange_strong(seen, free_word(seen), std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // An entry of this member's own, kept from an earlier job or else one that was free. False: none is free.
  [[nodiscard]] bool claim_entry(Taken& job) noexcept {
    if (kept_count_ == 0) return claim_free_entry(job);
    claim_kept_entry(job);
    return true;
  }
  void claim_kept_entry(Taken& job) noexcept {
    job.entry = kept_[--kept_count_];
    job.word = next_use(entry_at(job.entry).word.load(std::memory_order_relaxed));  // own word
  }
  [[nodiscard]] bool claim_free_entry(Taken& job) noexcept;

  // Words of this member's for an entry: its next use, kept after a use; and of nobody's.
  [[nodiscard]] std::uint64_t next_use(std::uint64_t word) const noexcept {
    return (free_word(word) + kOneUse) | own_ | static_cast<std::uint64_t>(EntryState::trying);
  }
  [[nodiscard]] std::uint64_t kept_word(std::uint64_t word) const noexcept {
    return free_word(word) | own_ | static_cast<std::uint64_t>(EntryState::kept);
  }
  [[nodiscard]] static std::uint64_t free_word(std::uint64_t word) noexcept { return word & ~(kOneUse - 1); }

  // No job is in the entry any more: it is kept, or free.
  void finish(std::uint32_t index, std::uint64_t word) noexcept {
    std::uint64_t now = free_word(word);
    if (kept_count_ < most_kept_) {
      kept_[kept_count_++] = index;
      now = kept_word(word);
    }
    // release T7: pairs with K3 and T18. Death before it: held by the dead. Death after it: done.
    entry_at(index).word.store(now, std::memory_order_release);
  }

  // Says which job this member is about to take.
  void announce(const Taken& job) noexcept {
    auto& entry = entry_at(job.entry);
    // release T17: pairs with K6, for a scan that has seen an earlier use of the entry. Death after it: kept by the dead.
    entry.position.store(job.found.position, std::memory_order_release);
    // release T2: pairs with K3, and heads what T12, T13 and T15 go on with. Death after it: trying, at or above next, or
    // below it, as if it had won.
    entry.word.store(job.word, std::memory_order_release);
  }

  // Takes what is announced from `from` to `end`. acq_rel T4: pairs with T0 and K1: whoever sees the new next sees the entries.
  // Death after it: trying, below next: taken over as a job that may have been handed out.
  [[nodiscard]] bool move_next(std::uint64_t from, std::uint64_t end) noexcept {
    return header().next.compare_exchange_strong(from, end, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // What was announced is this member's.
  void hold_new(Taken& job, std::uint32_t attempt, std::uint64_t now_ns) noexcept {
    constexpr auto kWon = static_cast<std::uint64_t>(EntryState::trying) ^ static_cast<std::uint64_t>(EntryState::held);
    hold(job, (job.word ^ kWon) + attempt * kOneAttempt, now_ns);
    Memory::see(memory_.frame(job.found.position).tag);
  }

  void hold(Taken& job, std::uint64_t word, std::uint64_t now_ns) noexcept {
    job.word = word;
    auto& entry = entry_at(job.entry);
    entry.time_ns.store(now_ns, std::memory_order_relaxed);  // display only
    // release T6: pairs with T9 and K3. Death before it: trying, below next. Death after it: held by the dead.
    entry.word.store(word, std::memory_order_release);
  }

  Memory memory_{};
  Header* header_ = nullptr;
  Entry* entries_ = nullptr;
  std::uint64_t own_ = 0;  // owner and incarnation, as in an entry's word
  std::uint32_t row_ = 0;
  std::uint32_t group_ = 0;
  std::uint32_t slot_ = 0;
  std::uint32_t incarnation_ = 0;
  static constexpr std::uint32_t kMostKept = 16;
  std::array<std::uint32_t, kMostKept> kept_{};  // entries without a job that this member keeps
  std::uint32_t kept_count_ = 0;
  std::uint32_t most_kept_ = 0;
  std::uint32_t hint_ = 0;       // where to look for a free entry first
  std::uint32_t used_seen_ = 0;  // entries_used was so large once
};

template <class Memory>
bool RingMember<Memory>::claim_free_entry(Taken& job) noexcept {
  const std::uint32_t all = memory_.max_in_flight;
  for (std::uint32_t tries = 0; tries < all; ++tries) {
    const std::uint32_t index = hint_;
    auto& entry = entry_at(index);
    std::uint64_t word = entry.word.load(std::memory_order_relaxed);  // T18 decides
    if (state_of(word) == EntryState::free) {
      auto& used = header().entries_used;
      std::uint32_t seen = std::max(used_seen_, used.load(std::memory_order_relaxed));  // the exchange decides
      // relaxed: whoever must look at this entry has seen T4. Death after it: a free entry that is looked at.
      while (seen <= index &&
             !used.compare_exchange_strong(seen, index + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
      }
      used_seen_ = std::max(seen, index + 1);
      job.word = next_use(word);
      job.entry = index;
      // acq_rel T18: pairs with T7 and T19: what was done in it before comes before its new position (T17). Death after it:
      // kept by the dead, without a job.
      if (entry.word.compare_exchange_strong(word, kept_word(word), std::memory_order_acq_rel,
                                             std::memory_order_relaxed))
        return true;
    }
    if (++hint_ >= all) hint_ = 0;
  }
  return false;
}

template <class Memory>
Took RingMember<Memory>::take(Taken* jobs, std::uint32_t most, std::uint64_t now_ns, std::uint32_t& got) noexcept {
  for (;;) {  // each further round means that another member has moved next: lock-free
    got = 0;
    std::uint64_t from = next();
    std::uint64_t end = from;
    std::uint32_t there = 0;
    Look look = Look::message;
    for (std::uint64_t passed = 0; there < most && passed < memory_.capacity; passed = end - from) {
      look = look_at(end, jobs[there].found);
      if (look == Look::nothing || look == Look::corrupt) break;
      if (look == Look::message) ++there;
      end = look == Look::message ? jobs[there - 1].found.next : jobs[there].found.next;
    }
    if (there == 0) {
      if (end == from && look == Look::nothing) return Took::nothing;
      if (next() != from) continue;  // it was overwritten under this look
      if (end == from) return Took::corrupt;
      pass(from, end);  // only padding
      continue;
    }
    std::uint32_t own = 0;
    while (own < there && claim_entry(jobs[own])) ++own;
    if (own == 0) return Took::table_full;
    for (std::uint32_t i = 0; i < own; ++i) announce(jobs[i]);
    if (!move_next(from, jobs[own - 1].found.next)) {
      while (own > 0) ack(jobs[--own]);
      continue;
    }
    hold_new(jobs[0], 1, now_ns);
    for (std::uint32_t i = 1; i < own; ++i) hold_new(jobs[i], 0, now_ns);
    got = own;
    return Took::job;
  }
}

template <class Memory>
template <class IsDead, class Copy>
Took RingMember<Memory>::take_over(Taken& job, std::uint64_t now_ns, std::uint64_t& due, IsDead is_dead,
                                   Copy copy) noexcept {
  due = kNever;
  const std::uint32_t used = entries_used(memory_, group_);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = entry_at(index);
    std::uint64_t seen = entry.word.load(std::memory_order_acquire);  // T9: pairs with T6 and T8
    JobWord word = unpack_word(seen);
    if (word.state == EntryState::free) continue;
    if (word.state == EntryState::returned) {
      const std::uint64_t time =
          entry.time_ns.load(std::memory_order_relaxed);  // T9 orders it; T13 fails if it is newer
      if (time > now_ns) {
        due = std::min(due, time);
        continue;
      }
    } else {
      if (word.owner == slot_ && word.incarnation == incarnation_) continue;
      if (!is_dead(word.owner, word.incarnation)) continue;
      if (!left_a_job(entry, word)) {
        clear(entry, seen);
        continue;
      }
    }
    word.state = EntryState::held;
    word.owner = slot_;
    word.incarnation = incarnation_;
    // acq_rel T13: what belongs to the job is loaded after it. Death after it: held by the dead, as before.
    if (!entry.word.compare_exchange_strong(seen, pack_word(word), std::memory_order_acq_rel,
                                            std::memory_order_relaxed))
      continue;
    job.word = pack_word(word);
    job.entry = index;
    job.found.position = entry.position.load(std::memory_order_relaxed);  // T13 orders it
    const Look look = look_at(job.found.position, job.found);
    if (word.again) {
      const bool copied = look == Look::message && copy(job);
      Memory::acquire_fence();  // T3: pairs with S5: if any byte read was newer, the gate has passed this place
      // relaxed: the fence before it
      const std::uint64_t gate = memory_.subscription(row_).cursor.load(std::memory_order_relaxed);
      if (before(job.found.position, gate)) {  // another had it, and has done it
        ack(job);
        continue;
      }
      if (look == Look::message && !copied) {
        give_back(job, now_ns + kCopyAgain);
        continue;
      }
    }
    if (look != Look::message) return Took::corrupt;
    Memory::see(memory_.frame(job.found.position).tag);
    return Took::job;
  }
  return Took::nothing;
}

template <class Memory>
void RingMember<Memory>::settle() noexcept {
  const std::uint32_t used = entries_used(memory_, group_);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = entry_at(index);
    std::uint64_t seen = entry.word.load(std::memory_order_acquire);  // T14: as T9
    JobWord word = unpack_word(seen);
    if (word.state == EntryState::free || word.state == EntryState::returned || word.owner != slot_) continue;
    if (!left_a_job(entry, word)) {
      clear(entry, seen);
      continue;
    }
    word.state = EntryState::returned;  // due now: its time is that of its take
    // acq_rel T15: as T13. It fails if a member was there first, while this slot had no owner.
    entry.word.compare_exchange_strong(seen, pack_word(word), std::memory_order_acq_rel, std::memory_order_relaxed);
  }
}

}  // namespace ringway::detail

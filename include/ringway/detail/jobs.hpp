// A group's data path: take, hand out, acknowledge, give back, take over; and the gate that publishers respect.
//
// A group is a row of the subscription table whose cursor is its gate; `next` is where the next job is taken. From its take
// to its acknowledgment a job is in an entry of a fixed table.
//
// Thread safety: a RingMember belongs to one thread at a time; any number of them, in any processes, work in one group.
// Progress: take is lock-free, the others are wait-free; all loops over the table are bounded by it. No system calls.
//
// Invariants:
//   M1  gate <= every position in an entry that is not free, and gate <= next: nothing that is in hand is overwritten.
//   M2  next grows by one exchange for each run of jobs, so nobody else takes them; whoever moves it has entries that say so.
//   M3  an entry that is trying or held is changed by its owner alone while that lives; by others by exchange of its word.
//
// Why M1 holds, though the gate is made from a scan that is not atomic: the scan loads next (K1), then the words (K3). An
// entry that it finds free was taken, if at all, after that: its owner's exchange on the word (T2) comes later in the one
// order of all seq_cst accesses, and its load of next (T3) later still, so its position is not below the scan's next. One
// that is trying and has no position yet may have loaded an older next: then the gate does not move. A position is taken off
// before the entry is free, so an earlier job's is never mistaken for the new one's.
//
// Each ordered access has a number and names its partner. "Death" says what a crash just before or after it leaves.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ringway/detail/layout.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/detail/slots.hpp"

namespace ringway::detail {

inline constexpr std::uint64_t kNever = ~0ULL;

// A job in hand.
struct Taken {
  std::uint64_t word = 0;  // of its entry, as its owner stored it
  std::uint32_t entry = 0;
  Found found;
};

enum class Took : std::uint8_t { job, nothing, table_full, corrupt };

// How many entries to look at. seq_cst K2: pairs with T1: a scan that misses an entry has loaded next before its owner did.
template <class Memory>
std::uint32_t entries_used(const Memory& memory, std::uint32_t group) noexcept {
  return std::min(memory.group(group).entries_used.load(std::memory_order_seq_cst), memory.max_in_flight);
}

// The gate as it could be: `next`, or the first position in hand if that is lower; `gate` if an entry is on its way.
template <class Memory>
std::uint64_t lowest_in_hand(const Memory& memory, std::uint32_t group, std::uint64_t gate) noexcept {
  // seq_cst K1: pairs with T3 and T4, see above.
  std::uint64_t lowest = memory.group(group).next.load(std::memory_order_seq_cst);
  const std::uint32_t used = entries_used(memory, group);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = memory.entry(group, index);
    // seq_cst K3: pairs with T2; and with T7, so that nothing is overwritten before it was read.
    const EntryState state = state_of(entry.word.load(std::memory_order_seq_cst));
    if (state == EntryState::free) continue;
    // acquire K6: pairs with T5 and T17, as K3 does with T7: the word may be that of an earlier use, whose job is done.
    const std::uint64_t position = entry.position.load(std::memory_order_acquire);
    if (position == 0) {
      if (state == EntryState::trying) return gate;
      continue;  // acknowledged since
    }
    if (before(position - 1, lowest)) lowest = position - 1;
  }
  return lowest;
}

// Moves the gate as far as it goes, and gives it. Anyone may: a member after an acknowledgment, a publisher that is held back.
template <class Memory>
std::uint64_t move_gate(const Memory& memory, std::uint32_t row, std::uint32_t group) noexcept {
  auto& cursor = memory.subscription(row).cursor;
  std::uint64_t gate = cursor.load(std::memory_order_acquire);  // K4: pairs with K5
  const std::uint64_t lowest = lowest_in_hand(memory, group, gate);
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
    row_ = row;
    group_ = group;
    slot_ = slot;
    incarnation_ = static_cast<std::uint32_t>(incarnation) & kIncarnationMask;
    // Entries of its own, as long as they last, so that members do not meet in one line.
    share_ = std::max(memory.max_in_flight / memory.max_members, 1U);
    hint_ = slot * share_ % memory.max_in_flight;
  }

  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  [[nodiscard]] std::uint32_t row() const noexcept { return row_; }
  [[nodiscard]] std::uint32_t group() const noexcept { return group_; }
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  [[nodiscard]] std::uint64_t next() const noexcept {
    return header().next.load(std::memory_order_acquire);  // T0: pairs with T4, so that what others passed is known
  }

  // A message, or padding, is next.
  [[nodiscard]] bool something() const noexcept { return tagged(memory_, frame_start(next())); }

  // Takes up to `most` new jobs, in the ring's order. The first is in hand from here on, its attempt counted; the others wait
  // for hand_out. Passes padding. `got`: how many.
  [[nodiscard]] Took take(Taken* jobs, std::uint32_t most, std::uint64_t now_ns, std::uint32_t& got) noexcept;

  // Passes padding, or a dead publisher's frame: nobody's job. acq_rel T16: as T4. Death after it: nothing is missed.
  void pass(std::uint64_t from, std::uint64_t end) noexcept {
    header().next.compare_exchange_strong(from, end, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // A job that waited goes to the user: an attempt from here on.
  void hand_out(Taken& job, std::uint64_t now_ns) noexcept {
    JobWord word = unpack_word(job.word);
    word.attempt = std::min(word.attempt + 1, kMaxAttempts);
    word.died = false;
    hold(job, word, now_ns);
  }

  // Done: the entry is free, the gate may pass.
  void ack(const Taken& job) noexcept {
    free_entry(job.entry, job.word);
    hint_ = job.entry;
  }

  // Comes again, to whoever takes it, not before that time.
  void give_back(const Taken& job, std::uint64_t not_before_ns) noexcept {
    JobWord word = unpack_word(job.word);
    word.state = EntryState::returned;
    auto& entry = memory_.entry(group_, job.entry);
    entry.time_ns.store(not_before_ns, std::memory_order_relaxed);  // T8 orders it
    // release T8: pairs with T9. Death before it: held by the dead. Death after it: those who do not look by themselves do
    // so at their backstop.
    entry.word.store(pack_word(word), std::memory_order_release);
    // release T11: pairs with those who look whether it changed.
    header().returns.fetch_add(1, std::memory_order_release);
  }

  // A job that came back and is due, or that a dead member had: it is this one's from here on, but not yet handed out. `due`:
  // when the next one is due that is not yet. `is_dead(slot)` asks the kernel; alive if in doubt.
  template <class IsDead>
  [[nodiscard]] Took take_over(Taken& job, std::uint64_t now_ns, std::uint64_t& due, IsDead is_dead) noexcept;

  // Before anything else: what earlier owners of this slot had comes back. REQUIRES: the table lock.
  void settle() noexcept;

  // Whether the group has any entry for another job.
  [[nodiscard]] bool any_free() const noexcept {
    const std::uint32_t used = entries_used(memory_, group_);
    if (used < memory_.max_in_flight) return true;
    for (std::uint32_t index = 0; index < used; ++index)  // relaxed: T2 decides
      if (state_of(memory_.entry(group_, index).word.load(std::memory_order_relaxed)) == EntryState::free) return true;
    return false;
  }

 private:
  [[nodiscard]] auto& header() const noexcept { return memory_.group(group_); }

  // What starts at `position`, from a header that may be overwritten meanwhile: it counts only if next is still there, or the
  // position is in an entry. message: `found` has it; nothing; gap: padding until found.next; corrupt.
  [[nodiscard]] Look look_at(std::uint64_t position, Found& found) const noexcept {
    const std::uint64_t start = frame_start(position);
    const std::uint64_t index = index_of(position);
    auto& frame = memory_.frame(start);
    if (!tagged(memory_, start)) return Look::nothing;
    found.size = Memory::peek(frame.size);
    found.origin = Memory::peek(frame.origin) + index * kNextSequence;
    const bool packed = kind_of(found.size) == FrameKind::packed;
    if (!plausible(memory_, found.size, found.origin)) return Look::corrupt;
    if (index != 0 && (!packed || index >= count_of(found.origin))) return Look::corrupt;
    found.position = position;
    const bool more = packed && index + 1 < count_of(found.origin);
    found.next = more ? position + 1 : start + extent_of(found.size);
    if (kind_of(found.size) == FrameKind::aborted) return Look::gap;
    found.length = length_of(found.size);
    found.payload = memory_.bytes_at(start) + memory_.payload_offset;
    if (packed) found.payload += index * stride_of(found.length, memory_.payload_alignment);
    found.stamp = Memory::peek(frame.stamp);
    return Look::message;
  }

  // What the dead owner of an entry left: a job that was taken, or may have been (then `word` says so), or none.
  [[nodiscard]] bool left_a_job(auto& entry, JobWord& word) const noexcept {
    // The dead one's last stores are there. acquire T10: pairs with T4.
    const std::uint64_t next = header().next.load(std::memory_order_acquire);
    const std::uint64_t position = entry.position.load(std::memory_order_relaxed);  // 'dead' comes after it
    if (position == 0 || (word.state == EntryState::trying && !before(position - 1, next))) return false;
    word.again = word.again || word.state == EntryState::trying;
    word.died = word.attempt != 0;
    return true;
  }

  // Frees a dead one's entry that has no job: it is made this member's own first, so that one alone takes the position off.
  void clear(std::uint32_t index, std::uint64_t seen, JobWord word) noexcept {
    word.state = EntryState::trying;
    word.owner = slot_;
    word.incarnation = incarnation_;
    auto& entry = memory_.entry(group_, index);
    // acq_rel T12: as T13. Death after it: as before.
    if (entry.word.compare_exchange_strong(seen, pack_word(word), std::memory_order_acq_rel, std::memory_order_relaxed))
      free_entry(index, pack_word(word));
  }

  // Makes a free entry this member's own, trying. False: none is free.
  [[nodiscard]] bool claim_entry(Taken& job) noexcept;

  void free_entry(std::uint32_t index, std::uint64_t word) noexcept {
    JobWord next;
    next.use = unpack_word(word).use;
    auto& entry = memory_.entry(group_, index);
    // release T5: pairs with K6, so that nothing is overwritten before it was read.
    entry.position.store(0, std::memory_order_release);
    // release T7: pairs with T2 and K3. Death before it: a job of the dead without a position: it was done.
    entry.word.store(pack_word(next), std::memory_order_release);
  }

  void hold(Taken& job, JobWord word, std::uint64_t now_ns) noexcept {
    word.state = EntryState::held;
    job.word = pack_word(word);
    auto& entry = memory_.entry(group_, job.entry);
    entry.time_ns.store(now_ns, std::memory_order_relaxed);  // display only
    // release T6: pairs with T9 and K3. Death before it: trying, below next. Death after it: held by the dead.
    entry.word.store(job.word, std::memory_order_release);
  }

  Memory memory_{};
  std::uint32_t row_ = 0;
  std::uint32_t group_ = 0;
  std::uint32_t slot_ = 0;
  std::uint32_t incarnation_ = 0;
  std::uint32_t share_ = 1;
  std::uint32_t hint_ = 0;       // where to look for a free entry first
  std::uint32_t used_seen_ = 0;  // entries_used was so large once
};

template <class Memory>
bool RingMember<Memory>::claim_entry(Taken& job) noexcept {
  const std::uint32_t all = memory_.max_in_flight;
  const std::uint32_t own = slot_ * share_ % all;
  for (std::uint32_t tries = 0; tries < share_ + all; ++tries) {
    const std::uint32_t index = hint_;
    const bool in_share = tries < share_;
    ++hint_;
    if (in_share && hint_ >= own + share_) hint_ = own;
    if (hint_ >= all) hint_ = 0;
    auto& entry = memory_.entry(group_, index);
    std::uint64_t word = entry.word.load(std::memory_order_relaxed);  // T2 decides
    if (state_of(word) != EntryState::free) continue;
    if (used_seen_ <= index) {
      auto& used = header().entries_used;
      std::uint32_t seen = used.load(std::memory_order_relaxed);  // the exchange decides
      // seq_cst T1: pairs with K2. Death after it: a free entry that is looked at.
      while (seen <= index &&
             !used.compare_exchange_strong(seen, index + 1, std::memory_order_seq_cst, std::memory_order_relaxed)) {
      }
      used_seen_ = std::max(seen, index + 1);
    }
    JobWord mine{EntryState::trying, false, false, slot_, 0, incarnation_, unpack_word(word).use + 1};
    job.word = pack_word(mine);
    job.entry = index;
    // seq_cst T2: pairs with K3, see above; and with T7, whose position is off. Death after it: trying, without a position;
    // whoever finds it frees it.
    if (entry.word.compare_exchange_strong(word, job.word, std::memory_order_seq_cst, std::memory_order_relaxed))
      return true;
  }
  return false;
}

template <class Memory>
Took RingMember<Memory>::take(Taken* jobs, std::uint32_t most, std::uint64_t now_ns, std::uint32_t& got) noexcept {
  auto& header = this->header();
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
    // seq_cst T3: pairs with K1, see above.
    bool won = header.next.load(std::memory_order_seq_cst) == from;
    if (won) {
      // release T17: pairs with K6, for a scan that has seen an earlier use of the entry. Death after it: trying, at or above
      // next; whoever finds it frees it.
      for (std::uint32_t i = 0; i < own; ++i)
        memory_.entry(group_, jobs[i].entry).position.store(jobs[i].found.position + 1, std::memory_order_release);
      // acq_rel T4: pairs with T0 and K1: whoever sees the new next sees the positions. Death after it: trying, below next:
      // taken over as a job that may have been handed out.
      won = header.next.compare_exchange_strong(from, jobs[own - 1].found.next, std::memory_order_acq_rel,
                                                std::memory_order_relaxed);
    }
    if (!won) {
      while (own > 0) ack(jobs[--own]);
      continue;
    }
    for (std::uint32_t i = 0; i < own; ++i) {
      JobWord word = unpack_word(jobs[i].word);
      word.attempt = i == 0 ? 1 : 0;
      hold(jobs[i], word, now_ns);
      Memory::see(memory_.frame(jobs[i].found.position).tag);
    }
    got = own;
    return Took::job;
  }
}

template <class Memory>
template <class IsDead>
Took RingMember<Memory>::take_over(Taken& job, std::uint64_t now_ns, std::uint64_t& due, IsDead is_dead) noexcept {
  due = kNever;
  const std::uint32_t used = entries_used(memory_, group_);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = memory_.entry(group_, index);
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
      if (!is_dead(word.owner)) continue;
      if (!left_a_job(entry, word)) {
        clear(index, seen, word);
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
    job.found.position = entry.position.load(std::memory_order_relaxed) - 1;  // T13 orders it
    if (look_at(job.found.position, job.found) != Look::message) return Took::corrupt;
    Memory::see(memory_.frame(job.found.position).tag);
    return Took::job;
  }
  return Took::nothing;
}

template <class Memory>
void RingMember<Memory>::settle() noexcept {
  const std::uint32_t used = entries_used(memory_, group_);
  for (std::uint32_t index = 0; index < used; ++index) {
    auto& entry = memory_.entry(group_, index);
    std::uint64_t seen = entry.word.load(std::memory_order_acquire);  // T14: as T9
    JobWord word = unpack_word(seen);
    if ((word.state != EntryState::trying && word.state != EntryState::held) || word.owner != slot_) continue;
    if (!left_a_job(entry, word)) {
      clear(index, seen, word);
      continue;
    }
    word.state = EntryState::returned;  // due now: its time is that of its take
    // acq_rel T15: as T13. It fails if a member was there first, while this slot had no owner.
    entry.word.compare_exchange_strong(seen, pack_word(word), std::memory_order_acq_rel, std::memory_order_relaxed);
  }
}

}  // namespace ringway::detail

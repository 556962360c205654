// The data path: claim, commit, abort; look, copy, release. The only file with data-path atomics.
//
// Thread safety: a RingWriter or RingReader belongs to one thread at a time; any number of them, in any processes, work
// on one topic. Progress: an exclusive claim, commit, abort, look and release are wait-free; a shared claim is
// lock-free; make_space is lock-free and bounded by the tables and the ring. Nothing here calls the kernel.
//
// Invariants:
//   I1  oldest <= every position that may be read; it is moved before anything below it is overwritten.
//   I2  tail <= every publisher's limit <= min(oldest, smallest active reliable cursor) + capacity.
//   I3  the bytes of a frame change only between its claim and its tag, by its claimer.
//   I4  a frame at P is committed iff its tag is P ^ epoch; positions never repeat, so neither do tags.
//   I5  tail, on a shared topic, takes only true frame ends, and whoever moves it has a record standing.
//
// Each ordered access has a number and names its partner. "Death" says what a crash just before or after it leaves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "ringway/detail/layout.hpp"
#include "ringway/detail/slots.hpp"
#include "ringway/detail/wait.hpp"

namespace ringway::detail {

enum class Claimed : std::uint8_t { ok, needs_space, busy, too_large };

// Who keeps a publisher from the space it needs: a subscription's slot, or a publisher's | kBlockedByPublisher.
struct Blocker {
  std::uint32_t slot = kNoBlocker;
  std::uint64_t position = 0;  // what the subscription's cursor must reach; where the publisher's claim stands
};

// The header of the frame at `position`, and last its tag: by its claimer, or by the one who makes a dead one's padding.
template <class Memory>
void write_frame(const Memory& memory, std::uint64_t position, std::uint64_t size, std::uint64_t origin,
                 std::uint64_t stamp) noexcept {
  const std::uint64_t end = position + extent_of(size);
  // relaxed: a mark counts only where it is proven to be a frame start at or below a tail loaded later.
  if (((position ^ end) >> memory.eighth_shift) != 0)
    memory.mark(end >> memory.eighth_shift).store(end, std::memory_order_relaxed);
  auto& frame = memory.frame(position);
  frame.size.store(size, std::memory_order_relaxed);      // W4 orders it
  frame.origin.store(origin, std::memory_order_relaxed);  // as above
  frame.stamp.store(stamp, std::memory_order_relaxed);    // as above
  // release W4: pairs with the tag's loads (G1, R1). Death before it: no message, the frame is unresolved (shared) or
  // never was (exclusive). Death after it: the message is there; only sleepers may wait for their backstop.
  frame.tag.store(position ^ memory.epoch, std::memory_order_release);
}

// One publisher's side of the ring.
template <class Memory>
class RingWriter {
 public:
  // `next` is where an exclusive publisher goes on: the end of the walk over valid tags. `reached`: heavy fences reach this
  // process (join_heavy_fences).
  void attach(const Memory& memory, std::uint32_t slot, std::uint64_t next, bool reached = false) noexcept {
    memory_ = memory;
    heed_ = reached ? 0 : kAlways;
    slot_ = slot;
    next_ = next;
    limit_ = next;
    auto& row = memory_.publisher(slot_);
    sequence_ = row.sequence.load(std::memory_order_relaxed);  // the table lock orders it
    bytes_ = row.bytes.load(std::memory_order_relaxed);        // as above
  }

  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  [[nodiscard]] bool open() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }  // of the open claim
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }
  [[nodiscard]] std::uint64_t max_payload() const noexcept { return memory_.max_extent - memory_.payload_offset; }
  [[nodiscard]] std::byte* payload() const noexcept { return memory_.bytes_at(position_) + memory_.payload_offset; }

  // Reserves a frame for `payload_bytes`; `count` is 0, or how many messages a packed frame shall have. One claim at a time: open_ is set before, and cleared after, whatever a claim
  // loads and stores, so that a signal handler that comes between is told `busy`. (The thread itself sees its stores in
  // order; the signal fences hold the compiler to it.)
  [[nodiscard]] Claimed claim(std::uint64_t payload_bytes, std::uint32_t count = 0) noexcept {
    if (open_) return Claimed::busy;
    if (payload_bytes > max_payload()) return Claimed::too_large;
    open_ = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const std::uint64_t extent = extent_for(payload_bytes);
    if (memory_.exclusive) {
      if (before(limit_, next_ + extent)) return closed(Claimed::needs_space);
      position_ = next_;
    } else if (!claim_shared(extent, count)) {
      return closed(Claimed::needs_space);
    }
    extent_ = extent;
    return Claimed::ok;
  }

  // Makes the open claim's first `length` payload bytes a message. True: somebody sleeps and must be woken.
  [[nodiscard, gnu::always_inline]] bool commit(std::uint32_t length, std::uint64_t stamp,
                                                FrameKind kind = FrameKind::message) noexcept {
    publish_frame(pack_size(length, extent_, kind), 0, stamp);
    return count(1, length);
  }
  // Makes it a packed frame: its first `messages`, `length` bytes each and one stride apart. REQUIRES: 1 <= messages <= those
  // it was claimed for, and it has room for them.
  [[nodiscard]] bool commit_packed(std::uint32_t messages, std::uint32_t length, std::uint64_t stamp) noexcept {
    publish_frame(pack_size(length, extent_, FrameKind::packed), messages, stamp);
    return count(messages, std::uint64_t{messages} * length);
  }

  // Gives the open claim up: nothing on an exclusive topic, padding on a shared one. True: as for commit.
  [[nodiscard]] bool abort() noexcept {
    if (memory_.exclusive) return closed(false);
    publish_frame(pack_size(0, extent_, FrameKind::aborted), 0, 0);
    return close_claim();
  }

  // Moves `oldest` and the private limit so that a claim of `payload_bytes` fits; false: `blocker` says who is in the
  // way. Called without an open claim, so without a record.
  [[nodiscard]] bool make_space(std::uint64_t payload_bytes, Blocker& blocker) noexcept;

 private:
  template <class Result>
  Result closed(Result result) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    open_ = false;
    return result;
  }

  [[nodiscard]] std::uint64_t extent_for(std::uint64_t payload_bytes) const noexcept {
    return (memory_.payload_offset + payload_bytes + kLine - 1) & ~(kLine - 1);
  }

  [[nodiscard]] bool claim_shared(std::uint64_t extent, std::uint32_t count) noexcept {
    auto& row = memory_.publisher(slot_);
    for (std::uint64_t retries = 0;; ++retries) {
      // relaxed: only the CAS decides; a stale value makes it fail.
      std::uint64_t position = memory_.tail().load(std::memory_order_relaxed);
      if (before(limit_, position + extent)) return false;
      row.record_extent.store(extent | count, std::memory_order_relaxed);  // W1 orders it
      // release W1: pairs with the looks at records (S2, D2, D5), which must find the extent, and the tag of this publisher's
      // claim before, whose record made way for this one. Death after it: a record that did not win; it counts for nobody
      // once its place is tagged or passed, else it is resolved.
      row.record.store(position | kRecordStanding, std::memory_order_release);
      // acq_rel W2: pairs with every load of tail: whoever sees the new tail sees the record (I5). Death before it:
      // nothing claimed. Death after it: a claimed frame without a tag, whose record tells its extent.
      if (memory_.tail().compare_exchange_strong(position, position + extent, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed)) {
        position_ = position;
        // release W3: pairs with S2, D2, D5, as W1. Death before it: the record stands, not won; the frame's end gives the evidence.
        row.record.store(position | kRecordStanding | kRecordWon, std::memory_order_release);
        if (retries > row.retries.load(std::memory_order_relaxed))  // own line, display only
          row.retries.store(retries, std::memory_order_relaxed);
        return true;
      }
      // release W7: pairs with S2: nothing of this claim is left.
      row.record.store(kNoRecord, std::memory_order_release);
      for (std::uint64_t i = 0; i < (retries < 6 ? 1ULL << retries : 64); ++i) Memory::pause();
    }
  }

  void publish_frame(std::uint64_t size, std::uint32_t packed, std::uint64_t stamp) noexcept {
    write_frame(memory_, position_, size, pack_origin(slot_, sequence_, packed), stamp);
  }

  // Messages that have their tag.
  [[nodiscard, gnu::always_inline]] bool count(std::uint32_t messages, std::uint64_t bytes) noexcept {
    auto& row = memory_.publisher(slot_);
    // release W9: pairs with those who count what they lost: whoever sees a message counted sees its tag.
    row.sequence.store(sequence_ += messages, std::memory_order_release);
    row.bytes.store(bytes_ += bytes, std::memory_order_relaxed);  // display only
    return close_claim();
  }

  [[nodiscard]] bool close_claim() noexcept {
    if (memory_.exclusive) {
      next_ = position_ + extent_;
      // release W6: pairs with G2. Death before it: the next publisher walks over the tag.
      memory_.tail().store(next_, std::memory_order_release);
    } else {
      // release W5: pairs with S2: whoever sees NONE sees the tag and the sequence. Death before it: a record at a tagged
      // place, which counts for nobody.
      memory_.publisher(slot_).record.store(kNoRecord, std::memory_order_release);
    }
    closed(true);
    // W8: between the tag and the look at the bits; pairs with the sleeper's heavy fence (B8): either the sleeper sees the tag,
    // or this load sees that it has armed. Death after it: the sleeper's backstop.
    Memory::commit_fence();
    if (((memory_.bias().load(std::memory_order_relaxed) | heed_) & (kArmed | kAlways)) == 0) [[likely]]
      return false;
    return look_for_sleepers();
  }

  [[nodiscard]] bool look_for_sleepers() noexcept;
  [[nodiscard]] std::uint64_t lowest_record(std::uint64_t oldest, std::uint64_t tail, std::uint32_t& owner) noexcept;
  [[nodiscard]] bool next_oldest(std::uint64_t oldest, std::uint64_t need, std::uint64_t bound, std::uint64_t tail,
                                 std::uint64_t& target) noexcept;

  Memory memory_{};
  std::uint32_t slot_ = 0;
  bool open_ = false;
  std::uint64_t next_ = 0;      // exclusive: the private tail
  std::uint64_t limit_ = 0;     // I2
  std::uint64_t position_ = 0;  // of the open claim
  std::uint64_t extent_ = 0;
  std::uint64_t sequence_ = 0;  // of the next message
  std::uint64_t bytes_ = 0;
  std::uint64_t heed_ = kAlways;  // always look, whatever the bias says; or 0
  std::uint32_t quiet_ = 0;       // looks in a row that found nobody
};

// While the bias is armed: does anybody sleep? Kept out of line, and out of the way of commits that need not look.
template <class Memory>
[[gnu::noinline]] bool RingWriter<Memory>::look_for_sleepers() noexcept {
  // Full fence W10: between the tag and the look at the bits; pairs with the sleeper's announce (B3). Death after it: the
  // sleeper's backstop.
  Memory::full_fence();
  if (anyone_parked(memory_) || (!memory_.exclusive && anyone_waiting(memory_))) {
    quiet_ = 0;
    return true;
  }
  if (++quiet_ >= Memory::kQuietCommits) {
    quiet_ = 0;
    disarm(memory_);
  }
  return false;
}

// S2: the lowest place that an open claim of another publisher may own, at most `tail`.
template <class Memory>
std::uint64_t RingWriter<Memory>::lowest_record(std::uint64_t oldest, std::uint64_t tail,
                                                std::uint32_t& owner) noexcept {
  std::uint64_t lowest = tail;
  const std::uint32_t used = memory_.publishers_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    // acquire S2: pairs with W1, W3, W5, W7.
    const std::uint64_t record = memory_.publisher(slot).record.load(std::memory_order_acquire);
    if (record == kNoRecord) continue;
    const std::uint64_t position = position_of(record);
    // A claim that has not won, at a place with a valid tag, has lost. One that has won counts until its record is gone: if
    // its owner is dead, the message is yet to be counted. Beyond tail nothing is claimed.
    if (before(position, oldest) || before(tail, position) || ((record & kRecordWon) == 0 && tagged(memory_, position)))
      continue;
    if (before(position, lowest) || (position == lowest && (record & kRecordWon) != 0)) {
      lowest = position;
      owner = slot;
    }
  }
  return lowest;
}

// S3: a proven frame start at or above `need` and at most `bound`: the first lap mark there or the bound itself, if near;
// else what a walk over the tags finds, so that lossy readers do not lose a whole ring for want of a mark. False: a tag is
// missing on the way, and nothing further on is proven either.
template <class Memory>
bool RingWriter<Memory>::next_oldest(std::uint64_t oldest, std::uint64_t need, std::uint64_t bound, std::uint64_t tail,
                                     std::uint64_t& target) noexcept {
  bool proven = false;
  target = bound;
  for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) {
    const std::uint64_t mark = memory_.mark(eighth).load(std::memory_order_relaxed);  // checked here
    if (mark % kLine != 0 || (mark >> memory_.eighth_shift) % kEighths != eighth) continue;
    if (!before(oldest, mark) || before(tail, mark)) continue;  // an earlier lap's, or not proven yet
    if (before(mark, need) || before(target, mark)) continue;   // too little, or too much
    target = mark;
    proven = true;
  }
  if (!proven) proven = bound == tail || tagged(memory_, bound);
  // The largest frame covers two eighths, so the next mark is no further than that, unless its writer died.
  if (proven && target - need <= 3 * (memory_.capacity / kEighths)) return true;
  const std::uint64_t end = walk(
      memory_, oldest, [need](std::uint64_t position, std::uint64_t, std::uint64_t) { return before(position, need); });
  if (before(end, need) || before(bound, end)) return proven;  // a page of zeros, say: what nobody needs goes with it
  target = end;
  return true;
}

template <class Memory>
bool RingWriter<Memory>::make_space(std::uint64_t payload_bytes, Blocker& blocker) noexcept {
  const std::uint64_t extent = extent_for(payload_bytes);
  for (;;) {  // each further round means that another publisher has moved tail or oldest: lock-free
    // acquire S1: pairs with S3, so that what this publisher overwrites was given up for all (S5).
    std::uint64_t oldest = memory_.oldest().load(std::memory_order_acquire);
    // acquire S1: pairs with W2.
    const std::uint64_t tail = memory_.exclusive ? next_ : memory_.tail().load(std::memory_order_acquire);
    const std::uint64_t need = tail + extent - memory_.capacity;
    if (before(oldest, need)) {
      std::uint32_t owner = 0;
      const std::uint64_t lowest = memory_.exclusive ? tail : lowest_record(oldest, tail, owner);
      const SlowestCursor slowest = slowest_cursor(memory_);
      const bool behind = slowest.any && before(slowest.position, lowest);  // else it could not go on either
      const std::uint64_t bound = behind ? slowest.position : lowest;
      if (before(bound, need)) {
        blocker = behind ? Blocker{slowest.slot, need} : Blocker{owner | kBlockedByPublisher, lowest};
        return false;
      }
      const std::uint64_t kept =
          lowest_kept(memory_, tail);  // never below `need`: the limits are half the ring at most
      std::uint64_t target = 0;
      if ((!before(kept, bound) || !next_oldest(oldest, need, kept, tail, target)) &&
          !next_oldest(oldest, need, bound, tail, target)) {
        // relaxed: only to see whether another has passed this place meanwhile.
        if (memory_.oldest().load(std::memory_order_relaxed) != oldest) continue;
        blocker = {kNoBlocker, oldest};
        return false;
      }
      // acq_rel S3: pairs with R2 and J3: a reader that finds an overwritten byte finds this too. Death after it:
      // oldest has moved, nothing is overwritten yet: readers lost what nobody needed.
      if (!memory_.oldest().compare_exchange_strong(oldest, target, std::memory_order_acq_rel,
                                                    std::memory_order_relaxed))
        continue;
    }
    // seq_cst S4: see slowest_cursor. Orders the load of oldest before the scan of the cursors.
    oldest = memory_.oldest().load(std::memory_order_seq_cst);
    const SlowestCursor slowest = slowest_cursor(memory_);
    const std::uint64_t floor = slowest.any && before(slowest.position, oldest) ? slowest.position : oldest;
    if (before(limit_, floor + memory_.capacity)) limit_ = floor + memory_.capacity;
    // Release fence S5: between that oldest and the first byte of reused space; pairs with the reader's fence (R2).
    Memory::release_fence();
    if (!before(limit_, tail + extent)) return true;
    // A subscription joined behind: it holds from now on. Or no room at the tail, though oldest and cursors allow it: one
    // cannot be true. Nobody is named who is not below `need`: else whoever waits for that would not wait.
    const bool behind = before(floor, oldest) && before(floor, need);
    blocker = behind ? Blocker{slowest.slot, need} : Blocker{kNoBlocker, oldest};
    return false;
  }
}

enum class Look : std::uint8_t { message, nothing, gap, corrupt };

// A message as it lies in the ring, or in a reader's buffer.
struct Found {
  const std::byte* payload = nullptr;
  std::uint32_t length = 0;
  std::uint64_t position = 0;  // the frame's, and its index in a packed frame
  std::uint64_t next = 0;      // the cursor once it is released
  std::uint64_t size = 0;      // of the frame, as loaded
  std::uint64_t origin = 0;    // its publisher and its own sequence
  std::uint64_t stamp = 0;
};

// The payload lies in the frame and the whole frame in the double mapping, by the private geometry.
template <class Memory>
bool fits(const Memory& memory, std::uint64_t size, std::uint64_t payload_bytes) noexcept {
  const std::uint64_t extent = extent_of(size);
  return extent <= memory.max_extent && memory.payload_offset + payload_bytes <= extent;
}
// What a copy takes; a dead letter's trailer goes with its payload.
template <class Memory>
std::uint64_t payload_bytes(const Memory& memory, std::uint64_t size, std::uint64_t origin) noexcept {
  if (kind_of(size) == FrameKind::packed)
    return count_of(origin) * stride_of(length_of(size), memory.payload_alignment);
  return has_trailer(size) ? trailer_offset(length_of(size)) + sizeof(DeadLetterTrailer) : length_of(size);
}
// The header's claims.
template <class Memory>
bool plausible(const Memory& memory, std::uint64_t size, std::uint64_t origin) noexcept {
  return (is_message(size) || kind_of(size) == FrameKind::aborted ||
          (kind_of(size) == FrameKind::packed && count_of(origin) != 0)) &&
         fits(memory, size, payload_bytes(memory, size, origin));
}

// One subscriber's or observer's side of the ring.
template <class Memory>
class RingReader {
 public:
  void attach(const Memory& memory, std::uint64_t next) noexcept {
    memory_ = memory;
    go_on_at(next);
  }
  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
  // Bytes from the message that the last look gave, in a frame of its own, to the next one; of no meaning after anything else.
  [[nodiscard]] std::uint64_t last_extent() const noexcept { return next_ - last_; }
  void go_on_at(std::uint64_t position) noexcept {
    next_ = position;
    packed_.next = position == kNowhere ? 0 : kNowhere;  // a faulty word may say just that
  }

  // A message, not an aborted frame, is next.
  [[nodiscard]] bool here() const noexcept {
    const std::uint64_t start = frame_start(next_);
    // relaxed: tagged orders it (G1).
    return tagged(memory_, start) &&
           kind_of(memory_.frame(start).size.load(std::memory_order_relaxed)) != FrameKind::aborted;
  }
  // The next message, in place; for a reliable subscription, whom publishers wait for. Passes aborted frames.
  [[nodiscard, gnu::always_inline]] Look look(Found& found) noexcept {
    for (std::uint64_t passed = 0; passed < memory_.capacity;) {
      auto& frame = memory_.frame(next_);
      // acquire R1: pairs with W4. Within a packed frame it is another tag: see look_inside.
      if (frame.tag.load(std::memory_order_acquire) != (next_ ^ memory_.epoch))
        return index_of(next_) == 0 ? Look::nothing : look_inside(found);
      found.size = frame.size.load(std::memory_order_relaxed);  // ordered by R1
      if (!fits(memory_, found.size, length_of(found.size))) return Look::corrupt;
      found.next = next_ + extent_of(found.size);
      if (is_message(found.size)) {
        if (has_trailer(found.size) && !fits(memory_, found.size, payload_bytes(memory_, found.size, 0))) [[unlikely]]
          return Look::corrupt;
        found.payload = memory_.bytes_at(next_) + memory_.payload_offset;
        found.length = length_of(found.size);
        found.position = next_;
        found.origin = frame.origin.load(std::memory_order_relaxed);  // ordered by R1
        found.stamp = frame.stamp.load(std::memory_order_relaxed);    // as above
        last_ = next_;
        next_ = found.next;
        return Look::message;
      }
      if (kind_of(found.size) == FrameKind::packed) return look_inside(found);
      if (kind_of(found.size) != FrameKind::aborted) return Look::corrupt;
      passed += extent_of(found.size);
      next_ = found.next;
    }
    return Look::nothing;  // a whole ring of padding: look again later
  }

  // The next message, copied to `buffer` (room for the largest frame) and checked: for readers whom publishers overtake. A
  // packed frame is copied as a whole: what is handed out of it afterwards cannot be overtaken any more.
  // Gap: go_on_at(oldest), and count what is missing.
  [[nodiscard]] Look copy(Found& found, std::byte* buffer) noexcept {
    if (packed_.next == next_) return take(found);
    for (std::uint64_t passed = 0; passed < memory_.capacity;) {
      const std::uint64_t start = frame_start(next_);
      auto& frame = memory_.frame(start);
      // acquire R1: pairs with W4.
      if (Memory::peek(frame.tag) != (start ^ memory_.epoch)) return overtaken() ? Look::gap : Look::nothing;
      found.size = Memory::peek(frame.size);      // good only if the check below says so
      found.origin = Memory::peek(frame.origin);  // as above
      found.stamp = Memory::peek(frame.stamp);    // as above
      const bool whole = plausible(memory_, found.size, found.origin);
      if (whole && kind_of(found.size) != FrameKind::aborted)
        Memory::racy_copy(buffer, memory_.bytes_at(start) + memory_.payload_offset,
                          payload_bytes(memory_, found.size, found.origin));
      Memory::acquire_fence();  // R2: pairs with S5: if any byte read was newer, oldest has passed this place
      if (overtaken()) return Look::gap;
      if (!whole) return Look::corrupt;
      if (kind_of(found.size) == FrameKind::packed)
        return open_packed(found.size, found.origin, found.stamp, buffer) ? take(found) : Look::corrupt;
      if (index_of(next_) != 0) return Look::corrupt;
      found.position = next_;
      found.next = next_ + extent_of(found.size);
      passed += extent_of(found.size);
      next_ = found.next;
      if (is_message(found.size)) {
        found.payload = buffer;
        found.length = length_of(found.size);
        return Look::message;
      }
    }
    return Look::nothing;
  }

 private:
  static constexpr std::uint64_t kNowhere = ~0ULL;  // no packed frame has so high an index

  // What is left of the packed frame at next_, checked once.
  struct Packed {
    std::uint64_t next = kNowhere;       // position of its next message; kNowhere: none is open
    std::uint64_t last = 0;              // of its last message
    std::uint64_t end = 0;               // of the frame
    const std::byte* payload = nullptr;  // of its next message
    std::uint64_t stride = 0;
    std::uint64_t size = 0;
    std::uint64_t origin = 0;  // with the next message's sequence
    std::uint64_t stamp = 0;
  };

  // Ready to hand the messages of the packed frame at next_ out, from next_'s index on. `payload`: where the first one lies.
  // False: it has no such message. REQUIRES: plausible.
  [[nodiscard]] bool open_packed(std::uint64_t size, std::uint64_t origin, std::uint64_t stamp,
                                 const std::byte* payload) noexcept {
    const std::uint64_t index = index_of(next_);
    const std::uint64_t start = frame_start(next_);
    const std::uint64_t stride = stride_of(length_of(size), memory_.payload_alignment);
    if (index >= count_of(origin)) return false;
    packed_ = {next_,
               start + count_of(origin) - 1,
               start + extent_of(size),
               payload + index * stride,
               stride,
               size,
               origin + index * kNextSequence,
               stamp};
    return true;
  }
  // The next message of the open packed frame.
  [[gnu::always_inline]] Look take(Found& found) noexcept {
    found.payload = packed_.payload;
    found.length = length_of(packed_.size);
    found.position = next_;
    found.size = packed_.size;
    found.origin = packed_.origin;
    found.stamp = packed_.stamp;
    packed_.payload += packed_.stride;
    packed_.origin += kNextSequence;
    const bool last = next_ == packed_.last;
    next_ = found.next = last ? packed_.end : next_ + 1;
    packed_.next = last ? kNowhere : next_;
    return Look::message;
  }
  // The message at next_, which lies in a packed frame.
  [[gnu::always_inline]] Look look_inside(Found& found) noexcept {
    if (packed_.next == next_) return take(found);
    const Look look = enter();
    return look == Look::message ? take(found) : look;
  }
  [[gnu::noinline]] Look enter() noexcept {
    const std::uint64_t start = frame_start(next_);
    auto& frame = memory_.frame(start);
    // acquire R6: as R1, for who goes on in the middle of a packed frame.
    if (frame.tag.load(std::memory_order_acquire) != (start ^ memory_.epoch)) return Look::nothing;
    const std::uint64_t size = frame.size.load(std::memory_order_relaxed);      // ordered by R6
    const std::uint64_t origin = frame.origin.load(std::memory_order_relaxed);  // as above
    const std::uint64_t stamp = frame.stamp.load(std::memory_order_relaxed);    // as above
    return kind_of(size) == FrameKind::packed && plausible(memory_, size, origin) &&
                   open_packed(size, origin, stamp, memory_.bytes_at(start) + memory_.payload_offset)
               ? Look::message
               : Look::corrupt;
  }
  // acquire R3: pairs with S3, so that what is read at the new oldest is there.
  [[nodiscard]] bool overtaken() const noexcept {
    return before(next_, memory_.oldest().load(std::memory_order_acquire));
  }

  Memory memory_{};
  std::uint64_t next_ = 0;  // of the next message
  std::uint64_t last_ = 0;  // of the last message that was not in a packed frame
  Packed packed_;
};

// Lets everything below `cursor` go; true: a publisher waits, see wake_waiting. release R4: pairs with S4, so that no
// byte is overwritten while it is still read. Death before it: delivered again; after it: a waiting publisher's backstop.
template <class Memory>
bool release(const Memory& memory, std::uint32_t subscription, std::uint64_t cursor) noexcept {
  memory.subscription(subscription).cursor.store(cursor, std::memory_order_release);
  return anyone_waiting(memory);
}

}  // namespace ringway::detail

// The policy that the shipping templates get in place of SegmentMemory: the same members, over the words of the model.
//
// A topic here has a ring of eight lines, so an eighth of it is one line, and a frame has one or two of them. Of a line's eight
// words five exist: the header's four and the first of a payload that starts behind a header. A frame of two lines has a payload
// of 40 bytes: that word, and the first of its second line, where an earlier lap had a tag. A packed frame of two lines has two
// messages, which are those two words.
//
// Thread safety: as SegmentMemory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "machine.hpp"
#include "resolve.hpp"
#include "ringway/detail/jobs.hpp"
#include "ringway/detail/ring.hpp"

namespace model {

namespace detail = ringway::detail;
using detail::kLine;

inline constexpr std::uint64_t kCapacity = 8 * kLine;
inline constexpr std::uint64_t kEpoch = 0x5A5A'0000'0000'0001;

struct Frame {
  Word<std::uint64_t> tag;
  Word<std::uint64_t> size;
  Word<std::uint64_t> origin;
  Word<std::uint64_t> stamp;
};

struct Line {
  Frame frame;
  Word<std::uint64_t> payload;
  Bytes bytes;  // the payload once more, as plain memory: for topics without readers that are overtaken
};

struct PublisherRow {
  Word<std::uint64_t> record;
  Word<std::uint64_t> record_extent;
  Word<std::uint64_t> sequence;
  Display<std::uint64_t> bytes;
  Display<std::uint64_t> retries;
  Word<std::uint32_t> dead;  // what the kernel knows
};

struct SubscriptionRow {
  Display<detail::SubscriptionKind> kind;
  Display<std::uint32_t> group;
  Word<std::uint64_t> cursor;
  Word<detail::SubscriptionState> state;
  Word<std::uint64_t> max_lag_bytes;
  Word<std::uint32_t> doorbell;
};

struct GroupRow {
  Word<std::uint64_t> next;
  Word<std::uint32_t> returns;
  Word<std::uint32_t> entries_used;
};

struct MemberRow {
  Word<std::uint32_t> doorbell;
  Word<std::uint32_t> dead;  // what the kernel knows
};

struct Entry {
  Word<std::uint64_t> word;
  Word<std::uint64_t> position;
  Display<std::uint64_t> time_ns;
};

struct WaitingRow {
  Word<std::uint64_t> position;
  Word<std::uint32_t> blocker;
  Word<std::uint32_t> doorbell;
};

struct Topic {
  std::array<Line, 8> lines;
  Word<std::uint64_t> tail;
  Word<std::uint64_t> oldest;
  std::array<Word<std::uint64_t>, detail::kEighths> marks;
  std::array<PublisherRow, 3> publishers;
  std::array<SubscriptionRow, 2> subscriptions;
  std::array<WaitingRow, 3> waiting_rows;
  GroupRow group;
  std::array<MemberRow, 3> members;
  std::array<Entry, 3> entries;
  std::array<Word<std::uint64_t>, 1> member_bits;
  Word<std::uint32_t> publishers_used;
  Word<std::uint32_t> subscriptions_used;
  Word<std::uint64_t> bias;
  std::array<Word<std::uint64_t>, 1> parked;
  std::array<Word<std::uint64_t>, 1> waiting;
  bool plain = true;    // those who read in place are not overtaken
  bool copied = false;  // others are, or may be
};

struct Memory {
  std::uint64_t capacity = kCapacity;
  std::uint64_t epoch = kEpoch;
  std::uint64_t max_extent = kCapacity / 4;
  std::uint32_t payload_offset = detail::kFrameHeader;
  std::uint32_t payload_alignment = 32;
  std::uint32_t eighth_shift = 6;
  std::uint32_t max_publishers = 3;
  std::uint32_t max_subscriptions = 2;
  std::uint32_t max_groups = 1;
  std::uint32_t max_members = 3;
  std::uint32_t max_in_flight = 3;
  bool exclusive = false;
  bool stamped = false;
  Word<std::uint64_t>* parked = nullptr;
  Word<std::uint64_t>* waiting = nullptr;
  Topic* topic = nullptr;

  [[nodiscard]] auto& bias() const { return topic->bias; }
  [[nodiscard]] auto& tail() const { return topic->tail; }
  [[nodiscard]] auto& oldest() const { return topic->oldest; }
  [[nodiscard]] auto& mark(std::uint64_t eighth) const { return topic->marks[eighth % detail::kEighths]; }
  [[nodiscard]] auto& publisher(std::uint32_t slot) const { return topic->publishers[slot]; }
  [[nodiscard]] auto& subscription(std::uint32_t slot) const { return topic->subscriptions[slot]; }
  [[nodiscard]] auto& group(std::uint32_t) const { return topic->group; }
  [[nodiscard]] auto& member(std::uint32_t, std::uint32_t slot) const { return topic->members[slot]; }
  [[nodiscard]] auto& entry(std::uint32_t, std::uint32_t index) const { return topic->entries[index]; }
  [[nodiscard]] auto* member_bits(std::uint32_t) const { return topic->member_bits.data(); }
  [[nodiscard]] auto& waiting_line(std::uint32_t slot) const { return topic->waiting_rows[slot]; }
  [[nodiscard]] Line& line(std::uint64_t position) const { return topic->lines[position / kLine % 8]; }
  [[nodiscard]] auto& frame(std::uint64_t position) const { return line(position).frame; }
  [[nodiscard]] std::uint32_t subscriptions_used() const {
    static const Site* const n1 = site("N1");
    return topic->subscriptions_used.load(std::memory_order_seq_cst, Where(n1));
  }
  [[nodiscard]] std::uint32_t publishers_used() const {
    static const Site* const n2 = site("N2");
    return topic->publishers_used.load(std::memory_order_acquire, Where(n2));
  }

  static std::uint64_t peek(const Word<std::uint64_t>& word, Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    return word.load(std::memory_order_acquire, where);
  }
  static void full_fence(Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    fence(std::memory_order_seq_cst, where);
  }
  static void acquire_fence(Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    fence(std::memory_order_acquire, where);
  }
  static void release_fence(Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    fence(std::memory_order_release, where);
  }
  static void commit_fence(Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    effective(where, std::memory_order_seq_cst);  // within a thread everything is done in its order
  }
  static bool heavy_fence(Where where = Where(__builtin_FILE(), __builtin_LINE())) { return barrier(where); }
  static constexpr std::uint32_t kQuietCommits = 1;
  static void see(const Word<std::uint64_t>&) {}
  static void pause() {}

  // The bytes of the ring have addresses, nothing else; racy_copy finds the words again.
  [[nodiscard]] std::byte* bytes_at(std::uint64_t position) const { return space().data() + position % kCapacity; }
  static void racy_copy(std::byte* to, const std::byte* from, std::uint64_t bytes);

  static std::array<std::byte, 2 * kCapacity>& space();
  static Topic*& current();
};

// In place of the system call; who sleeps looks by itself.
inline void futex_wake(Word<std::uint32_t>&) {}

using Writer = detail::RingWriter<Memory>;
using Reader = detail::RingReader<Memory>;
using Member = detail::RingMember<Memory>;

}  // namespace model

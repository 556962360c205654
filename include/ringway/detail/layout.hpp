// Every byte of a topic's two files: structs, constants, static_asserts; no logic.
//
// <topic>.data     TopicHeader | tail | oldest | lap marks | publisher table | ring (page-aligned)
//                  written by publishers only; everyone else maps it read-only
// <topic>.control  ControlHeader | parked words | waiting words | waiting lines | subscription table | groups
//                  written by publishers and subscribers
//
// All words are little-endian (byte_order tells), zero is a valid initial value of every word but those of the two
// headers and `tail` / `oldest`, and no struct has hidden padding. A change of any size or offset changes the
// signature; tests/layout_test.cpp then asks for a new kLayoutVersion.
//
// Thread safety: words that change after creation are atomics. Crash: each field says what a death leaves.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace ringway::detail {

inline constexpr std::uint32_t kLayoutVersion = 1;
inline constexpr std::uint32_t kByteOrder = 0x01020304;
inline constexpr std::uint64_t kDataMagic = 0x4459'4157'474E'4952;     // "RINGWAYD"
inline constexpr std::uint64_t kControlMagic = 0x4359'4157'474E'4952;  // "RINGWAYC"

inline constexpr std::uint64_t kLine = 64;         // one frame unit, one cache line
inline constexpr std::uint64_t kFrameHeader = 32;  // bytes before the payload, unless its alignment needs 64
inline constexpr std::uint64_t kEighths = 8;       // lap marks a ring
inline constexpr std::uint64_t kMinCapacity = 32ULL << 10;
inline constexpr std::uint64_t kMinTestCapacity = 4ULL << 10;  // the format allows it; only tests ask for it
inline constexpr std::uint64_t kMaxCapacity = 1ULL << 40;
inline constexpr std::uint64_t kMaxExtent = ((1ULL << 24) - 1) * kLine;  // what 24 bits of 64-byte units hold
inline constexpr std::uint32_t kMaxPublishers = 1024;
inline constexpr std::uint32_t kMaxSubscriptions = 1024;
inline constexpr std::uint32_t kMaxGroups = 16;
inline constexpr std::uint32_t kMaxMembers = 1024;
inline constexpr std::uint32_t kMaxInFlight = 65536;
inline constexpr std::size_t kNameWords = 8;  // a component has at most 64 bytes; shorter ones end in NUL
inline constexpr std::size_t kTypeNameBytes = 256;

// Feature bits. An unknown required bit refuses the topic; an unknown optional one is ignored.
inline constexpr std::uint64_t kKnownRequiredFeatures = 0;
inline constexpr std::uint64_t kLatencyFeature = 1;  // optional, data: subscribers count receive - stamp in histograms

// Kernel lock bytes, far past the end of either file: never data, only places to lock.
inline constexpr std::uint64_t kCreatorByte = 1ULL << 62;                    // control: create, remove
inline constexpr std::uint64_t kTableByte = kCreatorByte + 1;                // either: attach, repair
inline constexpr std::uint64_t kSlotBytes = kCreatorByte + 4096;             // + slot: a publisher's, subscriber's life
inline constexpr std::uint64_t kMemberBytes = kCreatorByte + 65536;          // control: + group * kMaxMembers + slot
inline constexpr std::uint64_t kScratchBytes = kCreatorByte + (1ULL << 32);  // + 32 random bits: self-test, proof

// The first 64 bytes of either file, at these offsets in every layout version.
struct Prefix {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t byte_order;
  std::uint64_t signature;   // from the sizes and offsets below
  std::uint64_t file_bytes;  // the whole file
  std::uint64_t epoch;       // odd, random, never printed; the same in both files of a topic
  std::uint64_t required_features;
  std::uint64_t optional_features;
  std::uint64_t control_inode;  // data: the inode of its control; control: 0
};

// Data file, offset 0. Written once by the creator, before the file has a name; immutable afterwards.
struct TopicHeader {
  Prefix prefix;
  std::uint64_t capacity_bytes;     // of the ring; a power of two
  std::uint64_t first_position;     // tail and oldest of the new topic; a multiple of 64
  std::uint32_t payload_offset;     // from the frame's start: 32, or 64 where the alignment needs it
  std::uint32_t payload_alignment;  // bytes; a power of two, at most 64
  std::uint32_t max_publishers;     // rows of the publisher table
  std::uint32_t max_subscriptions;  // rows of the subscription table
  std::uint32_t max_groups;
  std::uint32_t max_members;    // a group
  std::uint32_t max_in_flight;  // a group
  std::uint32_t exclusive;      // 1: one publisher at a time
  std::uint32_t stamped;        // 1: frames carry CLOCK_MONOTONIC
  std::uint32_t temporary;      // 1: removed by its last leaver
  std::uint64_t type_size;      // 0: bytes
  std::uint64_t type_alignment;
  std::uint64_t type_fingerprint;
  std::array<char, kTypeNameBytes> type_name;  // NUL-terminated, may be empty
  std::uint64_t created_ns;                    // CLOCK_REALTIME, for display
  std::array<char, 40> boot_id;                // of the boot that created this file, NUL-terminated
  std::uint64_t discarded;                     // messages that were not kept across reboots, see ControlHeader::boot
  std::array<std::byte, 568> reserved;
};

// Data file: where the next claim starts.
struct alignas(kLine) TailLine {
  std::atomic<std::uint64_t> tail;  // shared: CAS by claimers. exclusive: stored after the tag; may lag, never lead
  std::array<std::byte, 56> reserved;
  std::atomic<std::uint32_t> publishers_used;  // rows ever owned; grows under the table lock, before a row is owned
  std::array<std::byte, 60> reserved_used;
};

// Data file: the first position that is safe to read; moved before anything below it is overwritten.
struct alignas(kLine) OldestLine {
  std::atomic<std::uint64_t> oldest;  // CAS by publishers in need of space; only grows
  std::array<std::byte, 120> reserved;
};

// Data file: per eighth of the ring the first frame start in it. Stored between a claim and its tag by the claimer
// whose end lies there; counts only if oldest < mark <= tail and it lies in the eighth it is filed under.
struct alignas(kLine) LapMarks {
  std::array<std::atomic<std::uint64_t>, kEighths> mark;
};

enum class PublisherState : std::uint32_t { free = 0, owned = 1 };

// A frame starts on a multiple of 64. The low six bits of a cursor, and of a message's position, count within a packed frame.
constexpr std::uint64_t frame_start(std::uint64_t position) { return position & ~(kLine - 1); }
constexpr std::uint64_t index_of(std::uint64_t position) { return position & (kLine - 1); }

// A record is NONE, or a frame's position with the bits below.
inline constexpr std::uint64_t kNoRecord = 0;
inline constexpr std::uint64_t kRecordWon = 1;       // the CAS on tail succeeded
inline constexpr std::uint64_t kRecordStanding = 2;  // tells position 0 from NONE
constexpr std::uint64_t position_of(std::uint64_t record) { return frame_start(record); }

// Data file: a row of the publisher table. Written by its owner; state, incarnation, pid and name under the table lock.
struct alignas(kLine) PublisherSlot {
  std::atomic<std::uint64_t> record;  // the claim under way; shared topics only
  std::atomic<std::uint64_t>
      record_extent;  // bytes it claims | messages, if for a packed frame; stored before the record
  std::atomic<std::uint64_t> reserved_word;
  std::atomic<std::uint64_t> incarnation;  // how many times this row has been owned
  std::atomic<std::uint64_t> sequence;     // messages committed, across incarnations; stored after the tag
  std::atomic<std::uint64_t> bytes;        // payload bytes committed, across incarnations
  std::atomic<std::uint64_t> claimed_ns;   // CLOCK_MONOTONIC when a waiting claim began to be open; display only
  std::atomic<PublisherState> state;
  std::atomic<std::uint32_t> pid;                           // display only
  std::array<std::atomic<std::uint64_t>, kNameWords> name;  // display only
  std::atomic<std::uint64_t> waits;                         // claims that found no space at once
  std::atomic<std::uint64_t> retries;                       // the most times one claim lost the CAS on tail
  std::array<std::byte, 112> reserved;
};

// Control file, offset 0. Prefix and limits are immutable; `removed` only goes from 0 to 1.
struct ControlHeader {
  Prefix prefix;
  std::uint64_t capacity_bytes;
  std::uint32_t max_publishers;
  std::uint32_t max_subscriptions;
  std::uint32_t max_groups;
  std::uint32_t max_members;
  std::uint32_t max_in_flight;
  std::uint32_t reserved_word;
  std::array<std::byte, 32> reserved;
  std::atomic<std::uint32_t> removed;             // 1: being removed; stored under the creator byte
  std::atomic<std::uint32_t> subscriptions_used;  // rows ever owned; grows under the table lock, before a row joins
  std::atomic<std::uint32_t> had_durable;         // 1 once a durable subscription was created; under the table lock
  std::uint32_t reserved_small;
  // On a file system that outlives the kernel: 0 is clean, everybody who attached has left in order; else the boot in which
  // somebody attached, kLeaving while somebody who leaves looks for others.
  std::atomic<std::uint64_t> boot;
  std::array<std::byte, 40> reserved_line;
  // Must commits look for sleepers? Changed by sleepers before they sleep, and by a publisher whose commits have long found
  // none; read by each commit, so on a line that little else changes. Zero: nobody sleeps. See wait.hpp.
  std::atomic<std::uint64_t> bias;
  std::array<std::byte, 312> reserved_lines;
};

inline constexpr std::uint64_t kLeaving = 2;  // a bit of ControlHeader::boot

// Bits and counters of ControlHeader::bias.
inline constexpr std::uint64_t kArmed = 1;    // somebody sleeps, or did lately: commits fence and look
inline constexpr std::uint64_t kReady = 2;    // every publisher has passed a barrier since the bias was armed
inline constexpr std::uint64_t kAlways = 4;   // a sleeper cannot make others pass a barrier: commits always look
inline constexpr std::uint64_t kOnePark = 8;  // times that somebody went to sleep, up to the generation
inline constexpr std::uint64_t kGeneration = 1ULL << 32;  // times that it was disarmed, from here up

// Control file: one per 64 sleepers: bit set by a subscriber before it sleeps, cleared by itself or its waker.
// Words for the subscriptions come first, then those for each group's members.
struct alignas(kLine) BitWords {
  std::array<std::atomic<std::uint64_t>, 8> word;
};

inline constexpr std::uint32_t kNoBlocker = 0xFFFF'FFFF;
inline constexpr std::uint32_t kBlockedByPublisher = 0x8000'0000;  // flag: the rest is a publisher's slot

// Control file: a waiting publisher's line; written by it before it sets its waiting bit.
struct alignas(kLine) WaitingLine {
  std::atomic<std::uint64_t> position;  // the blocker's cursor must reach it
  std::atomic<std::uint64_t> since_ns;  // CLOCK_MONOTONIC; display only
  std::atomic<std::uint32_t> blocker;   // subscription slot, or publisher slot | kBlockedByPublisher
  std::atomic<std::uint32_t> doorbell;  // the futex; incremented by whoever clears the bit
  std::atomic<std::uint32_t> waiting;   // 1 while the line counts; display only
  std::array<std::byte, 36> reserved;
};

// limited: publishers overtake it, but not within its last max_lag_bytes.
enum class SubscriptionState : std::uint32_t { free = 0, joining = 1, reliable = 2, lossy = 3, limited = 4 };
enum class SubscriptionKind : std::uint32_t { none = 0, ephemeral = 1, durable = 2, group = 3 };

// Two buckets an octave: below 64 ns, 64 to 95 ns, 96 to 127 ns, ... the last from 137 s.
inline constexpr std::size_t kHistogramBuckets = 64;
constexpr std::size_t histogram_bucket(std::uint64_t ns) {
  if (ns < 64) return 0;
  const auto octave = static_cast<std::size_t>(std::bit_width(ns)) - 1;
  const auto half = static_cast<std::size_t>(ns >> (octave - 1) & 1);
  return std::min((octave - 6) * 2 + 1 + half, kHistogramBuckets - 1);
}
constexpr std::uint64_t histogram_bucket_start(std::size_t bucket) {  // ns
  return bucket == 0 ? 0 : (2 + (bucket - 1) % 2) << (5 + (bucket - 1) / 2);
}

// Control file: a row of the subscription table; each line is written by the one named.
struct alignas(kLine) SubscriptionSlot {
  // Under the table lock, by whoever creates, attaches, frees or removes it.
  std::atomic<std::uint64_t> incarnation;    // how many times this row has been attached
  std::atomic<std::uint64_t> max_lag_bytes;  // limited: at least so many of the newest bytes are kept for it; else 0
  std::atomic<SubscriptionKind> kind;
  std::atomic<std::uint32_t> owned;   // 1 from attach to detach; a death leaves it, the life lock tells
  std::atomic<std::uint32_t> pid;     // display only
  std::atomic<std::uint32_t> wanted;  // SubscriptionState to take once joined: reliable, lossy or limited
  std::atomic<std::uint32_t> group;   // kind group: which of the groups below
  std::array<std::byte, 28> reserved_cold;
  std::array<std::atomic<std::uint64_t>, kNameWords> name;  // empty: ephemeral
  // By its owner (state also under the table lock).
  std::atomic<std::uint64_t> cursor;  // position of the next message; of a group the gate, moved by CAS, by anyone
  std::atomic<SubscriptionState> state;
  std::atomic<std::uint32_t> backstops;  // messages found by a backstop instead of a doorbell
  std::atomic<std::uint64_t> received;   // messages released
  std::atomic<std::uint64_t> lost;       // messages overtaken
  std::atomic<std::uint64_t> base;       // messages published before it joined, where known
  // `lost` before and after what was not kept across a reboot; from < to: its owner has not been told. From by its owner,
  // both under the table lock by the one who discards.
  std::atomic<std::uint64_t> discarded_from;
  std::atomic<std::uint64_t> discarded_to;
  std::array<std::byte, 8> reserved_owner;
  // By publishers.
  std::atomic<std::uint32_t> doorbell;  // the futex; incremented by whoever clears the parked bit
  std::array<std::byte, 60> reserved_doorbell;
  // By its owner, added to by a group's members: how many messages took so long from stamp to receive, jobs to attempt 1.
  std::array<std::atomic<std::uint64_t>, kHistogramBuckets> histogram;
};

// Control file: a group, beside its row in the subscription table. A job is in an entry from its take to its ack.
struct alignas(kLine) GroupHeader {
  std::atomic<std::uint64_t> next;  // position of the next job to take; by members, by CAS; never below the gate
  std::array<std::byte, 56> reserved_next;
  // By members.
  std::atomic<std::uint32_t> returns;       // grows after each job that came back: who sees it change looks for one
  std::atomic<std::uint32_t> entries_used;  // entries ever used; grows before an entry is
  std::atomic<std::uint32_t> full;          // 1: a member waits for a free entry; a hint
  std::array<std::byte, 52> reserved_members;
  // Under the table lock, by the group's creator, before its row says `group`.
  std::atomic<std::uint32_t> max_attempts;      // 0: no end
  std::atomic<std::uint32_t> dead_letter_full;  // 0: keep, 1: wait
  std::atomic<std::uint64_t> retry_delay_ns;
  std::array<std::byte, 48> reserved_options;
  std::array<std::atomic<std::uint64_t>, 32> dead_letter;  // a topic's name, NUL-terminated; empty: none
};

// Control file: a member of a group. Its life is a lock on a byte of its own.
struct alignas(kLine) MemberSlot {
  // Under the table lock, by whoever attaches.
  std::atomic<std::uint64_t> incarnation;  // how many times this row has been owned
  std::atomic<std::uint32_t> owned;        // 1 from attach to detach; a death leaves it, the life lock tells
  std::atomic<std::uint32_t> pid;          // display only
  std::array<std::byte, 48> reserved;
  std::array<std::atomic<std::uint64_t>, kNameWords> name;  // display only
  // By its owner, across incarnations; display only.
  std::atomic<std::uint64_t> acked;
  std::atomic<std::uint64_t> redelivered;
  std::atomic<std::uint64_t> dead_lettered;
  std::atomic<std::uint32_t> backstops;
  std::array<std::byte, 36> reserved_owner;
  // By whoever wakes it.
  std::atomic<std::uint32_t> doorbell;  // the futex; incremented by whoever clears the parked bit
  std::array<std::byte, 60> reserved_doorbell;
};

inline constexpr std::size_t kReasonWords = 5;

// Control file: room for one job. Whose it is, its word says; the rest is written by that member alone, and loaded by another
// only after the exchange that made the entry its own.
struct alignas(kLine) InFlightEntry {
  std::atomic<std::uint64_t> word;      // below
  std::atomic<std::uint64_t> position;  // of the job, if it has one
  std::atomic<std::uint64_t> time_ns;   // CLOCK_MONOTONIC. held: since when; returned: not before then
  std::array<std::atomic<std::uint64_t>, kReasonWords> reason;  // text: why it came back
};

// free -> kept -> trying -> held -> kept or free, or -> returned -> held. kept: without a job, for its owner's next one. Only its
// owner changes an entry that is kept, trying or held; another member may once the owner is dead.
enum class EntryState : std::uint8_t { free = 0, trying = 1, held = 2, returned = 3, kept = 4 };
constexpr bool has_job(EntryState state) { return state != EntryState::free && state != EntryState::kept; }

// An entry's word: state:3 | again:1 | died:1 | owner:10 | attempt:14 | incarnation:16 | use:19.
struct JobWord {
  EntryState state = EntryState::free;
  bool again = false;       // the dead one who was taking it may have lost it to another: handed out as a checked copy
  bool died = false;        // the last one who had it in hand ended without an answer
  std::uint32_t owner = 0;  // member slot
  std::uint32_t attempt = 0;      // how often it was handed to a user; stays at kMaxAttempts
  std::uint32_t incarnation = 0;  // of the owner, the low bits
  std::uint32_t use = 0;          // grows with each job, so that an exchange never takes a later one for an earlier
};
inline constexpr std::uint32_t kMaxAttempts = (1U << 14) - 1;
inline constexpr std::uint32_t kIncarnationMask = 0xFFFF;
inline constexpr std::uint32_t kUseMask = (1U << 19) - 1;
inline constexpr std::uint64_t kOneAttempt = 1ULL << 15;  // added to a word
inline constexpr std::uint64_t kOneUse = 1ULL << 45;      // as above; modulo 2^19 by itself
constexpr std::uint64_t pack_word(const JobWord& word) {
  return static_cast<std::uint64_t>(word.state) | std::uint64_t{word.again} << 3 | std::uint64_t{word.died} << 4 |
         std::uint64_t{word.owner & (kMaxMembers - 1)} << 5 | std::uint64_t{word.attempt & kMaxAttempts} << 15 |
         std::uint64_t{word.incarnation & kIncarnationMask} << 29 | std::uint64_t{word.use & kUseMask} << 45;
}
constexpr EntryState state_of(std::uint64_t word) { return static_cast<EntryState>(word & 7); }
constexpr JobWord unpack_word(std::uint64_t word) {
  return {state_of(word),
          (word >> 3 & 1) != 0,
          (word >> 4 & 1) != 0,
          static_cast<std::uint32_t>(word >> 5 & (kMaxMembers - 1)),
          static_cast<std::uint32_t>(word >> 15 & kMaxAttempts),
          static_cast<std::uint32_t>(word >> 29 & kIncarnationMask),
          static_cast<std::uint32_t>(word >> 45)};
}

// packed: `count` messages of `length` bytes each. Message i starts i strides behind the payload's start (see stride_of), its
// position is the frame's + i, its sequence the frame's + i, and the stamp is that of all.
// dead_letter: a message with a DeadLetterTrailer behind its payload.
enum class FrameKind : std::uint8_t { message = 1, packed = 2, aborted = 3, dead_letter = 4 };
inline constexpr std::uint32_t kMaxPacked = 63;  // messages of a packed frame; the smallest is 1

// The ring: a frame at position P is committed iff tag == P ^ epoch. Written by its claimer, between claim and tag.
struct FrameHeader {
  std::atomic<std::uint64_t> tag;
  std::atomic<std::uint64_t>
      size;  // length u32 (payload bytes; packed: of each) | extent:24 (claimed, in 64 bytes) | kind:8
  std::atomic<std::uint64_t> origin;  // publisher:16 | count:6 (packed, else 0) | sequence:42 (of its first message)
  std::atomic<std::uint64_t> stamp;   // CLOCK_MONOTONIC ns if the topic is stamped, else 0
};

constexpr std::uint64_t pack_size(std::uint32_t length, std::uint64_t extent_bytes, FrameKind kind) {
  return length | (extent_bytes / kLine) << 32 | static_cast<std::uint64_t>(kind) << 56;
}
constexpr std::uint32_t length_of(std::uint64_t size) { return static_cast<std::uint32_t>(size); }
constexpr std::uint64_t extent_of(std::uint64_t size) { return (size >> 32 & 0xFF'FFFF) * kLine; }
constexpr FrameKind kind_of(std::uint64_t size) { return static_cast<FrameKind>(size >> 56); }
constexpr bool has_trailer(std::uint64_t size) { return kind_of(size) == FrameKind::dead_letter; }
constexpr bool is_message(std::uint64_t size) { return kind_of(size) == FrameKind::message || has_trailer(size); }

inline constexpr std::uint64_t kSequenceMask = (1ULL << 42) - 1;
inline constexpr std::uint64_t kNextSequence = 1ULL << 22;  // added to an origin; modulo 2^42 by itself
constexpr std::uint64_t pack_origin(std::uint32_t publisher, std::uint64_t sequence, std::uint32_t count = 0) {
  return (publisher & 0xFFFFU) | std::uint64_t{count & kMaxPacked} << 16 | (sequence & kSequenceMask) * kNextSequence;
}
constexpr std::uint32_t publisher_of(std::uint64_t origin) { return static_cast<std::uint32_t>(origin & 0xFFFF); }
constexpr std::uint32_t count_of(std::uint64_t origin) { return static_cast<std::uint32_t>(origin >> 16) & kMaxPacked; }
constexpr std::uint64_t sequence_of(std::uint64_t origin) { return origin / kNextSequence; }
// How many messages a frame holds.
constexpr std::uint64_t messages_of(std::uint64_t size, std::uint64_t origin) {
  return is_message(size) ? 1 : kind_of(size) == FrameKind::packed ? count_of(origin) : 0;
}

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }
// From one message of a packed frame to the next: its length, up to the next multiple of the topic's payload alignment, which
// is a power of two.
constexpr std::uint64_t stride_of(std::uint64_t length, std::uint32_t alignment) {
  return (length + alignment - 1) & ~(std::uint64_t{alignment} - 1);
}

// The ring: where a dead letter comes from. It starts at the next multiple of 8 behind the payload, within the frame; so the
// payload is what it was. Texts end in NUL, or fill their arrays (reason).
struct DeadLetterTrailer {
  std::uint64_t position;  // in the topic where it came from
  std::uint32_t attempts;
  std::uint32_t reserved_word;
  std::array<char, kReasonWords * 8> reason;
  std::array<char, kNameWords * 8 + 8> group;
  std::array<char, 256> topic;
};
constexpr std::uint64_t trailer_offset(std::uint64_t length) { return align_up(length, 8); }
constexpr std::uint64_t bit_words(std::uint64_t bits) { return (bits + 63) / 64; }

// What sizes the tables of a topic.
struct Limits {
  std::uint64_t capacity_bytes = 0;
  std::uint32_t max_publishers = 0;
  std::uint32_t max_subscriptions = 0;
  std::uint32_t max_groups = 0;
  std::uint32_t max_members = 0;
  std::uint32_t max_in_flight = 0;
};

inline constexpr std::uint64_t kPage = 4096;

// Offsets from the start of the data file.
inline constexpr std::uint64_t kTailOffset = sizeof(TopicHeader);
inline constexpr std::uint64_t kOldestOffset = kTailOffset + sizeof(TailLine);
inline constexpr std::uint64_t kMarksOffset = kOldestOffset + sizeof(OldestLine);
inline constexpr std::uint64_t kPublishersOffset = kMarksOffset + sizeof(LapMarks);
constexpr std::uint64_t ring_offset(const Limits& limits) {
  return align_up(kPublishersOffset + limits.max_publishers * sizeof(PublisherSlot), kPage);
}
constexpr std::uint64_t data_bytes(const Limits& limits) { return ring_offset(limits) + limits.capacity_bytes; }

// Offsets from the start of the control file.
inline constexpr std::uint64_t kParkedOffset = sizeof(ControlHeader);
constexpr std::uint64_t parked_words(const Limits& limits) {
  return bit_words(limits.max_subscriptions) + limits.max_groups * bit_words(limits.max_members);
}
constexpr std::uint64_t waiting_offset(const Limits& limits) {
  return kParkedOffset + align_up(parked_words(limits) * 8, kLine);
}
constexpr std::uint64_t waiting_lines_offset(const Limits& limits) {
  return waiting_offset(limits) + align_up(bit_words(limits.max_publishers) * 8, kLine);
}
constexpr std::uint64_t subscriptions_offset(const Limits& limits) {
  return waiting_lines_offset(limits) + limits.max_publishers * sizeof(WaitingLine);
}
constexpr std::uint64_t groups_offset(const Limits& limits) {
  return subscriptions_offset(limits) + limits.max_subscriptions * sizeof(SubscriptionSlot);
}
constexpr std::uint64_t group_bytes(const Limits& limits) {
  return align_up(
      sizeof(GroupHeader) + limits.max_members * sizeof(MemberSlot) + limits.max_in_flight * sizeof(InFlightEntry),
      kLine);
}
constexpr std::uint64_t control_bytes(const Limits& limits) {
  return align_up(groups_offset(limits) + limits.max_groups * group_bytes(limits), kPage);
}

static_assert(sizeof(Prefix) == 64 && sizeof(TopicHeader) == 1024 && sizeof(ControlHeader) == 512);
static_assert(sizeof(TailLine) == 128 && sizeof(OldestLine) == 128 && sizeof(LapMarks) == 64);
static_assert(sizeof(PublisherSlot) == 256 && sizeof(WaitingLine) == 64 && sizeof(SubscriptionSlot) == 768);
static_assert(sizeof(GroupHeader) == 448 && sizeof(MemberSlot) == 256 && sizeof(InFlightEntry) == kLine);
static_assert(sizeof(DeadLetterTrailer) == 384 && (kMaxMembers & (kMaxMembers - 1)) == 0 && kMaxMembers == 1024);
static_assert(sizeof(FrameHeader) == kFrameHeader && sizeof(BitWords) == kLine);
static_assert(offsetof(SubscriptionSlot, cursor) == 128 && offsetof(SubscriptionSlot, doorbell) == 192);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

// FNV-1a over every size and offset that another program must agree on.
constexpr std::uint64_t layout_signature() {
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325;
  const auto mix = [&hash](std::uint64_t value) {
    for (int i = 0; i < 8; ++i) hash = (hash ^ (value >> (8 * i) & 0xFF)) * 0x100'0000'01B3;
  };
  for (const std::uint64_t value :
       std::initializer_list<std::uint64_t>{std::uint64_t{kLayoutVersion},
                                            kLine,
                                            kFrameHeader,
                                            kEighths,
                                            kPage,
                                            sizeof(TopicHeader),
                                            offsetof(TopicHeader, capacity_bytes),
                                            offsetof(TopicHeader, payload_offset),
                                            offsetof(TopicHeader, exclusive),
                                            offsetof(TopicHeader, type_size),
                                            offsetof(TopicHeader, type_name),
                                            offsetof(TopicHeader, created_ns),
                                            offsetof(TopicHeader, boot_id),
                                            offsetof(TopicHeader, discarded),
                                            kTailOffset,
                                            kOldestOffset,
                                            kMarksOffset,
                                            kPublishersOffset,
                                            sizeof(PublisherSlot),
                                            offsetof(PublisherSlot, record),
                                            offsetof(PublisherSlot, record_extent),
                                            offsetof(PublisherSlot, incarnation),
                                            offsetof(PublisherSlot, sequence),
                                            offsetof(PublisherSlot, bytes),
                                            offsetof(PublisherSlot, state),
                                            offsetof(PublisherSlot, pid),
                                            offsetof(PublisherSlot, name),
                                            sizeof(ControlHeader),
                                            offsetof(ControlHeader, capacity_bytes),
                                            offsetof(ControlHeader, removed),
                                            offsetof(ControlHeader, boot),
                                            offsetof(ControlHeader, bias),
                                            offsetof(TailLine, publishers_used),
                                            offsetof(ControlHeader, subscriptions_used),
                                            offsetof(ControlHeader, had_durable),
                                            kParkedOffset,
                                            sizeof(WaitingLine),
                                            offsetof(WaitingLine, position),
                                            offsetof(WaitingLine, since_ns),
                                            offsetof(WaitingLine, blocker),
                                            offsetof(WaitingLine, doorbell),
                                            offsetof(WaitingLine, waiting),
                                            sizeof(SubscriptionSlot),
                                            offsetof(SubscriptionSlot, incarnation),
                                            offsetof(SubscriptionSlot, max_lag_bytes),
                                            offsetof(SubscriptionSlot, kind),
                                            offsetof(SubscriptionSlot, owned),
                                            offsetof(SubscriptionSlot, wanted),
                                            offsetof(SubscriptionSlot, name),
                                            offsetof(SubscriptionSlot, cursor),
                                            offsetof(SubscriptionSlot, state),
                                            offsetof(SubscriptionSlot, received),
                                            offsetof(SubscriptionSlot, lost),
                                            offsetof(SubscriptionSlot, base),
                                            offsetof(SubscriptionSlot, discarded_from),
                                            offsetof(SubscriptionSlot, discarded_to),
                                            offsetof(SubscriptionSlot, doorbell),
                                            offsetof(SubscriptionSlot, histogram),
                                            sizeof(GroupHeader),
                                            offsetof(SubscriptionSlot, group),
                                            offsetof(GroupHeader, next),
                                            offsetof(GroupHeader, returns),
                                            offsetof(GroupHeader, entries_used),
                                            offsetof(GroupHeader, full),
                                            offsetof(GroupHeader, max_attempts),
                                            offsetof(GroupHeader, dead_letter_full),
                                            offsetof(GroupHeader, retry_delay_ns),
                                            offsetof(GroupHeader, dead_letter),
                                            sizeof(MemberSlot),
                                            offsetof(MemberSlot, incarnation),
                                            offsetof(MemberSlot, owned),
                                            offsetof(MemberSlot, name),
                                            offsetof(MemberSlot, acked),
                                            offsetof(MemberSlot, doorbell),
                                            sizeof(InFlightEntry),
                                            offsetof(InFlightEntry, position),
                                            offsetof(InFlightEntry, time_ns),
                                            offsetof(InFlightEntry, reason),
                                            pack_word({EntryState::held, true, false, 1, 1, 1, 1}),
                                            sizeof(DeadLetterTrailer),
                                            offsetof(DeadLetterTrailer, reason),
                                            offsetof(DeadLetterTrailer, group),
                                            offsetof(DeadLetterTrailer, topic),
                                            sizeof(FrameHeader),
                                            offsetof(FrameHeader, tag),
                                            offsetof(FrameHeader, size),
                                            offsetof(FrameHeader, origin),
                                            offsetof(FrameHeader, stamp)})
    mix(value);
  return hash;
}

}  // namespace ringway::detail

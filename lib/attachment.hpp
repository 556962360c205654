// The cold part of a handle: its mapping, its slot, its life, and what it needs to wait and to look.
//
// Thread safety: belongs to its handle's thread. Progress: attaching takes table locks, within attach_timeout.
// Crash: the kernel drops the life lock; the slot is then free to be taken, once its record is settled.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringway/error.hpp"
#include "ringway/group.hpp"
#include "ringway/publisher.hpp"
#include "ringway/subscriber.hpp"
#include "topic.hpp"

namespace ringway::detail {

// ns: how long files that somebody removed by hand may go unnoticed. Two looks at names cost more than a wake-up, and whoever
// removes a topic by our means says so in the control file.
inline constexpr std::int64_t kNamesLook = 4 * kBackstop;

// What publishers and readers have in common.
class Attachment {
 public:
  Attachment(std::shared_ptr<BusState> owner, std::string name, std::unique_ptr<Segment> mapped, Wait strategy)
      : bus(std::move(owner)),
        topic(std::move(name)),
        segment(std::move(mapped)),
        wait(strategy),
        publishers(segment->data_file()),
        subscribers(segment->control_file()) {}

  // False once the topic's names no longer mean these files; they are looked at when the last look is kNamesLook ago.
  [[nodiscard]] bool topic_stands(std::int64_t now) noexcept;
  [[nodiscard]] bool topic_stands_now() noexcept;

  std::shared_ptr<BusState> bus;
  std::string topic;
  std::unique_ptr<Segment> segment;
  ObtainedMemory memory;
  Wait wait;
  Life life;
  Prober publishers;   // on the data file
  Prober subscribers;  // on the control file

 private:
  // relaxed: a flag; the names decide, later at the latest.
  [[nodiscard]] bool removed() const noexcept {
    return segment->memory().control->removed.load(std::memory_order_relaxed) != 0;
  }
  std::int64_t looked_ns_ = 0;
  bool stands_ = true;  // once gone, a topic does not come back: the same name means another
};

inline constexpr std::uint64_t kUnknown = ~0ULL;

class PublisherAttachment : public Attachment {
 public:
  using Attachment::Attachment;
  std::uint64_t stepped_at = 0;  // the limit at the last look at the names
  std::uint32_t blocked = 0;     // calls in a row that found no space, for the same blocker
  std::uint32_t blocker = kNoBlocker;
  std::uint64_t waited_with = kUnknown;  // messages published when it last began to wait; display only, as the next
  std::int64_t waited_ns = 0;            // when it last waited
};

// Room for a checked copy of a frame's payload.
struct AlignedDelete {
  void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t(kLine)); }
};
using AlignedBytes = std::unique_ptr<std::byte, AlignedDelete>;
inline AlignedBytes aligned_bytes(std::uint64_t bytes) {  // copies are made in whole words, and whole lines are cheap
  return AlignedBytes(static_cast<std::byte*>(::operator new(bytes + kLine, std::align_val_t(kLine))));
}

class ReaderAttachment : public Attachment {
 public:
  using Attachment::Attachment;
  AlignedBytes buffer;
  std::vector<std::uint64_t> expected;  // per publisher slot: the next sequence, or kUnknown
  std::uint64_t lost_away = 0;          // while nobody was attached; told with the next message
  bool timed = false;                   // messages are counted by their latency
  bool gap = false;                     // overtaken since the counters were last compared
  std::uint64_t stuck_at = 0;           // the frame that tries in a row found without a tag
  std::uint32_t stuck = 0;
  std::int64_t nap_ns = 50'000;  // of an observer; doubles up to 10 ms
};

class MemberAttachment : public Attachment {
 public:
  using Attachment::Attachment;
  std::string group;
  std::uint32_t max_attempts = 0;  // as the group has it
  std::uint64_t retry_delay_ns = 0;
  bool waits_for_dead_letters = false;
  std::string dead_letter;                       // empty: none
  std::unique_ptr<PublisherCore> dead_letters;   // opened by the first
  std::uint64_t probe_at = 0;                    // ns: then the owners of jobs are looked at again
  std::uint64_t due = 0;                         // ns: then a job that came back is due
  std::map<std::uint32_t, AlignedBytes> copies;  // by entry, of jobs in hand: see jobs.hpp
  bool full = false;                             // the last take found no free entry
  std::uint64_t stuck_at = 0;                    // as of a reader
  std::uint32_t stuck = 0;
};

// Where a subscription's or group's row counts what is received now and was committed at `stamp`.
inline std::atomic<std::uint64_t>& latency_count(const SegmentMemory& memory, std::uint32_t row, std::uint64_t stamp) {
  const auto now = static_cast<std::uint64_t>(monotonic_ns());
  return memory.subscription(row).histogram[histogram_bucket(now > stamp ? now - stamp : 0)];
}

// How often a waiting loop looks before it sleeps.
std::uint32_t spins(Wait strategy) noexcept;
// The longest sleep: the backstop, or a short nap for those who asked to spin.
std::int64_t longest_sleep(Wait strategy) noexcept;

// Runs `body(locks)` under a table lock of a topic that still stands; false: start over with the files. Between tries
// the process mutex is given up.
template <class Body>
bool with_table_lock(const Segment& segment, const File& file, const std::string& topic, Patience& patience,
                     Body body) {
  for (;;) {
    {
      KernelLocks locks;
      const auto answer = locks.try_lock(file, kTableByte);
      if (answer == KernelLocks::Answer::gone) return false;
      if (answer == KernelLocks::Answer::taken) {
        if (finish_removal(segment, locks) || !segment.standing()) return false;
        try {
          body(locks);
        } catch (const Error& error) {
          if (error.code() == Code::busy && !segment.standing()) return false;  // removed under us
          throw;
        }
        return true;
      }
    }
    patience.wait("the table lock of " + file.path +
                  " was held by another process for the whole attach_timeout; a process "
                  "that attaches or repairs may be stopped there: see `ringway info " +
                  topic + "`");
  }
}

// How a topic is opened to be attached to.
struct Opening {
  Role role;
  const TopicOptions& topic;
  const TypeInfo& type;
  Timeout attach_timeout;
  IfMissing if_missing = IfMissing::create;
};

// What every attachment begins with: opens the topic, creating or awaiting it as asked, sees that it fits, and runs
// `body(segment)` under its table lock; again while its files change. `map(files)` maps them, and gives the segment, which
// stays with the caller. Throws Error.
template <class Map, class Body>
void with_topic(const BusState& bus, const std::string& topic, const Opening& opening, Map map, Body body) {
  const TopicSpec spec = resolve(opening.topic, opening.type, topic);
  const bool creates = opening.if_missing == IfMissing::create;
  const bool waits = opening.if_missing == IfMissing::wait;
  Patience patience(bus, topic, opening.attach_timeout);
  Patience arrival(bus, topic, waits ? Timeout::never() : opening.attach_timeout);
  for (;;) {
    const OpenFiles files = open_topic(bus, topic, opening.role, creates ? &spec : nullptr, waits, arrival);
    check_fit(files.geometry.spec, opening.topic, topic);
    check_type(files.geometry.spec, opening.type, opening.role == Role::publish, topic);
    const Segment& segment = map(files);
    const File& file = opening.role == Role::publish ? segment.data_file() : segment.control_file();
    const bool stood = with_table_lock(segment, file, topic, patience, [&](KernelLocks&) {
      self_test(file);
      body(segment);
    });
    if (stood) return;
    patience.wait(kFilesKeepChanging);
  }
}

// What the handles of all kinds begin with.
template <class Core>
std::unique_ptr<Core> new_core(const BusState& bus) {
  auto core = std::make_unique<Core>();
  core->process = process_token();
  core->interrupted = bus.interruption();
  core->references = 1;
  return core;
}

// As the options ask. Throws Error no_permission or unsupported for what is required and refused.
ObtainedMemory obtain_memory(const Segment& segment, const MemoryOptions& options, Role role, const std::string& topic);

// The error for a table without a row to be had. `unresolved`: some belong to publishers that died inside a claim;
// `blocked`: some are locked by a process that does not own them.
Error table_full(const std::string& topic, const std::string& what, std::uint32_t most, bool unresolved, bool blocked);

// A row of the subscription table.
struct Row {
  std::uint32_t slot = kNoBlocker;
  bool existing = false;  // found by its name
};
// The durable subscription or group of that name. Throws Error mismatch if it is of the other kind. REQUIRES: the table lock.
Row find_named(const SegmentMemory& memory, const std::string& name, SubscriptionKind kind, const std::string& topic);
// A group's row, or a free one; filled in by write_row, which makes it visible. REQUIRES: the table lock.
Row take_group_row(const Segment& segment, Prober& prober, const std::string& name, const std::string& topic);
void write_row(const SegmentMemory& memory, std::uint32_t slot, const SubscriptionOptions& options,
               SubscriptionKind kind);
bool has_joined(const SubscriptionSlot& row);
// Throws Error invalid_argument: no message starts there.
[[noreturn]] void refuse_place(const SegmentMemory& memory, From from, const std::string& topic);
// The last owner has given the slot up, but the kernel may be about to drop its lock only now.
bool begin_after_leave(Life& life, const File& file, std::uint64_t byte);

// The frame at `position`, if it is below tail and has no tag. ok: a dead publisher's, it ends at `end`; would_block: not
// so; if a live one's, `cause` names it; corrupt.
Code look_at_claimer(Attachment& attachment, std::uint64_t position, Cause& cause, std::uint64_t& end) noexcept;
Code corrupt_word(Cause& cause, const char* where, std::uint64_t value, std::uint64_t limit) noexcept;

// Takes a publisher's slot. Throws Error.
std::unique_ptr<PublisherCore> attach_publisher(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                                const PublisherOptions& options, const TypeInfo& type);
std::unique_ptr<ReaderCore> attach_subscriber(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                              const SubscriptionOptions& options, const TypeInfo& type);
std::unique_ptr<ReaderCore> attach_observer(std::shared_ptr<BusState> bus, const std::string& topic,
                                            const ObserverOptions& options, const TypeInfo& type);
std::unique_ptr<MemberCore> attach_member(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                          const GroupOptions& options, const TypeInfo& type);
bool create_group(const std::shared_ptr<BusState>& bus, const std::string& topic, const GroupOptions& options);
bool create_subscription(const std::shared_ptr<BusState>& bus, const std::string& topic,
                         const SubscriptionOptions& options);
void remove_subscription(const BusState& bus, const std::string& topic, const std::string& name);

// Puts the reader at `from`: the join of a new subscription, an observer's start, a seek. False: no message starts there.
bool join(ReaderCore& core, From from) noexcept;

// Where a subscription is created in place of a reader.
bool join_row(const SegmentMemory& memory, std::uint32_t slot, From from);

// Goes on where a durable subscription stopped, and counts what it lost while it was away.
void resume(ReaderCore& core, std::uint64_t cursor) noexcept;

// Notes what the next owner of a lossy subscription counts its losses from.
void note_base(ReaderCore& core) noexcept;

// The next sequence of each publisher as seen from the reader's place, so that what is lost can be counted.
void set_expectations(ReaderCore& core) noexcept;
// Counts what is missing before the message copied.
void account(ReaderCore& core) noexcept;
// With nothing left to read: counts what the publishers' own counters tell.
void account_idle(ReaderCore& core) noexcept;

}  // namespace ringway::detail

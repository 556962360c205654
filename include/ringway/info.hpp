// What can be seen of a topic from outside: a snapshot, taken without touching it.
//
// Thread safety: plain values. Progress: taking one is bounded by the tables' sizes. Crash: nothing here is shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringway/detail/export.hpp"
#include "ringway/options.hpp"

namespace ringway {

// Times from commit to receive, as a subscription counts them: two buckets an octave, so that a percentile is good to some
// 20 %. Empty: the topic does not record them.
struct LatencyHistogram {
  std::vector<std::uint64_t> counts = {};
  [[nodiscard]] RINGWAY_EXPORT std::uint64_t total() const;
  // The time in ns that `share` (0 to 1) of all stay below; 0 if there are none.
  [[nodiscard]] RINGWAY_EXPORT std::uint64_t percentile_ns(double share) const;
  // What came after `before` was taken.
  [[nodiscard]] RINGWAY_EXPORT LatencyHistogram since(const LatencyHistogram& before) const;
};

struct PublisherInfo {
  std::uint32_t slot = 0;
  std::string name;
  std::int32_t pid = 0;  // as its own PID namespace saw it; decides nothing
  bool alive = false;
  bool died = false;           // its process ended without closing it
  bool stopped = false;        // by a signal or a debugger, as far as /proc tells
  std::uint64_t messages = 0;  // committed in this slot, since the topic was created
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> waiting_ns;                // waits for space since then (CLOCK_MONOTONIC)
  std::string waiting_for;                                // the subscription or publisher in its way
  std::optional<std::uint32_t> waiting_for_subscription;  // its slot
  std::optional<std::uint32_t> waiting_for_publisher;     // whose open claim it is
  std::optional<std::uint64_t> open_claim;                // position of a claim under way
  std::uint64_t open_claim_bytes = 0;
  std::optional<std::uint64_t>
      open_claim_seen_ns;         // when a Watch first saw it (CLOCK_MONOTONIC): it is at least that old
  std::uint64_t max_retries = 0;  // the most times that one claim lost against other publishers
};

struct SubscriptionInfo {
  std::uint32_t slot = 0;
  std::string name;  // empty: ephemeral
  bool durable = false;
  Reliability reliability = Reliability::reliable;
  std::uint64_t max_lag_bytes = 0;  // 0: publishers wait for it, if reliable
  std::uint64_t cursor = 0;         // position of its next message
  std::uint64_t lag_bytes = 0;      // max(0, tail - cursor)
  std::uint64_t received = 0;       // messages
  std::uint64_t lost = 0;           // messages
  std::uint32_t backstops = 0;      // messages found by a backstop instead of a wake-up
  bool sleeping = false;
  bool attached = false;  // has a live owner
  std::int32_t pid = 0;   // of the owner; decides nothing
  bool stopped = false;
  LatencyHistogram latency = {};  // since it was created
  // Of a group, whose `cursor` is where publishers stop, and `received` what was acknowledged.
  bool group = false;
  DeadLetterFull dead_letter_full = DeadLetterFull::keep;
  std::uint32_t max_attempts = 0;  // 0: no end
  std::chrono::nanoseconds retry_delay{};
  std::string dead_letter = {};                      // the topic; empty: none
  std::vector<std::string> members = {};             // the live ones: "name (pid 12)", "slot 3 (pid 13, stopped)"
  std::uint64_t held = 0;                            // jobs in a member's hands, also a dead one's
  std::uint64_t returned = 0;                        // jobs that came back and wait for their next attempt
  std::uint64_t redelivered = 0;                     // times that a job was handed out again
  std::uint64_t dead_lettered = 0;                   // jobs
  std::optional<std::uint64_t> oldest_held_ns = {};  // since when the oldest job is held (CLOCK_MONOTONIC)
};

struct TopicInfo {
  std::string name;
  std::uint64_t seen_ns = 0;         // when this snapshot was taken (CLOCK_MONOTONIC)
  std::uint32_t layout_version = 0;  // of any version; 0: no file of ours
  std::string problem;               // not empty: why nothing but name, layout, sizes and inode could be read
  TopicOptions options;              // every field set
  std::string type_name;             // empty and size 0: bytes
  std::uint64_t type_size = 0;
  std::uint64_t type_alignment = 0;
  std::uint64_t type_fingerprint = 0;
  std::uint64_t created_ns = 0;  // CLOCK_REALTIME
  std::uint64_t tail = 0;        // position of the next message
  std::uint64_t oldest = 0;      // the oldest position that is safe to read
  std::uint64_t discarded = 0;   // messages that were not kept across reboots; each subscription's are in its `lost`
  std::uint64_t max_payload_bytes = 0;
  std::uint64_t file_bytes = 0;  // both files
  std::uint64_t device = 0;
  std::uint64_t inode = 0;    // of the data file
  bool lock_blocked = false;  // somebody holds the table lock just now: attach and repair wait
  std::vector<PublisherInfo> publishers = {};
  std::vector<SubscriptionInfo> subscriptions = {};
};

}  // namespace ringway

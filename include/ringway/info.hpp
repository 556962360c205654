// What can be seen of a topic from outside: a snapshot, taken without touching it.
//
// Thread safety: plain values. Progress: taking one is bounded by the tables' sizes. Crash: nothing here is shared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringway/options.hpp"

namespace ringway {

struct PublisherInfo {
  std::uint32_t slot = 0;
  std::string name;
  std::int32_t pid = 0;  // as its own PID namespace saw it; decides nothing
  bool alive = false;
  bool stopped = false;        // by a signal or a debugger, as far as /proc tells
  std::uint64_t messages = 0;  // committed in this slot, since the topic was created
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> waiting_ns;  // waits for space since then (CLOCK_MONOTONIC)
  std::string waiting_for;                  // the subscription or publisher in its way
  std::optional<std::uint64_t> open_claim;  // position of a claim under way
  std::uint64_t open_claim_bytes = 0;
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
  std::vector<std::string> members = {};  // of a group
};

struct TopicInfo {
  std::string name;
  std::uint32_t layout_version = 0;
  std::string problem;    // not empty: why the rest could not be read
  TopicOptions options;   // every field set
  std::string type_name;  // empty and size 0: bytes
  std::uint64_t type_size = 0;
  std::uint64_t type_alignment = 0;
  std::uint64_t type_fingerprint = 0;
  std::uint64_t created_ns = 0;  // CLOCK_REALTIME
  std::uint64_t tail = 0;        // position of the next message
  std::uint64_t oldest = 0;      // the oldest position that is safe to read
  std::uint64_t max_payload_bytes = 0;
  std::uint64_t file_bytes = 0;  // both files
  std::uint64_t device = 0;
  std::uint64_t inode = 0;    // of the data file
  bool lock_blocked = false;  // somebody holds the table lock just now: attach and repair wait
  std::vector<PublisherInfo> publishers = {};
  std::vector<SubscriptionInfo> subscriptions = {};
};

}  // namespace ringway

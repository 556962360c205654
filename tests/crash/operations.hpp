// The operations that are killed and stopped, each with the topic that it finds.
//
// Thread safety: plain values; an Actor belongs to its process. Progress: none waits longer than kPatience. Crash: that is
// what they are for.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"

namespace ringway_crash {

inline constexpr std::size_t kPayload = 72;  // with its header a frame of 128 bytes
inline constexpr std::uint64_t kPrior = 0, kActor = 1, kSecond = 2, kSurvivor = 3;  // writers
inline constexpr std::chrono::seconds kPatience{20};

// What lies in the topic "t" when the operation begins. Subscriptions: "d" (reliable) and "l" (lossy), both durable.
enum class Base : std::uint8_t {
  few,          // five messages; d has released one
  lossy,        // the same without d: nobody holds publishers back
  empty,        // the same, and d has released all
  full,         // the next claim needs space, and can have it
  blocked,      // the next claim needs space that d holds
  dead_reader,  // the same, but an ephemeral subscription of the dead holds it
  dead_claim,   // a publisher died inside its claim; two messages behind it; d stands at it
  dead_holder,  // a publisher died inside its claim, and the next claim needs that space
  padding,      // an aborted frame at d's cursor, then a message
  padding_end,  // only an aborted frame behind d's cursor
  packed,       // five messages in one frame; d has released two
  // Five messages and the group "g" (two attempts, then to "dead") in place of d.
  jobs,          // nobody has taken any
  jobs_held,     // a dead member has the first two, one of them not yet handed out
  jobs_last,     // the same, and the first has had its last attempt
  jobs_left,     // the same as jobs_held, and the next to join takes the dead one's slot
  jobs_torn,     // a dead member was taking the first and acknowledging the second, and had two entries for others
  jobs_done,     // all are acknowledged, but the gate has not moved, and the ring is full
  jobs_padding,  // only an aborted frame
  jobs_claim,    // a publisher died inside its claim; two messages behind it
};
constexpr bool has_group(Base base) { return base >= Base::jobs; }
inline constexpr std::uint32_t kAttempts = 2;
inline constexpr std::uint32_t kGroupRow = 2;  // behind d, which is removed, and l

// The process that runs the operation.
struct Actor {
  Actor(const std::string& where, std::uint64_t who) : directory(where), bus(ringway::Bus::at(where)), writer(who) {}
  std::string directory;
  ringway::Bus bus;
  std::uint64_t writer;
  std::array<std::byte, 3 * kPayload> bytes{};
  std::optional<ringway::Publisher> publisher = {};
  std::optional<ringway::Subscriber> subscriber = {};
  std::optional<ringway::Claim> claim = {};
  std::optional<ringway::Run> run = {};
  std::optional<ringway::Message> message = {};
  std::optional<ringway::GroupMember> member = {};
  std::vector<ringway::Job> jobs = {};
  ringway::Status status = {};
  std::uint64_t number = 0;  // of the next message
  std::size_t count = 0;
};

// How an operation that ran to its end has gone.
enum class Outcome : std::uint8_t { done = 0, without = 10, wrong = 97 };

struct Operation {
  const char* name;
  Base base;
  bool shared;
  bool exclusive;
  void (*prepare)(Actor&);
  void (*act)(Actor&);
  Outcome (*check)(Actor&);
  std::size_t adds = 0;      // messages
  std::size_t releases = 0;  // messages of d
  bool table_lock = false;   // somebody else may find a table lock held
  bool moves_cursor = false;
  std::size_t acks = 0;    // jobs
  std::size_t buries = 0;  // jobs
};

const std::vector<Operation>& operations();

// One message of `writer` in `to`.
void fill(std::byte* to, std::uint64_t writer, std::uint64_t number);
// Makes the topic "t" in `directory`.
void make_base(const std::string& directory, Base base, bool exclusive);

}  // namespace ringway_crash

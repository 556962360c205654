// What can be chosen when a topic, publisher, subscriber, member or observer is opened. Aggregates: name the fields you set.
//
// Thread safety: plain values. Progress and crash: nothing here waits or is shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace ringway {

inline namespace literals {
consteval std::uint64_t operator""_KiB(unsigned long long value) { return value << 10; }
consteval std::uint64_t operator""_MiB(unsigned long long value) { return value << 20; }
consteval std::uint64_t operator""_GiB(unsigned long long value) { return value << 30; }
}  // namespace literals

// How long a call may wait: any chrono duration, saturating; negative is zero.
class Timeout {
 public:
  template <class Rep, class Period>
  constexpr Timeout(std::chrono::duration<Rep, Period> time)  // NOLINT(google-explicit-constructor)
      : nanoseconds_(saturated(time)) {}
  static constexpr Timeout never() { return Timeout(std::chrono::nanoseconds::max()); }  // waits without end
  [[nodiscard]] constexpr std::int64_t nanoseconds() const { return nanoseconds_; }

 private:
  template <class Rep, class Period>
  static constexpr std::int64_t saturated(std::chrono::duration<Rep, Period> time) {
    const auto seconds = std::chrono::duration<long double>(time).count();
    if (!(seconds > 0)) return 0;
    if (seconds >= 9e9L) return std::numeric_limits<std::int64_t>::max();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }
  std::int64_t nanoseconds_;
};

enum class Publishers : std::uint8_t { shared, exclusive };
enum class Reliability : std::uint8_t { reliable, lossy };  // reliable: publishers wait; lossy: they overtake
enum class Wait : std::uint8_t { spin, spin_then_park, park };
enum class IfTaken : std::uint8_t { fail, wait };
enum class IfMissing : std::uint8_t { create, wait, fail };
enum class DeadLetterFull : std::uint8_t { keep, wait };
enum class Who : std::uint8_t { owner, unix_group, everyone };

// Where a subscription starts.
class From {
 public:
  enum class Place : std::uint8_t { automatic, oldest, newest, position };
  constexpr From() = default;  // oldest if named, newest if not
  static const From oldest;    // the oldest message still in the ring
  static const From newest;    // the next one published
  static constexpr From at(std::uint64_t position) { return From(Place::position, position); }
  [[nodiscard]] constexpr Place place() const { return place_; }
  [[nodiscard]] constexpr std::uint64_t position() const { return position_; }
  friend constexpr bool operator==(const From&, const From&) = default;

 private:
  constexpr explicit From(Place place, std::uint64_t position = 0) : place_(place), position_(position) {}
  Place place_ = Place::automatic;
  std::uint64_t position_ = 0;
};
inline constexpr From From::oldest{From::Place::oldest};
inline constexpr From From::newest{From::Place::newest};

// Who may publish, subscribe and observe: the modes of the topic's two files, and search rights on the bus directory (whose
// owner alone creates and removes topics, and lists them). Whoever may publish may subscribe, and so observe. Others open
// the bus by its path: Bus::at.
struct Access {
  Who publish = Who::owner;
  Who subscribe = Who::owner;
  Who observe = Who::owner;
  std::string unix_group = {};  // the name of the group that Who::unix_group means; the creator must belong to it
  friend bool operator==(const Access&, const Access&) = default;
};

// Of a topic that may or may not exist: what is unset fits whatever exists (or takes the default in brackets when the
// topic is created); what is set must be met, else Error `mismatch` shows both. 0 is refused.
struct TopicOptions {
  std::optional<std::uint64_t> capacity_bytes = {};     // of the ring; rounded up to a power of two (1 MiB)
  std::optional<Publishers> publishers = {};            // (shared)
  std::optional<std::uint32_t> max_publishers = {};     // at most 1024 (64)
  std::optional<std::uint32_t> max_subscriptions = {};  // at most 1024 (64)
  std::optional<std::uint32_t> payload_alignment = {};  // bytes; a power of two, at most 64 (8, or the type's)
  std::optional<bool> stamped = {};                     // messages carry the time of their commit (false)
  std::optional<Access> access = {};                    // (owner)
  std::optional<bool> temporary = {};            // removed with its last live publisher or ephemeral subscriber (false)
  std::optional<std::uint32_t> max_groups = {};  // at most 16 (4)
  std::optional<std::uint32_t> max_members = {};    // a group; at most 1024 (64)
  std::optional<std::uint32_t> max_in_flight = {};  // a group; at most 65536 (1024)
  std::optional<bool> latency = {};  // stamped; subscriptions and groups count the times from commit to receive (false)
};

// How a handle's mapping of both files is obtained, when it is opened. What the machine refuses is told by the handle's
// memory(); with `required` it is an Error: no_permission (lock) or unsupported.
struct MemoryOptions {
  bool prefault = false;  // every page is mapped before the first message
  bool lock = false;  // ... and stays in memory (mlock). The ring is mapped twice, and counts twice for RLIMIT_MEMLOCK
  bool huge_pages =
      false;  // wherever the ring, of 4 MiB or more, fills one; they are in the file, so for all who attach
  bool required = false;
  friend bool operator==(const MemoryOptions&, const MemoryOptions&) = default;
};

// What a handle has obtained of what its MemoryOptions ask for.
struct ObtainedMemory {
  bool prefault = false;
  bool lock = false;
  bool huge_pages = false;
  std::uint64_t huge_bytes = 0;  // of its mapping, in which the ring is twice
  std::string why_not = {};      // a sentence for each that was refused; empty: nothing was
};

struct PublisherOptions {
  std::string name = {};             // for display
  Wait wait = Wait::spin_then_park;  // for space
  Timeout attach_timeout = std::chrono::seconds(1);
  TopicOptions topic = {};
  MemoryOptions memory = {};
};

struct SubscriptionOptions {
  std::string name = {};  // named: durable; unnamed: ephemeral
  From from = {};         // only when the subscription is created
  Reliability reliability = Reliability::reliable;
  // 0: publishers wait for it, also while nobody reads it. n: it gives up the oldest beyond n, at most half of the
  // capacity, and is told how many messages that were; publishers wait for it no longer. Reliable ones only.
  std::uint64_t max_lag_bytes = 0;
  Wait wait = Wait::spin_then_park;          // for messages
  IfTaken if_taken = IfTaken::fail;          // wait: until its owner is gone, however long; Bus::interrupt() ends that
  IfMissing if_missing = IfMissing::create;  // the topic, not the subscription
  Timeout attach_timeout = std::chrono::seconds(1);
  TopicOptions topic = {};
  MemoryOptions memory = {};
};

// Of a group and of one member. What is unset of max_attempts, retry_delay, dead_letter and dead_letter_full fits the group
// that exists (or takes the default in brackets when the group is created); what is set must be met, else Error `mismatch`
// shows both.
struct GroupOptions {
  std::string group = {};
  std::string name = {};                                     // of the member, for display
  From from = From::oldest;                                  // only when the group is created
  std::uint32_t prefetch = 1;                                // how many jobs it may have at a time; not 0
  std::optional<std::uint32_t> max_attempts = {};            // 0: no end (0); at most 16383; needs a dead_letter
  std::optional<std::chrono::nanoseconds> retry_delay = {};  // after the first attempt; doubles up to 60 s (100 ms)
  // The topic for jobs after their last attempt (none), made with twice the capacity; a durable subscription keeps them.
  std::optional<std::string> dead_letter = {};
  // When that topic is full. keep: the job stays in the group, and is tried again after a while. wait: for space, as long as
  // the call that took it may wait (keep).
  std::optional<DeadLetterFull> dead_letter_full = {};
  IfMissing if_missing = IfMissing::create;  // the topic, not the group
  Timeout attach_timeout = std::chrono::seconds(1);
  TopicOptions topic = {};
};

struct ObserverOptions {
  From from = From::newest;
  IfMissing if_missing = IfMissing::fail;  // create is refused: an observer writes nothing
  Timeout attach_timeout = std::chrono::seconds(1);
};

}  // namespace ringway

// One message, and the books a reader keeps of the messages that are held.
//
// Thread safety: a Message belongs to its reader's thread. Progress: every function is wait-free; release calls the kernel
// only to wake a publisher that waits. Crash: a message that was not released is delivered again to the next owner of a
// durable subscription.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ringway/detail/export.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/error.hpp"
#include "ringway/options.hpp"
#include "ringway/types.hpp"

namespace ringway {

class Message;

// Where a message of a topic for dead letters comes from, and why it was given up.
struct DeadLetter {
  std::string topic;
  std::uint64_t position = 0;  // there: the same for the same job, should it appear twice after a crash
  std::string group;
  std::uint32_t attempts = 0;
  std::string reason;  // of the last attempt's end
};

namespace detail {

// Nothing: it is none, or what it says cannot be true. Allocates.
RINGWAY_EXPORT std::optional<DeadLetter> read_dead_letter(const Found& found);

class ReaderAttachment;  // the cold part: lib/attachment.hpp

inline constexpr std::uint64_t kMaxViews = 64;

struct ReaderCore {
  RingReader<SegmentMemory> ring;
  const std::atomic<std::uint32_t>* process = nullptr;  // 0 in a forked child
  const std::atomic<bool>* interrupted = nullptr;       // Bus::interrupt()
  bool direct = false;      // in place, and find_slowly need not see every message: what the callers' own code finds
  bool in_place = false;    // reliable: views into the ring; else checked copies in `buffer`
  Code code = Code::ok;     // why the last call gave nothing
  std::int32_t streak = 0;  // direct looks in a row that found a message; see keep_distance
  std::uint32_t slot = kNoBlocker;              // of the subscription; none for an observer
  std::uint32_t references = 0;                 // the handle and its messages; one thread
  std::uint64_t views_begin = 0;                // the oldest view not released
  std::uint64_t views_end = 0;                  // the next view's number
  std::uint64_t views_allowed = kMaxViews;      // 0 while a poll runs
  std::uint64_t released = 0;                   // bit n % 64: view n is released, an older one is not
  std::array<std::uint64_t, kMaxViews> ends{};  // position after view n
  std::uint64_t received = 0;                   // messages released, since the subscription was created
  std::uint64_t lost = 0;                       // messages, since it was opened
  std::uint64_t lost_before = 0;                // of it, just before the message found
  Found copied;                                 // not in place: what find_slowly found
  Cause cause;
  std::unique_ptr<ReaderAttachment> attachment;

  ReaderCore();
  ~ReaderCore();
  ReaderCore(const ReaderCore&) = delete;
  ReaderCore& operator=(const ReaderCore&) = delete;
  [[nodiscard]] bool forked() const noexcept { return process->load(std::memory_order_relaxed) == 0; }
  // A publisher has found the cursor impossible, and has taken the subscription away. relaxed: a flag, on its own line.
  [[nodiscard]] bool evicted() const noexcept {
    return slot != kNoBlocker &&
           ring.memory().subscription(slot).state.load(std::memory_order_relaxed) == SubscriptionState::free;
  }
  // A call that may wait does not go on. relaxed: a flag.
  [[nodiscard]] bool stopped(std::int64_t timeout) const noexcept {
    return timeout != 0 && interrupted->load(std::memory_order_relaxed);
  }
};

// Finds the next message, waiting up to `timeout` ns. ok: if `direct` the next look gives it, else it is core.copied; if not ok,
// core.code and core.cause say why.
RINGWAY_EXPORT Code find_slowly(ReaderCore& core, std::int64_t timeout) noexcept;
// The message found was not handled: it comes again.
RINGWAY_EXPORT void put_back(ReaderCore& core, const Found& found) noexcept;
RINGWAY_EXPORT void wake_publishers(const ReaderCore& core, std::uint64_t cursor) noexcept;
RINGWAY_EXPORT void close(ReaderCore* core) noexcept;
RINGWAY_EXPORT Status seek(ReaderCore& core, From from) noexcept;
RINGWAY_EXPORT Status refuse_length(ReaderCore& core, std::uint64_t length, std::uint64_t expected) noexcept;

// After that many messages without a wait, a reader looks whether it runs into the publisher.
inline constexpr std::int32_t kStreak = 24;
// A reader that is just behind a publisher fetches the lines that are being written, and both wait for each other at every
// message. So it stays back, for some pauses of the processor at most, until the publisher is kStreak messages ahead.
RINGWAY_EXPORT void keep_distance(ReaderCore& core) noexcept;

// If direct, `found` comes from the frame to the caller's registers: stored in the core by find_slowly, and read again in wider
// pieces than it was stored in, it would stall the caller.
[[gnu::always_inline]] inline Code find(ReaderCore& core, std::int64_t timeout, Found& found) noexcept {
  for (;;) {
    if (++core.streak > kStreak) [[unlikely]]
      keep_distance(core);
    if (core.direct && !core.forked() && !core.stopped(timeout) &&
        core.views_end - core.views_begin < core.views_allowed && core.ring.look(found) == Look::message) [[likely]] {
      core.code = Code::ok;
      return Code::ok;
    }
    const Code code = find_slowly(core, timeout);
    if (code != Code::ok) return code;
    if (core.direct) continue;
    found = core.copied;
    return Code::ok;
  }
}

// Moves the cursor to `position`; `messages` more are done.
inline void move_cursor(ReaderCore& core, std::uint64_t position, std::uint64_t messages) noexcept {
  core.received += messages;
  if (core.slot == kNoBlocker || core.forked()) return;
  const SegmentMemory& memory = core.ring.memory();
  // relaxed: for display, and a sum that is exact once the owner has left.
  memory.subscription(core.slot).received.store(core.received, std::memory_order_relaxed);
  if (release(memory, core.slot, position)) [[unlikely]]
    wake_publishers(core, position);
}

// A view whose message ends at `next`.
inline std::uint64_t take_view(ReaderCore& core, std::uint64_t next) noexcept {
  core.ends[core.views_end % kMaxViews] = next;
  return core.views_end++;
}

// Lets view `number` go; the cursor moves past the oldest released ones.
inline void release_view(ReaderCore& core, std::uint64_t number) noexcept {
  if (number != core.views_begin) {
    core.released |= 1ULL << (number % kMaxViews);
    return;
  }
  std::uint64_t messages = 1;
  for (++core.views_begin; (core.released >> (core.views_begin % kMaxViews) & 1) != 0; ++core.views_begin) {
    core.released &= ~(1ULL << (core.views_begin % kMaxViews));
    ++messages;
  }
  move_cursor(core, core.ends[(core.views_begin - 1) % kMaxViews], messages);
}

}  // namespace detail

// One message, or the reason why there is none. A view into the ring (reliable subscription), or a checked copy in a
// buffer that the next receive reuses (lossy subscription, observer). Released when it goes; keeps its attachment alive.
class RINGWAY_EXPORT Message {
 public:
  Message(Message&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        view_(other.view_),
        code_(std::exchange(other.code_, Code::closed)),
        owns_(other.owns_),
        borrowed_(other.borrowed_),
        lost_(other.lost_),
        found_(std::exchange(other.found_, {})) {}
  Message& operator=(Message&& other) noexcept {
    if (this == &other) return *this;
    this->~Message();
    return *std::construct_at(this, std::move(other));
  }
  ~Message() {
    if (core_ != nullptr && !borrowed_) leave();
  }

  // True if there is a message and it is not released.
  explicit operator bool() const noexcept { return code_ == Code::ok; }
  [[nodiscard]] Status status() const noexcept {
    return code_ == Code::ok || core_ == nullptr ? Status(code_) : Status(code_, core_->cause);
  }

  [[nodiscard]] std::span<const std::byte> payload() const& noexcept { return {found_.payload, found_.length}; }
  [[nodiscard]] std::string_view text() const& noexcept {
    return {reinterpret_cast<const char*>(found_.payload), found_.length};
  }
  std::span<const std::byte> payload() && = delete;  // the bytes would go with the message
  std::string_view text() && = delete;

  [[nodiscard]] std::uint64_t position() const noexcept { return found_.position; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return detail::sequence_of(found_.origin); }
  [[nodiscard]] std::uint32_t publisher() const noexcept { return detail::publisher_of(found_.origin); }  // slot
  [[nodiscard]] std::chrono::nanoseconds stamp() const noexcept {  // CLOCK_MONOTONIC at commit; 0: not stamped
    return std::chrono::nanoseconds(static_cast<std::int64_t>(found_.stamp));
  }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }  // known lost just before this one
  // Where it comes from, if the topic is one for dead letters. Its payload is the job's.
  [[nodiscard]] std::optional<DeadLetter> dead_letter() const {
    return code_ == Code::ok ? detail::read_dead_letter(found_) : std::nullopt;
  }

  // Lets the message go now; its bytes may change from here on. Status: ok; closed (no message); forked; evicted (a fault:
  // the bytes may have changed earlier). Within a poll it does nothing: the run is released as a whole.
  Status release() noexcept {
    if (core_ == nullptr || code_ != Code::ok) return code_ == Code::ok ? Code::closed : code_;
    if (core_->forked()) return Code::forked;
    if (owns_) {
      code_ = Code::closed;
      found_ = {};
      const bool evicted = core_->evicted();
      leave();
      if (evicted) return Code::evicted;
    }
    return {};
  }

 private:
  friend class Reader;
  template <Payload T>
  friend class TypedMessage;
  explicit Message(Code code) noexcept : code_(code) {}
  enum class Borrowed { yes };
  // For a poll, which finds one message after the other in it, keeps the core, and releases the run.
  Message(detail::ReaderCore* core, Borrowed /*yes*/) noexcept : core_(core), borrowed_(true) {}
  // The next message, or why there is none.
  [[gnu::always_inline]] Message(detail::ReaderCore* core, std::int64_t timeout) noexcept : core_(core) {
    detail::Found found;
    code_ = detail::find(*core, timeout, found);
    ++core->references;
    if (code_ != Code::ok) [[unlikely]]
      return;
    view_ = detail::take_view(*core, found.next);
    owns_ = true;
    lost_ = core->lost_before;
    found_ = found;
  }
  void leave() noexcept {
    if (owns_) detail::release_view(*core_, view_);
    owns_ = false;
    detail::ReaderCore* core = std::exchange(core_, nullptr);
    if (--core->references == 0) detail::close(core);
  }

  detail::ReaderCore* core_ = nullptr;
  std::uint64_t view_ = 0;
  Code code_ = Code::ok;
  bool owns_ = false;      // a view to be released
  bool borrowed_ = false;  // no reference of its own
  std::uint64_t lost_ = 0;
  detail::Found found_;
};

}  // namespace ringway

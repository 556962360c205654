// Reading: what Subscriber and Observer share. Messages are handed out one by one, or in runs with one release.
//
// Thread safety: a reader and its Messages belong to one thread at a time; open one reader per thread.
// Progress: try_receive, poll without a timeout and release are wait-free, and call the kernel only to wake a publisher
// that waits, and with nothing to read every 200 ms to see whether the topic still stands. The waiting forms sleep as the
// options say, and look at least every 50 ms. One that reads small messages as fast as they come stays some messages behind the
// publisher, by waiting for a microsecond or two now and then, so that both are faster.
// Crash: a message is delivered again to the next owner of a durable subscription unless it was released.
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
#include <string_view>
#include <utility>

#include "ringway/detail/export.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/error.hpp"
#include "ringway/message.hpp"
#include "ringway/options.hpp"
#include "ringway/types.hpp"

namespace ringway {

// What Subscriber and Observer share. Move-only; moved from, it answers `closed`.
class RINGWAY_EXPORT Reader {
 public:
  Reader(Reader&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  Reader& operator=(Reader&& other) noexcept {
    Reader old(std::move(*this));
    core_ = std::exchange(other.core_, nullptr);
    return *this;
  }

  // The next message. An empty one says why in its status(), as does status(): timeout, would_block, interrupted, busy
  // (64 views are held); topic_gone, evicted, corrupt, forked, closed.
  [[nodiscard]] Message receive(Timeout timeout = Timeout::never()) noexcept { return next(timeout.nanoseconds()); }
  [[nodiscard]] Message try_receive() noexcept { return next(0); }
  [[nodiscard]] Message receive_until(std::chrono::steady_clock::time_point deadline) noexcept {
    return next(until(deadline));
  }

  // Hands up to `max` messages to handler(const Message&) and releases them together; waits (up to `timeout`) only for
  // the first. The handler may return bool: false, or an exception, stops the run: that message is not released, those
  // before it are. Returns how many were handled.
  template <class Handler>
  std::size_t poll(Handler&& handler, std::size_t max, Timeout timeout = std::chrono::nanoseconds(0));

  // Why the last receive or poll gave nothing, or fewer than asked; ok if it did not.
  [[nodiscard]] Status status() const noexcept {
    if (core_ == nullptr) return Code::closed;
    return core_->code == Code::ok ? Status() : Status(core_->code, core_->cause);
  }
  // Goes on elsewhere. Status: ok; busy (views are held); invalid_argument (no message starts at that position);
  // topic_gone, forked, closed.
  [[nodiscard]] Status seek(From from) noexcept { return core_ ? detail::seek(*core_, from) : Status(Code::closed); }
  // Messages lost since this handle was opened, with what was discarded before because of a reboot.
  [[nodiscard]] std::uint64_t lost() const noexcept { return core_ ? core_->lost : 0; }
  // Position of the next message to receive.
  [[nodiscard]] std::uint64_t position() const noexcept { return core_ ? core_->ring.next() : 0; }

 protected:
  explicit Reader(detail::ReaderCore* core) noexcept : core_(core) {}
  ~Reader() {
    if (core_ != nullptr && --core_->references == 0) detail::close(core_);
  }

  // Inlined, so that a message received, used and dropped need not exist in memory.
  [[nodiscard, gnu::always_inline]] Message next(std::int64_t timeout) noexcept {
    return core_ == nullptr ? Message(Code::closed) : Message(core_, timeout);
  }
  static std::int64_t until(std::chrono::steady_clock::time_point deadline) noexcept {
    const auto now = std::chrono::steady_clock::now();
    return deadline <= now ? 0 : Timeout(deadline - now).nanoseconds();  // also of time_point::min()
  }

  detail::ReaderCore* core_;

 private:
  // A run of messages with one release at its end, also when the handler throws.
  class Run {
   public:
    Run(detail::ReaderCore& core, const detail::Found& found) noexcept
        : core_(core), found_(found), held_(core.views_begin != core.views_end) {
      core_.views_allowed = 0;
      ++core_.references;  // the handler may let the subscriber go
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
      core_.views_allowed = detail::kMaxViews;
      if (!done_) detail::put_back(core_, found_);
      release();
      if (--core_.references == 0) detail::close(&core_);
    }
    void found() noexcept { done_ = false; }
    void handled() noexcept {
      done_ = true;
      ++messages_;
      if (!held_ && core_.ring.next() - released_ > core_.ring.memory().capacity / detail::kEighths) release();
    }

   private:
    // Up to where the look is, so with the padding behind the run: the cursor may be there already, and never goes back.
    void release() noexcept {
      if (messages_ == 0) return;
      const std::uint64_t end = core_.ring.next();
      if (held_) {  // older views are held: the run is one more view, released
        detail::release_view(core_, detail::take_view(core_, end));
        core_.received += messages_ - 1;
      } else {
        detail::move_cursor(core_, end, messages_);
      }
      messages_ = 0;
      released_ = end;
    }
    detail::ReaderCore& core_;
    const detail::Found& found_;
    const bool held_;
    bool done_ = true;
    std::size_t messages_ = 0;
    std::uint64_t released_ = core_.ring.next();
  };
};

template <class Handler>
std::size_t Reader::poll(Handler&& handler, std::size_t max, Timeout timeout) {
  static_assert(std::invocable<Handler&, const Message&>, "a handler takes const ringway::Message&");
  if (core_ == nullptr || max == 0) return 0;
  std::size_t count = 0;
  detail::ReaderCore& core = *core_;
  detail::Found found;
  if (detail::find(core, timeout.nanoseconds(), found) != Code::ok) return 0;
  Message message(&core, Message::Borrowed::yes);
  Run run(core, message.found_);
  for (;;) {
    run.found();
    message.lost_ = core.lost_before;
    message.found_ = found;
    if constexpr (std::same_as<std::invoke_result_t<Handler&, const Message&>, bool>) {
      if (!std::invoke(handler, std::as_const(message))) break;
    } else {
      std::invoke(handler, std::as_const(message));
    }
    run.handled();
    if (++count == max) break;
    if (++core.streak > detail::kStreak) [[unlikely]]
      detail::keep_distance(core);
    if (core.direct && core.ring.look(found) == detail::Look::message) [[likely]]
      continue;
    core.views_allowed = detail::kMaxViews;
    const Code code = detail::find(core, 0, found);
    core.views_allowed = 0;
    if (code != Code::ok) break;
  }
  return count;
}

// A message of one type.
template <Payload T>
class TypedMessage {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(message_); }
  // REQUIRES: there is a message.
  [[nodiscard]] const T& operator*() const& noexcept { return *reinterpret_cast<const T*>(message_.payload().data()); }
  [[nodiscard]] const T* operator->() const& noexcept { return &**this; }
  const T& operator*() && = delete;  // the bytes would go with the message
  const T* operator->() && = delete;
  [[nodiscard]] Status status() const noexcept { return message_.status(); }
  [[nodiscard]] std::uint64_t position() const noexcept { return message_.position(); }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return message_.sequence(); }
  [[nodiscard]] std::uint32_t publisher() const noexcept { return message_.publisher(); }
  [[nodiscard]] std::chrono::nanoseconds stamp() const noexcept { return message_.stamp(); }
  [[nodiscard]] std::uint64_t lost() const noexcept { return message_.lost(); }
  [[nodiscard]] std::optional<DeadLetter> dead_letter() const { return message_.dead_letter(); }
  Status release() noexcept { return message_.release(); }

 private:
  template <Payload, class>
  friend class TypedReader;
  // `receive` gives the message, which is never moved.
  template <std::invocable Receive>
  TypedMessage(std::in_place_t, Receive receive) noexcept : message_(receive()) {
    if (!message_ || message_.payload().size() == sizeof(T)) return;
    detail::refuse_length(*message_.core_, message_.payload().size(), sizeof(T));
    message_.code_ = Code::corrupt;
  }
  Message message_;
};

// A Subscriber or Observer of one type.
template <Payload T, class Base>
class TypedReader {
 public:
  [[nodiscard]] TypedMessage<T> receive(Timeout timeout = Timeout::never()) noexcept {
    return TypedMessage<T>(std::in_place, [&] { return reader_.receive(timeout); });
  }
  [[nodiscard]] TypedMessage<T> try_receive() noexcept {
    return TypedMessage<T>(std::in_place, [&] { return reader_.try_receive(); });
  }
  [[nodiscard]] TypedMessage<T> receive_until(std::chrono::steady_clock::time_point deadline) noexcept {
    return TypedMessage<T>(std::in_place, [&] { return reader_.receive_until(deadline); });
  }
  // As Reader::poll, with handler(const T&) or handler(const T&, const Message&).
  template <class Handler>
  std::size_t poll(Handler&& handler, std::size_t max, Timeout timeout = std::chrono::nanoseconds(0)) {
    std::size_t length = sizeof(T);
    const std::size_t count = reader_.poll(
        [&](const Message& message) -> bool {
          length = message.payload().size();
          if (length != sizeof(T)) return false;
          const T& value = *reinterpret_cast<const T*>(message.payload().data());
          return call(handler, value, message);
        },
        max, timeout);
    if (length != sizeof(T)) reader_.refuse_length(length, sizeof(T));
    return count;
  }
  [[nodiscard]] Status status() const noexcept { return reader_.status(); }
  [[nodiscard]] Status seek(From from) noexcept { return reader_.seek(from); }
  [[nodiscard]] std::uint64_t lost() const noexcept { return reader_.lost(); }
  [[nodiscard]] std::uint64_t position() const noexcept { return reader_.position(); }

 protected:
  friend class Bus;
  explicit TypedReader(Base&& reader) noexcept : reader_(std::move(reader)) {}
  Base reader_;

 private:
  template <class Handler>
  static bool call(Handler& handler, const T& value, const Message& message) {
    if constexpr (std::invocable<Handler&, const T&, const Message&>) {
      return stopped_or_not([&] { return std::invoke(handler, value, message); });
    } else {
      static_assert(std::invocable<Handler&, const T&>, "a handler takes const T&, or const T& and const Message&");
      return stopped_or_not([&] { return std::invoke(handler, value); });
    }
  }
  template <class Call>
  static bool stopped_or_not(Call&& call) {
    if constexpr (std::same_as<std::invoke_result_t<Call>, bool>) return call();
    call();
    return true;
  }
};

}  // namespace ringway

// Publishing: copy a message in, or claim a frame, fill it in place and commit; many messages of one size in packed frames.
//
// Thread safety: a Publisher and its Claims belong to one thread at a time; open one Publisher per thread. A signal handler
// may publish with try_publish or try_claim on a handle of the thread that it interrupts: `busy` if it comes inside a claim or
// inside a call that looks for space; errno stays. (Where somebody has died with a claim open, that call takes a mutex.)
// Progress: publish, claim and commit are wait-free on an exclusive topic and lock-free on a shared one while there is
// space; without space the call's form decides. They call the kernel only to wake sleepers, to wait, and at an eighth of
// the ring, every 200 ms at most, to see whether the topic still stands.
// Crash: before its commit a message does not exist; after it, it is delivered. The slot is free once the kernel has torn
// the process down.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ringway/detail/export.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/error.hpp"
#include "ringway/options.hpp"
#include "ringway/types.hpp"

namespace ringway {

class Bus;
class Claim;

// What can be published: text, or a contiguous range of char, unsigned char or std::byte. A char array is text up to
// its NUL; nullptr does not compile. Does not own the bytes.
class Bytes {
 public:
  template <std::size_t N>
  Bytes(const char (&text)[N]) noexcept  // NOLINT(google-explicit-constructor)
      : data_(text), size_(::strnlen(text, N)) {}
  template <class P>
  requires std::same_as<P, const char*> || std::same_as<P, char*> Bytes(const P& text)
  noexcept : data_(text), size_(std::strlen(text)) {}  // NOLINT(google-explicit-constructor)
  template <std::ranges::contiguous_range R>
  requires std::ranges::sized_range<R> && Byte<std::ranges::range_value_t<R>> &&
      (!std::is_array_v<R> || !std::same_as<std::ranges::range_value_t<R>, char>)
          Bytes(const R& range) noexcept  // NOLINT(google-explicit-constructor)
      : data_(std::ranges::data(range)), size_(std::ranges::size(range)) {}
  Bytes(std::nullptr_t) = delete;

  [[nodiscard]] const void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  const void* data_;
  std::size_t size_;
};

namespace detail {

class PublisherAttachment;  // the cold part: lib/attachment.hpp

struct PublisherCore {
  RingWriter<SegmentMemory> ring;
  const std::atomic<std::uint32_t>* process = nullptr;  // 0 in a forked child
  const std::atomic<bool>* interrupted = nullptr;       // Bus::interrupt()
  std::uint32_t references = 0;                         // the Publisher and its open Claim; one thread
  bool inside = false;                                  // claim_slowly is under way: a signal handler is told `busy`
  Cause cause;                                          // of the last failure
  std::unique_ptr<PublisherAttachment> attachment;

  PublisherCore();
  ~PublisherCore();
  PublisherCore(const PublisherCore&) = delete;
  PublisherCore& operator=(const PublisherCore&) = delete;
  [[nodiscard]] bool forked() const noexcept { return process->load(std::memory_order_relaxed) == 0; }
  // A call that may wait does not go on. relaxed: a flag.
  [[nodiscard]] bool stopped(std::int64_t timeout) const noexcept {
    return timeout != 0 && interrupted->load(std::memory_order_relaxed);
  }
};

// Makes space for a claim of `bytes`, waits up to `timeout` ns for it, and claims; `count`: as RingWriter::claim. Sets
// core.cause if not ok.
RINGWAY_EXPORT Code claim_slowly(PublisherCore& core, std::uint64_t bytes, std::int64_t timeout,
                                 std::uint32_t count) noexcept;
RINGWAY_EXPORT void wake_sleepers(const PublisherCore& core) noexcept;
RINGWAY_EXPORT void close(PublisherCore* core) noexcept;
RINGWAY_EXPORT void abort_claim(PublisherCore& core) noexcept;

[[gnu::always_inline]] inline Code claim(PublisherCore& core, std::uint64_t bytes, std::int64_t timeout,
                                         std::uint32_t count = 0) noexcept {
  if (!core.forked() && !core.stopped(timeout) && core.ring.claim(bytes, count) == Claimed::ok) [[likely]]
    return Code::ok;
  return claim_slowly(core, bytes, timeout, count);
}

// Copies a payload in, the frame's first line last, beside the header and the tag: the reader polls that line, and takes it
// away from a writer that starts with it and then waits for the others.
[[gnu::always_inline]] inline void fill(PublisherCore& core, const void* bytes, std::size_t size) noexcept {
  constexpr std::size_t kFirst = kLine - kFrameHeader;
  std::byte* const to = core.ring.payload();
  if (size > kFirst) {
    std::memcpy(to + kFirst, static_cast<const std::byte*>(bytes) + kFirst, size - kFirst);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler keeps that order
    std::memcpy(to, bytes, kFirst);
  } else if (size != 0) {
    std::memcpy(to, bytes, size);
  }
}

[[gnu::always_inline]] inline void commit(PublisherCore& core, std::uint32_t bytes) noexcept {
  const std::uint64_t stamp = core.ring.memory().stamped ? static_cast<std::uint64_t>(monotonic_ns()) : 0;
  if (core.ring.commit(bytes, stamp)) [[unlikely]]
    wake_sleepers(core);
}

// As commit, for the first `count` messages of a packed frame.
inline void commit_packed(PublisherCore& core, std::uint32_t count, std::uint32_t bytes_each) noexcept {
  const std::uint64_t stamp = core.ring.memory().stamped ? static_cast<std::uint64_t>(monotonic_ns()) : 0;
  if (core.ring.commit_packed(count, bytes_each, stamp)) [[unlikely]]
    wake_sleepers(core);
}

// How many messages of `bytes_each` fit into one packed frame; 0: not even one.
inline std::size_t most_packed(const PublisherCore& core, std::size_t bytes_each) noexcept {
  const std::uint64_t room = core.ring.max_payload();
  if (bytes_each > room) return 0;
  const std::uint64_t stride = stride_of(bytes_each, core.ring.memory().payload_alignment);
  return stride * kMaxPacked <= room ? kMaxPacked : room / stride;
}

}  // namespace detail

// A reserved frame: fill payload(), then commit. Without a commit it is aborted at its end.
class RINGWAY_EXPORT Claim {
 public:
  Claim(Claim&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)), size_(other.size_), status_(other.status_) {
    other.status_ = Code::closed;
  }
  Claim& operator=(Claim&&) = delete;
  ~Claim() { abort(); }

  // True while the frame is open.
  explicit operator bool() const noexcept { return core_ != nullptr; }
  // ok, or why there is no frame.
  [[nodiscard]] const Status& status() const& noexcept { return status_; }
  [[nodiscard]] Status status() && noexcept { return status_; }

  // The bytes to fill. They hold something old: write all that you commit. Empty without a frame.
  [[nodiscard]] std::span<std::byte> payload() & noexcept {
    return core_ == nullptr ? std::span<std::byte>{} : std::span(core_->ring.payload(), size_);
  }
  std::span<std::byte> payload() && = delete;

  // Makes the message visible: all of it, or its first `bytes`. Status: ok; too_large (more than claimed: nothing is
  // committed, the claim stays open); closed; forked.
  Status commit() noexcept { return commit(size_); }
  Status commit(std::size_t bytes) noexcept {
    if (core_ == nullptr) return status_ ? Status(Code::closed) : status_;
    if (bytes > size_) return {Code::too_large, {.limit = size_}};
    if (core_->forked()) return Code::forked;
    detail::commit(*core_, static_cast<std::uint32_t>(bytes));
    drop();
    return {};
  }
  // Gives the frame up; readers never see it.
  void abort() noexcept {
    if (core_ == nullptr) return;
    detail::abort_claim(*core_);
    drop();
  }

 private:
  friend class Publisher;
  friend class Run;
  Claim(detail::PublisherCore* core, std::size_t size) noexcept : core_(core), size_(size) { ++core_->references; }
  explicit Claim(const Status& status) noexcept : status_(status) {}
  void drop() noexcept {
    detail::PublisherCore* core = std::exchange(core_, nullptr);
    if (--core->references == 0) detail::close(core);
  }

  detail::PublisherCore* core_ = nullptr;
  std::size_t size_ = 0;
  Status status_;
};

// A reserved packed frame: messages of one size that become visible together. Fill each, then commit. Without a commit it is
// aborted at its end.
class RINGWAY_EXPORT Run {
 public:
  // True while the frame is open.
  explicit operator bool() const noexcept { return static_cast<bool>(claim_); }
  // ok, or why there is no frame.
  [[nodiscard]] const Status& status() const& noexcept { return claim_.status(); }
  [[nodiscard]] Status status() && noexcept { return claim_.status(); }

  // How many messages it was claimed for; 0 without a frame.
  [[nodiscard]] std::size_t size() const noexcept { return claim_ ? count_ : 0; }
  // The bytes of message `i`. They hold something old: write all of them. REQUIRES: i < size().
  [[nodiscard]] std::span<std::byte> operator[](std::size_t i) & noexcept {
    return {claim_.core_->ring.payload() + i * stride_, bytes_each_};
  }
  std::span<std::byte> operator[](std::size_t i) && = delete;

  // Makes the messages visible: all, or the first `count`; none is an abort. Status: ok; too_large (more than claimed: nothing
  // is committed, the run stays open); closed; forked.
  Status commit() noexcept { return commit(count_); }
  Status commit(std::size_t count) noexcept;
  // Gives the frame up; readers never see it.
  void abort() noexcept { claim_.abort(); }

 private:
  friend class Publisher;
  Run(detail::PublisherCore* core, std::size_t count, std::size_t bytes_each, std::size_t stride) noexcept
      : claim_(core, count * stride), count_(count), bytes_each_(bytes_each), stride_(stride) {}
  explicit Run(const Status& status) noexcept : claim_(status) {}

  Claim claim_;
  std::size_t count_ = 0;
  std::size_t bytes_each_ = 0;
  std::size_t stride_ = 0;
};

// What publish_all has done: the first count() messages are visible. True if that is all of them; else status() says why.
class [[nodiscard]] Published {
 public:
  Published(std::size_t count, const Status& status) noexcept : count_(count), status_(status) {}
  explicit operator bool() const noexcept { return static_cast<bool>(status_); }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const Status& status() const& noexcept { return status_; }
  [[nodiscard]] Status status() && noexcept { return status_; }

 private:
  std::size_t count_;
  Status status_;
};

// Writes messages to one topic. Opened by Bus::publisher. Move-only; moved from, it answers `closed`.
//
// Each call has three forms: x(...) waits for space without end, x(..., timeout) up to then, try_x(...) not at all.
// Status: ok; timeout, would_block (names who holds it back), interrupted, busy (a claim is open); too_large,
// topic_gone, corrupt, forked, closed.
class RINGWAY_EXPORT Publisher {
 public:
  Publisher(Publisher&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  Publisher& operator=(Publisher&& other) noexcept {
    Publisher old(std::move(*this));
    core_ = std::exchange(other.core_, nullptr);
    return *this;
  }
  ~Publisher() {
    if (core_ != nullptr && --core_->references == 0) detail::close(core_);
  }

  // Copies `message` into the ring and makes it visible.
  [[nodiscard]] Status publish(Bytes message, Timeout timeout = Timeout::never()) noexcept {
    return put(message, timeout.nanoseconds());
  }
  [[nodiscard]] Status try_publish(Bytes message) noexcept { return put(message, 0); }

  // Reserves `bytes` to be filled in place. One claim at a time. A long open claim on a shared topic holds its readers.
  [[nodiscard]] Claim claim(std::size_t bytes, Timeout timeout = Timeout::never()) noexcept {
    return reserve(bytes, timeout.nanoseconds());
  }
  [[nodiscard]] Claim try_claim(std::size_t bytes) noexcept { return reserve(bytes, 0); }

  // Reserves a packed frame of `count` messages of `bytes_each`, at most 63 and, each rounded up to the topic's payload
  // alignment, max_payload_bytes() in all: else too_large, which names the most; 0 is refused (invalid_argument).
  [[nodiscard]] Run claim_run(std::size_t count, std::size_t bytes_each, Timeout timeout = Timeout::never()) noexcept {
    return reserve_run(count, bytes_each, timeout.nanoseconds());
  }
  [[nodiscard]] Run try_claim_run(std::size_t count, std::size_t bytes_each) noexcept {
    return reserve_run(count, bytes_each, 0);
  }

  // Copies messages of `bytes_each`, which lie one behind the other in `messages`, into as few packed frames as they need; each
  // frame becomes visible as a whole. The timeout is for all of them. Where a frame finds no space in time it stops, and tells
  // how many are published. invalid_argument: the bytes are no whole number of messages.
  Published publish_all(Bytes messages, std::size_t bytes_each, Timeout timeout = Timeout::never()) noexcept {
    return put_all(messages, bytes_each, timeout.nanoseconds());
  }
  Published try_publish_all(Bytes messages, std::size_t bytes_each) noexcept {
    return put_all(messages, bytes_each, 0);
  }

  // The largest message, in bytes: a quarter of the capacity (at most 1 GiB) less the header. 0 if moved from.
  [[nodiscard]] std::size_t max_payload_bytes() const noexcept { return core_ ? core_->ring.max_payload() : 0; }
  // What was obtained of PublisherOptions::memory.
  [[nodiscard]] ObtainedMemory memory() const;

 private:
  friend class Bus;
  template <Payload T>
  friend class TypedPublisher;
  explicit Publisher(detail::PublisherCore* core) noexcept : core_(core) {}

  [[nodiscard]] Status put(Bytes message, std::int64_t timeout) noexcept {
    return copy_in(message.data(), message.size(), timeout);
  }
  // Inlined, so that a typed message is copied by a few moves of known size.
  [[nodiscard, gnu::always_inline]] Status copy_in(const void* bytes, std::size_t size, std::int64_t timeout) noexcept {
    if (core_ == nullptr) return Code::closed;
    const Code code = detail::claim(*core_, size, timeout);
    if (code != Code::ok) [[unlikely]]
      return {code, core_->cause};
    detail::fill(*core_, bytes, size);
    detail::commit(*core_, static_cast<std::uint32_t>(size));
    return {};
  }
  [[nodiscard]] Claim reserve(std::size_t bytes, std::int64_t timeout) noexcept {
    if (core_ == nullptr) return Claim(Code::closed);
    const Code code = detail::claim(*core_, bytes, timeout);
    if (code != Code::ok) [[unlikely]]
      return Claim(Status(code, core_->cause));
    return {core_, bytes};
  }
  [[nodiscard]] Run reserve_run(std::size_t count, std::size_t bytes_each, std::int64_t timeout) noexcept;
  Published put_all(Bytes messages, std::size_t bytes_each, std::int64_t timeout) noexcept;

  detail::PublisherCore* core_;
};

// A reserved T: assign to *claim, then commit.
template <Payload T>
class TypedClaim {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(claim_); }
  [[nodiscard]] const Status& status() const& noexcept { return claim_.status(); }
  [[nodiscard]] Status status() && noexcept { return claim_.status(); }
  // REQUIRES: the claim is open.
  [[nodiscard]] T& operator*() & noexcept { return *reinterpret_cast<T*>(claim_.payload().data()); }
  [[nodiscard]] T* operator->() & noexcept { return &**this; }
  T& operator*() && = delete;
  T* operator->() && = delete;
  Status commit() noexcept { return claim_.commit(); }
  void abort() noexcept { claim_.abort(); }

 private:
  template <Payload>
  friend class TypedPublisher;
  explicit TypedClaim(Claim&& claim) noexcept : claim_(std::move(claim)) {}
  Claim claim_;
};

// A reserved packed frame of T: assign to each run[i], then commit.
template <Payload T>
class TypedRun {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(run_); }
  [[nodiscard]] const Status& status() const& noexcept { return run_.status(); }
  [[nodiscard]] Status status() && noexcept { return run_.status(); }
  [[nodiscard]] std::size_t size() const noexcept { return run_.size(); }
  // REQUIRES: i < size().
  [[nodiscard]] T& operator[](std::size_t i) & noexcept { return *reinterpret_cast<T*>(run_[i].data()); }
  T& operator[](std::size_t i) && = delete;
  Status commit() noexcept { return run_.commit(); }
  Status commit(std::size_t count) noexcept { return run_.commit(count); }
  void abort() noexcept { run_.abort(); }

 private:
  template <Payload>
  friend class TypedPublisher;
  explicit TypedRun(Run&& run) noexcept : run_(std::move(run)) {}
  Run run_;
};

// A Publisher of one type. Opened by Bus::publisher<T>.
template <Payload T>
class TypedPublisher {
 public:
  [[nodiscard, gnu::always_inline]] Status publish(const T& message, Timeout timeout = Timeout::never()) noexcept {
    return publisher_.copy_in(&message, sizeof(T), timeout.nanoseconds());
  }
  [[nodiscard, gnu::always_inline]] Status try_publish(const T& message) noexcept {
    return publisher_.copy_in(&message, sizeof(T), 0);
  }
  [[nodiscard]] TypedClaim<T> claim(Timeout timeout = Timeout::never()) noexcept {
    return TypedClaim<T>(publisher_.claim(sizeof(T), timeout));
  }
  [[nodiscard]] TypedClaim<T> try_claim() noexcept { return TypedClaim<T>(publisher_.try_claim(sizeof(T))); }
  [[nodiscard]] TypedRun<T> claim_run(std::size_t count, Timeout timeout = Timeout::never()) noexcept {
    return TypedRun<T>(publisher_.claim_run(count, sizeof(T), timeout));
  }
  [[nodiscard]] TypedRun<T> try_claim_run(std::size_t count) noexcept {
    return TypedRun<T>(publisher_.try_claim_run(count, sizeof(T)));
  }
  Published publish_all(std::span<const T> messages, Timeout timeout = Timeout::never()) noexcept {
    return publisher_.put_all(std::as_bytes(messages), sizeof(T), timeout.nanoseconds());
  }
  Published try_publish_all(std::span<const T> messages) noexcept {
    return publisher_.put_all(std::as_bytes(messages), sizeof(T), 0);
  }
  [[nodiscard]] ObtainedMemory memory() const { return publisher_.memory(); }

 private:
  friend class Bus;
  explicit TypedPublisher(Publisher&& publisher) noexcept : publisher_(std::move(publisher)) {}
  Publisher publisher_;
};

}  // namespace ringway

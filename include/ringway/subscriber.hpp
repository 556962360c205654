// A subscription's one reader: durable (named) or ephemeral, reliable or lossy.
//
// Thread safety, progress: as Reader. Crash: a durable subscription keeps its cursor, and publishers wait for it; an
// ephemeral one is freed by whoever it holds back.
#pragma once

#include "ringway/reader.hpp"

namespace ringway {

// Opened by Bus::subscriber.
class RINGWAY_EXPORT Subscriber : public Reader {
 public:
  Subscriber(Subscriber&&) noexcept = default;
  Subscriber& operator=(Subscriber&&) noexcept = default;
  ~Subscriber() = default;

  // How far its cursor is behind the newest message, in bytes of the ring.
  [[nodiscard]] std::uint64_t lag_bytes() const noexcept;
  // What was obtained of SubscriptionOptions::memory.
  [[nodiscard]] ObtainedMemory memory() const;

 private:
  friend class Bus;
  template <Payload, class>
  friend class TypedReader;
  explicit Subscriber(detail::ReaderCore* core) noexcept : Reader(core) {}
  void refuse_length(std::uint64_t length, std::uint64_t expected) noexcept {
    detail::refuse_length(*core_, length, expected);
  }
};

// A Subscriber of one type. Opened by Bus::subscriber<T>.
template <Payload T>
class TypedSubscriber : public TypedReader<T, Subscriber> {
 public:
  [[nodiscard]] std::uint64_t lag_bytes() const noexcept { return this->reader_.lag_bytes(); }
  [[nodiscard]] ObtainedMemory memory() const { return this->reader_.memory(); }

 private:
  friend class Bus;
  using TypedReader<T, Subscriber>::TypedReader;
};

}  // namespace ringway

// Looking without touching: read-only mappings, no slot, nobody waits for it; works on a dead or full topic.
//
// Thread safety: as Reader. Progress: it cannot be woken, so it sleeps and looks: 50 us doubling to 10 ms. Crash: leaves
// nothing behind.
#pragma once

#include "ringway/reader.hpp"

namespace ringway {

// Opened by Bus::observer. Its messages are checked copies.
class RINGWAY_EXPORT Observer : public Reader {
 public:
  Observer(Observer&&) noexcept = default;
  Observer& operator=(Observer&&) noexcept = default;
  ~Observer() = default;

 private:
  friend class Bus;
  template <Payload, class>
  friend class TypedReader;
  explicit Observer(detail::ReaderCore* core) noexcept : Reader(core) {}
  void refuse_length(std::uint64_t length, std::uint64_t expected) noexcept {
    detail::refuse_length(*core_, length, expected);
  }
};

// An Observer of one type. Opened by Bus::observer<T>.
template <Payload T>
class TypedObserver : public TypedReader<T, Observer> {
  friend class Bus;
  using TypedReader<T, Observer>::TypedReader;
};

}  // namespace ringway

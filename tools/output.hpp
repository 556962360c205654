// Messages on their way to standard output: written together, and released once write(2) has accepted them in full.
//
// Not thread safe. Crash: messages that were written and not yet released are delivered again.
// Invariants:
//   O1  a message is released only if write(2) has accepted all its bytes, prefix and newline included.
//   O2  of a durable subscription, what is held and not released stays unreleased when this object goes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "flags.hpp"
#include "ringway/reader.hpp"

namespace ringway::tool {

class Output {
 public:
  enum class Result { accepted, closed, stopped };

  Output(Framing framing, bool durable);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  // REQUIRES: not full().
  void add(Message&& message);
  // The most views that a subscriber may hold, or enough bytes for one write.
  [[nodiscard]] bool full() const;

  // Writes what was added and releases what was accepted in full, newest first, so that the cursor moves once. Anything
  // but `accepted` (std::system_error, too) is the end: the rest stays held.
  Result flush();

  // One message by itself, as it stands; told to stop before that, it writes it all the same.
  static Result write_one(std::string_view text);

  [[nodiscard]] std::uint64_t written() const { return written_; }  // messages, accepted in full

  // True if whoever read standard output has gone.
  static bool closed();

 private:
  Result write_all(std::size_t& done) const;
  std::ptrdiff_t write_from(std::size_t done, std::size_t end) const;
  [[nodiscard]] std::size_t whole_messages(std::size_t bytes) const;
  [[nodiscard]] std::size_t message_end(std::size_t bytes) const;
  void release(std::size_t count);
  void append(const void* bytes, std::size_t size);

  Framing framing_;
  bool durable_;
  std::vector<Message> held_;
  std::array<std::size_t, detail::kMaxViews> ends_{};  // of each message in the bytes to write
  std::unique_ptr<char[]> buffer_;
  std::size_t buffered_ = 0;
  std::span<const std::byte> large_;  // the last message's payload if it goes out from where it lies; then `tail_`
  std::size_t tail_ = 0;              // bytes of the newline behind it
  std::uint64_t written_ = 0;
};

}  // namespace ringway::tool

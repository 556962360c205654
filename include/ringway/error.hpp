// What can go wrong: codes, the small Status that the data path returns, and the Error that opening throws.
//
// Thread safety: values; share them as you would an int. Progress: nothing here waits; Status never allocates but in
// text(). Crash: nothing here is shared.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ringway/detail/export.hpp"

namespace ringway {

enum class Code : std::uint8_t {
  ok,
  // May be tried again.
  timeout,      // the time given has passed
  would_block,  // nothing to read, or no space: the status names who holds it
  interrupted,  // Bus::interrupt() was called; Bus::resume() ends that
  busy,         // too many views held, a claim is open already, or (opening) a lock is held by another
  // Final: this call, or this handle, will not succeed.
  too_large,   // the message is larger than max_payload_bytes()
  topic_gone,  // the topic was removed; open it anew
  evicted,     // this subscription was taken away; open it anew
  corrupt,     // a word in shared memory cannot be true; the status names file, field and value
  forked,      // this handle belongs to the parent of this process
  closed,      // this handle was moved from
  // Only of opening.
  invalid_argument,  // a name, option or size out of range
  not_found,
  exists,
  taken,          // the durable subscription, or the exclusive topic, has a live owner
  mismatch,       // the topic exists with other options or another type
  no_space,       // the file system is full
  no_permission,  // the kernel, or the owner check, says no
  table_full,     // every slot has a live owner
  unsupported,    // this machine, file system or version cannot do it
  system,         // another error of the system: see system_errno()
};

// The code's name as written above.
RINGWAY_EXPORT std::string_view name(Code code) noexcept;

namespace detail {
// The values behind a status that is not ok; plain data, so that the data path can fill it.
struct Cause {
  enum class About : std::uint8_t {
    nothing,
    subscription,
    publisher,
    open_claim,
    dead_claim,
    word,
    run,
    group,
    in_flight
  };
  About about = About::nothing;
  bool owned = false;    // a subscription with a live owner; a group of which somebody holds the oldest job
  std::int32_t pid = 0;  // display only
  std::uint32_t slot = 0;
  std::uint64_t value = 0;  // subscription, group: lag in bytes; word: what was read; in_flight: entries
  std::uint64_t limit = 0;  // word: what it must not pass; too_large: the largest payload, or run
  char name[65] = {};       // of the subscription, publisher or word
};
}  // namespace detail

// The outcome of a call on the data path. True if ok.
class RINGWAY_EXPORT Status {
 public:
  Status() noexcept : code_(Code::ok) {}
  Status(Code code) noexcept : code_(code) {  // NOLINT(google-explicit-constructor): a code is a status
    if (code != Code::ok) new (&cause_) detail::Cause();
  }
  Status(Code code, const detail::Cause& cause) noexcept : code_(code) {
    if (code != Code::ok) new (&cause_) detail::Cause(cause);
  }
  Status(const Status& other) noexcept : code_(other.code_) {
    if (code_ != Code::ok) new (&cause_) detail::Cause(other.cause_);
  }
  Status& operator=(const Status& other) noexcept {
    code_ = other.code_;
    if (code_ != Code::ok) new (&cause_) detail::Cause(other.cause_);
    return *this;
  }
  ~Status() = default;

  explicit operator bool() const noexcept { return code_ == Code::ok; }
  [[nodiscard]] Code code() const noexcept { return code_; }

  // A sentence: the code, and who or what is in the way. Allocates.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Status& status, Code code) noexcept { return status.code_ == code; }

 private:
  Code code_;
  union {  // set only if the code is not ok, so that success writes one byte
    detail::Cause cause_;
  };
};

RINGWAY_EXPORT std::ostream& operator<<(std::ostream& out, const Status& status);
RINGWAY_EXPORT std::ostream& operator<<(std::ostream& out, Code code);

// Thrown by what opens, creates, removes or inspects; never by the data path. what() holds the values on both sides
// and the next step.
class RINGWAY_EXPORT Error : public std::runtime_error {
 public:
  Error(Code code, std::string topic, const std::string& text, int system_errno = 0);
  Error(const Error&);
  Error& operator=(const Error&) = delete;
  ~Error() override;

  [[nodiscard]] Code code() const noexcept { return code_; }
  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }
  [[nodiscard]] int system_errno() const noexcept { return system_errno_; }  // 0: no system call failed

 private:
  Code code_;
  int system_errno_;
  std::string topic_;
};

}  // namespace ringway

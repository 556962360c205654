#include "output.hpp"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "stop.hpp"

namespace ringway::tool {
namespace {

constexpr std::size_t kEnough = std::size_t{64} << 10;  // bytes for one write
constexpr std::size_t kLarge = std::size_t{16} << 10;   // a payload that is not worth copying
constexpr std::size_t kPrefix = sizeof(std::uint32_t);
constexpr char kNewline = '\n';

// Writes the bytes from `done` to `all` of some messages. Told to stop, it finishes the message under way, unless the reader
// stands still. `write_some(from, end)` is one write(2), `message_end(bytes)` where the message ends that those break off in.
template <class WriteSome, class MessageEnd>
Output::Result write_messages(std::size_t& done, std::size_t all, WriteSome write_some, MessageEnd message_end) {
  std::size_t end = all;
  bool stalled = false;
  for (;;) {
    if (stopping()) end = message_end(done);
    if (done >= end) return done == all ? Output::Result::accepted : Output::Result::stopped;
    const std::ptrdiff_t count = write_some(done, end);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
      stalled = false;
    } else if (errno == EPIPE) {
      return Output::Result::closed;
    } else if (errno == EAGAIN) {
      pollfd writable{STDOUT_FILENO, POLLOUT, 0};
      if (::poll(&writable, 1, -1) < 0 && stopping()) return Output::Result::stopped;
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot write to standard output");
    } else if (stopping()) {
      if (stalled) return Output::Result::stopped;
      stalled = true;
    }
  }
}

}  // namespace

Output::Output(Framing framing, bool durable)
    : framing_(framing),
      durable_(durable),
      buffer_(std::make_unique_for_overwrite<char[]>(kEnough + kLarge + kPrefix + 1)) {
  held_.reserve(detail::kMaxViews);
}

Output::~Output() {
  if (!durable_ || held_.empty()) return;
  // A Message that goes is released, so these stay until the process ends; the kernel then sets the subscription free.
  alignas(std::vector<Message>) static std::byte kept[sizeof(std::vector<Message>)];
  new (kept) std::vector<Message>(std::move(held_));
}

bool Output::full() const { return held_.size() == detail::kMaxViews || buffered_ >= kEnough || !large_.empty(); }

void Output::append(const void* bytes, std::size_t size) {
  if (size != 0) std::memcpy(buffer_.get() + buffered_, bytes, size);
  buffered_ += size;
}

// A lossy subscription's payload is gone with its next receive: a large one fills the batch, a small one is copied.
void Output::add(Message&& message) {
  const Message& added = held_.emplace_back(std::move(message));
  const auto payload = added.payload();
  const auto length = static_cast<std::uint32_t>(payload.size());
  const bool newline = framing_.kind == Framing::Kind::lines;
  if (framing_.kind == Framing::Kind::lengths) append(&length, kPrefix);
  if (payload.size() < kLarge) {
    append(payload.data(), payload.size());
    if (newline) append(&kNewline, 1);
  } else {
    large_ = payload;
    tail_ = newline ? 1 : 0;
  }
  ends_[held_.size() - 1] = buffered_ + large_.size() + tail_;
}

Output::Result Output::flush() {
  std::size_t done = 0;
  try {
    const Result result = write_all(done);
    release(whole_messages(done));
    return result;
  } catch (...) {
    release(whole_messages(done));
    throw;
  }
}

Output::Result Output::write_all(std::size_t& done) const {
  return write_messages(
      done, ends_[held_.size() - 1], [this](std::size_t from, std::size_t end) { return write_from(from, end); },
      [this](std::size_t bytes) { return message_end(bytes); });
}

// One write(2) of the bytes from `done` to `end` of: the buffer, the large payload, its newline.
std::ptrdiff_t Output::write_from(std::size_t done, std::size_t end) const {
  if (large_.empty()) return ::write(STDOUT_FILENO, buffer_.get() + done, end - done);
  std::array<iovec, 3> parts = {{{buffer_.get(), buffered_},
                                 {const_cast<std::byte*>(large_.data()), large_.size()},
                                 {const_cast<char*>(&kNewline), tail_}}};
  for (iovec& part : parts) {
    const std::size_t skipped = std::min(done, part.iov_len);
    const std::size_t left = std::min(part.iov_len, end) - skipped;
    end -= std::min(part.iov_len, end);
    done -= skipped;
    part = {static_cast<char*>(part.iov_base) + skipped, left};
  }
  return ::writev(STDOUT_FILENO, parts.data(), static_cast<int>(parts.size()));
}

// How many messages the first `bytes` hold in full.
std::size_t Output::whole_messages(std::size_t bytes) const {
  const auto end = ends_.begin() + static_cast<std::ptrdiff_t>(held_.size());
  return static_cast<std::size_t>(std::upper_bound(ends_.begin(), end, bytes) - ends_.begin());
}

// Where the message that the first `bytes` break off in ends; `bytes` itself if they break off in none.
std::size_t Output::message_end(std::size_t bytes) const {
  if (bytes == 0) return 0;
  const auto last = ends_.begin() + static_cast<std::ptrdiff_t>(held_.size()) - 1;
  return *std::lower_bound(ends_.begin(), last, bytes);
}

void Output::release(std::size_t count) {
  for (std::size_t i = count; i-- > 0;) held_[i].release();
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
  written_ += count;
  if (!held_.empty()) return;  // the end
  buffered_ = 0;
  large_ = {};
  tail_ = 0;
}

Output::Result Output::write_one(std::string_view text) {
  std::size_t done = 0;
  return write_messages(
      done, text.size(),
      [text](std::size_t from, std::size_t end) { return ::write(STDOUT_FILENO, text.data() + from, end - from); },
      [text](std::size_t) { return text.size(); });
}

bool Output::closed() {
  pollfd error{STDOUT_FILENO, 0, 0};
  return ::poll(&error, 1, 0) == 1 && (error.revents & POLLERR) != 0;
}

}  // namespace ringway::tool

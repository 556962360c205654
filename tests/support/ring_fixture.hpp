// A topic made through the library's own parts, so that a test can choose what the API does not offer: a ring of 4 KiB,
// a first position, doorbells, rows of the tables in any half-finished state. Its two files have names, so the API can
// open it too.

#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "inspect.hpp"
#include "repair.hpp"
#include "ringway/detail/ring.hpp"
#include "ringway/detail/wait.hpp"
#include "ringway/reader.hpp"
#include "segment.hpp"
#include "support/scratch.hpp"

namespace ringway_test {

using Writer = ringway::detail::RingWriter<ringway::detail::SegmentMemory>;
using ReadSide = ringway::detail::RingReader<ringway::detail::SegmentMemory>;

// The smallest ring: eighths of 512 bytes, frames of up to 1,024.
inline ringway::detail::TopicSpec small_spec(bool exclusive = false, std::uint64_t first_position = 0) {
  ringway::detail::TopicSpec spec;
  spec.limits = {ringway::detail::kMinTestCapacity, 4, 4, 1, 1, 1};
  spec.exclusive = exclusive;
  spec.first_position = first_position;
  return spec;
}

// Both files of `topic` in `directory`, as the library would make them.
inline void make_topic(const std::string& directory, const std::string& topic, const ringway::detail::TopicSpec& spec) {
  namespace detail = ringway::detail;
  const std::uint64_t epoch = detail::make_epoch();
  const auto data = detail::make_file(directory, detail::data_bytes(spec.limits), 0600, static_cast<gid_t>(-1), topic);
  const auto control =
      detail::make_file(directory, detail::control_bytes(spec.limits), 0600, static_cast<gid_t>(-1), topic);
  struct stat status {};
  if (::fstat(control.get(), &status) != 0) throw std::runtime_error("fstat");
  detail::write_control(control, spec, epoch, topic);
  detail::write_data(data, spec, epoch, status.st_ino, topic);
  if (detail::link_file(control, detail::control_path(directory, topic)) != 0 ||
      detail::link_file(data, detail::data_path(directory, topic)) != 0)
    throw std::runtime_error("linkat");
}

inline std::unique_ptr<ringway::detail::Segment> map_topic(const std::string& directory, const std::string& topic,
                                                           ringway::detail::Role role) {
  const auto files = ringway::detail::open_files(directory, topic, role, ::geteuid());
  if (!files) throw std::runtime_error("there is no topic " + topic);
  return std::make_unique<ringway::detail::Segment>(*files, role, topic);
}

class RingTopic {
 public:
  static constexpr const char* kName = "t";

  explicit RingTopic(const ringway::detail::TopicSpec& spec = small_spec()) {
    make_topic(directory(), kName, spec);
    segment_ = map_topic(directory(), kName, ringway::detail::Role::publish);
  }

  std::string directory() const { return scratch_.path(); }
  const ringway::detail::Segment& segment() const { return *segment_; }
  const ringway::detail::SegmentMemory& memory() const { return segment_->memory(); }

  // A publisher in `slot`, without a life lock: to the API it is a dead one.
  Writer writer(std::uint32_t slot = 0) const {
    auto& row = memory().publisher(slot);
    auto& used = memory().tail_line->publishers_used;
    used.store(std::max(used.load(), slot + 1));
    row.incarnation.store(1);
    row.state.store(ringway::detail::PublisherState::owned);
    Writer result;
    result.attach(memory(), slot,
                  memory().exclusive ? ringway::detail::settle_exclusive(memory()) : memory().tail().load());
    return result;
  }

  // A subscription in `slot`, ephemeral and dead to the API.
  void subscribe(std::uint32_t slot, ringway::detail::SubscriptionState state, std::uint64_t cursor) const {
    using ringway::detail::SubscriptionKind;
    auto& row = memory().subscription(slot);
    auto& used = memory().control->subscriptions_used;
    used.store(std::max(used.load(), slot + 1));
    row.cursor.store(cursor);
    row.kind.store(SubscriptionKind::ephemeral);
    row.wanted.store(static_cast<std::uint32_t>(state));
    row.owned.store(1);
    row.state.store(state);
  }

  ReadSide reader(std::uint64_t position) const {
    ReadSide result;
    result.attach(memory(), position);
    return result;
  }

  std::uint64_t oldest() const { return memory().oldest().load(); }
  std::uint64_t tail() const { return ringway::detail::visible_tail(memory()); }

 private:
  ScratchDir scratch_;
  std::unique_ptr<ringway::detail::Segment> segment_;
};

// Makes space if need be, and claims. False: somebody is in the way.
inline bool claim(Writer& writer, std::uint64_t bytes, ringway::detail::Blocker* blocker = nullptr,
                  std::uint32_t count = 0) {
  using ringway::detail::Claimed;
  ringway::detail::Blocker unused;
  for (;;) {
    const Claimed claimed = writer.claim(bytes, count);
    if (claimed == Claimed::ok) return true;
    if (claimed != Claimed::needs_space) throw std::logic_error("claimed twice, or too much");
    if (!writer.make_space(bytes, blocker != nullptr ? *blocker : unused)) return false;
  }
}

// One message; nobody is woken.
inline bool put(Writer& writer, std::string_view text, ringway::detail::Blocker* blocker = nullptr) {
  if (!claim(writer, text.size(), blocker)) return false;
  std::memcpy(writer.payload(), text.data(), text.size());
  static_cast<void>(writer.commit(static_cast<std::uint32_t>(text.size()), 0));
  return true;
}

inline std::string_view text_of(const ringway::detail::Found& found) {
  return {reinterpret_cast<const char*>(found.payload), found.length};
}

inline std::string text_of(const ringway::Message& message) { return std::string(message.text()); }

// Bytes that say which message they belong to.
inline std::string pattern(std::uint64_t seed, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((seed * 131 + i * 7 + (i >> 5)) & 0xFF);
  return text;
}

// Room for a checked copy of the largest frame.
class CopyBuffer {
 public:
  explicit CopyBuffer(const ringway::detail::SegmentMemory& memory)
      : words_((memory.max_extent + ringway::detail::kLine) / 8) {}
  std::byte* get() { return reinterpret_cast<std::byte*>(words_.data()); }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace ringway_test

// What a topic must hold and each reader must see, kept in the plainest way: a list of all frames ever claimed; a packed one
// is there message by message.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fuzz/watch.hpp"
#include "ringway/detail/layout.hpp"
#include "ringway/detail/slots.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_fuzz {

namespace detail = ringway::detail;

struct Frame {
  enum class What : std::uint8_t { message, padding, open, dead };  // dead: its claimer died, and it has no tag yet
  std::uint64_t position = 0;
  std::uint64_t end = 0;
  What what = What::open;
  std::uint32_t slot = 0;
  std::uint64_t sequence = 0;
  std::uint64_t seed = 0;  // of its payload
  std::uint32_t length = 0;
  std::uint64_t frame_end = 0;  // packed: of the whole frame
};

class Model {
 public:
  explicit Model(const detail::SegmentMemory& memory, std::uint64_t first) : memory_(memory), first_(first) {}

  [[nodiscard]] std::uint64_t end() const { return frames_.empty() ? first_ : frames_.back().end; }
  [[nodiscard]] const std::vector<Frame>& frames() const { return frames_; }
  // Those that oldest has not passed.
  [[nodiscard]] std::span<const Frame> standing() const { return std::span(frames_).subspan(passed_); }

  Frame& claim(std::uint32_t slot, std::uint64_t position, std::uint64_t payload) {
    if (position != end()) fail("a claim at " + std::to_string(position) + ", the end is " + std::to_string(end()));
    const std::uint64_t extent = (detail::kFrameHeader + payload + detail::kLine - 1) / detail::kLine * detail::kLine;
    frames_.push_back({position, position + extent, Frame::What::open, slot, 0, 0, 0, position + extent});
    return frames_.back();
  }
  void drop_last() { frames_.pop_back(); }
  [[nodiscard]] Frame* find(std::uint64_t position) {
    const auto frame = frames_.begin() + (from(position) - frames_.cbegin());
    return frame != frames_.end() && frame->position == position ? &*frame : nullptr;
  }
  // Becomes the next message of its slot.
  void commit(Frame& frame, std::uint64_t seed, std::uint32_t length) {
    frame.what = Frame::What::message;
    frame.seed = seed;
    frame.length = length;
    frame.sequence = next_sequence_.at(frame.slot)++;
  }
  // Becomes the next messages of its slot, of `seed` and those after it. Frames found before are not there any more.
  void commit_packed(std::uint64_t position, std::uint32_t count, std::uint64_t seed, std::uint32_t length) {
    const Frame claimed = *find(position);
    auto at = frames_.erase(from(position));
    for (std::uint32_t i = 0; i < count; ++i, ++at) {
      at = frames_.insert(at, claimed);
      at->position = position + i;
      at->end = i + 1 == count ? claimed.end : position + i + 1;
      commit(*at, seed + i, length);
    }
  }
  [[nodiscard]] bool is_boundary(std::uint64_t position) { return position == end() || find(position) != nullptr; }

  // The first frame from `position` on that is not padding; `dead_too`: a dead one's counts as padding. Null: the end.
  [[nodiscard]] const Frame* next(std::uint64_t position, bool dead_too) const {
    for (auto frame = from(position); frame != frames_.end(); ++frame) {
      if (frame->what == Frame::What::padding || (frame->what == Frame::What::dead && dead_too)) continue;
      return &*frame;
    }
    return nullptr;
  }
  [[nodiscard]] std::uint64_t messages(std::uint64_t first, std::uint64_t last) const {
    if (!detail::before(first, last)) return 0;
    return static_cast<std::uint64_t>(
        std::count_if(from(first), from(last), [](const Frame& frame) { return frame.what == Frame::What::message; }));
  }

  // What must hold at any time, and what others may have done meanwhile: a dead one's frame may have become padding,
  // of exactly its extent.
  void look_around() {
    const std::uint64_t oldest = memory_.oldest().load();
    if (!is_boundary(oldest) || detail::index_of(oldest) != 0) fail("oldest is no frame start");
    if (detail::before(oldest, oldest_seen_ + first_)) fail("oldest has gone back");
    oldest_seen_ = oldest - first_;
    if (detail::visible_tail(memory_) != end()) fail("the tail is not where the last frame ends");
    if (end() - oldest > memory_.capacity) fail("oldest is more than a ring behind the tail");
    for (; passed_ < frames_.size() && detail::before(frames_[passed_].position, oldest); ++passed_) {
      Frame& frame = frames_[passed_];
      if (frame.what == Frame::What::open) fail("oldest has passed an open claim");
      if (frame.what == Frame::What::dead) frame.what = Frame::What::padding;
    }
    for (std::size_t at = passed_; at < frames_.size(); ++at) {
      Frame& frame = frames_[at];
      if (detail::index_of(frame.position) != 0) continue;  // its frame was looked at with its first message
      const bool tagged = detail::tagged(memory_, frame.position);
      const std::uint64_t size = memory_.frame(frame.position).size.load();
      if (frame.what == Frame::What::dead && tagged) frame.what = Frame::What::padding;
      if (tagged != (frame.what == Frame::What::message || frame.what == Frame::What::padding))
        fail("the frame at " + std::to_string(frame.position) + (tagged ? " has a tag" : " has no tag"));
      if (tagged && detail::extent_of(size) != frame.frame_end - frame.position)
        fail("the frame at " + std::to_string(frame.position) + " has the extent " +
             std::to_string(detail::extent_of(size)) + ", claimed was " +
             std::to_string(frame.frame_end - frame.position));
      if (tagged && (detail::kind_of(size) != detail::FrameKind::aborted) != (frame.what == Frame::What::message))
        fail("the frame at " + std::to_string(frame.position) + " has the wrong kind");
    }
  }

 private:
  [[nodiscard]] std::vector<Frame>::const_iterator from(std::uint64_t position) const {
    return std::partition_point(frames_.begin(), frames_.end(),
                                [position](const Frame& frame) { return detail::before(frame.position, position); });
  }

  const detail::SegmentMemory& memory_;
  std::uint64_t first_;
  std::size_t passed_ = 0;         // frames that oldest has passed
  std::uint64_t oldest_seen_ = 0;  // from the first position
  std::vector<Frame> frames_;
  std::array<std::uint64_t, 4> next_sequence_{};
};

}  // namespace ringway_fuzz

// The stage of the image target: a topic, and handles on it that are kept from one input to the next. To attach costs
// fifty system calls, and to be put back into the state right after it none.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "attachment.hpp"
#include "fuzz/feed.hpp"
#include "fuzz/topic_image.hpp"
#include "ringway/ringway.hpp"

namespace ringway_fuzz {

inline constexpr std::uint32_t kPublishers = 2;   // slots 0 and 1 are held by kept handles; 2 and 3 are dead, or free
inline constexpr std::uint32_t kSubscribers = 3;  // 0 ephemeral, 1 durable, 2 lossy; 3 is dead, or free
inline constexpr std::uint32_t kMembers = 2;      // of the group "g" in row 4, slots 0 and 1; 2 is dead, or free
inline constexpr std::uint32_t kGroupRow = 4;

// The handles of one topic. The kernel locks of their slots are held all the time.
class Kept {
 public:
  explicit Kept(TopicImage& image);
  void reset();

  void open_publisher(std::uint32_t slot);
  void open_subscriber(std::uint32_t slot, ringway::From from, bool resume);
  void open_observer(ringway::From from);
  void open_member(std::uint32_t slot);

  std::array<ringway::Publisher, kPublishers>& publishers() { return publishers_; }
  [[nodiscard]] bool is_open(std::uint32_t publisher) const { return open_[publisher]; }
  [[nodiscard]] ringway::Reader* reader(std::uint32_t number);       // observers last; null: not opened
  [[nodiscard]] ringway::GroupMember* member(std::uint32_t number);  // null: not opened
  [[nodiscard]] const detail::SegmentMemory& memory() const { return *memory_; }
  [[nodiscard]] const detail::Segment& segment() const { return *publishers_[0].core_->attachment->segment; }
  [[nodiscard]] detail::Prober& prober() { return publishers_[0].core_->attachment->publishers; }

 private:
  static void refresh(detail::Attachment& attachment);
  static void refresh(detail::ReaderCore& core);
  static void refresh(detail::MemberCore& core);

  ringway::Bus bus_;
  std::array<ringway::Publisher, kPublishers> publishers_;
  std::array<ringway::Subscriber, kSubscribers> subscribers_;
  ringway::Observer observer_;
  std::array<ringway::GroupMember, kMembers> members_;
  const detail::SegmentMemory* memory_;
  std::array<bool, kPublishers> open_{};
  std::array<bool, kSubscribers + 1> reading_{};
  std::array<bool, kMembers> working_{};
};

}  // namespace ringway_fuzz

#include "fuzz/image.hpp"

#include <algorithm>
#include <chrono>

#include "inspect.hpp"
#include "repair.hpp"

namespace ringway_fuzz {
namespace {

using ringway::Reliability;
using ringway::Wait;

constexpr const char* kTopic = TopicImage::kName;

// Jobs go to the topic "dead", which nobody changes, after their second attempt.
ringway::GroupOptions group_options() {
  return {.group = "g",
          .prefetch = 3,
          .max_attempts = 2,
          .retry_delay = std::chrono::nanoseconds(0),
          .dead_letter = "dead"};
}

}  // namespace

Kept::Kept(TopicImage& image)
    : bus_(ringway::Bus::at(image.directory())),
      publishers_{bus_.publisher(kTopic, {.wait = Wait::park}),
                  // The second one cannot attach to an exclusive topic while the first one's row says that it lives.
                  (image.reset(), bus_.publisher(kTopic, {.wait = Wait::park}))},
      subscribers_{bus_.subscriber(kTopic, {.wait = Wait::park}),
                   bus_.subscriber(kTopic, {.name = "d", .wait = Wait::park}),
                   bus_.subscriber(kTopic, {.reliability = Reliability::lossy, .wait = Wait::park})},
      observer_(bus_.observer(kTopic)),
      members_{bus_.group_member(kTopic, group_options()), bus_.group_member(kTopic, group_options())},
      memory_(&segment().memory()) {
  for (std::uint32_t slot = 0; slot < kPublishers; ++slot)
    if (publishers_[slot].core_->ring.slot() != slot) fail("a publisher has another slot than expected");
  for (std::uint32_t slot = 0; slot < kSubscribers; ++slot)
    if (subscribers_[slot].core_->slot != slot) fail("a subscriber has another slot than expected");
  for (std::uint32_t slot = 0; slot < kMembers; ++slot)
    if (members_[slot].core_->ring.slot() != slot) fail("a member has another slot than expected");
}

void Kept::refresh(detail::Attachment& attachment) {
  attachment.looked_ns_ = 0;
  attachment.stands_ = true;
}

void Kept::refresh(detail::ReaderCore& core) {
  auto attachment = std::move(core.attachment);
  const auto* const process = core.process;
  const auto* const interrupted = core.interrupted;
  const std::uint32_t slot = core.slot;
  const bool in_place = core.in_place;
  std::destroy_at(&core);
  std::construct_at(&core);
  core.process = process;
  core.interrupted = interrupted;
  core.slot = slot;
  core.in_place = in_place;
  core.references = 1;
  attachment->lost_away = 0;
  attachment->gap = false;
  attachment->stuck_at = 0;
  attachment->stuck = 0;
  attachment->nap_ns = 50'000;
  std::fill(attachment->expected.begin(), attachment->expected.end(), detail::kUnknown);
  refresh(*attachment);
  core.ring.attach(attachment->segment->memory(), 0);
  core.attachment = std::move(attachment);
}

void Kept::refresh(detail::MemberCore& core) {
  core.ring = {};
  core.code = ringway::Code::ok;
  core.in_hand = core.waiting_begin = core.waiting_end = 0;
  core.gate = core.look_at = 0;
  core.returns_seen = 0;
  core.woken = false;
  core.cause = {};
  detail::MemberAttachment& attachment = *core.attachment;
  attachment.probe_at = attachment.due = 0;
  attachment.copies.clear();
  attachment.full = false;
  attachment.stuck_at = 0;
  attachment.stuck = 0;
  refresh(attachment);
}

void Kept::reset() {
  for (auto& publisher : publishers_) {
    detail::PublisherCore& core = *publisher.core_;
    if (core.references != 1) fail("a claim outlived its input");
    core.ring = {};
    core.cause = {};
    core.attachment->stepped_at = 0;
    core.attachment->blocked = 0;
    refresh(*core.attachment);
  }
  for (auto& subscriber : subscribers_) {
    if (subscriber.core_->references != 1) fail("a message outlived its input");
    refresh(*subscriber.core_);
  }
  refresh(*observer_.core_);
  for (auto& member : members_) {
    if (member.core_->references != 1) fail("a job outlived its input");
    refresh(*member.core_);
  }
  open_ = {};
  reading_ = {};
  working_ = {};
}

// As own_publisher_slot.
void Kept::open_publisher(std::uint32_t slot) {
  if (open_[slot]) return;
  const detail::SegmentMemory& memory = *memory_;
  for (const bool other : open_)
    if (memory.exclusive && other) return;
  auto& row = memory.publisher(slot);
  detail::PublisherCore& core = *publishers_[slot].core_;
  Call call("resolve_frame");
  if (!detail::settle_record(memory, slot))
    detail::resolve_frame(memory, detail::position_of(row.record.load()), core.attachment->publishers);
  auto& used = memory.tail_line->publishers_used;
  if (used.load() <= slot) used.store(slot + 1);
  row.incarnation.fetch_add(1);
  core.ring.attach(memory, slot, memory.exclusive ? detail::settle_exclusive(memory) : memory.tail().load());
  core.attachment->stepped_at = core.ring.limit();
  row.state.store(detail::PublisherState::owned);
  open_[slot] = true;
}

// As attach_subscriber, for a row of one's own.
void Kept::open_subscriber(std::uint32_t slot, ringway::From from, bool resume) {
  if (reading_[slot]) return;
  const detail::SegmentMemory& memory = *memory_;
  auto& row = memory.subscription(slot);
  detail::ReaderCore& core = *subscribers_[slot].core_;
  const auto state = slot == 2 ? detail::SubscriptionState::lossy : detail::SubscriptionState::reliable;
  detail::write_name(row.name, slot == 1 ? "d" : "");
  row.wanted.store(static_cast<std::uint32_t>(state));
  auto& used = memory.control->subscriptions_used;
  if (used.load() <= slot) used.store(slot + 1);
  row.kind.store(slot == 1 ? detail::SubscriptionKind::durable : detail::SubscriptionKind::ephemeral);
  row.owned.store(1);
  Call call("join");
  if (resume)
    detail::resume(core, row.cursor.load());
  else if (!detail::join(core, from))
    return detail::free_subscription(memory, slot);
  if (!resume) detail::note_base(core);
  reading_[slot] = true;
}

void Kept::open_observer(ringway::From from) {
  Call call("join of an observer");
  reading_[kSubscribers] = reading_[kSubscribers] || detail::join(*observer_.core_, from);
}

// As take_member_slot; the first one makes the group.
void Kept::open_member(std::uint32_t slot) {
  if (working_[slot]) return;
  const detail::SegmentMemory& memory = *memory_;
  auto& row = memory.subscription(kGroupRow);
  if (std::none_of(working_.begin(), working_.end(), [](bool open) { return open; })) {
    auto& used = memory.control->subscriptions_used;
    if (used.load() <= kGroupRow) used.store(kGroupRow + 1);
    detail::write_name(row.name, "g");
    row.kind.store(detail::SubscriptionKind::group);
    row.wanted.store(static_cast<std::uint32_t>(detail::SubscriptionState::reliable));
    Call call("join of a group");
    if (!detail::join_row(memory, kGroupRow, ringway::From::oldest))
      return detail::free_subscription(memory, kGroupRow);
  }
  auto& member = memory.member(0, slot);
  Call call("settle");
  members_[slot].core_->ring.attach(memory, kGroupRow, 0, slot, member.incarnation.fetch_add(1) + 1);
  members_[slot].core_->ring.settle();
  member.owned.store(1);
  working_[slot] = true;
}

ringway::GroupMember* Kept::member(std::uint32_t number) {
  number %= kMembers;
  return working_[number] ? &members_[number] : nullptr;
}

ringway::Reader* Kept::reader(std::uint32_t number) {
  number %= kSubscribers + 1;
  if (!reading_[number]) return nullptr;
  return number < kSubscribers ? static_cast<ringway::Reader*>(&subscribers_[number]) : &observer_;
}

}  // namespace ringway_fuzz

// What a death leaves in the tables: each half-state made by hand, repaired once and once more.

#include "repair.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>

#include "ringway/ringway.hpp"
#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;

constexpr std::uint64_t kFirst = (1ULL << 63) - 4096;
constexpr std::uint64_t kWon = kRecordStanding | kRecordWon;

// Twelve committed frames of 128 bytes from kFirst on, publisher 0's; publisher 1 is the dead one.
struct Half {
  Half() : writer(topic.writer(0)) {
    static_cast<void>(topic.writer(1));
    for (int i = 0; i < 12; ++i) static_cast<void>(put(writer, pattern(1, 96)));
  }
  PublisherSlot& dead() const { return topic.memory().publisher(1); }
  void record(std::uint64_t position, std::uint64_t bits) const {
    dead().record_extent.store(128);
    dead().record.store(position | bits);
  }
  // Twice: whoever repairs may die at its end.
  bool settle() const {
    const bool first = settle_record(topic.memory(), 1);
    EXPECT_EQ(settle_record(topic.memory(), 1), first);
    return first;
  }

  RingTopic topic{small_spec(false, kFirst)};
  Writer writer;
};

TEST(SettleRecordTest, NoneIsSettled) {
  const Half half;
  EXPECT_TRUE(half.settle());
  EXPECT_EQ(half.dead().sequence.load(), 0U);
}

TEST(SettleRecordTest, AClaimThatLostIsForgotten) {
  const Half half;
  half.record(kFirst + 256, kRecordStanding);  // publisher 0's frame
  EXPECT_TRUE(half.settle());
  EXPECT_EQ(half.dead().record.load(), kNoRecord);
  EXPECT_EQ(half.dead().sequence.load(), 0U);
}

TEST(SettleRecordTest, AClaimThatNeverReachedTheTailIsForgotten) {
  const Half half;
  half.record(half.topic.tail(), kRecordStanding);  // death between W1 and W2, and nobody else came
  EXPECT_TRUE(half.settle());
  EXPECT_EQ(half.dead().record.load(), kNoRecord);
}

TEST(SettleRecordTest, APassedClaimIsForgotten) {
  for (const std::uint64_t bits : {kRecordStanding, kWon}) {
    const Half half;
    half.record(kFirst + 256, bits);
    half.topic.memory().frame(kFirst + 256).tag.store(0);
    half.topic.memory().oldest().store(kFirst + 384);
    EXPECT_TRUE(half.settle());
    EXPECT_EQ(half.dead().record.load(), kNoRecord);
  }
}

TEST(SettleRecordTest, ACommittedClaimIsCounted) {
  for (const std::uint64_t counted : {0U, 1U}) {  // death before and after the counter's store
    const Half half;
    FrameHeader& frame = half.topic.memory().frame(kFirst + 256);
    frame.origin.store(pack_origin(1, 0));
    half.dead().sequence.store(counted);
    half.record(kFirst + 256, kWon);
    EXPECT_TRUE(half.settle());
    EXPECT_EQ(half.dead().record.load(), kNoRecord);
    EXPECT_EQ(half.dead().sequence.load(), 1U);
  }
}

TEST(SettleRecordTest, PaddingIsNotCounted) {
  const Half half;
  FrameHeader& frame = half.topic.memory().frame(kFirst + 256);
  frame.origin.store(pack_origin(1, 0));
  frame.size.store(pack_size(0, 128, FrameKind::aborted));
  half.record(kFirst + 256, kWon);
  EXPECT_TRUE(half.settle());
  EXPECT_EQ(half.dead().sequence.load(), 0U);
}

TEST(SettleRecordTest, AFrameThatNobodyCommittedStaysUnresolved) {
  for (const std::uint64_t bits : {kRecordStanding, kWon}) {
    const Half half;
    half.record(kFirst + 256, bits);
    half.topic.memory().frame(kFirst + 256).tag.store(0);
    EXPECT_FALSE(half.settle());
    EXPECT_EQ(half.dead().record.load(), (kFirst + 256) | bits);
  }
}

// An exclusive ring with three frames; the fourth is as the test says.
struct Exclusive {
  Exclusive() : writer(topic.writer(0)) {
    for (int i = 0; i < 3; ++i) static_cast<void>(put(writer, pattern(1, 96)));
  }
  const SegmentMemory& memory() const { return topic.memory(); }
  void expect(std::uint64_t next, std::uint64_t sequence) const {
    for (int again = 0; again < 2; ++again) {
      EXPECT_EQ(settle_exclusive(memory()), next);
      EXPECT_EQ(memory().tail().load(), next);
      EXPECT_EQ(memory().publisher(0).sequence.load(), sequence);
      for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth)
        EXPECT_FALSE(before(next, memory().mark(eighth).load())) << "eighth " << eighth;
    }
  }
  RingTopic topic{small_spec(true)};
  Writer writer;
};

TEST(SettleExclusiveTest, AWholeRingIsLeftAsItIs) { Exclusive().expect(384, 3); }

TEST(SettleExclusiveTest, ATailThatLagsIsMovedOverTheTags) {
  const Exclusive half;
  half.memory().tail().store(128);
  half.expect(384, 3);
}

TEST(SettleExclusiveTest, ACounterThatLagsIsMovedOverTheTags) {
  const Exclusive half;
  half.memory().tail().store(256);  // death between the tag and its counter
  half.memory().publisher(0).sequence.store(2);
  half.expect(384, 3);
}

TEST(SettleExclusiveTest, AFrameWithoutATagNeverWas) {
  Exclusive half;
  ASSERT_TRUE(put(half.writer, pattern(1, 900)));  // the last of its stores are undone
  half.memory().frame(384).tag.store(0);
  half.memory().tail().store(384);
  half.memory().publisher(0).sequence.store(3);
  EXPECT_NE(half.memory().mark(2).load(), 0U);
  half.expect(384, 3);
}

TEST(SettleExclusiveTest, PaddingAndStrangeHeadersDoNotStopOrLeadAstray) {
  Exclusive half;
  half.memory().tail().store(0);
  half.memory().frame(128).origin.store(pack_origin(0xFFFF, 7));
  half.expect(384, 3);
  half.memory().tail().store(0);
  half.memory().frame(128).size.store(0);  // leads nowhere: what lies behind cannot be reached
  EXPECT_EQ(settle_exclusive(half.memory()), 128U);
}

// A row in use by a subscriber that sleeps, and a publisher that waits for it.
struct Subscribed {
  Subscribed() {
    topic.subscribe(2, SubscriptionState::reliable, 640);
    const Bed parked = parked_bed(topic.memory(), 2);
    parked.word->fetch_or(parked.bit);
    wait(0, 2);
    wait(1, 3);  // for another one
  }
  void wait(std::uint32_t publisher, std::uint32_t blocker) const {
    auto& line = topic.memory().waiting_line(publisher);
    line.position.store(1024);
    line.blocker.store(blocker);
    const Bed bed = waiting_bed(topic.memory(), publisher);
    bed.word->fetch_or(bed.bit);
  }
  SubscriptionSlot& row() const { return topic.memory().subscription(2); }
  void expect_free() const {
    EXPECT_EQ(row().state.load(), SubscriptionState::free);
    EXPECT_EQ(row().kind.load(), SubscriptionKind::none);
    EXPECT_EQ(row().owned.load(), 0U);
    EXPECT_EQ(topic.memory().parked[0].load(), 0U);
    EXPECT_EQ(topic.memory().waiting[0].load(), 2U);
    EXPECT_EQ(topic.memory().waiting_line(0).doorbell.load(), 1U);
    EXPECT_EQ(topic.memory().waiting_line(1).doorbell.load(), 0U);
  }
  RingTopic topic;
};

TEST(FreeSubscriptionTest, FreesTheRowAndWakesWhoWaitsForIt) {
  const Subscribed half;
  free_subscription(half.topic.memory(), 2);
  half.expect_free();
  free_subscription(half.topic.memory(), 2);
  half.expect_free();
}

// Rows 4, 6: killed after any of its stores, and done again.
TEST(FreeSubscriptionTest, EveryHalfWayPointLeadsToTheSameEnd) {
  for (int steps = 0; steps < 4; ++steps) {
    SCOPED_TRACE(steps);
    const Subscribed half;
    if (steps > 0) half.row().state.store(SubscriptionState::free);
    if (steps > 1) half.topic.memory().parked[0].store(0);
    if (steps > 2) half.row().kind.store(SubscriptionKind::none);
    free_subscription(half.topic.memory(), 2);
    half.expect_free();
  }
}

// The dead one's row as a death leaves it: state, kind, joined or not; the API must take it again.
TEST(DeadSlotTest, ADeadEphemeralSubscriptionsRowIsTakenAgain) {
  for (const auto state :
       {SubscriptionState::free, SubscriptionState::joining, SubscriptionState::reliable, SubscriptionState::lossy}) {
    const RingTopic topic;
    for (std::uint32_t slot = 0; slot < 4; ++slot) topic.subscribe(slot, state, 0);
    const Bus bus = Bus::at(topic.directory());
    const auto subscriber = bus.subscriber(RingTopic::kName);
    EXPECT_EQ(topic.memory().subscription(0).owned.load(), 1U);
    EXPECT_EQ(topic.memory().subscription(0).state.load(), SubscriptionState::reliable);
  }
}

TEST(DeadSlotTest, ADurableSubscriptionThatNeverJoinedJoinsWhenOpened) {
  const RingTopic topic;
  topic.subscribe(0, SubscriptionState::joining, 12345);
  auto& row = topic.memory().subscription(0);
  write_name(row.name, "orders");
  row.kind.store(SubscriptionKind::durable);
  row.wanted.store(static_cast<std::uint32_t>(SubscriptionState::reliable));
  const Bus bus = Bus::at(topic.directory());
  auto publisher = bus.publisher(RingTopic::kName);
  ASSERT_TRUE(publisher.publish("text"));
  auto subscriber = bus.subscriber(RingTopic::kName, {.name = "orders"});
  EXPECT_EQ(text_of(subscriber.try_receive()), "text");
}

// A dead publisher's slot with nothing under way.
TEST(DeadSlotTest, ADeadPublishersSlotWithoutARecordIsTakenAgain) {
  const RingTopic topic;
  Writer dead = topic.writer(0);
  ASSERT_TRUE(put(dead, "before"));
  const Bus bus = Bus::at(topic.directory());
  auto subscriber = bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest});
  auto publisher = bus.publisher(RingTopic::kName);
  ASSERT_TRUE(publisher.publish("after"));
  EXPECT_EQ(topic.memory().publisher(0).incarnation.load(), 2U);
  EXPECT_EQ(subscriber.try_receive().sequence(), 0U);
  const auto message = subscriber.try_receive();
  EXPECT_EQ(message.publisher(), 0U);
  EXPECT_EQ(message.sequence(), 1U);  // counted on
}

// A publisher that died inside its claim: `bits` and `extent` are its record, tail stands behind it or further.
struct Claimed {
  Claimed() : before_it(topic.writer(0)), dead(topic.writer(1)) {
    write_name(topic.memory().publisher(1).name, "ghost");
    static_cast<void>(put(before_it, "before"));
    static_cast<void>(claim(dead, 96));
    at = dead.position();
    static_cast<void>(put(before_it, "after"));
  }
  PublisherSlot& row(std::uint32_t slot = 1) const { return topic.memory().publisher(slot); }
  // As it looks to one who takes the slots in `alive` for alive.
  Ruling judge(std::initializer_list<std::uint32_t> alive = {}) const {
    return ringway::detail::judge(topic.memory(), at, [&](std::uint32_t slot) {
      return std::find(alive.begin(), alive.end(), slot) == alive.end();
    });
  }
  void record(std::uint32_t slot, std::uint64_t extent, std::uint64_t bits = kRecordStanding) const {
    auto& used = topic.memory().tail_line->publishers_used;
    used.store(std::max(used.load(), slot + 1));
    row(slot).record_extent.store(extent);
    row(slot).record.store(at | bits);
  }
  RingTopic topic{small_spec(false, kFirst)};
  Writer before_it;
  Writer dead;
  std::uint64_t at = 0;
};

void expect_resolved(const Ruling& ruling, std::uint64_t end, std::uint32_t slot = 1) {
  EXPECT_EQ(ruling.verdict, Verdict::resolved);
  EXPECT_EQ(ruling.end, end);
  EXPECT_EQ(ruling.slot, slot);
}

// Row 1: the rule, one state of the tables each.
TEST(JudgeTest, ADeadWinnerDecidesAlone) {
  const Claimed half;
  half.record(2, 64);  // a dead one that lost, whose end would come first
  half.record(3, 192);
  expect_resolved(half.judge(), half.at + 128);
  expect_resolved(half.judge({3}), half.at + 128);
}

TEST(JudgeTest, WithoutAWinnerTheSmallestEndWithEvidenceDecides) {
  const Claimed half;
  half.record(1, 128);  // died between the CAS and its mark; what came after it is tagged
  expect_resolved(half.judge(), half.at + 128);
  half.record(2, 64);
  half.record(3, 256);
  expect_resolved(half.judge(), half.at + 128);
  half.topic.memory().frame(half.at + 128).tag.store(0);
  EXPECT_EQ(half.judge().verdict, Verdict::corrupt);  // 192 is tail's, and nobody's end
}

TEST(JudgeTest, TailAtTheEndIsEvidence) {
  const Claimed half;
  half.record(1, 128);
  half.topic.memory().frame(half.at + 128).tag.store(0);
  half.topic.memory().tail().store(half.at + 128);
  expect_resolved(half.judge(), half.at + 128);
}

TEST(JudgeTest, ARecordAtTheEndIsEvidence) {
  const Claimed half;
  half.record(1, 128);
  half.topic.memory().frame(half.at + 128).tag.store(0);
  half.row(0).record_extent.store(64);
  half.row(0).record.store((half.at + 128) | kRecordStanding);
  expect_resolved(half.judge(), half.at + 128);
  expect_resolved(half.judge({0}), half.at + 128);  // whoever stands there, dead or alive
}

TEST(JudgeTest, ALiveCandidateIsWaitedFor) {
  const Claimed half;
  half.record(1, 128);
  half.record(2, 64);
  EXPECT_EQ(half.judge({2}).verdict, Verdict::open);
  EXPECT_EQ(half.judge({2}).slot, 2U);
  half.row(2).record.store(kNoRecord);  // it withdrew
  expect_resolved(half.judge({2}), half.at + 128);
}

TEST(JudgeTest, WhatIsTaggedOrPassedOrNotThereIsNotJudged) {
  const Claimed half;
  half.topic.memory().oldest().store(half.at + 64);
  EXPECT_EQ(half.judge().verdict, Verdict::changed);
  half.topic.memory().oldest().store(kFirst);
  half.topic.memory().frame(half.at).tag.store(half.at ^ half.topic.memory().epoch);
  EXPECT_EQ(half.judge().verdict, Verdict::changed);
  half.topic.memory().frame(half.at).tag.store(0);
  half.topic.memory().tail().store(half.at);
  EXPECT_EQ(half.judge().verdict, Verdict::changed);
}

// Its record says something else after its death than just before.
TEST(JudgeTest, WhatTheRecordSaysAfterTheDeathCounts) {
  const Claimed half;
  half.record(1, 64);
  int asked = 0;
  const Ruling ruling = ringway::detail::judge(half.topic.memory(), half.at, [&](std::uint32_t) {
    if (asked++ == 0) half.record(1, 128, kWon);
    return true;
  });
  expect_resolved(ruling, half.at + 128);

  asked = 0;
  half.record(1, 64);
  const Ruling committed = ringway::detail::judge(half.topic.memory(), half.at, [&](std::uint32_t) {
    if (asked++ == 0) {
      half.topic.memory().frame(half.at).tag.store(half.at ^ half.topic.memory().epoch);
      half.row().record.store(kNoRecord);
    }
    return true;
  });
  EXPECT_EQ(committed.verdict, Verdict::changed);
}

// Rows 55, 56: no claim of ours can have written that.
TEST(JudgeTest, ImpossibleRecordsAreNobodys) {
  const Claimed half;
  for (const std::uint64_t extent : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{2048}, ~std::uint64_t{63}})
    for (const std::uint64_t bits : {kRecordStanding, kWon}) {
      half.record(1, extent, bits);
      EXPECT_EQ(half.judge().verdict, Verdict::corrupt) << extent;
    }
  half.row().record.store(kNoRecord);
  EXPECT_EQ(half.judge().verdict, Verdict::corrupt);
}

TEST(JudgeTest, OnAnExclusiveTopicNothingBelowTailIsWithoutATag) {
  const RingTopic topic{small_spec(true)};
  Writer writer = topic.writer(0);
  ASSERT_TRUE(put(writer, "one"));
  const auto dead = [](std::uint32_t) { return true; };
  EXPECT_EQ(judge(topic.memory(), 0, dead).verdict, Verdict::changed);
  topic.memory().frame(0).tag.store(0);
  EXPECT_EQ(judge(topic.memory(), 0, dead).verdict, Verdict::corrupt);
}

// Rows 1, 6: the frame becomes padding, its records go; whoever repairs may die on the way.
TEST(ResolveFrameTest, EveryHalfWayPointLeadsToTheSameEnd) {
  for (int steps = 0; steps < 4; ++steps) {
    SCOPED_TRACE(steps);
    const Claimed half;
    const SegmentMemory& memory = half.topic.memory();
    half.record(2, 64);  // died there too, and lost
    FrameHeader& frame = memory.frame(half.at);
    if (steps > 0) frame.size.store(pack_size(0, 128, FrameKind::aborted));
    if (steps > 1) frame.tag.store(half.at ^ memory.epoch);
    if (steps > 2) half.row(1).record.store(kNoRecord);
    Prober prober(half.topic.segment().data_file());
    const Verdict verdict = resolve_frame(memory, half.at, prober).verdict;
    EXPECT_EQ(verdict, steps > 1 ? Verdict::changed : Verdict::resolved);
    for (const std::uint32_t slot : {1U, 2U}) {
      EXPECT_TRUE(settle_record(memory, slot));
      EXPECT_EQ(half.row(slot).record.load(), kNoRecord);
      EXPECT_EQ(half.row(slot).sequence.load(), 0U);
    }
    ReadSide reader = half.topic.reader(kFirst);
    Found found;
    EXPECT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(text_of(found), "before");
    EXPECT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(text_of(found), "after");
    EXPECT_EQ(reader.look(found), Look::nothing);
  }
}

TEST(ResolveFrameTest, WakesSleepersAndThoseWhoWaitForTheDead) {
  const Claimed half;
  const SegmentMemory& memory = half.topic.memory();
  const Bed parked = parked_bed(memory, 2);
  parked.word->fetch_or(parked.bit);
  auto& line = memory.waiting_line(3);
  line.position.store(half.at);
  line.blocker.store(1 | kBlockedByPublisher);
  const Bed waiting = waiting_bed(memory, 3);
  waiting.word->fetch_or(waiting.bit);
  Prober prober(half.topic.segment().data_file());
  EXPECT_EQ(resolve_frame(memory, half.at, prober).verdict, Verdict::resolved);
  EXPECT_EQ(memory.subscription(2).doorbell.load(), 1U);
  EXPECT_EQ(line.doorbell.load(), 1U);
  EXPECT_FALSE(anyone_parked(memory) || anyone_waiting(memory));
}

// Row 1, through the API: nobody waits for the dead, whatever he does.
TEST(DeadClaimTest, ReceiversAndObserversPassIt) {
  const Claimed half;
  const Bus bus = Bus::at(half.topic.directory());
  auto waits = bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest});
  EXPECT_EQ(text_of(waits.receive()), "before");
  EXPECT_EQ(text_of(waits.receive(10s)), "after");
  auto tries = bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest});
  auto lossy =
      bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest, .reliability = ringway::Reliability::lossy});
  auto observer = bus.observer(RingTopic::kName, {.from = ringway::From::oldest});
  const auto second_after_tries = [](auto& reader) {
    EXPECT_EQ(text_of(reader.try_receive()), "before");
    for (int i = 0; i < 63; ++i) EXPECT_FALSE(reader.try_receive());  // a claim under way costs no probe
    return text_of(reader.try_receive());
  };
  EXPECT_EQ(second_after_tries(tries), "after");
  EXPECT_EQ(second_after_tries(lossy), "after");
  EXPECT_EQ(second_after_tries(observer), "after");
  EXPECT_NE(half.row().record.load(), kNoRecord);  // readers cannot write there
  EXPECT_EQ(lossy.lost() + observer.lost(), 0U);
}

TEST(DeadClaimTest, PublishersHeldBackMakeItPadding) {
  const Claimed half;
  const Bus bus = Bus::at(half.topic.directory());
  half.topic.subscribe(3, SubscriptionState::joining, 0);
  auto publisher = bus.publisher(RingTopic::kName, {.name = "alive"});
  half.record(1, 128, kWon);  // attaching has resolved it: once more, now that all slots are looked at
  half.topic.memory().frame(half.at).tag.store(0);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(publisher.publish(pattern(1, 96)));
  EXPECT_EQ(half.row().record.load(), kNoRecord);
}

// Death between the tag and the counter: the message counts, before the ring passes it and nobody can tell any more.
TEST(DeadClaimTest, AMessageThatItsDeadPublisherHadNotCountedIsCounted) {
  const Claimed half;
  write_frame(half.topic.memory(), half.at, pack_size(96, 128, FrameKind::message), pack_origin(1, 0), 0);
  const Bus bus = Bus::at(half.topic.directory());
  auto publisher = bus.publisher(RingTopic::kName);
  EXPECT_NE(half.row().record.load(), kNoRecord);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(publisher.publish(pattern(1, 96)));
  EXPECT_EQ(half.row().record.load(), kNoRecord);
  EXPECT_EQ(half.row().sequence.load(), 1U);
}

TEST(DeadClaimTest, AnOpenOneIsNamed) {
  const Claimed half;
  const Bus bus = Bus::at(half.topic.directory());
  KernelLocks locks;
  Life life;
  ASSERT_TRUE(life.begin(half.topic.segment().data_file(), kSlotBytes + 1));
  auto subscriber = bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest});
  EXPECT_EQ(text_of(subscriber.receive()), "before");
  const auto nothing = subscriber.receive(1ms);
  EXPECT_EQ(nothing.status(), Code::timeout);
  EXPECT_NE(nothing.status().text().find("ghost"), std::string::npos) << nothing.status();

  auto publisher = bus.publisher(RingTopic::kName);
  subscriber = bus.subscriber(RingTopic::kName);  // nobody else holds anybody back
  ringway::Status status;
  for (int i = 0; i < 100 && status; ++i) status = publisher.try_publish(pattern(1, 96));
  EXPECT_EQ(status, Code::would_block);
  EXPECT_NE(status.text().find("ghost"), std::string::npos) << status;
}

// Row 71: all slots are dead ones', each inside a claim: resolved, and reused.
TEST(DeadClaimTest, ATableFullOfDeadClaimsIsResolvedAndReused) {
  const RingTopic topic;
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    Writer dead = topic.writer(slot);
    ASSERT_TRUE(claim(dead, 100));
  }
  const Bus bus = Bus::at(topic.directory());
  auto subscriber = bus.subscriber(RingTopic::kName, {.from = ringway::From::oldest});
  for (int i = 0; i < 4; ++i) {
    auto publisher = bus.publisher(RingTopic::kName);
    ASSERT_TRUE(publisher.publish("text"));
    EXPECT_EQ(text_of(subscriber.receive(10s)), "text");
  }
}

}  // namespace

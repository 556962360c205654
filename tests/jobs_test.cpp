// What a death leaves in a group: each half-state of an entry made by hand, one call, and what it must lead to.

#include "ringway/detail/jobs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;

using Member = RingMember<SegmentMemory>;

constexpr std::uint64_t kFirst = (1ULL << 63) - 4096;
constexpr std::uint32_t kRow = 0;
constexpr std::uint32_t kDead = 1;

// Eight frames of 128 bytes from kFirst on; a group in row 0; member 0 lives, member 1 is dead.
struct Half {
  static TopicSpec spec() {
    TopicSpec spec = small_spec(false, kFirst);
    spec.limits.max_members = 2;
    spec.limits.max_in_flight = 4;
    return spec;
  }
  Half() : writer(topic.writer(0)) {
    for (int i = 0; i < 8; ++i) static_cast<void>(put(writer, pattern(1, 96)));
    topic.subscribe(kRow, SubscriptionState::reliable, kFirst);
    memory().subscription(kRow).kind.store(SubscriptionKind::group);
    memory().group(0).next.store(kFirst);
    member.attach(memory(), kRow, 0, 0, 1);
    dead.attach(memory(), kRow, 0, kDead, 1);
  }
  const SegmentMemory& memory() const { return topic.memory(); }
  InFlightEntry& entry(std::uint32_t index) const { return memory().entry(0, index); }
  void leave(std::uint32_t index, const JobWord& word, std::uint64_t position) const {
    auto& used = memory().group(0).entries_used;
    used.store(std::max(used.load(), index + 1));
    entry(index).word.store(pack_word(word));
    entry(index).position.store(position);
  }
  Took take_over(Taken& job, bool room = true) {
    std::uint64_t due = 0;
    return member.take_over(
        job, 100, due, [](std::uint32_t slot, std::uint32_t) { return slot == kDead; },
        [&](Taken& it) {
          copied.assign(it.found.payload, it.found.payload + it.found.length);
          it.found.payload = copied.data();
          return room;
        });
  }
  EntryState state(std::uint32_t index) const { return state_of(entry(index).word.load()); }

  RingTopic topic{spec()};
  Writer writer;
  Member member;
  Member dead;
  std::vector<std::byte> copied;
};

JobWord of_the_dead(EntryState state, std::uint32_t attempt = 0) { return {state, false, false, kDead, attempt, 1, 7}; }

TEST(TakeOverTest, WhatADeadOneKeptIsFreed) {
  Half half;
  half.leave(0, of_the_dead(EntryState::kept), kFirst);
  half.memory().group(0).next.store(kFirst + 128);
  Taken job;
  EXPECT_EQ(half.take_over(job), Took::nothing);
  EXPECT_EQ(half.state(0), EntryState::free);
  EXPECT_EQ(unpack_word(half.entry(0).word.load()).use, 7U);
}

TEST(TakeOverTest, TryingAtNextNeverWonAndIsFreed) {
  Half half;
  half.leave(0, of_the_dead(EntryState::trying), kFirst);
  Taken job;
  EXPECT_EQ(half.take_over(job), Took::nothing);
  EXPECT_EQ(half.state(0), EntryState::free);
}

TEST(TakeOverTest, TryingBelowNextIsGivenOutMarkedAndAsACopy) {
  Half half;
  half.leave(0, of_the_dead(EntryState::trying), kFirst + 128);
  half.memory().group(0).next.store(kFirst + 256);
  Taken job;
  ASSERT_EQ(half.take_over(job), Took::job);
  EXPECT_EQ(job.found.position, kFirst + 128);
  EXPECT_EQ(unpack_word(job.word).attempt, 0U);
  EXPECT_TRUE(unpack_word(job.word).again);
  EXPECT_EQ(job.found.payload, half.copied.data());
  EXPECT_EQ(text_of(job.found), pattern(1, 96));
  half.member.give_back(job, 0);  // and so it is for the next one
  half.copied.clear();
  ASSERT_EQ(half.take_over(job), Took::job);
  EXPECT_EQ(job.found.payload, half.copied.data());
}

// The dead one had lost it: another took it, and is done with it, so that its bytes may be others' by now.
TEST(TakeOverTest, TryingBelowTheGateIsFreed) {
  Half half;
  half.leave(0, of_the_dead(EntryState::trying), kFirst + 128);
  half.leave(1, of_the_dead(EntryState::held, 1), kFirst + 256);
  half.memory().group(0).next.store(kFirst + 384);
  half.memory().subscription(kRow).cursor.store(kFirst + 256);
  Taken job;
  ASSERT_EQ(half.take_over(job), Took::job);
  EXPECT_EQ(job.found.position, kFirst + 256);
  EXPECT_FALSE(has_job(half.state(0)));
}

TEST(TakeOverTest, ACopyThatFindsNoRoomComesLater) {
  Half half;
  half.leave(0, of_the_dead(EntryState::trying), kFirst);
  half.memory().group(0).next.store(kFirst + 128);
  Taken job;
  EXPECT_EQ(half.take_over(job, false), Took::nothing);
  EXPECT_EQ(half.state(0), EntryState::returned);
  EXPECT_EQ(half.entry(0).time_ns.load(), 100 + kCopyAgain);
  EXPECT_TRUE(unpack_word(half.entry(0).word.load()).again);
}

TEST(TakeOverTest, HeldIsGivenOutWithItsAttempts) {
  Half half;
  half.leave(0, of_the_dead(EntryState::held, 2), kFirst);
  half.memory().group(0).next.store(kFirst + 128);
  Taken job;
  ASSERT_EQ(half.take_over(job), Took::job);
  EXPECT_EQ(unpack_word(job.word).attempt, 2U);
  EXPECT_TRUE(unpack_word(job.word).died);
  EXPECT_EQ(unpack_word(job.word).owner, 0U);
  half.member.hand_out(job, 100);
  EXPECT_EQ(unpack_word(half.entry(0).word.load()).attempt, 3U);
  half.member.ack(job);
  EXPECT_EQ(half.state(0), EntryState::kept);
  EXPECT_EQ(unpack_word(half.entry(0).word.load()).owner, 0U);
}

TEST(TakeOverTest, TheLivingKeepWhatTheyHave) {
  Half half;
  JobWord word = of_the_dead(EntryState::held, 1);
  word.owner = 0;
  word.incarnation = 1;
  half.leave(0, word, kFirst);
  half.memory().group(0).next.store(kFirst + 128);
  Taken job;
  EXPECT_EQ(half.take_over(job), Took::nothing);
  EXPECT_EQ(half.entry(0).word.load(), pack_word(word));
}

TEST(TakeOverTest, ReturnedWaitsUntilItIsDue) {
  Half half;
  half.leave(0, of_the_dead(EntryState::returned, 1), kFirst);
  half.entry(0).time_ns.store(150);
  half.memory().group(0).next.store(kFirst + 128);
  Taken job;
  std::uint64_t due = 0;
  const auto nobody = [](std::uint32_t, std::uint32_t) { return false; };
  const auto no_copy = [](Taken&) { return false; };
  EXPECT_EQ(half.member.take_over(job, 100, due, nobody, no_copy), Took::nothing);
  EXPECT_EQ(due, 150U);
  EXPECT_EQ(half.member.take_over(job, 150, due, nobody, no_copy), Took::job);
}

TEST(TakeOverTest, APositionThatCannotBeTrueIsCorrupt) {
  for (const std::uint64_t beside : {std::uint64_t{64}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
    Half half;
    half.leave(0, of_the_dead(EntryState::held, 1), kFirst + beside);
    half.memory().group(0).next.store(kFirst + 128);
    Taken job;
    EXPECT_EQ(half.take_over(job), Took::corrupt) << beside;
  }
}

TEST(SettleTest, WhatEarlierOwnersOfTheSlotHadComesBack) {
  Half half;
  half.leave(0, of_the_dead(EntryState::held, 1), kFirst);
  half.leave(1, of_the_dead(EntryState::trying), kFirst + 128);
  half.leave(2, of_the_dead(EntryState::trying), kFirst + 256);
  half.leave(3, of_the_dead(EntryState::kept), kFirst);
  half.memory().group(0).next.store(kFirst + 256);
  for (int again = 0; again < 2; ++again) {
    Member next;
    next.attach(half.memory(), kRow, 0, kDead, 2);
    next.settle();
    EXPECT_EQ(half.state(0), EntryState::returned);
    EXPECT_EQ(half.state(1), EntryState::returned);
    EXPECT_TRUE(unpack_word(half.entry(1).word.load()).again);
    EXPECT_EQ(half.state(2), EntryState::free);
    EXPECT_EQ(half.state(3), EntryState::free);
  }
}

TEST(GateTest, StopsAtTheLowestJobInHand) {
  Half half;
  half.memory().group(0).next.store(kFirst + 512);
  half.leave(0, of_the_dead(EntryState::held, 1), kFirst + 256);
  half.leave(1, of_the_dead(EntryState::returned, 1), kFirst + 128);
  EXPECT_EQ(move_gate(half.memory(), kRow, 0), kFirst + 128);
  half.leave(1, {}, 0);
  EXPECT_EQ(move_gate(half.memory(), kRow, 0), kFirst + 256);
  half.leave(0, {}, 0);
  EXPECT_EQ(move_gate(half.memory(), kRow, 0), kFirst + 512);
  EXPECT_EQ(half.memory().subscription(kRow).cursor.load(), kFirst + 512);
}

TEST(GateTest, WhatIsKeptHoldsNothing) {
  Half half;
  half.memory().group(0).next.store(kFirst + 512);
  half.leave(0, of_the_dead(EntryState::trying), kFirst + 256);
  EXPECT_EQ(move_gate(half.memory(), kRow, 0), kFirst + 256);
  half.leave(0, of_the_dead(EntryState::kept), kFirst + 256);
  EXPECT_EQ(move_gate(half.memory(), kRow, 0), kFirst + 512);
}

TEST(TakeTest, EntriesAreKeptForTheNextJobs) {
  Half half;  // four entries for two members: two each
  std::array<Taken, 3> jobs;
  std::uint32_t got = 0;
  ASSERT_EQ(half.member.take(jobs.data(), 3, 5, got), Took::job);
  ASSERT_EQ(got, 3U);
  for (const Taken& job : jobs) half.member.ack(job);
  EXPECT_EQ(half.state(jobs[0].entry), EntryState::kept);
  EXPECT_EQ(half.state(jobs[1].entry), EntryState::kept);
  EXPECT_EQ(half.state(jobs[2].entry), EntryState::free);
  const std::uint32_t use = unpack_word(jobs[1].word).use;
  Taken job;
  ASSERT_TRUE(half.member.take_next(job, 6));
  EXPECT_EQ(job.entry, jobs[1].entry);
  EXPECT_EQ(unpack_word(job.word).use, use + 1);
  EXPECT_EQ(unpack_word(job.word).attempt, 1U);
  EXPECT_EQ(half.entry(job.entry).word.load(), job.word);
  EXPECT_EQ(half.entry(job.entry).position.load(), kFirst + 3 * 128);
  half.member.ack(job);
  half.member.let_go();
  for (std::uint32_t index = 0; index < 3; ++index) EXPECT_EQ(half.state(index), EntryState::free);
  EXPECT_FALSE(half.member.take_next(job, 7));  // none is kept
}

TEST(TakeTest, WhereOthersHaveAllEntriesTheTableIsFull) {
  Half half;
  std::array<Taken, 4> jobs;
  std::uint32_t got = 0;
  ASSERT_EQ(half.dead.take(jobs.data(), 4, 5, got), Took::job);
  ASSERT_EQ(got, 4U);
  Taken job;
  EXPECT_EQ(half.member.take(&job, 1, 5, got), Took::table_full);
  half.dead.ack(jobs[0]);
  EXPECT_FALSE(half.member.any_free());  // it is kept
  half.dead.let_go();
  EXPECT_TRUE(half.member.any_free());
  EXPECT_EQ(half.member.take(&job, 1, 5, got), Took::job);
}

TEST(TakeTest, RunsOfJobsAreTakenAtOnceAndPaddingIsPassed) {
  Half half;
  ASSERT_TRUE(claim(half.writer, 96));
  static_cast<void>(half.writer.abort());
  ASSERT_TRUE(put(half.writer, "last"));
  std::array<Taken, 4> jobs;
  std::uint32_t got = 0;
  half.memory().group(0).next.store(kFirst + 7 * 128);
  ASSERT_EQ(half.member.take(jobs.data(), 4, 5, got), Took::job);
  ASSERT_EQ(got, 2U);
  EXPECT_EQ(jobs[0].found.position, kFirst + 7 * 128);
  EXPECT_EQ(text_of(jobs[1].found), "last");
  EXPECT_EQ(unpack_word(jobs[0].word).attempt, 1U);
  EXPECT_EQ(unpack_word(jobs[1].word).attempt, 0U);
  EXPECT_EQ(half.member.take(jobs.data() + 2, 2, 5, got), Took::nothing);
}

// As for readers in place, and for those who copy (RingTest).
TEST(TakeTest, ADeadLetterWithoutRoomForItsOriginIsCorrupt) {
  Half half;
  half.memory().frame(kFirst).size.store(pack_size(96, 128, FrameKind::dead_letter));
  Taken job;
  std::uint32_t got = 0;
  EXPECT_EQ(half.member.take(&job, 1, 100, got), Took::corrupt);
}

}  // namespace

// How a publisher gets space: lap marks, `oldest`, who holds it back. Hand-made states, one call each.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;

constexpr std::uint64_t kCapacity = kMinTestCapacity;
constexpr std::uint64_t kEighth = kCapacity / kEighths;

// Fills a ring and notes where frames start.
struct Filled {
  explicit Filled(const TopicSpec& spec) : topic(spec), writer(topic.writer()) {}

  // Messages until the tail has come to `end`; every frame has `extent` bytes.
  void fill(std::uint64_t end, std::uint64_t extent) {
    while (before(topic.tail(), end)) {
      starts.insert(topic.tail());
      ASSERT_TRUE(put(writer, pattern(starts.size(), extent - 32)));
    }
    starts.insert(topic.tail());
  }

  RingTopic topic;
  Writer writer;
  std::set<std::uint64_t> starts;  // and the tail
};

TEST(SpaceTest, AMarkIsTheFirstFrameStartOfItsEighth) {
  for (const bool exclusive : {false, true}) {
    Filled ring(small_spec(exclusive));
    std::map<std::uint64_t, std::uint64_t> first_in = {{0, 0}};  // eighth, counted from position 0 -> first frame start
    for (std::uint64_t i = 0; i < 400; ++i) {
      ASSERT_TRUE(put(ring.writer, pattern(i, i * 37 % 480)));
      const std::uint64_t end = ring.topic.tail();
      first_in.try_emplace(end / kEighth, end);
      const std::uint64_t lap = end / kEighth;
      for (std::uint64_t eighth = lap >= 7 ? lap - 7 : 1; eighth <= lap; ++eighth) {
        if (!first_in.contains(eighth)) continue;
        EXPECT_EQ(ring.topic.memory().mark(eighth).load(), first_in[eighth]) << "eighth " << eighth;
      }
    }
  }
}

TEST(SpaceTest, AnEighthThatAFrameCoversHasNoMark) {
  Filled ring(small_spec(true));
  ring.fill(320, 320);
  ring.fill(320 + 1024, 1024);  // from the middle of eighth 0 to the middle of eighth 2
  EXPECT_EQ(ring.topic.memory().mark(1).load(), 0U);
  EXPECT_EQ(ring.topic.memory().mark(2).load(), 1344U);
}

// Each step of `oldest` must end at a frame start, and go far enough, but not much further.
void expect_step(const Filled& ring, std::uint64_t before_it) {
  const std::uint64_t oldest = ring.topic.oldest();
  EXPECT_TRUE(ring.starts.contains(oldest)) << oldest;
  EXPECT_GE(oldest, before_it);
  EXPECT_LE(oldest - before_it, kCapacity / 4 + 3 * kEighth) << "from " << before_it << " tail " << ring.topic.tail();
}

TEST(SpaceTest, OldestMovesFromFrameStartToFrameStartAndOnlyGrows) {
  for (const bool exclusive : {false, true}) {
    Filled ring(small_spec(exclusive));
    for (std::uint64_t i = 1; i < 600; ++i) {
      const std::uint64_t oldest = ring.topic.oldest();
      ring.fill(ring.topic.tail() + 1, 64 + i * 7 % 15 * 64);
      expect_step(ring, oldest);
      EXPECT_LE(ring.topic.tail() - ring.topic.oldest(), kCapacity);
    }
  }
}

// Half-states of the marks; none of them may move `oldest` to where no frame starts.
TEST(SpaceTest, MarksThatCannotCountAreIgnored) {
  const auto forge = [](const char* what, auto change) {
    SCOPED_TRACE(what);
    for (const bool exclusive : {false, true}) {
      Filled ring(small_spec(exclusive));
      ring.fill(2 * kCapacity, 128);
      ring.fill(2 * kCapacity + 192, 192);
      for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) {
        auto& mark = ring.topic.memory().mark(eighth);
        mark.store(change(mark.load(), ring.topic.tail()));
      }
      for (int i = 0; i < 40; ++i) {
        const std::uint64_t oldest = ring.topic.oldest();
        ring.fill(ring.topic.tail() + 1, 320);
        expect_step(ring, oldest);
      }
    }
  };
  forge("of an earlier lap", [](std::uint64_t mark, std::uint64_t) { return mark - kCapacity; });
  forge("of a later lap", [](std::uint64_t mark, std::uint64_t) { return mark + kCapacity; });
  forge("beyond the tail",
        [](std::uint64_t mark, std::uint64_t tail) { return mark + align_up(tail, kCapacity) + kCapacity + 64; });
  forge("in another eighth", [](std::uint64_t mark, std::uint64_t) { return mark + kEighth + 64; });
  forge("not on a line", [](std::uint64_t mark, std::uint64_t) { return mark + 8; });
  forge("of all ones", [](std::uint64_t, std::uint64_t) { return ~0ULL; });
  forge("half the number space away", [](std::uint64_t mark, std::uint64_t) { return mark + (1ULL << 63); });
}

// Their writers died before they could store them. A lossy reader loses no more than with the marks.
TEST(SpaceTest, AMissingMarkIsFoundByWalking) {
  for (const bool exclusive : {false, true})
    for (const bool slow_reader : {false, true}) {
      SCOPED_TRACE(slow_reader ? "with a reader in front" : "with no reader");
      Filled ring(small_spec(exclusive));
      ring.fill(2 * kCapacity, 128);
      if (slow_reader) ring.topic.subscribe(0, SubscriptionState::reliable, 2 * kCapacity - 256);
      for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) ring.topic.memory().mark(eighth).store(0);
      const std::uint64_t oldest = ring.topic.oldest();
      ring.fill(2 * kCapacity + 320, 320);
      EXPECT_GT(ring.topic.oldest(), oldest);
      expect_step(ring, oldest);
    }
}

// Row 41: nobody can walk over a page of zeros; what nobody needs any more is given up instead.
TEST(SpaceTest, AMissingMarkAndAZeroedPageDoNotStopAPublisher) {
  Filled ring(small_spec(false));
  ring.fill(2 * kCapacity, 128);
  for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) ring.topic.memory().mark(eighth).store(0);
  std::fill_n(ring.topic.memory().ring, kCapacity, std::byte{0});
  ring.fill(2 * kCapacity + 320, 320);
  EXPECT_TRUE(ring.starts.contains(ring.topic.oldest()));
}

// ... but not if somebody needs it.
TEST(SpaceTest, AZeroedPageBeforeAReaderIsReported) {
  Filled ring(small_spec(false));
  ring.fill(kCapacity, 128);
  ring.topic.subscribe(0, SubscriptionState::reliable, kEighth);
  for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) ring.topic.memory().mark(eighth).store(0);
  std::fill_n(ring.topic.memory().ring, kCapacity, std::byte{0});
  Blocker blocker;
  EXPECT_FALSE(put(ring.writer, "text", &blocker));
  EXPECT_EQ(blocker.slot, kNoBlocker);
  EXPECT_EQ(blocker.position, 0U);
}

// Row 68.
TEST(SpaceTest, TheSlowestReliableCursorHoldsAndIsNamed) {
  for (const bool exclusive : {false, true}) {
    Filled ring(small_spec(exclusive, 1ULL << 63));
    const std::uint64_t first = 1ULL << 63;
    ring.topic.subscribe(0, SubscriptionState::reliable, first + 640);
    ring.topic.subscribe(1, SubscriptionState::reliable, first + 128);
    ring.topic.subscribe(2, SubscriptionState::reliable, first + 256);
    ring.fill(first + kCapacity, 128);
    Blocker blocker;
    ASSERT_TRUE(put(ring.writer, pattern(1, 96), &blocker));  // up to the cursor, there is space
    EXPECT_FALSE(put(ring.writer, "", &blocker));
    EXPECT_EQ(blocker.slot, 1U);
    EXPECT_EQ(blocker.position, first + 192);
    EXPECT_EQ(ring.topic.oldest(), first + 128);
    ring.topic.memory().subscription(1).cursor.store(first + 384);
    EXPECT_FALSE(put(ring.writer, pattern(1, 900), &blocker));
    EXPECT_EQ(blocker.slot, 2U);
    EXPECT_EQ(blocker.position, first + 128 + 960);
    ring.topic.memory().subscription(2).cursor.store(first + 384);
    ASSERT_TRUE(put(ring.writer, ""));
    EXPECT_EQ(ring.topic.tail(), first + kCapacity + 192);
    EXPECT_LE(ring.topic.oldest(), first + 384);
  }
}

TEST(SpaceTest, ACursorInsideAPackedFrameCountsAsItsStart) {
  Filled ring(small_spec(true));
  ring.topic.subscribe(0, SubscriptionState::reliable, 128 + 5);
  ring.fill(kCapacity, 128);
  Blocker blocker;
  EXPECT_TRUE(put(ring.writer, pattern(1, 96), &blocker));
  EXPECT_FALSE(put(ring.writer, "", &blocker));
  EXPECT_EQ(ring.topic.oldest(), 128U);
}

TEST(SpaceTest, LossyJoiningAndFreeRowsHoldNobody) {
  for (const auto state : {SubscriptionState::free, SubscriptionState::joining, SubscriptionState::lossy,
                           static_cast<SubscriptionState>(77)}) {
    Filled ring(small_spec(false));
    ring.topic.subscribe(0, state, 0);
    ring.fill(3 * kCapacity, 128);
    EXPECT_GE(ring.topic.oldest(), 2 * kCapacity);
  }
}

// A row beyond those ever used is not looked at; a count beyond the table is cut down to it.
TEST(SpaceTest, TheCountsOfUsedRowsAreBoundedByTheTables) {
  Filled ring(small_spec(false));
  ring.topic.memory().control->subscriptions_used.store(~0U);
  ring.topic.memory().tail_line->publishers_used.store(~0U);
  EXPECT_EQ(ring.topic.memory().subscriptions_used(), 4U);
  EXPECT_EQ(ring.topic.memory().publishers_used(), 4U);
  ring.fill(3 * kCapacity, 128);
}

// What a claim of another publisher, as its record says, does to one that needs its place.
enum class Expect : std::uint8_t { held, passed };
void expect_record(const char* what, Expect expected, std::uint64_t bits, std::uint64_t at, bool tag_it,
                   std::uint64_t oldest = 0) {
  SCOPED_TRACE(what);
  const RingTopic topic;
  Writer writer = topic.writer(0);
  static_cast<void>(topic.writer(1));
  while (topic.tail() != kCapacity) ASSERT_TRUE(put(writer, pattern(1, 96)));
  topic.memory().publisher(1).record_extent.store(128);
  topic.memory().publisher(1).record.store(at | bits);
  if (!tag_it) topic.memory().frame(at).tag.store(0);
  topic.memory().oldest().store(oldest);
  Blocker blocker;
  const bool made = put(writer, pattern(1, 900), &blocker);
  EXPECT_EQ(made, expected == Expect::passed);
  if (made) return;
  EXPECT_EQ(blocker.slot, 1 | kBlockedByPublisher);
  EXPECT_EQ(blocker.position, at);
  EXPECT_LE(topic.oldest(), at);
}

// Rows 1, 12.
TEST(SpaceTest, AnOpenClaimHolds) {
  expect_record("won", Expect::held, kRecordStanding | kRecordWon, 256, false);
  expect_record("not known to have won, its place untagged", Expect::held, kRecordStanding, 256, false);
  expect_record("won and committed, its record not gone yet", Expect::held, kRecordStanding | kRecordWon, 256, true);
  expect_record("at position 0", Expect::held, kRecordStanding | kRecordWon, 0, false);
}
TEST(SpaceTest, AClaimThatHasLostHoldsNobody) {
  expect_record("somebody else committed there", Expect::passed, kRecordStanding, 256, true);
  expect_record("below oldest", Expect::passed, kRecordStanding, 128, false, 512);
  expect_record("won, below oldest: resolved by another", Expect::passed, kRecordStanding | kRecordWon, 128, false,
                512);
}

TEST(SpaceTest, TheLowestOfSeveralClaimsIsNamed) {
  const RingTopic topic;
  Writer low = topic.writer(2);
  Writer high = topic.writer(1);
  Writer writer = topic.writer(0);
  while (topic.tail() != 512) ASSERT_TRUE(put(writer, pattern(1, 96)));
  ASSERT_TRUE(claim(low, 96));
  ASSERT_TRUE(claim(high, 96));
  while (topic.tail() != kCapacity) ASSERT_TRUE(put(writer, pattern(1, 96)));
  Blocker blocker;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(put(writer, pattern(1, 96), &blocker));
  EXPECT_FALSE(put(writer, "", &blocker));
  EXPECT_EQ(blocker.slot, 2 | kBlockedByPublisher);
  EXPECT_EQ(blocker.position, 512U);
  static_cast<void>(low.abort());
  ASSERT_TRUE(put(writer, pattern(1, 96)));
  EXPECT_FALSE(put(writer, "", &blocker));
  EXPECT_EQ(blocker.slot, 1 | kBlockedByPublisher);
  EXPECT_EQ(blocker.position, 640U);
  static_cast<void>(high.commit(96, 0));
  EXPECT_TRUE(put(writer, ""));
}

// It stored its cursor while `oldest` moved on: its place is protected from now on, and the publisher waits for it.
TEST(SpaceTest, ASubscriptionThatJoinedBehindOldestHoldsFromNowOn) {
  Filled ring(small_spec(true));
  ring.fill(2 * kCapacity, 128);
  ring.topic.memory().oldest().store(kCapacity + 1024);
  ring.topic.subscribe(1, SubscriptionState::reliable, kCapacity + 128);
  Blocker blocker;
  EXPECT_TRUE(put(ring.writer, pattern(1, 96), &blocker));
  EXPECT_FALSE(put(ring.writer, "", &blocker));
  EXPECT_EQ(blocker.slot, 1U);
}

// The limit is private: once space was seen, claims ask nobody until it is used up.
// Rows 55 and 59: `oldest` allows more than tail can use, and the private limit is out of reach of both.
TEST(SpaceTest, AnOldestHalfTheNumbersAwayIsReportedAndNotTriedForEver) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    topic.memory().oldest().store((1ULL << 63) - kCapacity + 64);
    Blocker blocker;
    EXPECT_FALSE(claim(writer, 96, &blocker));
    EXPECT_EQ(blocker.slot, kNoBlocker);
    EXPECT_EQ(blocker.position, topic.oldest());
  }
}

// Rows 55 and 59: what the claim needs is below the cursor, that is below `oldest`, and the limit is out of reach of both. Whoever
// was told to wait for that cursor would find it far enough, and try again, for ever.
TEST(SpaceTest, ACursorHalfTheNumbersAwayIsReportedAndNotWaitedFor) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    const std::uint64_t need = 512 - kCapacity;
    topic.memory().oldest().store(need + (1ULL << 63) - 64);
    topic.subscribe(0, SubscriptionState::reliable, need + (1ULL << 63) - 128);
    Blocker blocker;
    EXPECT_FALSE(claim(writer, 512 - 32, &blocker));
    EXPECT_EQ(blocker.slot, kNoBlocker);
    EXPECT_EQ(blocker.position, topic.oldest());
  }
}

// Rows 55 and 59: "below" is no order among positions that are further apart than half the numbers. One record lies below
// tail, another below that one and yet beyond tail.
TEST(SpaceTest, ARecordBeyondTailHoldsNobody) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  Writer writer = topic.writer(2);
  const std::uint64_t tail = 1ULL << 40;
  const std::uint64_t below = tail - (1ULL << 62);
  const std::uint64_t beyond = tail + (1ULL << 63) - 64;
  memory.tail().store(tail);
  memory.oldest().store(beyond - 64);
  memory.publishers[0].record.store(below | kRecordStanding | kRecordWon);
  memory.publishers[1].record.store(beyond | kRecordStanding | kRecordWon);
  Blocker blocker;
  EXPECT_FALSE(claim(writer, 32, &blocker));
  EXPECT_EQ(blocker.slot, 0 | kBlockedByPublisher);
  EXPECT_EQ(blocker.position, below);
}

TEST(SpaceTest, TheLimitNeverShrinks) {
  Filled ring(small_spec(true));
  ASSERT_TRUE(put(ring.writer, ""));
  const std::uint64_t limit = ring.writer.limit();
  EXPECT_EQ(limit, kCapacity);
  ring.topic.subscribe(0, SubscriptionState::reliable, 64);
  Blocker blocker;
  ASSERT_TRUE(ring.writer.make_space(10, blocker));
  EXPECT_GE(ring.writer.limit(), limit);
}

}  // namespace

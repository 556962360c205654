// Packed frames: batches that go out as one frame, and come in message by message, from any of them on.

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/ring_fixture.hpp"
#include "support/thrown.hpp"

namespace {

using namespace std::chrono_literals;
using namespace ringway::detail;
using namespace ringway_test;
using ringway::Bus;
using ringway::Code;
using ringway::From;
using ringway::Message;
using ringway::Reliability;

// A packed frame of `count` messages: pattern(first), pattern(first + 1) ...
bool put_packed(Writer& writer, std::uint64_t first, std::uint32_t count, std::uint32_t length,
                std::uint32_t committed = 0) {
  const std::uint64_t stride = stride_of(length, writer.memory().payload_alignment);
  if (!claim(writer, count * stride, nullptr, count)) return false;
  for (std::uint32_t i = 0; i < count; ++i)
    std::memcpy(writer.payload() + i * stride, pattern(first + i, length).data(), length);
  static_cast<void>(writer.commit_packed(committed == 0 ? count : committed, length, first));
  return true;
}

void expect_message(const Found& found, std::uint64_t position, std::uint64_t number, std::uint64_t length) {
  EXPECT_EQ(text_of(found), pattern(number, length));
  EXPECT_EQ(found.position, position);
  EXPECT_EQ(sequence_of(found.origin), number);
  EXPECT_EQ(publisher_of(found.origin), 0U);
}

// Batches of many shapes, and single messages between them, through several laps, in place and as copies.
void round_trip(bool exclusive, std::uint32_t alignment, std::uint64_t first) {
  TopicSpec spec = small_spec(exclusive, first);
  spec.payload_alignment = alignment;
  const RingTopic topic(spec);
  const SegmentMemory& memory = topic.memory();
  Writer writer = topic.writer();
  topic.subscribe(0, SubscriptionState::reliable, first);
  ReadSide views = topic.reader(first);
  ReadSide copies = topic.reader(first);
  CopyBuffer buffer(memory);
  std::uint64_t number = 0;
  for (const std::uint32_t count : {1U, 2U, 3U, 5U, 16U, 31U, 62U, 63U}) {
    for (const std::uint32_t length : {0U, 1U, 7U, 8U, 12U, 31U, 32U, 33U, 64U, 100U, 480U}) {
      SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(length));
      const std::uint64_t bytes = count * stride_of(length, alignment);
      if (bytes > writer.max_payload()) continue;
      const std::uint64_t position = topic.tail();
      ASSERT_TRUE(put_packed(writer, number, count, length));
      for (std::uint32_t i = 0; i < count; ++i) {
        Found found;
        ASSERT_EQ(views.look(found), Look::message);
        expect_message(found, position + i, number + i, length);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.payload) % alignment, 0U);
        EXPECT_EQ(found.stamp, number);
        const std::uint64_t end = position + align_up(memory.payload_offset + bytes, kLine);
        EXPECT_EQ(found.next, i + 1 == count ? end : position + i + 1);
        ASSERT_EQ(copies.copy(found, buffer.get()), Look::message);
        expect_message(found, position + i, number + i, length);
        static_cast<void>(release(memory, 0, found.next));
      }
      number += count;
      Found nothing;
      EXPECT_EQ(views.look(nothing), Look::nothing);
      EXPECT_EQ(copies.copy(nothing, buffer.get()), Look::nothing);
      ASSERT_TRUE(put(writer, pattern(number, length)));
      const std::uint64_t single = views.next();
      ASSERT_EQ(views.look(nothing), Look::message);
      expect_message(nothing, single, number, length);
      ASSERT_EQ(copies.copy(nothing, buffer.get()), Look::message);
      expect_message(nothing, single, number++, length);
      static_cast<void>(release(memory, 0, nothing.next));
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_EQ(memory.publisher(0).sequence.load(), number);
  EXPECT_GT(topic.tail() - first, 3 * memory.capacity);
}

// Row 72.
TEST(PackedRingTest, EveryShapeArrivesWholeAtEveryAlignment) {
  for (const bool exclusive : {false, true})
    for (std::uint32_t alignment = 1; alignment <= 64; alignment *= 2)
      for (const std::uint64_t first : {0ULL, (1ULL << 63) - 512}) round_trip(exclusive, alignment, first);
}

TEST(PackedRingTest, AClaimTellsHowManyMessagesItIsFor) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(claim(writer, 160, nullptr, 5));
  EXPECT_EQ(topic.memory().publisher(0).record_extent.load(), 192U + 5);
  static_cast<void>(writer.abort());
  ReadSide reader = topic.reader(0);
  Found found;
  EXPECT_EQ(reader.look(found), Look::nothing);
  EXPECT_EQ(reader.next(), 192U);
  EXPECT_EQ(topic.memory().publisher(0).sequence.load(), 0U);
}

TEST(PackedRingTest, AShortCommitKeepsItsFramesExtent) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    ASSERT_TRUE(put_packed(writer, 0, 16, 24, 3));
    ASSERT_TRUE(put(writer, "after"));
    ReadSide reader = topic.reader(0);
    Found found;
    for (std::uint64_t i = 0; i < 3; ++i) {
      ASSERT_EQ(reader.look(found), Look::message);
      expect_message(found, i, i, 24);
    }
    EXPECT_EQ(found.next, 448U);
    ASSERT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(text_of(found), "after");
    EXPECT_EQ(sequence_of(found.origin), 3U);
    EXPECT_EQ(topic.memory().publisher(0).sequence.load(), 4U);
    EXPECT_EQ(topic.memory().publisher(0).bytes.load(), 3U * 24 + 5);
  }
}

TEST(PackedRingTest, AReaderGoesOnInTheMiddleAndBack) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put_packed(writer, 0, 10, 16));
  CopyBuffer buffer(topic.memory());
  for (const bool in_place : {true, false}) {
    ReadSide reader = topic.reader(4);
    const auto next = [&](Found& found) { return in_place ? reader.look(found) : reader.copy(found, buffer.get()); };
    Found found;
    EXPECT_TRUE(reader.here());
    for (const std::uint64_t from : {4U, 9U, 0U, 5U, 2U}) {
      reader.go_on_at(from);
      for (std::uint64_t i = from; i < 10; ++i) {
        ASSERT_EQ(next(found), Look::message);
        expect_message(found, i, i, 16);
      }
      EXPECT_EQ(next(found), Look::nothing);
      EXPECT_FALSE(reader.here());
    }
  }
}

// Rows 55 and 56; found by a fuzzer: the position that stands for "no frame is open" comes out of a word of the segment.
TEST(PackedRingTest, APositionThatMeansNoneOpensNoFrame) {
  constexpr std::uint64_t kNone = ~0ULL;
  const RingTopic topic;
  topic.memory().oldest().store(kNone);  // else the copy would only see a gap
  CopyBuffer buffer(topic.memory());
  Found found;
  EXPECT_EQ(topic.reader(kNone).look(found), Look::nothing);
  EXPECT_EQ(topic.reader(kNone).copy(found, buffer.get()), Look::nothing);
}

// Rows 55 and 56: what a packed frame's header claims is checked before it is used.
TEST(PackedRingTest, AHeaderThatCannotBeTrueIsCorrupt) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put_packed(writer, 0, 4, 16));  // one line and a half
  ASSERT_TRUE(put(writer, "single"));
  FrameHeader& frame = topic.memory().frame(0);
  CopyBuffer buffer(topic.memory());
  const auto expect = [&](std::uint64_t position, Look look) {
    Found found;
    EXPECT_EQ(topic.reader(position).look(found), look);
    EXPECT_EQ(topic.reader(position).copy(found, buffer.get()), look);
  };
  expect(3, Look::message);
  expect(4, Look::corrupt);        // beyond its messages
  expect(128 + 1, Look::corrupt);  // a single one has no index
  expect(192 + 1, Look::nothing);  // nothing there yet
  EXPECT_TRUE(holds(topic.memory(), 3));
  for (const std::uint64_t no : {4U, 63U, 128U + 1, 192U + 1}) EXPECT_FALSE(holds(topic.memory(), no));
  const std::uint64_t size = frame.size.load();
  const std::uint64_t origin = frame.origin.load();
  frame.origin.store(pack_origin(0, 0, 0));
  expect(0, Look::corrupt);
  frame.origin.store(pack_origin(0, 0, 7));  // reaches beyond the frame
  expect(0, Look::corrupt);
  frame.origin.store(origin);
  frame.size.store(pack_size(~0U, 128, FrameKind::packed));
  expect(0, Look::corrupt);
  frame.size.store(pack_size(16, 0, FrameKind::packed));
  expect(0, Look::corrupt);
  frame.size.store(pack_size(16, 128, FrameKind::aborted));
  expect(2, Look::corrupt);
  frame.size.store(size);
  expect(0, Look::message);
}

// A copied frame is the reader's own; only what follows can be overtaken.
TEST(PackedRingTest, ACopiedFrameIsNotOvertakenHalfWay) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put_packed(writer, 0, 10, 16));
  ReadSide reader = topic.reader(0);
  CopyBuffer buffer(topic.memory());
  Found found;
  ASSERT_EQ(reader.copy(found, buffer.get()), Look::message);
  for (std::uint64_t i = 10; i < 300; i += 10) ASSERT_TRUE(put_packed(writer, i, 10, 16));
  EXPECT_GT(topic.oldest(), 0U);
  for (std::uint64_t i = 1; i < 10; ++i) {
    ASSERT_EQ(reader.copy(found, buffer.get()), Look::message);
    expect_message(found, i, i, 16);
  }
  EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
  reader.go_on_at(4);
  EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
}

TEST(PackedRepairTest, AllMessagesOfACommittedFrameAreCounted) {
  const RingTopic topic;
  Writer writer = topic.writer(1);
  ASSERT_TRUE(put_packed(writer, 0, 10, 16));
  auto& row = topic.memory().publisher(1);
  for (const std::uint64_t counted : {0U, 10U}) {  // death before and after the counter's store
    row.sequence.store(counted);
    row.record_extent.store(192 + 10);
    row.record.store(0 | kRecordStanding | kRecordWon);
    EXPECT_TRUE(settle_record(topic.memory(), 1));
    EXPECT_EQ(row.sequence.load(), 10U);
  }
}

TEST(PackedRepairTest, TheNextExclusivePublisherCountsThemToo) {
  const RingTopic topic(small_spec(true));
  Writer writer = topic.writer();
  ASSERT_TRUE(put_packed(writer, 0, 10, 16));
  ASSERT_TRUE(put_packed(writer, 10, 7, 16));
  topic.memory().tail().store(192);
  topic.memory().publisher(0).sequence.store(10);
  EXPECT_EQ(settle_exclusive(topic.memory()), 192U + 192);
  EXPECT_EQ(topic.memory().publisher(0).sequence.load(), 17U);
}

// Row 1: the count in a dead one's record does not change where its frame ends.
TEST(PackedRepairTest, ADeadClaimOfARunIsPassed) {
  const RingTopic topic;
  Writer dead = topic.writer(1);
  Writer other = topic.writer(0);
  ASSERT_TRUE(claim(dead, 160, nullptr, 10));
  ASSERT_TRUE(put(other, "after"));
  auto subscriber = Bus::at(topic.directory()).subscriber(RingTopic::kName, {.from = From::oldest});
  EXPECT_EQ(text_of(subscriber.receive(10s)), "after");
  EXPECT_EQ(subscriber.position(), 192U + 64);
}

std::uint64_t value(const ringway::TypedMessage<std::uint64_t>& message) { return message ? *message : ~0ULL; }

struct Point {
  std::uint32_t x, y, z;  // 12 bytes, aligned to 4
};

class PackedTest : public testing::TestWithParam<ringway::Publishers> {
 protected:
  ringway::TopicOptions options() const { return {.capacity_bytes = 32 << 10, .publishers = GetParam()}; }
  static std::vector<std::uint64_t> numbers(std::uint64_t first, std::size_t count) {
    std::vector<std::uint64_t> all(count);
    std::iota(all.begin(), all.end(), first);
    return all;
  }
  const Bus bus = Bus::temporary();
};
INSTANTIATE_TEST_SUITE_P(Topics, PackedTest,
                         testing::Values(ringway::Publishers::shared, ringway::Publishers::exclusive),
                         [](const auto& what) {
                           return what.param == ringway::Publishers::shared ? "Shared" : "Exclusive";
                         });

TEST_P(PackedTest, ABatchIsSplitIntoFramesAndArrivesInOrder) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  auto in = bus.subscriber<std::uint64_t>("t");
  EXPECT_TRUE(out.publish_all({}));
  const auto batch = numbers(0, 200);
  for (const auto& done : {out.publish_all(batch), out.publish_all(batch, 10s), out.try_publish_all(batch)}) {
    EXPECT_TRUE(done) << done.status();
    EXPECT_EQ(done.count(), 200U);
  }
  EXPECT_EQ(bus.topic("t").tail, 3U * (3 * 576 + 128));  // three of 63, and one of 11
  std::uint64_t sequence = 0;
  for (int round = 0; round < 3; ++round)
    for (const std::uint64_t number : batch) {
      const auto message = in.try_receive();
      ASSERT_TRUE(message);
      EXPECT_EQ(*message, number);
      EXPECT_EQ(message.sequence(), sequence++);
    }
  EXPECT_FALSE(in.try_receive());
}

TEST_P(PackedTest, ATypeThatIsNoMultipleOfTheAlignmentKeepsItsStride) {
  for (const std::uint32_t alignment : {8U, 64U}) {
    auto topic = options();
    topic.payload_alignment = alignment;
    const std::string name = "t" + std::to_string(alignment);
    auto out = bus.publisher<Point>(name, {.topic = topic});
    auto in = bus.subscriber<Point>(name);
    std::vector<Point> points;
    for (std::uint32_t i = 0; i < 100; ++i) points.push_back({i, 2 * i, 3 * i});
    EXPECT_TRUE(out.publish_all(points));
    auto run = out.claim_run(5);
    ASSERT_TRUE(run);
    for (std::uint32_t i = 0; i < 5; ++i) run[i] = {100 + i, 2 * (100 + i), 3 * (100 + i)};
    EXPECT_TRUE(run.commit());
    std::uint32_t next = 0;
    EXPECT_EQ(in.poll(
                  [&](const Point& point) {
                    EXPECT_EQ(point.x, next);
                    EXPECT_EQ(point.z, 3 * next++);
                  },
                  1000),
              105U);
  }
}

TEST_P(PackedTest, BytesAreCutIntoMessagesOfOneSize) {
  auto out = bus.publisher("t", {.topic = options()});
  auto in = bus.subscriber("t");
  const std::string text = pattern(1, 70 * 5);
  const auto done = out.publish_all(text, 5);
  EXPECT_TRUE(done) << done.status();
  EXPECT_EQ(done.count(), 70U);
  for (std::size_t i = 0; i < 70; ++i) EXPECT_EQ(text_of(in.try_receive()), text.substr(i * 5, 5));
  EXPECT_TRUE(out.publish_all("", 5));
  for (const std::size_t odd : {0U, 3U, 351U}) {
    const auto refused = out.try_publish_all(text, odd);
    EXPECT_EQ(refused.status(), Code::invalid_argument) << odd;
    EXPECT_EQ(refused.count(), 0U);
  }
  const std::string large(out.max_payload_bytes() + 1, 'x');
  const auto too_large = out.publish_all(large, large.size());
  EXPECT_EQ(too_large.status(), Code::too_large);
  EXPECT_NE(too_large.status().text().find(std::to_string(out.max_payload_bytes())), std::string::npos);
  EXPECT_FALSE(in.try_receive());
  EXPECT_TRUE(out.publish_all(std::string(3 * out.max_payload_bytes(), 'x'), out.max_payload_bytes()));
}

// Row 68
TEST_P(PackedTest, ABatchThatFindsNoSpaceTellsHowManyArePublished) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  auto in = bus.subscriber<std::uint64_t>("t", {.name = "slow"});
  const auto batch = numbers(0, 10'000);
  const auto tried = out.try_publish_all(batch);
  EXPECT_EQ(tried.status(), Code::would_block);
  EXPECT_NE(tried.status().text().find("subscription slow"), std::string::npos) << tried.status();
  EXPECT_GT(tried.count(), 3000U);
  EXPECT_LT(tried.count(), 10'000U);
  const auto waited = out.publish_all(std::span(batch).subspan(tried.count()), 1ms);
  EXPECT_EQ(waited.status(), Code::timeout);
  EXPECT_EQ(waited.count(), 0U);
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(value(in.try_receive()), i);
  const auto more = out.publish_all(std::span(batch).subspan(tried.count()), 1ms);
  EXPECT_EQ(more.status(), Code::timeout);
  EXPECT_GT(more.count(), 800U);
  for (std::size_t i = 1000; i < tried.count() + more.count(); ++i) EXPECT_EQ(value(in.try_receive()), i);
  EXPECT_FALSE(in.try_receive());
}

TEST_P(PackedTest, ARunIsFilledInPlace) {
  auto out = bus.publisher("t", {.topic = options()});
  auto in = bus.subscriber("t");
  auto run = out.claim_run(3, 10);
  ASSERT_TRUE(run) << run.status();
  EXPECT_EQ(run.size(), 3U);
  EXPECT_EQ(out.try_publish("x"), Code::busy);
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(run[i].size(), 10U);
    std::memcpy(run[i].data(), pattern(i, 10).data(), 10);
  }
  EXPECT_FALSE(in.try_receive());
  EXPECT_EQ(run.commit(4), Code::too_large);
  EXPECT_TRUE(run.commit(2));
  EXPECT_EQ(run.commit(), Code::closed);
  EXPECT_EQ(run.size(), 0U);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(text_of(in.try_receive()), pattern(i, 10));
  EXPECT_FALSE(in.try_receive());
}

TEST_P(PackedTest, ARunThatIsNotCommittedNeverWas) {
  auto out = bus.publisher("t", {.topic = options()});
  auto in = bus.subscriber("t");
  { const auto run = out.claim_run(3, 10, 1s); }
  {
    auto run = out.try_claim_run(3, 10);
    run.abort();
    EXPECT_EQ(run.commit(), Code::closed);
  }
  {
    auto run = out.claim_run(3, 10);
    auto moved = std::move(run);
    EXPECT_TRUE(moved.commit(0));
    EXPECT_FALSE(moved);
  }
  EXPECT_TRUE(out.publish("after"));
  const auto message = in.try_receive();
  EXPECT_EQ(text_of(message), "after");
  EXPECT_EQ(message.sequence(), 0U);
}

TEST_P(PackedTest, ARunOfTheWrongSizeIsRefusedAndSaysWhatFits) {
  auto out = bus.publisher("t", {.topic = options()});
  EXPECT_EQ(out.claim_run(0, 8).status(), Code::invalid_argument);
  const auto says = [](const ringway::Status& status, std::size_t most) {
    EXPECT_EQ(status, Code::too_large);
    EXPECT_NE(status.text().find(std::to_string(most)), std::string::npos) << status;
  };
  says(out.claim_run(64, 8).status(), 63);
  says(out.claim_run(18, 480).status(), out.max_payload_bytes() / 480);
  says(out.claim_run(1, out.max_payload_bytes() + 1).status(), out.max_payload_bytes());
  says(out.claim_run(~0ULL, ~0ULL).status(), out.max_payload_bytes());
  EXPECT_TRUE(out.claim_run(63, 8));
  EXPECT_TRUE(out.claim_run(1, out.max_payload_bytes()));
  EXPECT_TRUE(out.claim_run(63, 0));
  [[maybe_unused]] const auto taken = std::move(out);
  EXPECT_EQ(out.claim_run(1, 1).status(), Code::closed);
  EXPECT_EQ(out.publish_all("x", 1).status(), Code::closed);
}

TEST_P(PackedTest, ViewsOfOneFrameAreLetGoInAnyOrder) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  std::optional<ringway::TypedSubscriber<std::uint64_t>> in = bus.subscriber<std::uint64_t>("t", {.name = "s"});
  ASSERT_TRUE(out.publish_all(numbers(0, 20)));
  std::deque<ringway::TypedMessage<std::uint64_t>> held;
  for (int i = 0; i < 6; ++i) held.push_back(in->try_receive());
  const std::uint64_t frame = held[0].position();
  EXPECT_EQ(held[5].position(), frame + 5);
  const auto cursor = [&] { return bus.topic("t").subscriptions.at(0).cursor; };
  for (const auto& [which, expected] : {std::pair{1, 0U}, {0, 2U}, {4, 2U}, {2, 3U}, {3, 5U}}) {
    held[static_cast<std::size_t>(which)].release();
    EXPECT_EQ(cursor(), frame + expected);
  }
  in.reset();
  held.clear();
  in = bus.subscriber<std::uint64_t>("t", {.name = "s"});  // goes on inside the frame
  for (std::uint64_t i = 6; i < 20; ++i) EXPECT_EQ(value(in->try_receive()), i);
  EXPECT_FALSE(in->try_receive());
  EXPECT_EQ(cursor() % 64, 0U);
}

TEST_P(PackedTest, AMessageThatAPollDidNotHandleComesAgain) {
  for (const auto reliability : {Reliability::reliable, Reliability::lossy}) {
    auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
    auto in = bus.subscriber<std::uint64_t>("t", {.reliability = reliability});
    ASSERT_TRUE(out.publish_all(numbers(0, 100)));
    std::uint64_t next = 0;
    for (const std::uint64_t stop : {5U, 5U, 62U, 63U, 99U, 1000U})
      in.poll(
          [&](const std::uint64_t& number) {
            EXPECT_EQ(number, next);
            if (number == stop) return false;
            ++next;
            return true;
          },
          1000);
    EXPECT_EQ(next, 100U);
    EXPECT_EQ(in.lost(), 0U);
  }
}

TEST_P(PackedTest, EveryMessageHasAPositionToStartAt) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  auto all = bus.subscriber<std::uint64_t>("t");
  ASSERT_TRUE(out.publish_all(numbers(0, 80)));
  std::vector<std::uint64_t> positions;
  all.poll([&](const std::uint64_t&, const Message& message) { positions.push_back(message.position()); }, 100);
  ASSERT_EQ(positions.size(), 80U);
  auto observer = bus.observer<std::uint64_t>("t");
  for (std::uint64_t i = 0; i < 80; ++i) {
    EXPECT_EQ(value(bus.subscriber<std::uint64_t>("t", {.from = From::at(positions[i])}).try_receive()), i);
    EXPECT_TRUE(all.seek(From::at(positions[i])));
    EXPECT_EQ(value(all.try_receive()), i);
    EXPECT_TRUE(observer.seek(From::at(positions[i])));
    EXPECT_EQ(value(observer.try_receive()), i);
    EXPECT_EQ(observer.lost(), 0U);
  }
  for (const std::uint64_t none : {positions[62] + 1, positions[79] + 1, bus.topic("t").tail + 1})
    EXPECT_EQ(all.seek(From::at(none)), Code::invalid_argument) << none;
}

// Row 69
TEST_P(PackedTest, ALossySubscriptionCountsEveryMessageOfAFrameItMissed) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  ASSERT_TRUE(out.publish_all(numbers(0, 30)));
  for (const bool limited : {false, true}) {
    auto in =
        bus.subscriber<std::uint64_t>("t", limited ? ringway::SubscriptionOptions{.max_lag_bytes = 4096}
                                                   : ringway::SubscriptionOptions{.reliability = Reliability::lossy});
    std::uint64_t published = 0;
    std::uint64_t received = 0;
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 200 * (round % 3); ++i) {
        const auto batch = numbers(published, static_cast<std::size_t>(1 + (i * 7 + round) % 63));
        ASSERT_TRUE(out.publish_all(batch));
        published += batch.size();
      }
      for (int i = 0; i < 100; ++i) {
        const auto message = in.try_receive();
        if (!message) break;
        EXPECT_EQ(*message, received + in.lost());
        ++received;
      }
    }
    while (in.try_receive()) ++received;
    EXPECT_GT(in.lost(), 0U);
    EXPECT_EQ(received + in.lost(), published);
  }
}

// Row 69: also what it lost while nobody read it, from the middle of a frame on.
TEST_P(PackedTest, ALossySubscriptionThatStoppedInsideAFrameCountsOn) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  const ringway::SubscriptionOptions lossy{.name = "s", .reliability = Reliability::lossy};
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t published = 0;
  for (const std::uint64_t batches : {1U, 0U, 200U, 1U, 200U}) {
    auto in = bus.subscriber<std::uint64_t>("t", lossy);
    for (std::uint64_t i = 0; i < batches; ++i, published += 50) ASSERT_TRUE(out.publish_all(numbers(published, 50)));
    for (int i = 0; i < 17; ++i) received += in.try_receive() ? 1 : 0;
    EXPECT_NE(in.position() % 64, 0U);
    lost += in.lost();
  }
  auto in = bus.subscriber<std::uint64_t>("t", lossy);
  while (in.try_receive()) ++received;
  EXPECT_EQ(received + lost + in.lost(), published);
}

TEST_P(PackedTest, ARunUnderWayWhenAnObserverJoinedIsNoLoss) {
  auto out = bus.publisher<std::uint64_t>("t", {.topic = options()});
  ASSERT_TRUE(out.publish_all(numbers(0, 7)));
  auto run = out.claim_run(20);
  auto observer = bus.observer<std::uint64_t>("t");
  for (std::size_t i = 0; i < 20; ++i) run[i] = 7 + i;
  ASSERT_TRUE(run.commit());
  ASSERT_TRUE(out.publish_all(numbers(27, 3)));
  std::uint64_t received = 0;
  while (observer.try_receive()) ++received;
  EXPECT_EQ(observer.lost(), 0U);
  EXPECT_EQ(received, GetParam() == ringway::Publishers::shared ? 3U : 23U);
}

TEST_P(PackedTest, MessagesOfAFrameShareItsStamp) {
  auto topic = options();
  topic.stamped = true;
  auto out = bus.publisher<std::uint64_t>("t", {.topic = topic});
  auto in = bus.subscriber<std::uint64_t>("t");
  ASSERT_TRUE(out.publish_all(numbers(0, 3)));
  const auto stamp = in.try_receive().stamp();
  EXPECT_GT(stamp.count(), 0);
  EXPECT_EQ(in.try_receive().stamp(), stamp);
}

// Row 58: low bits beyond what the frame holds.
TEST(PackedCursorTest, AnImpossibleOneIsRefusedOrTakenAway) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put_packed(writer, 0, 10, 16));
  const Bus bus = Bus::at(topic.directory());
  ASSERT_TRUE(bus.create_subscription(RingTopic::kName, "s"));
  auto& row = topic.memory().subscription(0);
  row.cursor.store(10);
  EXPECT_TRUE(
      is_error(thrown([&] { return bus.subscriber(RingTopic::kName, {.name = "s"}); }), Code::corrupt, "is 10"));
  row.cursor.store(9);
  EXPECT_FALSE(evict_impossible(topic.segment(), 0));
  EXPECT_EQ(text_of(bus.subscriber(RingTopic::kName, {.name = "s"}).try_receive()), pattern(9, 16));
  row.cursor.store(10);
  auto out = bus.publisher(RingTopic::kName);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(out.publish(pattern(1, 96), 10s));
  EXPECT_EQ(row.state.load(), SubscriptionState::free);
}

}  // namespace

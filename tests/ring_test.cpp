// The data path on hand-made rings: frames of every size at every place, tags and headers that cannot be true, readers
// that are overtaken.

#include "ringway/detail/ring.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;

constexpr std::uint64_t kHalf = 1ULL << 63;  // where a signed position changes its sign

TopicSpec aligned(bool exclusive, std::uint32_t alignment, std::uint64_t first_position = 0) {
  TopicSpec spec = small_spec(exclusive, first_position);
  spec.payload_alignment = alignment;
  return spec;
}

std::uint64_t extent_for(const SegmentMemory& memory, std::uint64_t bytes) {
  return align_up(memory.payload_offset + bytes, kLine);
}

// Payload sizes around each boundary of 64 bytes that matters, and around the largest.
std::vector<std::uint64_t> sizes(std::uint64_t largest) {
  std::vector<std::uint64_t> all = {0,  1,  7,   8,   31,  32,  33,  63,  64,  65, 95,
                                    96, 97, 127, 128, 129, 480, 481, 511, 512, 513};
  all.insert(all.end(), {largest - 64, largest - 63, largest - 1, largest});
  return all;
}

// Each size several times, through several laps, received in place and as a copy.
void round_trip(const TopicSpec& spec) {
  const RingTopic topic(spec);
  const SegmentMemory& memory = topic.memory();
  Writer writer = topic.writer();
  topic.subscribe(0, SubscriptionState::reliable, spec.first_position);
  ReadSide views = topic.reader(spec.first_position);
  ReadSide copies = topic.reader(spec.first_position);
  CopyBuffer buffer(memory);
  std::uint64_t position = spec.first_position;
  std::uint64_t sequence = 0;
  for (int round = 0; round < 6; ++round) {
    for (const std::uint64_t size : sizes(writer.max_payload())) {
      SCOPED_TRACE("payload of " + std::to_string(size) + " at position " + std::to_string(position));
      const std::string text = pattern(sequence, size);
      ASSERT_TRUE(put(writer, text));
      Found view;
      ASSERT_EQ(views.look(view), Look::message);
      EXPECT_EQ(text_of(view), text);
      EXPECT_EQ(view.position, position);
      EXPECT_EQ(view.next, position + extent_for(memory, size));
      EXPECT_EQ(sequence_of(view.origin), sequence);
      EXPECT_EQ(publisher_of(view.origin), 0U);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.payload) % spec.payload_alignment, 0U);
      EXPECT_EQ(view.payload - memory.bytes_at(position), memory.payload_offset);
      Found copy;
      ASSERT_EQ(copies.copy(copy, buffer.get()), Look::message);
      EXPECT_EQ(text_of(copy), text);
      EXPECT_EQ(copy.position, position);
      Found nothing;
      EXPECT_EQ(views.look(nothing), Look::nothing);
      EXPECT_EQ(copies.copy(nothing, buffer.get()), Look::nothing);
      position = view.next;
      ++sequence;
      EXPECT_EQ(topic.tail(), position);
      static_cast<void>(release(memory, 0, position));
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(position - spec.first_position, 3 * memory.capacity);
}

// Rows 72, 73.
TEST(RingTest, EveryPayloadSizeArrivesWholeAtEveryAlignmentOnASharedTopic) {
  for (std::uint32_t alignment = 1; alignment <= 64; alignment *= 2) round_trip(aligned(false, alignment));
}
TEST(RingTest, EveryPayloadSizeArrivesWholeAtEveryAlignmentOnAnExclusiveTopic) {
  for (std::uint32_t alignment = 1; alignment <= 64; alignment *= 2) round_trip(aligned(true, alignment));
}

// Row 72.
TEST(RingTest, PositionsMayPassTwoToTheSixtyThird) {
  for (const bool exclusive : {false, true})
    for (const std::uint64_t before_it : {64ULL, 4096ULL, 4096ULL + 512 + 64})
      round_trip(aligned(exclusive, 8, kHalf - before_it));
}

// Row 72: no topic gets there, but nothing depends on it either.
TEST(RingTest, PositionsAreComparedByDistance) {
  EXPECT_TRUE(before(0, 1));
  EXPECT_FALSE(before(1, 1));
  EXPECT_TRUE(before(kHalf - 1, kHalf));
  EXPECT_FALSE(before(kHalf, kHalf - 1));
  EXPECT_TRUE(before(~0ULL, 0));
  EXPECT_FALSE(before(0, ~0ULL));
  EXPECT_TRUE(before(0ULL - 4096, 4096));
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive, 0ULL - 8192));
    Writer writer = topic.writer();
    topic.subscribe(0, SubscriptionState::reliable, 0ULL - 8192);
    ReadSide reader = topic.reader(0ULL - 8192);
    for (std::uint64_t i = 0; i < 5 * 64; ++i) {  // frames of one line, so that one starts at 0
      ASSERT_TRUE(put(writer, pattern(i, 32)));
      Found found;
      ASSERT_EQ(reader.look(found), Look::message);
      EXPECT_EQ(found.position, (i - 128) * 64);
      EXPECT_EQ(text_of(found), pattern(i, 32));
      static_cast<void>(release(topic.memory(), 0, found.next));
    }
  }
}

// Row 73.
TEST(RingTest, APayloadBeyondTheLargestIsRefusedAndLeavesNothing) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    EXPECT_EQ(writer.max_payload(), 1024U - 32);
    for (const std::uint64_t size :
         {writer.max_payload() + 1, std::uint64_t{4096}, std::uint64_t{1} << 32, ~std::uint64_t{0}})
      EXPECT_EQ(writer.claim(size), Claimed::too_large);
    EXPECT_FALSE(writer.open());
    EXPECT_EQ(topic.tail(), 0U);
    EXPECT_EQ(topic.memory().publisher(0).record.load(), kNoRecord);
    ASSERT_TRUE(claim(writer, writer.max_payload()));
  }
}

// Row 73: one frame ends exactly where the ring does, the next starts at its first byte.
TEST(RingTest, AFrameMayEndExactlyAtTheWrap) {
  for (const std::uint64_t extent : {64ULL, 512ULL, 1024ULL}) {
    const std::uint64_t first = 3 * 4096 - extent;
    const RingTopic topic(small_spec(false, first));
    Writer writer = topic.writer();
    ReadSide reader = topic.reader(first);
    ASSERT_TRUE(put(writer, pattern(1, extent - 32)));
    ASSERT_TRUE(put(writer, "after"));
    Found found;
    ASSERT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(found.next, 3U * 4096);
    EXPECT_EQ(text_of(found), pattern(1, extent - 32));
    ASSERT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(found.payload, topic.memory().ring + 32);
    EXPECT_EQ(text_of(found), "after");
  }
}

// Row 73: the ring is mapped twice, so the frame is one piece and its bytes are seen at the ring's start too.
TEST(RingTest, AFrameAcrossTheWrapIsOnePiece) {
  for (std::uint64_t before_it = 64; before_it < 1024; before_it += 64) {
    const std::uint64_t first = kHalf + 4096 - before_it;
    const RingTopic topic(small_spec(true, first));
    Writer writer = topic.writer();
    const std::string text = pattern(before_it, writer.max_payload());
    ASSERT_TRUE(put(writer, text));
    ReadSide reader = topic.reader(first);
    Found found;
    ASSERT_EQ(reader.look(found), Look::message);
    EXPECT_EQ(text_of(found), text);
    const std::uint64_t in_front = before_it - 32;  // payload bytes before the end of the ring
    EXPECT_EQ(std::memcmp(topic.memory().ring, text.data() + in_front, text.size() - in_front), 0);
  }
}

TEST(RingTest, APublisherHasOneClaimAtATime) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(claim(writer, 10));
  EXPECT_EQ(writer.claim(10), Claimed::busy);
  static_cast<void>(writer.commit(10, 0));
  EXPECT_TRUE(claim(writer, 10));
}

TEST(RingTest, AShortCommitKeepsItsFramesExtent) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    ReadSide reader = topic.reader(0);
    std::uint64_t position = 0;
    for (const std::uint32_t length : {0U, 1U, 32U, 33U, 500U}) {
      ASSERT_TRUE(claim(writer, 500));
      std::memset(writer.payload(), 'x', 500);
      static_cast<void>(writer.commit(length, 77));
      Found found;
      ASSERT_EQ(reader.look(found), Look::message);
      EXPECT_EQ(found.length, length);
      EXPECT_EQ(found.stamp, 77U);
      EXPECT_EQ(found.position, position);
      EXPECT_EQ(found.next, position += 576);
    }
    EXPECT_EQ(topic.memory().publisher(0).sequence.load(), 5U);
    EXPECT_EQ(topic.memory().publisher(0).bytes.load(), 566U);
  }
}

TEST(RingTest, AnAbortIsPaddingOnASharedTopic) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ReadSide reader = topic.reader(0);
  ReadSide copies = topic.reader(0);
  CopyBuffer buffer(topic.memory());
  ASSERT_TRUE(claim(writer, 100));
  EXPECT_EQ(topic.memory().publisher(0).record.load(), 0 | kRecordStanding | kRecordWon);
  EXPECT_EQ(topic.memory().publisher(0).record_extent.load(), 192U);
  static_cast<void>(writer.abort());
  EXPECT_EQ(topic.memory().publisher(0).record.load(), kNoRecord);
  ASSERT_TRUE(put(writer, "text"));
  for (ReadSide* side : {&reader, &copies}) {
    Found found;
    ASSERT_EQ(side == &reader ? side->look(found) : side->copy(found, buffer.get()), Look::message);
    EXPECT_EQ(text_of(found), "text");
    EXPECT_EQ(found.position, 192U);
    EXPECT_EQ(sequence_of(found.origin), 0U);  // padding is no message
  }
}

TEST(RingTest, AnAbortLeavesNothingOnAnExclusiveTopic) {
  const RingTopic topic(small_spec(true));
  Writer writer = topic.writer();
  ASSERT_TRUE(claim(writer, 100));
  static_cast<void>(writer.abort());
  EXPECT_EQ(topic.tail(), 0U);
  ASSERT_TRUE(put(writer, "text"));
  Found found;
  ASSERT_EQ(topic.reader(0).look(found), Look::message);
  EXPECT_EQ(found.position, 0U);
}

// Row 59.
TEST(RingTest, AReaderPassesAWholeRingOfPadding) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ReadSide reader = topic.reader(0);
  ReadSide copies = topic.reader(0);
  CopyBuffer buffer(topic.memory());
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(claim(writer, 0));
    static_cast<void>(writer.abort());
  }
  Found found;
  EXPECT_EQ(reader.look(found), Look::nothing);
  EXPECT_EQ(copies.copy(found, buffer.get()), Look::nothing);
  EXPECT_EQ(reader.next(), 4096U);
  EXPECT_EQ(copies.next(), 4096U);
}

TEST(RingTest, AReaderWaitsAtAFrameThatIsClaimedAndNotCommitted) {
  const RingTopic topic;
  Writer first = topic.writer(0);
  Writer second = topic.writer(1);
  ASSERT_TRUE(claim(first, 10));
  ASSERT_TRUE(put(second, "second"));
  ReadSide reader = topic.reader(0);
  Found found;
  EXPECT_EQ(reader.look(found), Look::nothing);
  EXPECT_EQ(reader.next(), 0U);
  std::memcpy(first.payload(), "the first!", 10);
  static_cast<void>(first.commit(10, 0));
  ASSERT_EQ(reader.look(found), Look::message);
  EXPECT_EQ(text_of(found), "the first!");
  ASSERT_EQ(reader.look(found), Look::message);
  EXPECT_EQ(text_of(found), "second");
}

// A frame that says what cannot be; `size` is its second word.
void expect_corrupt(std::uint64_t size) {
  SCOPED_TRACE("size word " + std::to_string(size));
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put(writer, "text"));
  topic.memory().frame(0).size.store(size);
  CopyBuffer buffer(topic.memory());
  Found found;
  ReadSide reader = topic.reader(0);
  EXPECT_EQ(reader.look(found), Look::corrupt);
  EXPECT_EQ(found.size, size);
  EXPECT_EQ(reader.next(), 0U);
  ReadSide copies = topic.reader(0);
  EXPECT_EQ(copies.copy(found, buffer.get()), Look::corrupt);
  EXPECT_EQ(copies.next(), 0U);
}

// Rows 55, 56.
TEST(RingTest, AHeaderThatCannotBeTrueIsCorrupt) {
  const auto word = [](std::uint64_t length, std::uint64_t units, std::uint64_t kind) {
    return length | units << 32 | kind << 56;
  };
  expect_corrupt(0);
  expect_corrupt(~0ULL);
  for (const std::uint64_t kind : {0U, 2U, 5U, 255U})
    expect_corrupt(word(4, 1, kind));  // 2: packed, not in this version
  expect_corrupt(word(4, 0, 1));       // no extent
  expect_corrupt(word(4, 17, 1));      // more than a quarter of the ring
  expect_corrupt(word(4, 0xFF'FFFF, 1));
  expect_corrupt(word(33, 1, 1));  // the length exceeds the extent
  expect_corrupt(word(0xFFFF'FFFF, 1, 1));
  expect_corrupt(word(0xFFFF'FFFF, 16, 1));
  expect_corrupt(word(1024 - 31, 16, 1));
  expect_corrupt(word(4, 0, 3));  // padding that leads nowhere
  expect_corrupt(word(33, 1, 3));
  expect_corrupt(word(4, 1, 4));  // a dead letter without room for its origin
  expect_corrupt(word(4, 6, 4));
}

// Rows 55 and 56: tail, oldest and cursors are multiples of 64 unless a faulty process wrote them.
TEST(RingTest, APositionBetweenTwoLinesIsNeverReadUnaligned) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    for (const std::uint64_t position : {1ULL, 100ULL, 4095ULL, (1ULL << 63) + 33, ~0ULL})
      EXPECT_EQ((topic.memory().bytes_at(position) - topic.memory().ring) % 64, 0) << position;
    topic.memory().tail().store(100);
    Found found;
    ReadSide reader = topic.reader(100);
    EXPECT_EQ(reader.look(found), Look::nothing);
    EXPECT_EQ(walk(topic.memory(), 100, [](auto, auto, auto) { return true; }), 100U);
    Writer writer = topic.writer();
    EXPECT_TRUE(put(writer, pattern(1, 300)));
  }
}

// Row 55: each single bit of a frame's header; whatever comes out lies within the ring.
TEST(RingTest, AnyBitOfAHeaderMayFlip) {
  for (int bit = 0; bit < 256; ++bit) {
    const RingTopic topic;
    Writer writer = topic.writer();
    ASSERT_TRUE(put(writer, pattern(1, 200)));
    ASSERT_TRUE(put(writer, "next"));
    topic.memory().ring[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    CopyBuffer buffer(topic.memory());
    for (const bool copying : {false, true}) {
      ReadSide reader = topic.reader(0);
      Found found;
      const Look look = copying ? reader.copy(found, buffer.get()) : reader.look(found);
      if (look != Look::message) continue;
      EXPECT_LE(found.length, 1024U - 32);
      EXPECT_LE(found.next - found.position, 1024U);
      EXPECT_EQ(found.position % kLine, 0U);
    }
  }
}

// Row 41.
TEST(RingTest, AZeroedPageIsNoMessage) {
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1} << 40}) {
    const RingTopic topic(small_spec(false, first));
    Writer writer = topic.writer();
    while (topic.tail() != first + 4096) ASSERT_TRUE(put(writer, "text"));
    std::memset(topic.memory().ring, 0, 4096);
    Found found;
    CopyBuffer buffer(topic.memory());
    EXPECT_EQ(topic.reader(first).look(found), Look::nothing);
    EXPECT_EQ(topic.reader(first).copy(found, buffer.get()), Look::nothing);
  }
}

// The next frame's place still holds what was written there a lap ago.
TEST(RingTest, ATagOfAnEarlierLapIsNoMessage) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    ReadSide reader = topic.reader(0);
    for (int i = 0; i < 64 * 3 + 17; ++i) {
      Found found;
      EXPECT_EQ(reader.look(found), Look::nothing) << i;
      ASSERT_TRUE(put(writer, "text"));
      ASSERT_EQ(reader.look(found), Look::message) << i;
    }
  }
}

// Somebody publishes a copy of a frame, header and all; the bytes lie where frames start, and are passed over all the
// same.
TEST(RingTest, BytesOfAFrameInsideAPayloadAreNoMessage) {
  const RingTopic topic(aligned(true, 64));
  Writer writer = topic.writer();
  ASSERT_TRUE(put(writer, pattern(3, 64)));
  const std::string stolen(reinterpret_cast<const char*>(topic.memory().bytes_at(0)), 128);
  ASSERT_TRUE(put(writer, stolen + stolen + stolen + stolen));
  for (std::uint64_t position = 192; position < 704; position += 64) EXPECT_FALSE(tagged(topic.memory(), position));
  EXPECT_FALSE(tagged(topic.memory(), 4096));  // what was at 0 is not at 4,096
  EXPECT_EQ(topic.tail(), 128U + 576);
}

TEST(RingTest, ACopyOvertakenBeforeItsEndIsAGap) {
  const RingTopic topic;
  Writer writer = topic.writer();
  ASSERT_TRUE(put(writer, "first"));
  ASSERT_TRUE(put(writer, "second"));
  CopyBuffer buffer(topic.memory());
  ReadSide reader = topic.reader(0);
  Found found;
  topic.memory().oldest().store(64);  // a publisher has given the frame up; nothing of it is overwritten yet
  EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
  EXPECT_EQ(reader.next(), 0U);
  topic.memory().frame(0).size.store(~0ULL);  // half overwritten: no fault either
  EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
  topic.memory().frame(0).tag.store(0);
  EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
  reader.go_on_at(topic.oldest());
  ASSERT_EQ(reader.copy(found, buffer.get()), Look::message);
  EXPECT_EQ(text_of(found), "second");
}

TEST(RingTest, ALossyReaderThatIsLappedGoesOnAtTheOldest) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive));
    Writer writer = topic.writer();
    CopyBuffer buffer(topic.memory());
    ReadSide reader = topic.reader(0);
    Found found;
    for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(put(writer, pattern(i, i % 900)));
    EXPECT_EQ(reader.copy(found, buffer.get()), Look::gap);
    reader.go_on_at(topic.oldest());
    std::uint64_t expected = 0;
    for (int messages = 0; reader.copy(found, buffer.get()) == Look::message; ++messages) {
      const std::uint64_t sequence = sequence_of(found.origin);
      if (messages > 0) {
        EXPECT_EQ(sequence, expected);
      }
      EXPECT_EQ(text_of(found), pattern(sequence, sequence % 900));
      expected = sequence + 1;
    }
    EXPECT_EQ(expected, 1000U);
    EXPECT_EQ(reader.next(), topic.tail());
  }
}

}  // namespace

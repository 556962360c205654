// Publishers and readers of every kind as threads over one mapping, where ThreadSanitizer sees them: a small ring that
// wraps all the time, and sleepers that are woken. Every message is accounted for.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/numbered.hpp"
#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using namespace std::chrono_literals;

constexpr std::uint64_t kHalf = 1ULL << 63;  // where a signed position changes its sign

// Sleeps like a publisher that is held back, at most a backstop.
void wait_for_space(const SegmentMemory& memory, std::uint32_t slot, const Blocker& blocker) {
  auto& line = memory.waiting_line(slot);
  line.position.store(blocker.position, std::memory_order_relaxed);
  line.blocker.store(blocker.slot, std::memory_order_relaxed);
  const Bed bed = waiting_bed(memory, slot);
  const std::uint32_t seen =
      bed.announce(memory, (blocker.slot & kBlockedByPublisher) != 0 ? Waker::commit : Waker::release);
  bool in_the_way = false;
  if ((blocker.slot & kBlockedByPublisher) != 0) {
    const std::uint64_t record = memory.publisher(blocker.slot & ~kBlockedByPublisher).record.load();
    in_the_way = record != kNoRecord && (record & ~(kLine - 1)) == blocker.position;
  } else {
    in_the_way = before(memory.subscription(blocker.slot).cursor.load(), blocker.position);
  }
  if (in_the_way) futex_wait(*bed.doorbell, seen, monotonic_ns() + kBackstop);
  bed.leave();
}

void wait_for_message(const SegmentMemory& memory, std::uint32_t slot, const ReadSide& reader) {
  const Bed bed = parked_bed(memory, slot);
  const std::uint32_t seen = bed.announce(memory, Waker::commit);
  if (!tagged(memory, frame_start(reader.next())) && !before(reader.next(), memory.oldest().load()))
    futex_wait(*bed.doorbell, seen, monotonic_ns() + kBackstop);
  bed.leave();
}

struct Threads {
  Threads(bool exclusive, std::uint64_t capacity, std::uint64_t first)
      : topic([&] {
          TopicSpec spec = small_spec(exclusive, first);
          spec.limits.capacity_bytes = capacity;
          return spec;
        }()) {}
  const SegmentMemory& memory() const { return topic.memory(); }

  void wake(std::uint32_t slot) const {
    wake_parked(memory());
    if (anyone_waiting(memory())) wake_waiting(memory(), slot | kBlockedByPublisher, memory().tail().load());
  }

  void write(std::uint32_t slot, std::uint64_t messages) {
    Writer writer = topic.writer(slot);
    ready.fetch_add(1);
    while (!go) std::this_thread::yield();
    Dice dice(slot);
    const std::uint64_t largest = writer.max_payload();
    for (std::uint64_t number = 0; number < messages;) {
      const bool packed = dice.one_in(3);
      const std::uint64_t each = sizeof(Head) + dice.up_to(60);
      const std::uint64_t stride = stride_of(each, memory().payload_alignment);
      const auto count = static_cast<std::uint32_t>(
          1 + dice.up_to(std::min<std::uint64_t>({largest / stride, messages - number, kMaxPacked}) - 1));
      const std::uint64_t claimed =
          packed ? count * stride : sizeof(Head) + dice.up_to(dice.one_in(4) ? largest - sizeof(Head) : 200);
      Blocker blocker;
      if (testing::Test::HasFailure()) return;  // whom we wait for may have given up
      if (!claim(writer, claimed, &blocker, packed ? count : 0)) {
        ASSERT_NE(blocker.slot, kNoBlocker) << "corrupt at " << blocker.position;
        wait_for_space(memory(), slot, blocker);
        continue;
      }
      if (dice.one_in(10)) {
        std::memset(writer.payload(), 0xEE, claimed);
        if (writer.abort()) wake(slot);
        continue;
      }
      if (packed) {
        const auto committed = static_cast<std::uint32_t>(1 + dice.up_to(count - 1));
        for (std::uint32_t i = 0; i < committed; ++i) fill(writer.payload() + i * stride, each, slot, number++);
        if (writer.commit_packed(committed, static_cast<std::uint32_t>(each), number)) wake(slot);
        continue;
      }
      const std::uint64_t length = dice.one_in(5) ? sizeof(Head) + dice.up_to(claimed - sizeof(Head)) : claimed;
      fill(writer.payload(), length, slot, number++);
      if (writer.commit(static_cast<std::uint32_t>(length), number)) wake(slot);
    }
    writers_left.fetch_sub(1);
    SegmentMemory::full_fence();
    wake(slot);
  }

  // Until it has each writer's last message.
  void read_reliable(std::uint32_t slot, std::uint32_t writers, std::uint64_t messages) {
    ReadSide reader = topic.reader(first());
    Dice dice(100 + slot);
    Checker checker;
    std::uint64_t let_go = first();
    while (checker.received() < writers * messages) {
      if (testing::Test::HasFailure()) return;
      Found found;
      const Look look = reader.look(found);
      ASSERT_NE(look, Look::corrupt) << "size word " << found.size << " at " << reader.next();
      if (look == Look::message) {
        std::uint64_t missed = 0;
        ASSERT_EQ(checker.check(found.payload, found.length, missed), "") << "at " << found.position;
        ASSERT_EQ(missed, 0U) << "at " << found.position;
      }
      if (reader.next() != let_go && (look == Look::nothing || dice.one_in(3))) {
        let_go = reader.next();
        if (release(memory(), slot, let_go)) wake_waiting(memory(), slot, let_go);
      }
      if (look == Look::nothing) wait_for_message(memory(), slot, reader);
    }
    if (release(memory(), slot, reader.next())) wake_waiting(memory(), slot, reader.next());
    memory().subscription(slot).state.store(SubscriptionState::free);
    wake_waiting(memory(), slot, reader.next() + memory().capacity);
  }

  // Until all have written and there is nothing left.
  void read_lossy(std::uint32_t slot, std::uint32_t writers, std::uint64_t messages) {
    ReadSide reader = topic.reader(first());
    CopyBuffer buffer(memory());
    Checker checker;
    Dice dice(200 + slot);
    for (;;) {
      if (testing::Test::HasFailure()) return;
      const bool last = writers_left.load() == 0;
      Found found;
      const Look look = reader.copy(found, buffer.get());
      ASSERT_NE(look, Look::corrupt) << "size word " << found.size << " at " << reader.next();
      if (look == Look::gap) reader.go_on_at(memory().oldest().load());
      if (look == Look::message) {
        std::uint64_t missed = 0;
        ASSERT_EQ(checker.check(found.payload, found.length, missed), "") << "at " << found.position;
        ASSERT_EQ(sequence_of(found.origin) + 1, checker.next(publisher_of(found.origin)));
        if (dice.one_in(500)) std::this_thread::sleep_for(1ms);  // so that it is overtaken
      }
      if (look != Look::nothing) continue;
      if (last) break;
      wait_for_message(memory(), slot, reader);
    }
    std::uint64_t lost = checker.lost();
    for (std::uint32_t writer = 0; writer < writers; ++writer)
      lost += memory().publisher(writer).sequence.load() - checker.next(writer);
    EXPECT_EQ(checker.received() + lost, writers * messages);
    EXPECT_EQ(reader.next(), topic.tail());
  }

  std::uint64_t first() const { return topic.segment().geometry().spec.first_position; }

  RingTopic topic;
  std::atomic<bool> go{false};
  std::atomic<std::uint32_t> ready{0};
  std::atomic<std::uint32_t> writers_left{0};
};

void run_threads(bool exclusive, std::uint32_t writers, std::uint64_t capacity, std::uint64_t first,
                 std::uint64_t messages) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(seed()));
  Threads all(exclusive, capacity, first);
  all.writers_left = writers;
  all.topic.subscribe(0, SubscriptionState::reliable, first);
  all.topic.subscribe(1, SubscriptionState::lossy, first);
  all.topic.subscribe(2, SubscriptionState::reliable, first);
  std::vector<std::thread> threads;
  for (std::uint32_t slot = 0; slot < writers; ++slot) threads.emplace_back([&, slot] { all.write(slot, messages); });
  while (all.ready != writers) std::this_thread::yield();
  for (const std::uint32_t slot : {0U, 2U})
    threads.emplace_back([&, slot] { all.read_reliable(slot, writers, messages); });
  threads.emplace_back([&] { all.read_lossy(1, writers, messages); });
  all.go = true;
  for (auto& thread : threads) thread.join();
  if (testing::Test::HasFailure()) return;
  EXPECT_LE(all.topic.tail() - all.topic.oldest(), capacity);
  EXPECT_TRUE(first == 0 || all.topic.tail() > kHalf) << "too few messages to come that far";
  EXPECT_FALSE(anyone_waiting(all.memory()));
}

TEST(ThreadStressTest, OneExclusiveWriter) {
  run_threads(true, 1, 4 << 10, 0, times(30'000));
  run_threads(true, 1, 32 << 10, 0, times(60'000));
}
TEST(ThreadStressTest, TwoSharedWriters) {
  run_threads(false, 2, 4 << 10, 0, times(15'000));
  run_threads(false, 2, 32 << 10, 0, times(30'000));
}
TEST(ThreadStressTest, ThreeSharedWriters) { run_threads(false, 3, 8 << 10, 0, times(20'000)); }
// Row 72.
TEST(ThreadStressTest, PositionsThatPassTwoToTheSixtyThird) {
  run_threads(true, 1, 4 << 10, kHalf - (1 << 14), times(20'000));
  run_threads(false, 2, 4 << 10, kHalf - (1 << 14), times(10'000));
}

}  // namespace

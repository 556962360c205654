// Parked bits, waiting bits, doorbells.

#include "ringway/detail/wait.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <thread>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Wait;

// Row 31.
TEST(WaitTest, ADoorbellThatWrapsBetweenTheLookAndTheSleepWakesAtOnce) {
  const RingTopic topic;
  topic.memory().subscription(1).doorbell.store(~0U);
  const Bed bed = parked_bed(topic.memory(), 1);
  const std::uint32_t seen = bed.announce(topic.memory(), Waker::commit);
  EXPECT_EQ(seen, ~0U);
  wake_parked(topic.memory());
  EXPECT_EQ(topic.memory().subscription(1).doorbell.load(), 0U);
  EXPECT_TRUE(futex_wait(*bed.doorbell, seen, kForever));
}

// Rows 30, 31, 72: two processes, whose bells ring through 2^32.
TEST(WaitTest, NobodySleepsThroughADoorbellThatWraps) {
  const RingTopic topic;
  constexpr std::uint32_t kNear = ~0U;
  const int messages = rounds(2000);
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    topic.memory().subscription(slot).doorbell.store(kNear);
    topic.memory().waiting_line(slot).doorbell.store(kNear);
  }
  const Bus bus = Bus::at(topic.directory());
  auto subscriber = bus.subscriber(RingTopic::kName, {.wait = Wait::park});
  auto child = Child::fork([&] {
    auto publisher = bus.publisher(RingTopic::kName, {.wait = Wait::park});
    for (int i = 0; i < messages; ++i) {
      if (i + 3 > messages)  // however the two are scheduled, the last messages find a sleeper
        while (!anyone_parked(topic.memory())) std::this_thread::yield();
      if (!publisher.publish(pattern(static_cast<std::uint64_t>(i), 900))) return 1;
    }
    return 0;
  });
  while (topic.memory().waiting[0].load() == 0 && !child.ended()) std::this_thread::yield();  // it waits for space
  for (int i = 0; i < messages; ++i)
    ASSERT_EQ(text_of(subscriber.receive()), pattern(static_cast<std::uint64_t>(i), 900));
  EXPECT_EQ(child.wait(), 0);
  EXPECT_LT(topic.memory().subscription(0).doorbell.load(), kNear);
  EXPECT_LT(topic.memory().waiting_line(0).doorbell.load(), kNear);
}

TEST(WaitTest, AnExpiredDeadlineIsNotAWake) {
  std::atomic<std::uint32_t> word{7};
  EXPECT_FALSE(futex_wait(word, 7, 0));
  EXPECT_FALSE(futex_wait(word, 7, monotonic_ns() + 1000));
  EXPECT_TRUE(futex_wait(word, 8, kForever));
}

// Row 38.
TEST(WaitTest, DeadlinesSaturate) {
  EXPECT_EQ(deadline_after(0), 0);
  EXPECT_EQ(deadline_after(-1), 0);
  EXPECT_EQ(deadline_after(std::numeric_limits<std::int64_t>::min()), 0);
  EXPECT_EQ(deadline_after(kForever), kForever);
  EXPECT_EQ(deadline_after(kForever - 1), kForever);
  EXPECT_GT(deadline_after(1), 0);
}

// Row 32: a storm of signals neither ends a wait nor changes errno.
TEST(WaitTest, SignalsDoNotEndAWait) {
  static std::atomic<int> signals;
  signals = 0;
  struct sigaction action {};
  struct sigaction before_it {};
  action.sa_handler = [](int) { ++signals; };
  ::sigaction(SIGALRM, &action, &before_it);
  const itimerval storm{{0, 500}, {0, 500}};
  const itimerval calm{};
  ::setitimer(ITIMER_REAL, &storm, nullptr);
  std::atomic<std::uint32_t> word{7};
  errno = 4711;
  const std::int64_t deadline = monotonic_ns() + 30'000'000;
  EXPECT_FALSE(futex_wait(word, 7, deadline));
  EXPECT_EQ(errno, 4711);
  EXPECT_GE(monotonic_ns(), deadline);
  ::setitimer(ITIMER_REAL, &calm, nullptr);
  ::sigaction(SIGALRM, &before_it, nullptr);
  EXPECT_GT(signals.load(), 0);
}

// Row 29.
TEST(WaitTest, ASleeperMakesCommitsLookAndTheyStopAfterLongInVain) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  auto publisher = Bus::at(topic.directory()).publisher(RingTopic::kName);
  const Bed bed = parked_bed(memory, 0);
  ASSERT_EQ(memory.bias().load(), 0U);
  bed.word->fetch_or(bed.bit);  // not armed: whoever has set a bit only is not asleep yet
  ASSERT_TRUE(publisher.publish("unseen"));
  EXPECT_TRUE(anyone_parked(memory));
  static_cast<void>(bed.announce(memory, Waker::commit));
  EXPECT_EQ(memory.bias().load(), kArmed | kReady | kOnePark);
  ASSERT_TRUE(publisher.publish("seen"));
  EXPECT_FALSE(anyone_parked(memory));
  EXPECT_EQ(memory.subscription(0).doorbell.load(), 1U);
  for (std::uint32_t i = 1; i < SegmentMemory::kQuietCommits; ++i) ASSERT_TRUE(publisher.publish("nobody"));
  EXPECT_EQ(memory.bias().load(), kArmed | kReady | kOnePark);
  ASSERT_TRUE(publisher.publish("nobody"));
  EXPECT_EQ(memory.bias().load(), kGeneration);
}

TEST(WaitTest, ABiasIsDisarmedOnlyWhileNobodySleeps) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  const Bed bed = parked_bed(memory, 1);
  static_cast<void>(bed.announce(memory, Waker::commit));
  const std::uint64_t armed = memory.bias().load();
  disarm(memory);
  EXPECT_EQ(memory.bias().load(), armed);
  bed.leave();
  disarm(memory);
  EXPECT_EQ(memory.bias().load(), kGeneration);
  tell_ready(memory, armed);  // late: of a barrier before the disarming
  EXPECT_EQ(memory.bias().load(), kGeneration);
  memory.bias().store(~0ULL & ~kReady);  // counters at their ends stay within their bits
  arm(memory);
  EXPECT_EQ(memory.bias().load(), (~0ULL & ~(kGeneration - 1)) | kAlways | kArmed);
  disarm(memory);
  EXPECT_EQ(memory.bias().load(), kAlways);
}

// A sleeper that may not make others pass a barrier says so for good; a publisher that barriers do not reach looks anyway.
TEST(WaitTest, WhereTheKernelRefusesBarriersEveryCommitLooks) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  const Bus bus = Bus::at(topic.directory());
  auto refused = Child::fork([&] {
    sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      return 1;
    const Bed bed = parked_bed(memory, 0);
    bed.word->fetch_or(bed.bit);
    auto publisher = bus.publisher(RingTopic::kName);
    if (!publisher.publish("looks, though nobody has armed") || anyone_parked(memory)) return 2;
    static_cast<void>(bed.announce(memory, Waker::commit));
    return memory.bias().load() == (kArmed | kAlways | kOnePark) ? 0 : 3;
  });
  ASSERT_EQ(refused.wait(), 0);
  disarm(memory);
  EXPECT_EQ(memory.bias().load() & kAlways, kAlways);
  auto publisher = bus.publisher(RingTopic::kName);
  ASSERT_TRUE(publisher.publish("looks"));
  EXPECT_FALSE(anyone_parked(memory));
}

// Row 35.
TEST(WaitTest, AWakeClearsEveryBitAndRingsOnce) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  for (const std::uint32_t slot : {0U, 2U}) static_cast<void>(parked_bed(memory, slot).announce(memory, Waker::commit));
  EXPECT_TRUE(anyone_parked(memory));
  wake_parked(memory);
  EXPECT_FALSE(anyone_parked(memory));
  wake_parked(memory);
  for (std::uint32_t slot = 0; slot < 4; ++slot)
    EXPECT_EQ(memory.subscription(slot).doorbell.load(), slot % 2 == 0 ? 1U : 0U) << slot;
}

// Row 56: bits of rows that there are not.
TEST(WaitTest, BitsBeyondTheTableRingNothing) {
  const RingTopic topic;
  const SegmentMemory& memory = topic.memory();
  memory.parked[0].store(~0ULL);
  memory.waiting[0].store(~0ULL);
  for (std::uint32_t slot = 0; slot < 4; ++slot) memory.waiting_line(slot).blocker.store(0);
  wake_parked(memory);
  wake_waiting(memory, 0, 64);
  EXPECT_EQ(memory.parked[0].load(), 0U);
  EXPECT_EQ(memory.waiting[0].load(), ~0ULL << 4);
  for (std::uint32_t slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(memory.subscription(slot).doorbell.load(), 1U);
    EXPECT_EQ(memory.waiting_line(slot).doorbell.load(), 1U);
  }
}

TEST(WaitTest, OnlyThoseAreWokenWhoWaitForThatBlockerAndThatFar) {
  const std::uint64_t first = (1ULL << 63) - 64;  // the position they wait for is beyond the sign's change
  const RingTopic topic(small_spec(false, first));
  const SegmentMemory& memory = topic.memory();
  const auto wait = [&](std::uint32_t publisher, std::uint32_t blocker, std::uint64_t position) {
    memory.waiting_line(publisher).blocker.store(blocker);
    memory.waiting_line(publisher).position.store(position);
    static_cast<void>(waiting_bed(memory, publisher).announce(memory, Waker::release));
  };
  wait(0, 2, first + 128);
  wait(1, 2, first + 192);
  wait(2, 3, first + 64);
  wait(3, 2 | kBlockedByPublisher, first + 64);
  wake_waiting(memory, 2, first + 64);
  EXPECT_EQ(memory.waiting[0].load(), 15U);
  wake_waiting(memory, 2, first + 128);
  EXPECT_EQ(memory.waiting[0].load(), 14U);
  wake_waiting(memory, 2 | kBlockedByPublisher, first + 64);
  EXPECT_EQ(memory.waiting[0].load(), 6U);
  wake_waiting(memory, 2, first + 4096);
  EXPECT_EQ(memory.waiting[0].load(), 4U);
}

// Row 3: a publisher died between clearing the bit and ringing; the message was not for nothing.
TEST(WaitTest, ASleeperThatNobodyRangFindsItsMessageByItselfAndCountsThat) {
  const RingTopic topic;
  const Bus bus = Bus::at(topic.directory());
  auto subscriber = bus.subscriber(RingTopic::kName, {.wait = Wait::park});
  auto child = Child::fork([&] {
    Writer writer = topic.writer();
    while (!anyone_parked(topic.memory())) ::usleep(100);
    ::usleep(1000);  // it has looked for the last time, most likely
    topic.memory().parked[0].store(0);
    return put(writer, "text") ? 0 : 1;
  });
  EXPECT_EQ(text_of(subscriber.receive()), "text");
  EXPECT_EQ(child.wait(), 0);
  EXPECT_LE(topic.memory().subscription(0).backstops.load(), 1U);
}

}  // namespace

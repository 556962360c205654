// Where a subscription starts, goes on and ends; what a lossy one counts from there; topics that come and go under it.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"

namespace {

using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::From;
using ringway::Reliability;
using ringway::detail::visible_tail;

constexpr std::uint64_t kFirst = (1ULL << 63) - 1024;  // positions change their sign on the way
const ringway::SubscriptionOptions kLossy{.reliability = Reliability::lossy};

// A 4 KiB topic, the API on it, and its words.
struct Joined {
  explicit Joined(bool is_exclusive) : topic(small_spec(is_exclusive, kFirst)) {}
  std::uint64_t publish(int count, std::size_t bytes = 96) {
    for (int i = 0; i < count; ++i) EXPECT_TRUE(publisher.publish(pattern(published++, bytes), 20s));
    return visible_tail(topic.memory());
  }
  RingTopic topic;
  Bus bus = Bus::at(topic.directory());
  ringway::Publisher publisher = bus.publisher("t");
  std::uint64_t published = 0;
};
struct SharedJoinTest : Joined, testing::Test {
  SharedJoinTest() : Joined(false) {}
};
struct SharedAndExclusive : Joined, testing::TestWithParam<bool> {
  SharedAndExclusive() : Joined(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(JoinTest, SharedAndExclusive, testing::Bool(),
                         [](const auto& each) { return each.param ? "Exclusive" : "Shared"; });

TEST_P(SharedAndExclusive, AnEphemeralSubscriptionStartsWithTheNextMessage) {
  publish(3);
  auto subscriber = bus.subscriber("t");
  EXPECT_EQ(subscriber.try_receive().status(), Code::would_block);
  publish(1);
  EXPECT_EQ(text_of(subscriber.try_receive()), pattern(3, 96));
}

TEST_P(SharedAndExclusive, ANamedSubscriptionStartsWithTheOldestMessage) {
  publish(100);
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  EXPECT_EQ(subscriber.position(), topic.oldest());
  const auto first = subscriber.try_receive();
  EXPECT_EQ(first.text(), pattern(first.sequence(), 96));
  EXPECT_GT(first.sequence(), 60U);
  EXPECT_LT(first.sequence(), 80U);
}

TEST_P(SharedAndExclusive, StartsAtThePositionOfAnyMessageInTheRing) {
  publish(100);
  std::vector<std::uint64_t> positions;
  auto reader = bus.subscriber("t", {.from = From::oldest});
  while (const auto message = reader.try_receive()) positions.push_back(message.position());
  ASSERT_GT(positions.size(), 20U);
  for (const std::uint64_t position : positions) {
    auto subscriber = bus.subscriber("t", {.from = From::at(position)});
    EXPECT_EQ(subscriber.try_receive().position(), position);
  }
  auto at_the_end = bus.subscriber("t", {.from = From::at(positions.back() + 128)});
  publish(1);
  EXPECT_EQ(text_of(at_the_end.try_receive()), pattern(100, 96));
}

TEST_P(SharedAndExclusive, APositionWhereNothingStartsIsRefused) {
  const std::uint64_t tail = publish(100);
  for (const std::uint64_t position :
       {tail + 64, tail + 128, tail - 64, tail - 1, topic.oldest() - 128, kFirst, std::uint64_t{0}}) {
    for (const auto reliability : {Reliability::reliable, Reliability::lossy}) {
      EXPECT_TRUE(is_error(
          thrown([&] { return bus.subscriber("t", {.from = From::at(position), .reliability = reliability}); }),
          Code::invalid_argument, std::to_string(position)));
      EXPECT_TRUE(is_error(thrown([&] { return bus.create_subscription("t", "orders", {.from = From::at(position)}); }),
                           Code::invalid_argument));
    }
  }
  EXPECT_TRUE(bus.topic("t").subscriptions.empty());
}

TEST_P(SharedAndExclusive, SeekGoesWhereItIsTold) {
  const std::uint64_t tail = publish(20);
  for (const auto reliability : {Reliability::reliable, Reliability::lossy}) {
    auto subscriber = bus.subscriber("t", {.from = From::oldest, .reliability = reliability});
    ASSERT_TRUE(subscriber.try_receive());
    EXPECT_TRUE(subscriber.seek(From::newest));
    EXPECT_EQ(subscriber.position(), tail);
    EXPECT_TRUE(subscriber.seek(From::oldest));
    EXPECT_EQ(text_of(subscriber.try_receive()), pattern(0, 96));
    EXPECT_TRUE(subscriber.seek(From::at(tail - 128)));
    EXPECT_EQ(text_of(subscriber.try_receive()), pattern(19, 96));
    EXPECT_EQ(subscriber.seek(From::at(tail - 64)), Code::invalid_argument);
    EXPECT_EQ(subscriber.seek(From::at(tail + 64)), Code::invalid_argument);
    EXPECT_EQ(subscriber.position(), tail);
    EXPECT_EQ(subscriber.lost(), 0U);
  }
}

TEST_P(SharedAndExclusive, SeekIsBusyWhileAViewIsHeld) {
  publish(3);
  auto subscriber = bus.subscriber("t", {.from = From::oldest});
  {
    const auto held = subscriber.try_receive();
    EXPECT_EQ(subscriber.seek(From::newest), Code::busy);
    EXPECT_EQ(text_of(held), pattern(0, 96));
  }
  EXPECT_EQ(subscriber.poll([&](const ringway::Message&) { EXPECT_EQ(subscriber.seek(From::newest), Code::busy); }, 1),
            1U);
  EXPECT_EQ(subscriber.position(), kFirst + 256);
  EXPECT_TRUE(subscriber.seek(From::newest));
}

// `oldest` moves all the time, and may pass a place just joined at; but what lies there is not overwritten any more.
TEST_P(SharedAndExclusive, JoiningWhilePublishersLapIsNeverTooLate) {
  auto subscriber = bus.subscriber("t");
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) published += publisher.try_publish(pattern(published, 450)) ? 1 : 0;
  });
  for (int i = 0; i < rounds(100'000) && !HasFailure(); ++i) {
    EXPECT_TRUE(subscriber.seek(From::oldest));
    const std::uint64_t position = subscriber.position();
    const auto message = subscriber.receive(20s);
    EXPECT_EQ(message.status().code(), Code::ok) << "round " << i;
    EXPECT_EQ(message.position(), position);
    EXPECT_EQ(message.text(), pattern(message.sequence(), 450));
  }
  done = true;
  other.join();
}

// A publisher held back by the cursor goes on when a seek moves it.
TEST_P(SharedAndExclusive, SeekingForwardLetsAWaitingPublisherThrough) {
  auto subscriber = bus.subscriber("t");
  while (publisher.try_publish(pattern(0, 96))) {
  }
  std::thread other([&] { EXPECT_TRUE(publisher.publish("through", 20s)); });
  while (!ringway::detail::anyone_waiting(topic.memory())) std::this_thread::yield();
  EXPECT_TRUE(subscriber.seek(From::newest));
  other.join();
}

TEST_P(SharedAndExclusive, ADurableSubscriptionGoesOnAfterItsLastReleasedMessage) {
  ASSERT_TRUE(bus.create_subscription("t", "orders"));
  EXPECT_FALSE(bus.create_subscription("t", "orders"));
  publish(6);
  {
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    const auto first = subscriber.try_receive();
    auto second = subscriber.try_receive();
    const auto third = subscriber.try_receive();
    EXPECT_TRUE(second.release());  // its cursor stays at the first
  }
  {
    auto subscriber =
        bus.subscriber("t", {.name = "orders", .from = From::newest});  // only looked at when it is created
    EXPECT_EQ(text_of(subscriber.try_receive()), pattern(3, 96));       // all three went with their handles, in order
    EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "orders"}); }), Code::taken, "orders"));
    EXPECT_TRUE(is_error(thrown([&] { return (bus.remove_subscription("t", "orders"), 0); }), Code::taken, "orders"));
  }
  EXPECT_TRUE(
      is_error(thrown([&] { return bus.subscriber("t", {.name = "orders", .reliability = Reliability::lossy}); }),
               Code::mismatch, "orders"));
  bus.remove_subscription("t", "orders");
  EXPECT_TRUE(is_error(thrown([&] { return (bus.remove_subscription("t", "orders"), 0); }), Code::not_found, "orders"));
  EXPECT_TRUE(bus.create_subscription("t", "orders", {.from = From::newest}));
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  EXPECT_EQ(subscriber.try_receive().status(), Code::would_block);
}

// Row 4.
TEST_P(SharedAndExclusive, AKilledOwnersUnreleasedMessagesComeAgain) {
  ASSERT_TRUE(bus.create_subscription("t", "orders"));
  publish(5);
  Pipe holding;
  auto child = Child::fork([&] {
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    static_cast<void>(subscriber.try_receive());
    const auto second = subscriber.try_receive();
    auto third = subscriber.try_receive();
    third.release();
    holding.signal();
    return ::pause();
  });
  ASSERT_TRUE(holding.await());
  child.kill(SIGKILL);
  child.wait();
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  for (std::uint64_t i = 1; i < 5; ++i) EXPECT_EQ(text_of(subscriber.try_receive()), pattern(i, 96));
}

// Row 10.20: made ahead of its first reader, it misses nothing.
TEST(CreatedAheadTest, ASubscriptionMadeAheadKeepsEveryMessage) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  EXPECT_TRUE(
      is_error(thrown([&] { return bus.create_subscription("t", "orders", {.if_missing = ringway::IfMissing::fail}); }),
               Code::not_found));
  EXPECT_TRUE(bus.create_subscription("t", "orders"));
  EXPECT_TRUE(bus.publisher("t").publish("first"));
  const auto info = bus.topic("t");
  ASSERT_EQ(info.subscriptions.size(), 1U);
  EXPECT_FALSE(info.subscriptions[0].attached);
  EXPECT_EQ(info.subscriptions[0].lag_bytes, 64U);
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  EXPECT_EQ(text_of(subscriber.try_receive()), "first");
}

// Padding behind a run is let go with it; the cursor in the table never goes back.
TEST_F(SharedJoinTest, PollLetsThePaddingBehindItsRunGoToo) {
  for (const bool held : {false, true}) {
    auto subscriber = bus.subscriber("t");
    const auto& cursor = topic.memory().subscription(0).cursor;
    publish(3);
    static_cast<void>(publisher.claim(10));  // aborted
    std::optional<ringway::Message> first;
    if (held) first = subscriber.try_receive();
    EXPECT_EQ(subscriber.poll([](const ringway::Message&) {}, 100), held ? 2U : 3U);
    first.reset();
    EXPECT_EQ(cursor.load(), visible_tail(topic.memory()));
    EXPECT_EQ(topic.memory().subscription(0).received.load(), 3U);
  }
}

// Row 69. Received and lost add up to what was published since it joined; the last are known once it is idle.
void expect_account(ringway::Subscriber& subscriber, std::uint64_t published, std::uint64_t lost) {
  std::uint64_t received = 0;
  while (subscriber.try_receive()) ++received;
  EXPECT_EQ(subscriber.status(), Code::would_block);
  EXPECT_EQ(received + subscriber.lost(), published);
  EXPECT_GE(subscriber.lost(), lost);
  EXPECT_TRUE(lost != 0 || subscriber.lost() == 0) << subscriber.lost();
}

TEST_P(SharedAndExclusive, ALossySubscriptionCountsFromWhereItJoined) {
  publish(100);
  auto newest = bus.subscriber("t", kLossy);
  auto oldest = bus.subscriber("t", {.from = From::oldest, .reliability = Reliability::lossy});
  const std::uint64_t in_the_ring = (visible_tail(topic.memory()) - topic.oldest()) / 128;
  publish(1000);
  expect_account(newest, 1000, 900);
  expect_account(oldest, 1000 + in_the_ring, 900);
  const std::uint64_t lost = newest.lost();
  publish(3);
  expect_account(newest, 3 + lost, 900);
}

TEST_P(SharedAndExclusive, ALossySubscriptionCountsWhatWasOvertakenToTheLast) {
  auto subscriber = bus.subscriber("t", kLossy);
  publish(500);
  topic.memory().oldest().store(visible_tail(topic.memory()));  // all of it was given up
  expect_account(subscriber, 500, 500);
}

TEST_P(SharedAndExclusive, ASeekIsNoLoss) {
  auto subscriber = bus.subscriber("t", kLossy);
  publish(500);
  EXPECT_TRUE(subscriber.seek(From::newest));
  EXPECT_EQ(subscriber.lost(), 0U);
  publish(500);
  expect_account(subscriber, 500, 400);
}

TEST_F(SharedJoinTest, ALossySubscriptionCountsPublishersThatCameLater) {
  auto subscriber = bus.subscriber("t", kLossy);
  auto later = bus.publisher("t");
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(later.publish("later"));
  publish(300);
  expect_account(subscriber, 600, 500);
}

// It was joined behind a claim under way: that message lies before its place.
TEST_F(SharedJoinTest, AClaimUnderWayWhenALossySubscriptionJoinedIsNoLoss) {
  for (const bool committed : {true, false}) {
    auto other = bus.publisher("t");
    ASSERT_TRUE(other.publish("before"));
    auto open = other.claim(10);
    auto subscriber = bus.subscriber("t", kLossy);
    if (committed) open.commit(0);
    if (!committed) open.abort();
    ASSERT_TRUE(other.publish("after"));
    expect_account(subscriber, 1, 0);
  }
}

// The half-state of a publisher between the tag and its counter: the message is there, and not counted yet.
TEST(HalfCountedTest, AMessageThatIsNotCountedYetIsNoLoss) {
  for (const bool exclusive : {false, true}) {
    const RingTopic topic(small_spec(exclusive, kFirst));
    const Bus bus = Bus::at(topic.directory());
    Writer writer = topic.writer();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(put(writer, "text"));
    auto& sequence = topic.memory().publisher(0).sequence;
    if (exclusive) topic.memory().tail().store(kFirst + 128);
    if (!exclusive) topic.memory().publisher(0).record.store((kFirst + 128) | 3);
    sequence.store(2);
    auto subscriber = bus.subscriber("t", kLossy);
    EXPECT_EQ(subscriber.position(), kFirst + 192);
    sequence.store(3);
    topic.memory().publisher(0).record.store(0);
    ASSERT_TRUE(put(writer, "text"));
    expect_account(subscriber, 1, 0);
  }
}

// Row 10: everybody comes and goes at once; the topic goes with the last one, and comes again.
TEST(TemporaryTopicTest, IsRemovedWithItsLastLeaver) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  const ringway::TopicOptions temporary{.temporary = true};
  {
    auto publisher = bus.publisher("t", {.topic = temporary});
    auto subscriber = bus.subscriber("t");
    { const auto observer = bus.observer("t"); }
    { auto gone = std::move(publisher); }
    EXPECT_EQ(bus.topics().size(), 1U);
    auto durable = bus.subscriber("t", {.name = "orders"});
    { auto gone = std::move(subscriber); }  // a durable subscription does not keep a temporary topic
    EXPECT_TRUE(bus.topics().empty());
    EXPECT_EQ(durable.receive(20s).status(), Code::topic_gone);
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(TemporaryTopicTest, IsNotLeftOverByManyProcessesThatLeaveAtOnce) {
  const ScratchDir scratch;
  constexpr int kLeavers = 4;
  struct Meeting {
    std::atomic<int> attached, left, looked;
  };
  auto& meeting = *new (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Meeting{};
  const int all_rounds = rounds(400);
  // Each attaches, waits for the others, leaves with them, waits for them again, and looks at what is left.
  const auto leave_again_and_again = [&](int which) {
    const Bus bus = Bus::at(scratch.path().string());
    for (int round = 1; round <= all_rounds; ++round) {
      const auto meet = [&](std::atomic<int>& count) {
        ++count;
        while (count < kLeavers * round) std::this_thread::yield();
      };
      const auto leave = [&](const auto& handle) {
        static_cast<void>(handle);
        meet(meeting.attached);
      };
      if (which % 2 == 0) leave(bus.publisher("t", {.attach_timeout = 20s, .topic = {.temporary = true}}));
      if (which % 2 == 1) leave(bus.subscriber("t", {.attach_timeout = 20s, .topic = {.temporary = true}}));
      meet(meeting.left);
      if (which == 0 && !std::filesystem::is_empty(scratch.path())) return round;
      meet(meeting.looked);
    }
    return 0;
  };
  std::vector<Child> leavers;
  leavers.reserve(kLeavers);
  for (int i = 0; i < kLeavers; ++i) leavers.push_back(Child::fork([&, i] { return leave_again_and_again(i); }));
  EXPECT_EQ(leavers[0].wait(), 0) << "the round in which it was left over";
  for (auto& leaver : leavers) {
    if (testing::Test::HasFailure()) break;
    EXPECT_EQ(leaver.wait(), 0);
  }
}

// Row 37.
TEST(RemovedTopicTest, SleepersOfEveryKindLearnItFromTheirBackstop) {
  for (const auto wait : {ringway::Wait::spin, ringway::Wait::spin_then_park, ringway::Wait::park}) {
    const RingTopic topic;
    const Bus bus = Bus::at(topic.directory());
    auto publisher = bus.publisher("t", {.wait = wait});
    auto reliable = bus.subscriber("t", {.name = "orders", .wait = wait});
    auto lossy = bus.subscriber("t", {.reliability = Reliability::lossy, .wait = wait});
    auto observer = bus.observer("t");
    auto slow = bus.subscriber("t");
    while (publisher.try_publish(pattern(0, 96))) {
    }
    std::atomic<int> told{0};
    const auto drain = [&](auto& reader) {
      for (;;) {
        const auto message = reader.receive(20s);
        if (message) continue;
        EXPECT_EQ(message.status(), Code::topic_gone);
        ++told;
        return;
      }
    };
    std::vector<std::thread> sleepers;
    sleepers.emplace_back([&] { drain(reliable); });
    sleepers.emplace_back([&] { drain(lossy); });
    sleepers.emplace_back([&] { drain(observer); });
    sleepers.emplace_back([&] {
      EXPECT_EQ(publisher.publish("", 20s), Code::topic_gone);
      ++told;
    });
    std::this_thread::sleep_for(2ms);
    EXPECT_EQ(told, 0);
    bus.remove_topic("t");
    for (auto& sleeper : sleepers) sleeper.join();
    EXPECT_EQ(told, 4);
    EXPECT_EQ(slow.seek(From::oldest), Code::topic_gone);
  }
}

// Rows 42, 49: by the API, and by somebody with rm.
TEST(RemovedTopicTest, ThoseOnTheOldFilesAreToldThoughTheNameIsThereAgain) {
  for (const bool by_hand : {false, true}) {
    const ScratchDir scratch;
    const Bus bus = Bus::at(scratch.path().string());
    auto publisher = bus.publisher("t", {.topic = {.capacity_bytes = 32 << 10}});
    auto subscriber = bus.subscriber("t");
    auto lossy = bus.subscriber("t", kLossy);
    auto observer = bus.observer("t");
    ASSERT_TRUE(publisher.publish("old"));
    if (by_hand)
      for (const char* half : {"t.data", "t.control"}) std::filesystem::remove(scratch.path() / half);
    else
      bus.remove_topic("t");
    auto again = bus.publisher("t");
    auto on_the_new = bus.subscriber("t");
    ASSERT_TRUE(again.publish("new"));
    EXPECT_EQ(text_of(subscriber.receive(20s)), "old");  // what was published to it is still there
    EXPECT_EQ(subscriber.receive(20s).status(), Code::topic_gone);
    EXPECT_EQ(text_of(lossy.receive(20s)), "old");
    EXPECT_EQ(lossy.receive(20s).status(), Code::topic_gone);
    EXPECT_EQ(text_of(observer.receive(20s)), "old");
    EXPECT_EQ(observer.receive(20s).status(), Code::topic_gone);
    ringway::Status status;
    for (int i = 0; i < 10'000 && status; ++i) status = publisher.publish(pattern(0, 900), 20s);
    EXPECT_EQ(status, Code::topic_gone);
    EXPECT_EQ(text_of(on_the_new.receive(20s)), "new");
    EXPECT_EQ(on_the_new.try_receive().status(), Code::would_block);
  }
}

}  // namespace

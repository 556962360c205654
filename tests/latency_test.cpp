// Latency inside: subscriptions of a topic with the option `latency` count the times from commit to receive.

#include <gtest/gtest.h>

#include <array>
#include <latch>
#include <optional>
#include <string>
#include <thread>

#include "ringway/detail/layout.hpp"
#include "ringway/ringway.hpp"
#include "support/thrown.hpp"

namespace {

using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway_test::thrown;

ringway::SubscriptionInfo subscription_of(const ringway::Bus& bus, const std::string& topic) {
  const auto subscriptions = bus.topic(topic).subscriptions;
  EXPECT_EQ(subscriptions.size(), 1U);
  return subscriptions.at(0);
}

// Every kind of subscription, by receive and by poll.
TEST(LatencyTest, EachMessageReceivedIsCountedOnce) {
  const auto bus = ringway::Bus::temporary();
  const ringway::SubscriptionOptions kinds[] = {
      {}, {.reliability = ringway::Reliability::lossy}, {.max_lag_bytes = 16_KiB}};
  for (const auto& kind : kinds) {
    bus.create_topic("t", {.capacity_bytes = 64_KiB, .latency = true});
    EXPECT_EQ(bus.topic("t").options.stamped, true);
    auto out = bus.publisher("t");
    auto in = bus.subscriber("t", kind);
    EXPECT_EQ(subscription_of(bus, "t").latency.total(), 0U);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
    for (int i = 0; i < 10; ++i) {
      const auto message = in.receive();
      EXPECT_EQ(message.text(), std::to_string(i));
    }
    int next = 10;
    EXPECT_EQ(in.poll([&](const ringway::Message& message) { EXPECT_EQ(message.text(), std::to_string(next++)); }, 64),
              10U);
    EXPECT_FALSE(in.try_receive());
    const auto seen = subscription_of(bus, "t");
    EXPECT_EQ(seen.latency.total(), 20U);
    EXPECT_EQ(seen.received, 20U);
    EXPECT_GT(seen.latency.percentile_ns(0.99), 0U);
    bus.remove_topic("t");
  }
}

TEST(LatencyTest, ViewsOfATopicThatCountsAreHeldAndReleasedAsOfAnyOther) {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("t", {.topic = {.latency = true}});
  auto in = bus.subscriber("t", {.name = "s"});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
  auto first = in.receive();
  auto second = in.receive();
  EXPECT_EQ(first.text(), "0");
  EXPECT_EQ(second.text(), "1");
  second.release();
  EXPECT_EQ(subscription_of(bus, "t").cursor, first.position());
  first.release();
  EXPECT_EQ(in.poll([](const ringway::Message&) { return false; }, 1), 0U);  // put back
  const auto third = in.receive();
  EXPECT_EQ(third.text(), "2");
  EXPECT_TRUE(first.status() == ringway::Code::closed);
}

TEST(LatencyTest, AnObserverReadsAndCountsNothing) {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("t", {.topic = {.latency = true}});
  bus.create_subscription("t", "s");
  ASSERT_TRUE(out.publish("hello"));
  auto look = bus.observer("t", {.from = ringway::From::oldest});
  const auto seen = look.try_receive();
  EXPECT_EQ(seen.text(), "hello");
  EXPECT_EQ(subscription_of(bus, "t").latency.total(), 0U);
}

// New, taken ahead, and taken ahead by somebody who has left: each counts when somebody first has it, and never again.
TEST(LatencyTest, EachJobIsCountedOnceAtItsFirstAttempt) {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("t", {.topic = {.latency = true}});
  const ringway::GroupOptions ahead = {.group = "g", .prefetch = 4, .retry_delay = 0ns};
  std::optional<ringway::GroupMember> leaves(bus.group_member("t", ahead));
  auto stays = bus.group_member("t", {.group = "g"});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
  const auto counted = [&] { return subscription_of(bus, "t").latency.total(); };
  EXPECT_TRUE(leaves->try_receive().ack());  // 0, and takes 1 to 3 ahead
  EXPECT_EQ(counted(), 1U);
  EXPECT_TRUE(leaves->try_receive().nack());  // 1
  EXPECT_EQ(counted(), 2U);
  auto again = stays.receive(10s);
  EXPECT_EQ(again.text(), "1");
  EXPECT_EQ(again.attempt(), 2U);
  EXPECT_TRUE(again.nack());
  EXPECT_EQ(counted(), 2U);
  leaves.reset();  // gives 2 and 3 back
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stays.receive(10s).ack());
  const auto seen = subscription_of(bus, "t");
  EXPECT_EQ(seen.latency.total(), 4U);
  EXPECT_EQ(seen.received, 4U);
  EXPECT_GT(seen.latency.percentile_ns(0.99), 0U);
}

TEST(LatencyTest, MembersThatCountAtOnceCountEveryJob) {
  constexpr int kJobs = 100'000;
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("t", {.topic = {.capacity_bytes = 8_MiB, .latency = true}});
  bus.create_group("t", "g");
  for (int i = 0; i < kJobs; ++i) ASSERT_TRUE(out.publish("job"));
  std::latch attached(4);
  std::array<std::thread, 4> members;
  for (auto& member : members)
    member = std::thread([&] {
      auto jobs = bus.group_member("t", {.group = "g"});
      attached.arrive_and_wait();
      while (auto job = jobs.try_receive()) EXPECT_TRUE(job.ack());
    });
  for (auto& member : members) member.join();
  EXPECT_EQ(subscription_of(bus, "t").received, std::uint64_t{kJobs});
  EXPECT_EQ(subscription_of(bus, "t").latency.total(), std::uint64_t{kJobs});
}

TEST(LatencyTest, ItIsOffUnlessAskedFor) {
  const auto bus = ringway::Bus::temporary();
  bus.create_topic("t", {.stamped = true});
  auto out = bus.publisher("t");
  auto in = bus.subscriber("t");
  ASSERT_TRUE(out.publish("hello"));
  EXPECT_TRUE(in.receive());
  EXPECT_TRUE(bus.group_member("t", {.group = "g"}).try_receive().ack());
  EXPECT_EQ(bus.topic("t").options.latency, false);
  for (const auto& one : bus.topic("t").subscriptions) EXPECT_TRUE(one.latency.counts.empty()) << one.name;
  EXPECT_EQ(thrown([&] { bus.create_topic("t", {.latency = true}); }).code, ringway::Code::mismatch);
  EXPECT_EQ(thrown([&] { bus.create_topic("u", {.stamped = false, .latency = true}); }).code,
            ringway::Code::invalid_argument);
}

TEST(LatencyTest, BucketsCoverEveryTimeOnceAndInOrder) {
  namespace detail = ringway::detail;
  EXPECT_EQ(detail::histogram_bucket(0), 0U);
  EXPECT_EQ(detail::histogram_bucket(~0ULL), detail::kHistogramBuckets - 1);
  for (std::size_t bucket = 1; bucket < detail::kHistogramBuckets; ++bucket) {
    const std::uint64_t start = detail::histogram_bucket_start(bucket);
    EXPECT_EQ(detail::histogram_bucket(start), bucket);
    EXPECT_EQ(detail::histogram_bucket(start - 1), bucket - 1);
  }
}

}  // namespace

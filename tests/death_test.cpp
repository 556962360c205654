// Real deaths, by SIGKILL, of processes that hold claims, messages and names; and what the survivors get.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {

using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::From;
using ringway::IfTaken;
using ringway::Reliability;
using ringway::Wait;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kSmall;
using ringway_test::pattern;
using ringway_test::Pipe;
using ringway_test::rounds;
using ringway_test::text_of;
using ringway_test::thrown;

class DeathTest : public ringway_test::TopicFiles {
 protected:
  // A publisher that dies inside its claim, half of the payload written.
  static Child claimer(const Bus& bus, Pipe& claimed, std::size_t bytes = 500) {
    return Child::fork([&bus, &claimed, bytes] {
      auto out = bus.publisher("t", {.name = "ghost", .topic = kSmall});
      auto claim = out.claim(bytes);
      for (auto& byte : claim.payload().first(bytes / 2)) byte = std::byte{0xEE};
      claimed.signal();
      for (;;) ::pause();
      return 1;
    });
  }
};

// Rows 1, 2, 10.5: parked receivers go on after a publisher's death, without its half-written payload.
TEST_F(DeathTest, ParkedReceiversPassTheClaimOfAKilledPublisher) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  auto in = bus.subscriber("t", {.name = "durable", .wait = Wait::park});
  Pipe claimed;
  Child ghost = claimer(bus, claimed);
  ASSERT_TRUE(claimed.await());
  ASSERT_TRUE(out.publish("after it"));
  EXPECT_EQ(in.receive(1ms).status(), Code::timeout);  // a live claim is waited for
  std::thread killer([&] {
    std::this_thread::sleep_for(20ms);  // the receiver sleeps by now; earlier would do too
    ghost.kill(SIGKILL);
  });
  EXPECT_EQ(text_of(in.receive()), "after it");
  killer.join();
}

// Rows 1, 10.2: a publisher parked behind the claim goes on too, and the space comes round again.
TEST_F(DeathTest, AParkedPublisherPassesTheClaimOfAKilledOne) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.wait = Wait::park, .topic = kSmall});
  Pipe claimed;
  Child ghost = claimer(bus, claimed);
  ASSERT_TRUE(claimed.await());
  ringway::Status status;
  while (status) status = out.try_publish(pattern(1, 900));
  EXPECT_NE(status.text().find("ghost"), std::string::npos) << status;
  std::thread killer([&] {
    std::this_thread::sleep_for(20ms);
    ghost.kill(SIGKILL);
  });
  EXPECT_TRUE(out.publish(pattern(2, 900)));
  killer.join();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(out.publish(pattern(3, 900)));
}

// Rows 12, 20: while its owner is stopped nothing is repaired; afterwards its message is there.
TEST_F(DeathTest, AClaimOfAStoppedPublisherIsWaitedForAndCommitsAfterwards) {
  const Bus bus = this->bus();
  auto in = bus.subscriber("t", {.name = "durable", .topic = kSmall});
  Pipe claimed;
  Child child = Child::fork([&] {
    auto out = bus.publisher("t", {.name = "stopped"});
    auto claim = out.claim(4);
    claimed.signal();
    ::raise(SIGSTOP);
    std::memcpy(claim.payload().data(), "late", 4);
    return claim.commit() ? 0 : 1;
  });
  ASSERT_TRUE(claimed.await());
  ASSERT_TRUE(child.wait_stopped());
  auto out = bus.publisher("t");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(out.publish("behind it"));
  const auto nothing = in.receive(120ms);  // more than two backstops
  EXPECT_EQ(nothing.status(), Code::timeout);
  EXPECT_NE(nothing.status().text().find("stopped"), std::string::npos) << nothing.status();
  child.kill(SIGCONT);
  EXPECT_EQ(text_of(in.receive()), "late");
  EXPECT_EQ(text_of(in.receive()), "behind it");
  EXPECT_EQ(child.wait(), 0);
}

// Rows 1, 6, 71: publishers die inside claims again and again, several at once; nothing is lost, slots are used again.
TEST_F(DeathTest, AnyNumberOfDeathsInsideClaimsLosesNoMessage) {
  const Bus bus = this->bus();
  auto in = bus.subscriber("t", {.name = "all", .topic = {.capacity_bytes = 32 << 10, .max_publishers = 5}});
  auto out = bus.publisher("t");
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (int round = 0; round < rounds(20); ++round) {
    Pipe claimed;
    Child first = claimer(bus, claimed, 100);
    Child second = claimer(bus, claimed, 3000);
    ASSERT_TRUE(claimed.await() && claimed.await());
    first.kill(SIGKILL);
    second.kill(SIGKILL);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(out.publish(std::to_string(sent++)));
    for (int i = 0; i < 10; ++i) ASSERT_EQ(text_of(in.receive()), std::to_string(received++));
  }
  const auto info = bus.topic("t");
  EXPECT_LE(info.publishers.size(), 5U);
  EXPECT_EQ(info.subscriptions.at(0).received, sent);
}

// Row 7: many find the same dead claim at once; all come to the same end.
TEST_F(DeathTest, ManyThatFindTheSameDeadClaimComeToTheSameEnd) {
  for (int round = 0; round < rounds(10); ++round) {
    const Bus bus = Bus::at(directory().string());
    auto all = bus.subscriber("t", {.name = "all", .topic = kSmall});
    Pipe claimed;
    Child ghost = claimer(bus, claimed, 700);
    ASSERT_TRUE(claimed.await());
    auto out = bus.publisher("t");
    ASSERT_TRUE(out.publish("behind"));
    Pipe ready;
    const auto survivor = [&](bool publishes) {
      return Child::fork([&bus, &ready, publishes] {
        if (publishes) {
          auto in = bus.subscriber("t", {.from = From::oldest});
          auto another = bus.publisher("t");
          ready.signal();
          return another.publish("new") && text_of(in.receive()) == "behind" && text_of(in.receive()) == "new" ? 0 : 1;
        }
        auto in = bus.subscriber("t", {.from = From::oldest, .reliability = Reliability::lossy});
        ready.signal();
        return text_of(in.receive()) == "behind" && text_of(in.receive()) == "new" ? 0 : 1;
      });
    };
    Child one = survivor(false);
    Child two = survivor(false);
    ASSERT_TRUE(ready.await() && ready.await());
    ghost.kill(SIGKILL);
    Child three = survivor(true);
    EXPECT_EQ(text_of(all.receive()), "behind");
    EXPECT_EQ(text_of(all.receive()), "new");
    EXPECT_EQ(one.wait() + two.wait() + three.wait(), 0);
    bus.remove_topic("t");
  }
}

// Row 5, 10.22: a durable subscription's owner dies with messages in hand; publishers go on until the ring is full.
TEST_F(DeathTest, ADurableSubscriptionHoldsWhatItsKilledOwnerHadNotReleased) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  std::uint64_t sent = 0;
  std::uint64_t next = 0;
  bus.create_subscription("t", "orders", {});
  for (int round = 0; round < rounds(10); ++round) {
    while (out.try_publish(std::to_string(sent))) ++sent;
    Pipe holds;
    Child owner = Child::fork([&] {
      auto in = bus.subscriber("t", {.name = "orders"});
      for (int i = 0; i < 100; ++i)
        if (text_of(in.receive()) != std::to_string(next + static_cast<unsigned>(i))) return 1;
      const auto held = in.receive();  // not released
      holds.signal();
      for (;;) ::pause();
      return 1;
    });
    ASSERT_TRUE(holds.await());
    owner.kill(SIGKILL);
    EXPECT_EQ(owner.wait(), 128 + SIGKILL);
    next += 100;
  }
  auto in = bus.subscriber("t", {.name = "orders"});
  for (; next < sent; ++next) ASSERT_EQ(text_of(in.try_receive()), std::to_string(next));
  EXPECT_FALSE(in.try_receive());
}

// Two processes want one name: the second is told whose it is, or takes over when the first dies.
TEST_F(DeathTest, ATakenNameIsRefusedWithItsOwnerOrWaitedFor) {
  const Bus bus = this->bus();
  bus.create_topic("t", kSmall);
  auto out = bus.publisher("t");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
  Pipe owns;
  Child owner = Child::fork([&] {
    auto in = bus.subscriber("t", {.name = "billing"});
    static_cast<void>(text_of(in.receive()));
    owns.signal();
    for (;;) ::pause();
    return 1;
  });
  ASSERT_TRUE(owns.await());
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "billing"}); }), Code::taken,
                       "pid " + std::to_string(owner.pid())));
  std::thread killer([&] {
    std::this_thread::sleep_for(30ms);  // the other waits by now; earlier would do too
    owner.kill(SIGKILL);
  });
  auto in = bus.subscriber("t", {.name = "billing", .if_taken = IfTaken::wait});
  killer.join();
  for (int i = 1; i < 5; ++i) EXPECT_EQ(text_of(in.try_receive()), std::to_string(i));

  const Bus another = this->bus();
  another.interrupt();
  EXPECT_TRUE(is_error(thrown([&] { return another.subscriber("t", {.name = "billing", .if_taken = IfTaken::wait}); }),
                       Code::interrupted, "interrupt"));
}

// A lag limit: nobody waits for the subscription, the newest n bytes are kept for it, and the rest is counted.
TEST_F(DeathTest, ALimitedSubscriptionKeepsTheNewestAndCountsTheRest) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.max_lag_bytes = (16 << 10) + 1}); }),
                       Code::invalid_argument, "16384"));
  EXPECT_TRUE(
      is_error(thrown([&] { return bus.subscriber("t", {.reliability = Reliability::lossy, .max_lag_bytes = 64}); }),
               Code::invalid_argument, "lossy"));
  for (const std::uint64_t limit : {std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{16384}}) {
    const std::string name = "limited" + std::to_string(limit);
    bus.create_subscription("t", name, {.from = From::newest, .max_lag_bytes = limit});
    EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = name}); }), Code::mismatch, "limited"));
    std::uint64_t sent = 0;
    for (; sent < 1000; ++sent) ASSERT_TRUE(out.try_publish(pattern(sent, 200)));  // frames of 256 bytes
    auto in = bus.subscriber("t", {.name = name, .max_lag_bytes = limit});
    std::uint64_t received = 0;
    std::uint64_t lost = 0;
    while (auto message = in.try_receive()) {
      lost += message.lost();
      EXPECT_EQ(text_of(message), pattern(received + lost, 200));
      ++received;
    }
    EXPECT_EQ(received + lost, sent) << limit;
    EXPECT_GE(received * 256, limit);
    EXPECT_EQ(in.lost(), lost);
    EXPECT_EQ(bus.topic("t").subscriptions.back().max_lag_bytes, limit);
  }
}

// Row 58: publishers go on, the owner is told.
TEST_F(DeathTest, ASubscriptionWithAnImpossibleCursorIsEvicted) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  auto in = bus.subscriber("t", {.name = "broken"});
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(out.publish(pattern(1, 900)));
    ASSERT_TRUE(in.try_receive());
  }
  ASSERT_TRUE(out.publish("held"));
  auto held = in.try_receive();
  const auto segment = ringway_test::map_topic(directory().string(), "t", ringway::detail::Role::subscribe);
  segment->memory().subscription(0).cursor.store(64);  // more than a ring behind
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(out.try_publish(pattern(2, 900)));
  EXPECT_EQ(held.release(), Code::evicted);
  ringway::Status status;
  for (int i = 0; i < 1000 && status; ++i) status = in.try_receive().status();
  EXPECT_TRUE(status == Code::evicted || status == Code::corrupt) << status;
  auto anew = bus.subscriber("t", {.name = "broken"});
  EXPECT_EQ(text_of(anew.try_receive()), pattern(2, 900));
}

}  // namespace

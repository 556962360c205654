// Publishers and subscribers of every kind as processes on one small topic, through the API: every wait strategy, every
// form of every call, payloads of every size, views let go in any order. Every message is accounted for.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/numbered.hpp"
#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::Reliability;
using ringway::Wait;

constexpr std::uint64_t kHalf = 1ULL << 63;  // where a signed position changes its sign

// What they tell each other; anonymous shared memory.
struct Board {
  std::atomic<std::uint32_t> subscribed, attached, done;
  std::array<std::atomic<std::uint64_t>, kMaxWriters> published;  // by each publisher, once it is done
};

enum class Kind : std::uint8_t { reliable, durable, lossy };

struct Processes {
  explicit Processes(const TopicSpec& spec) : topic(spec), bus(Bus::at(topic.directory())) {
    board = new (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Board{};
  }
  ~Processes() { ::munmap(board, 4096); }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  static void until(const std::atomic<std::uint32_t>& count, std::uint32_t wanted) {
    while (count.load() < wanted) ::usleep(200);
  }

  int publish(std::uint32_t which, Wait wait, std::uint32_t publishers, std::uint32_t subscribers,
              std::uint64_t messages) const {
    auto publisher = bus.publisher("t", {.wait = wait});
    ++board->attached;
    until(board->attached, publishers);
    until(board->subscribed, subscribers);
    Dice dice(which);
    std::vector<std::byte> buffer(publisher.max_payload_bytes());
    for (std::uint64_t number = 0; number < messages;) {
      const std::uint64_t size = sizeof(Head) + dice.up_to(dice.one_in(4) ? buffer.size() - sizeof(Head) : 200);
      const auto how = dice.up_to(6);
      const std::size_t batch = std::min(1 + dice.up_to(99), messages - number);
      if (how == 6 && size * batch <= buffer.size()) {
        for (std::size_t i = 0; i < batch; ++i) fill(buffer.data() + i * size, size, which, number + i);
        const auto done = publisher.publish_all(std::span(buffer).first(batch * size), size, 30s);
        if (!done) return complain("publish_all", done.status());
        number += batch;
        continue;
      }
      if (how <= 2) {
        fill(buffer.data(), size, which, number);
        const auto status = how == 0 ? publisher.try_publish(std::span(buffer).first(size))
                                     : publisher.publish(std::span(buffer).first(size), 30s);
        if (status) ++number;
        if (!status && !(how == 0 && status == Code::would_block)) return complain("publish", status);
        continue;
      }
      auto claim = how == 3 ? publisher.try_claim(size) : publisher.claim(size, 30s);
      if (!claim && how == 3 && claim.status() == Code::would_block) continue;
      if (!claim) return complain("claim", claim.status());
      std::memset(claim.payload().data(), 0xEE, size);
      if (dice.one_in(4)) continue;  // aborts itself
      const std::uint64_t length = dice.one_in(2) ? sizeof(Head) + dice.up_to(size - sizeof(Head)) : size;
      fill(claim.payload().data(), length, which, number++);
      if (const auto status = claim.commit(length); !status) return complain("commit", status);
    }
    board->published[which] = messages;
    ++board->done;
    return 0;
  }

  static int complain(const std::string& what, const ringway::Status& status) {
    std::cerr << "RINGWAY_TEST_SEED=" << seed() << ' ' << what << ": " << status << '\n';
    return 1;
  }
  static int complain(const std::string& what) {
    std::cerr << "RINGWAY_TEST_SEED=" << seed() << ' ' << what << '\n';
    return 1;
  }

  // Takes messages by poll or receive, holding some of them and letting go in any order. What was wrong, or nothing.
  static std::string take(ringway::Subscriber& subscriber, Checker& checker, Dice& dice, bool views) {
    std::string wrong;
    std::vector<ringway::Message> held;
    const auto check = [&](const ringway::Message& message) {
      std::uint64_t missed = 0;
      if (!wrong.empty()) return;
      wrong = checker.check(message.payload().data(), message.payload().size(), missed);
      if (wrong.empty() && missed != 0 && views) wrong = "missed " + std::to_string(missed);
      if (!wrong.empty()) wrong += " at " + std::to_string(message.position());
    };
    if (dice.one_in(2)) {
      const auto timeout = dice.one_in(3) ? 0ms : 5ms;
      if (dice.one_in(3)) {
        subscriber.poll([&](const ringway::Message& message) { return check(message), true; }, 1 + dice.up_to(20),
                        timeout);
      } else if (dice.one_in(3)) {  // stops before a message, which comes again
        subscriber.poll(
            [&, left = dice.up_to(3)](const ringway::Message& message) mutable {
              if (left-- == 0) return false;
              check(message);
              return true;
            },
            20, timeout);
      } else {
        subscriber.poll(check, 50, timeout);
      }
      return wrong;
    }
    for (std::uint64_t most = views ? 1 + dice.up_to(5) : 1; most > 0; --most) {
      auto message = subscriber.receive(held.empty() ? 5ms : 0ms);
      if (!message) break;
      check(message);
      held.push_back(std::move(message));
      if (dice.one_in(4)) held.erase(held.begin() + static_cast<std::ptrdiff_t>(dice.up_to(held.size() - 1)));
    }
    while (!held.empty()) {
      const auto which = held.begin() + static_cast<std::ptrdiff_t>(dice.up_to(held.size() - 1));
      if (dice.one_in(2)) which->release();
      held.erase(which);
    }
    return wrong;
  }

  int subscribe(Kind kind, std::uint32_t which, Wait wait, std::uint32_t publishers, std::uint64_t messages) const {
    ringway::SubscriptionOptions options{.wait = wait};
    if (kind == Kind::durable) options.name = "durable-" + std::to_string(which);
    if (kind == Kind::lossy) options.reliability = Reliability::lossy;
    auto subscriber = bus.subscriber("t", options);
    ++board->subscribed;
    Dice dice(100 + which);
    Checker checker;
    for (;;) {
      const bool last = board->done.load() == publishers;
      const std::uint64_t received = checker.received();
      if (kind == Kind::durable && dice.one_in(300)) {  // a new owner goes on where the old one left
        { auto gone = std::move(subscriber); }
        subscriber = bus.subscriber("t", options);
      }
      if (kind == Kind::lossy && dice.one_in(50)) ::usleep(2000);
      const std::string wrong = take(subscriber, checker, dice, kind != Kind::lossy);
      if (!wrong.empty()) return complain(wrong);
      const auto status = subscriber.status();
      if (!status && status != Code::would_block && status != Code::timeout) return complain("receive", status);
      if (last && checker.received() == received && subscriber.position() == visible_tail(topic.memory())) break;
    }
    const std::uint64_t lost = subscriber.lost();
    const std::uint64_t all = publishers * messages;
    if (checker.received() + lost != all)
      return complain("received " + std::to_string(checker.received()) + ", lost " + std::to_string(lost) + " of " +
                      std::to_string(all));
    if (kind != Kind::lossy && lost != 0) return complain("a reliable subscription lost " + std::to_string(lost));
    return 0;
  }

  RingTopic topic;
  Bus bus;
  Board* board;
};

void run_processes(const TopicSpec& given, std::uint32_t publishers, std::uint64_t messages) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(seed()));
  constexpr std::array kStrategies = {Wait::park, Wait::spin_then_park, Wait::spin};
  constexpr std::array kKinds = {Kind::reliable, Kind::durable, Kind::lossy};
  TopicSpec spec = given;
  spec.limits.max_subscriptions = 16;
  const Processes all(spec);
  std::vector<Child> children;
  for (std::uint32_t which = 0; which < 9; ++which)
    children.push_back(Child::fork(
        [&, which] { return all.subscribe(kKinds[which % 3], which, kStrategies[which / 3], publishers, messages); }));
  for (std::uint32_t which = 0; which < publishers; ++which)
    children.push_back(
        Child::fork([&, which] { return all.publish(which, kStrategies[which], publishers, 9, messages); }));
  for (auto& child : children) {
    EXPECT_EQ(child.wait(), 0);
    if (testing::Test::HasFailure()) return;  // the rest ends with its scope
  }
  const auto info = all.bus.topic("t");
  EXPECT_TRUE(spec.first_position == 0 || info.tail > kHalf) << "too few messages to come that far";
  for (const auto& publisher : info.publishers) {
    EXPECT_FALSE(publisher.alive);
    EXPECT_FALSE(publisher.open_claim);
  }
  ASSERT_EQ(info.subscriptions.size(), 3U);  // the durable ones stay, and have read everything
  for (const auto& subscription : info.subscriptions) {
    EXPECT_EQ(subscription.lag_bytes, 0U);
    EXPECT_EQ(subscription.received, publishers * messages);
    EXPECT_FALSE(subscription.attached);
  }
}

TEST(ProcessStressTest, SharedPublishersOnTheSmallestRing) { run_processes(small_spec(false), 2, times(2000)); }
TEST(ProcessStressTest, SharedPublishersOnTheSmallestPublicRing) {
  TopicSpec spec = small_spec(false);
  spec.limits.capacity_bytes = kMinCapacity;
  run_processes(spec, 2, times(3000));
}
TEST(ProcessStressTest, AnExclusivePublisher) { run_processes(small_spec(true), 1, times(3000)); }
// Row 72.
TEST(ProcessStressTest, PositionsThatPassTwoToTheSixtyThird) {
  run_processes(small_spec(false, kHalf - (1 << 14)), 2, times(1000));
  run_processes(small_spec(true, kHalf - (1 << 14)), 1, times(2000));
}

}  // namespace

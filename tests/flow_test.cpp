// What flows, and what does not: slow consumers, full rings and tables, laps, losses, handles that outlive each other.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "segment.hpp"
#include "support/child.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"
#include "topic.hpp"

namespace {

using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway::Message;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kSmall;
using ringway_test::Pipe;
using ringway_test::rounds;
using ringway_test::thrown;

bool says(const ringway::Status& status, const std::string& words) {
  return status.text().find(words) != std::string::npos;
}

// Fills the ring of a publisher; gives what stopped it.
ringway::Status fill(ringway::Publisher& out, std::size_t bytes = 1000) {
  const std::string text(bytes, 'x');
  for (;;)
    if (auto status = out.try_publish(text); !status) return status;
}

template <class Handle>
Handle& emptied(Handle& handle) {
  [[maybe_unused]] const Handle taken(std::move(handle));
  return handle;
}

class FlowTest : public ringway_test::TopicFiles {
 protected:
  // Waits, under the watchdog of the test, until the topic looks so.
  template <class Condition>
  void await(Condition condition) const {
    while (!condition(bus().topic("t"))) ::usleep(200);
  }
};

// Row 68
TEST_F(FlowTest, ASlowReliableConsumerHoldsPublishersBackAndIsNamed) {
  Pipe attached;
  auto consumer = Child::fork([&]() -> int {
    auto in = bus().subscriber("t", {.name = "billing", .topic = kSmall});
    attached.signal();
    for (;;) ::pause();
  });
  attached.close_write_end();
  ASSERT_TRUE(attached.await());
  auto out = bus().publisher("t");
  const std::string owner = "subscription billing (pid " + std::to_string(consumer.pid()) + ") is ";
  const auto status = fill(out);
  EXPECT_EQ(status.code(), Code::would_block);
  EXPECT_TRUE(says(status, owner)) << status;
  EXPECT_TRUE(says(status, "behind")) << status;
  for (const auto& later : {out.publish(std::string(1000, 'y'), 1ms), out.publish(std::string(1000, 'y'), 1us),
                            out.claim(1000, 1ms).status()}) {
    EXPECT_EQ(later.code(), Code::timeout);
    EXPECT_TRUE(says(later, owner)) << later;
  }
  const auto info = bus().topic("t");
  ASSERT_EQ(info.subscriptions.size(), 1U);
  EXPECT_EQ(info.subscriptions[0].pid, consumer.pid());
  EXPECT_EQ(info.subscriptions[0].lag_bytes, info.tail);
  EXPECT_TRUE(info.subscriptions[0].attached);

  consumer.kill(SIGKILL);
  consumer.wait();
  const auto after =
      out.publish(std::string(1000, 'y'), 1ms);  // it is durable: its messages are kept for whoever comes
  EXPECT_EQ(after.code(), Code::timeout);
  EXPECT_TRUE(says(after, "subscription billing (nobody attached)")) << after;
}

// Rows 68 and 10.5
TEST_F(FlowTest, APublisherThatWaitsGoesOnWhenTheConsumerReleases) {
  for (const auto wait : {ringway::Wait::spin, ringway::Wait::spin_then_park, ringway::Wait::park}) {
    for (const auto publishers : {ringway::Publishers::shared, ringway::Publishers::exclusive}) {
      auto in = bus().subscriber("t", {.name = "s", .topic = {.capacity_bytes = 32_KiB, .publishers = publishers}});
      auto publisher = Child::fork([&] {
        auto out = bus().publisher("t", {.name = "feed", .wait = wait});
        fill(out, out.max_payload_bytes());
        for (int i = 0; i < 3; ++i)
          if (!out.publish(std::string(out.max_payload_bytes(), 'y'))) return 1;
        return 0;
      });
      await([](const ringway::TopicInfo& info) {
        return !info.publishers.empty() && info.publishers[0].waiting_ns.has_value();
      });
      const auto info = bus().topic("t");
      EXPECT_EQ(info.publishers[0].waiting_for, "subscription s");
      EXPECT_EQ(info.publishers[0].name, "feed");
      EXPECT_EQ(info.publishers[0].pid, publisher.pid());
      EXPECT_EQ(info.subscriptions[0].lag_bytes, 32_KiB);
      for (int i = 0; i < 7; ++i) ASSERT_TRUE(in.receive());
      EXPECT_EQ(publisher.wait(), 0);
      EXPECT_EQ(bus().topic("t").publishers.at(0).waiting_ns, std::nullopt);
      bus().remove_topic("t");
    }
  }
}

// Each try up to its timeout, as a program has it that does something else in between: who looks sees one wait.
TEST_F(FlowTest, APublisherThatTriesAgainAndAgainWaitsSinceTheFirstTime) {
  auto in = bus().subscriber("t", {.name = "s", .topic = {.capacity_bytes = 32_KiB}});
  Pipe tried;
  auto publisher = Child::fork([&] {
    auto out = bus().publisher("t", {.name = "feed", .wait = ringway::Wait::park});
    for (const std::size_t bytes : {out.max_payload_bytes(), std::size_t{0}}) {
      fill(out, bytes);
      for (int i = 0; i < 5; ++i)
        if (out.publish("y", 2ms).code() != Code::timeout) return 1;
      tried.signal();
      for (;;) {
        const auto status = out.publish("y", 20ms);
        if (status) break;
        if (status.code() != Code::timeout) return 2;
      }
    }
    return 0;
  });
  const auto since = [&] {
    for (;;) {
      const auto info = bus().topic("t");
      if (!info.publishers.empty() && info.publishers[0].waiting_ns) return *info.publishers[0].waiting_ns;
      if (publisher.ended()) return std::uint64_t{0};
    }
  };
  ASSERT_TRUE(tried.await());
  const std::uint64_t first = since();
  for (int look = 0; look < 5; ++look) {
    EXPECT_EQ(since(), first);
    std::this_thread::sleep_for(25ms);  // another try
  }
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(in.receive());
  ASSERT_TRUE(tried.await());
  EXPECT_GT(since(), first);  // something was published: another wait
  while (!publisher.ended()) in.poll([](const auto&) {}, 100);
  EXPECT_EQ(publisher.wait(), 0);
}

struct Numbered {
  std::uint32_t publisher;
  std::uint32_t number;
  std::uint64_t bytes;
  std::uint64_t checksum;  // of what follows
};

std::uint64_t checksum(const std::byte* from, std::size_t bytes) {
  return std::accumulate(from, from + bytes, std::uint64_t{bytes}, [](std::uint64_t sum, std::byte byte) {
    return sum * 31 + std::to_integer<std::uint64_t>(byte);
  });
}

ringway::Status publish_numbered(ringway::Publisher& out, std::uint32_t publisher, std::uint32_t number,
                                 std::size_t bytes) {
  auto claim = out.claim(sizeof(Numbered) + bytes);
  if (!claim) return claim.status();
  std::byte* const text = claim.payload().data() + sizeof(Numbered);
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<std::byte>(number * 7 + publisher + i);
  const Numbered header{publisher, number, bytes, checksum(text, bytes)};
  std::memcpy(claim.payload().data(), &header, sizeof header);
  return claim.commit();
}

Numbered check_numbered(const Message& message) {
  Numbered header{};
  EXPECT_GE(message.payload().size(), sizeof header);
  std::memcpy(&header, message.payload().data(), sizeof header);
  EXPECT_EQ(message.payload().size(), sizeof header + header.bytes);
  EXPECT_EQ(checksum(message.payload().data() + sizeof header, header.bytes), header.checksum);
  return header;
}

// Row 69
TEST_F(FlowTest, ASlowLossyConsumerKnowsExactlyHowManyItLostAndNeverReadsAMixture) {
  constexpr std::uint32_t kPublishers = 3;
  const auto messages = static_cast<std::uint32_t>(rounds(20'000));
  auto in = bus().subscriber("t", {.reliability = ringway::Reliability::lossy, .topic = kSmall});
  auto look = bus().observer("t");
  std::vector<Child> publishers;
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher) {
    publishers.push_back(Child::fork([&, publisher] {
      auto out = bus().publisher("t");
      for (std::uint32_t number = 0; number < messages; ++number)
        if (!publish_numbered(out, publisher, number, (number * 37 + publisher) % 400)) return 1;
      return 0;
    }));
  }
  std::array<std::uint64_t, 2> received{};
  std::array<std::uint64_t, 2> told{};
  std::array<std::array<std::optional<std::uint32_t>, kPublishers>, 2> last{};
  const std::array<ringway::Reader*, 2> readers = {&in, &look};
  bool ended = false;
  for (bool more = true; more || !ended;) {
    ended = std::all_of(publishers.begin(), publishers.end(), [](Child& child) { return child.ended(); });
    more = false;
    for (std::size_t reader = 0; reader < 2; ++reader) {
      for (int i = 0; i < 20; ++i) {
        const auto message = readers.at(reader)->try_receive();
        if (!message) break;
        more = true;
        const Numbered header = check_numbered(message);
        ASSERT_LT(header.publisher, kPublishers);
        auto& before = last.at(reader).at(header.publisher);
        EXPECT_TRUE(!before || header.number > *before);
        before = header.number;
        ++received.at(reader);
        told.at(reader) += message.lost();
      }
    }
    if (!ended) ::usleep(100);  // slow
  }
  for (std::size_t reader = 0; reader < 2; ++reader) {
    EXPECT_EQ(received.at(reader) + readers.at(reader)->lost(), std::uint64_t{kPublishers} * messages);
    EXPECT_LE(told.at(reader), readers.at(reader)->lost());
  }
  EXPECT_EQ(bus().topic("t").subscriptions.at(0).lost, in.lost());
  EXPECT_GT(in.lost(), 0U);  // else it was not slow
  for (Child& publisher : publishers) EXPECT_EQ(publisher.wait(), 0);
}

// Row 69
TEST_F(FlowTest, EachMessageTellsWhatWasLostJustBeforeIt) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
  auto look = bus().observer("t");
  auto reliable = bus().subscriber("t");
  std::uint64_t number = 0;
  for (int lap = 0; lap < 5; ++lap) {
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(out.publish(std::to_string(number++)));
      EXPECT_EQ(reliable.try_receive().lost(), 0U);
    }
    for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&look)}) {
      const std::uint64_t lost_before = reader->lost();
      std::uint64_t expected = static_cast<std::uint64_t>(lap) * 1000;
      {
        const auto first = reader->try_receive();
        EXPECT_GT(first.lost(), 0U);
        expected += first.lost();
        EXPECT_EQ(first.text(), std::to_string(expected));
        EXPECT_EQ(first.sequence(), expected);
        EXPECT_EQ(reader->lost() - lost_before, first.lost());
      }
      std::uint64_t read = 1;
      for (auto message = reader->try_receive(); message; message = reader->try_receive()) {
        EXPECT_EQ(message.lost(), 0U);
        EXPECT_EQ(message.text(), std::to_string(expected + read));
        ++read;
      }
      EXPECT_EQ(expected + read, number);
    }
  }
  EXPECT_EQ(reliable.lost(), 0U);
}

// Row 70
TEST_F(FlowTest, ASubscriptionThatIsNeverReadIsOnDisplayWithItsLag) {
  const auto never_read = bus().subscriber("t", {.name = "asleep", .topic = kSmall});
  auto out = bus().publisher("t");
  ASSERT_TRUE(out.publish(std::string(1000, 'x')));
  EXPECT_EQ(bus().topic("t").subscriptions.at(0).lag_bytes, 1088U);  // whole lines
  EXPECT_EQ(never_read.lag_bytes(), 1088U);
  EXPECT_EQ(fill(out).code(), Code::would_block);
  const auto info = bus().topic("t");
  const auto& subscription = info.subscriptions.at(0);
  EXPECT_EQ(subscription.name, "asleep");
  EXPECT_EQ(subscription.pid, ::getpid());
  EXPECT_TRUE(subscription.attached);
  EXPECT_TRUE(subscription.durable);
  EXPECT_FALSE(subscription.sleeping);
  EXPECT_EQ(subscription.received, 0U);
  EXPECT_EQ(subscription.cursor, 0U);
  EXPECT_EQ(subscription.lag_bytes, info.tail);
}

// Rows 71, 10.3 and 10.19
TEST_F(FlowTest, SlotsOfTheDeadAreUsedAgainAndThoseOfTheLivingAreNot) {
  const ringway::TopicOptions two{.capacity_bytes = 32_KiB, .max_publishers = 2, .max_subscriptions = 2};
  for (int round = 0; round < 3; ++round) {
    Pipe attached;
    auto child = Child::fork([&] {
      const auto one = bus().publisher("t", {.topic = two});
      const auto other = bus().publisher("t");
      const auto in = bus().subscriber("t");
      const auto lossy = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
      attached.signal();
      for (;;) ::pause();
      return 0;
    });
    attached.close_write_end();
    ASSERT_TRUE(attached.await());
    EXPECT_TRUE(
        is_error(thrown([&] { return bus().publisher("t"); }), Code::table_full, "all 2 publisher", "max_publishers"));
    EXPECT_TRUE(is_error(thrown([&] { return bus().subscriber("t"); }), Code::table_full, "all 2 subscription",
                         "max_subscriptions"));
    EXPECT_TRUE(
        is_error(thrown([&] { return bus().create_subscription("t", "s"); }), Code::table_full, "all 2 subscription"));
    EXPECT_TRUE(bus().observer("t").status());  // takes no slot
    child.kill(round == 1 ? SIGSTOP : SIGKILL);
    if (round == 1) {  // stopped is not dead
      ASSERT_TRUE(child.wait_stopped());
      EXPECT_EQ(thrown([&] { return bus().publisher("t"); }).code, Code::table_full);
      EXPECT_EQ(thrown([&] { return bus().subscriber("t"); }).code, Code::table_full);
      child.kill(SIGKILL);
    }
    child.wait();
    auto one = bus().publisher("t");
    const auto other = bus().publisher("t");
    auto in = bus().subscriber("t");
    EXPECT_TRUE(one.publish("works"));
    EXPECT_TRUE(in.try_receive());
  }
  EXPECT_EQ(bus().topic("t").publishers.size(), 1U);  // the slot with messages
}

// Row 71: a durable subscription keeps its row also while nobody is there.
TEST_F(FlowTest, DurableSubscriptionsFillTheTableUntilTheyAreRemoved) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB, .max_subscriptions = 2});
  EXPECT_TRUE(bus().create_subscription("t", "one"));
  EXPECT_TRUE(bus().create_subscription("t", "two"));
  EXPECT_FALSE(bus().create_subscription("t", "two"));
  EXPECT_TRUE(is_error(thrown([&] { return bus().create_subscription("t", "three"); }), Code::table_full, "2"));
  EXPECT_TRUE(is_error(thrown([&] { return bus().subscriber("t"); }), Code::table_full, "2"));
  EXPECT_EQ(thrown([&] { return bus().subscriber("t", {.name = "two"}); }).code, Code::ok);
  bus().remove_subscription("t", "one");
  EXPECT_EQ(thrown([&] { return bus().subscriber("t"); }).code, Code::ok);
}

TEST_F(FlowTest, WhatOnlyOneMayHaveIsRefusedWithItsOwner) {
  Pipe attached;
  auto child = Child::fork([&] {
    const auto out = bus().publisher(
        "t", {.name = "feed", .topic = {.capacity_bytes = 32_KiB, .publishers = ringway::Publishers::exclusive}});
    const auto in = bus().subscriber("t", {.name = "s"});
    attached.signal();
    for (;;) ::pause();
    return 0;
  });
  attached.close_write_end();
  ASSERT_TRUE(attached.await());
  const std::string pid = "pid " + std::to_string(child.pid());
  EXPECT_TRUE(is_error(thrown([&] { return bus().publisher("t"); }), Code::taken, "feed", pid));
  EXPECT_TRUE(
      is_error(thrown([&] { return bus().subscriber("t", {.name = "s"}); }), Code::taken, "subscription s", pid));
  EXPECT_TRUE(is_error(thrown([&] { bus().remove_subscription("t", "s"); }), Code::taken, "subscription s", pid));
  EXPECT_FALSE(bus().create_subscription("t", "s"));  // it exists and fits
  EXPECT_TRUE(is_error(
      thrown([&] { return bus().create_subscription("t", "s", {.reliability = ringway::Reliability::lossy}); }),
      Code::mismatch, "reliable", "lossy"));
  child.kill(SIGKILL);
  child.wait();
  EXPECT_TRUE(bus().publisher("t").publish("works"));
  auto in = bus().subscriber("t", {.name = "s"});
  EXPECT_TRUE(in.try_receive());
}

class LapTest : public FlowTest, public testing::WithParamInterface<std::tuple<std::uint64_t, ringway::Publishers>> {};

// Row 72
TEST_P(LapTest, EveryLapIsLikeTheFirst) {
  const auto& [first, publishers] = GetParam();
  auto spec = ringway::detail::resolve({.capacity_bytes = 32_KiB, .publishers = publishers}, {}, "t");
  spec.first_position = first;
  const ringway::detail::BusState state(directory().string(), ::geteuid(), false);
  const std::string topic = "t";
  ringway::detail::Patience patience(state, topic, 1s);
  std::ignore = ringway::detail::open_topic(state, topic, ringway::detail::Role::publish, &spec, false, patience);

  auto out = bus().publisher("t");
  auto view = bus().subscriber("t", {.name = "s"});
  auto copy = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
  auto look = bus().observer("t");
  std::uint64_t position = first;
  for (std::uint32_t i = 0; position - first < 40 * 32_KiB; ++i) {
    const std::string text(i * 97 % 5000, static_cast<char>('a' + i % 26));
    if (i % 5 == 0 && publishers == ringway::Publishers::shared) {
      out.try_claim(i * 31 % 1000).abort();  // padding
    }
    ASSERT_TRUE(out.try_publish(text)) << i;
    for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&view), static_cast<ringway::Reader*>(&copy),
                                    static_cast<ringway::Reader*>(&look)}) {
      const auto message = reader->try_receive();
      ASSERT_TRUE(message) << i << ' ' << message.status();
      EXPECT_EQ(message.text(), text);
      EXPECT_EQ(message.sequence(), i);
      EXPECT_EQ(message.lost(), 0U);
      EXPECT_EQ(message.position() % 64, 0U);
    }
    position = view.position();
  }
  EXPECT_EQ(view.lag_bytes(), 0U);
  // Held at every place of the lap in turn, full and empty again.
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(fill(out, 450).code(), Code::would_block);
    EXPECT_EQ(view.lag_bytes(), 32_KiB - 32_KiB % 512);
    EXPECT_EQ(view.poll([](const Message&) {}, 1000), 64U);
    ASSERT_TRUE(out.try_publish("shift by a line"));
    ASSERT_TRUE(view.try_receive());
  }
  EXPECT_EQ(bus().topic("t").tail, view.position());
}

constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
INSTANTIATE_TEST_SUITE_P(
    From, LapTest,
    testing::Combine(testing::Values(std::uint64_t{0}, kHalf - 5 * 32_KiB, kHalf - 64, ~std::uint64_t{63} - 6 * 32_KiB),
                     testing::Values(ringway::Publishers::shared, ringway::Publishers::exclusive)));

// Row 74
TEST_F(FlowTest, MessagesSubscribersAndClaimsOutliveWhatTheyCameFrom) {
  auto bus = std::make_optional(Bus::temporary());
  const std::string directory = bus->directory();
  auto out = std::make_optional(bus->publisher("t", {.topic = kSmall}));
  auto in = std::make_optional(bus->subscriber("t"));
  auto lossy = std::make_optional(bus->subscriber("t", {.reliability = ringway::Reliability::lossy}));
  bus.reset();
  ASSERT_TRUE(out->publish("kept"));  // handles outlive their bus
  auto view = std::make_optional(in->receive());
  auto copy = std::make_optional(lossy->receive());
  auto claim = std::make_optional(out->claim(5));
  out.reset();  // a claim outlives its publisher
  std::memcpy(claim->payload().data(), "later", 5);
  EXPECT_TRUE(claim->commit());
  claim.reset();
  auto later = std::make_optional(in->receive());
  in.reset();  // a message outlives its subscriber
  lossy.reset();
  EXPECT_EQ(view->text(), "kept");
  EXPECT_EQ(copy->text(), "kept");
  EXPECT_EQ(later->text(), "later");
  view.reset();
  copy.reset();
  EXPECT_TRUE(std::filesystem::exists(directory));  // the last message keeps its attachment, and that the bus
  EXPECT_EQ(later->text(), "later");
  later.reset();
  EXPECT_FALSE(std::filesystem::exists(directory));
}

// Row 74
TEST_F(FlowTest, HandlesThatWereMovedFromAnswerClosed) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = bus().subscriber("t");
  auto look = bus().observer("t");
  ASSERT_TRUE(out.publish("one"));
  auto message = in.receive();
  auto claim = out.claim(3);
  const auto& old_claim = emptied(claim);
  EXPECT_FALSE(old_claim);
  EXPECT_EQ(old_claim.status().code(), Code::closed);
  EXPECT_TRUE(claim.payload().empty());
  EXPECT_EQ(claim.commit().code(), Code::closed);
  claim.abort();
  emptied(message);
  EXPECT_FALSE(message);
  EXPECT_EQ(message.status().code(), Code::closed);
  EXPECT_EQ(message.release().code(), Code::closed);
  EXPECT_TRUE(message.payload().empty());
  emptied(out);
  EXPECT_EQ(out.publish("x").code(), Code::closed);
  EXPECT_EQ(out.try_publish("x").code(), Code::closed);
  EXPECT_EQ(out.claim(1).status().code(), Code::closed);
  EXPECT_EQ(out.max_payload_bytes(), 0U);
  emptied(in);
  emptied(look);
  for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&look)}) {
    EXPECT_EQ(reader->receive().status().code(), Code::closed);
    EXPECT_EQ(reader->receive(1s).status().code(), Code::closed);
    EXPECT_EQ(reader->try_receive().status().code(), Code::closed);
    EXPECT_EQ(reader->poll([](const Message&) {}, 1), 0U);
    EXPECT_EQ(reader->status().code(), Code::closed);
    EXPECT_EQ(reader->seek(ringway::From::oldest).code(), Code::closed);
    EXPECT_EQ(reader->lost() + reader->position(), 0U);
  }
  EXPECT_EQ(in.lag_bytes(), 0U);
  EXPECT_TRUE(bus().topic("t").subscriptions.empty());
  out = bus().publisher("t");  // and can be given another
  EXPECT_TRUE(out.publish("x"));
}

// Row 75
TEST_F(FlowTest, AsManyPublishersAsCanBeAllGetOn) {
  constexpr std::uint32_t kPublishers = 8;
  const auto messages = static_cast<std::uint32_t>(rounds(5000));
  auto in = bus().subscriber("t", {.name = "s", .topic = {.capacity_bytes = 32_KiB, .max_publishers = kPublishers}});
  Pipe attached;
  Pipe start;
  std::vector<Child> publishers;
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher) {
    publishers.push_back(Child::fork([&, publisher] {
      start.close_write_end();
      auto out = bus().publisher("t", {.attach_timeout = 20s});
      attached.signal();
      start.await();
      for (std::uint32_t number = 0; number < messages; ++number)
        if (!publish_numbered(out, publisher, number, number % 50)) return 1;
      return 0;
    }));
  }
  attached.close_write_end();
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher) ASSERT_TRUE(attached.await());
  start.close_write_end();
  std::array<std::uint32_t, kPublishers> next{};
  for (std::uint32_t received = 0; received < kPublishers * messages;) {
    received += static_cast<std::uint32_t>(in.poll(
        [&](const Message& message) {
          const Numbered header = check_numbered(message);
          EXPECT_EQ(header.number, next.at(header.publisher)++);  // in order, each once
        },
        1000, 10s));
    ASSERT_TRUE(in.status() || in.status() == Code::would_block) << in.status();
  }
  for (Child& publisher : publishers) EXPECT_EQ(publisher.wait(), 0);
  std::uint64_t most = 0;
  std::uint64_t committed = 0;
  for (const auto& publisher : bus().topic("t").publishers) {
    most = std::max(most, publisher.max_retries);
    committed += publisher.messages;
  }
  EXPECT_EQ(committed, kPublishers * messages);
  EXPECT_LE(most, kPublishers * messages);  // each failure is somebody else's success
  RecordProperty("largest_number_of_cas_retries", std::to_string(most));
  std::cout << "largest number of CAS retries for one claim: " << most << '\n';
}

// Rows 12 and 68: one publisher's open claim in the way of another.
TEST_F(FlowTest, APublisherHeldBackByAnothersOpenClaimGoesOnAfterItsCommitOrAbort) {
  for (const bool commit : {true, false}) {
    auto holder = bus().publisher("t", {.name = "holder", .topic = kSmall});
    auto in = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
    auto claim = holder.claim(4);
    auto publisher = Child::fork([&] {
      auto out = bus().publisher("t", {.name = "other"});
      const auto status = fill(out);
      if (status != Code::would_block ||
          !says(status, "publisher holder (pid " + std::to_string(::getppid()) + ") has an open claim at position 0"))
        return 1;
      return out.publish(std::string(1000, 'y')) ? 0 : 2;
    });
    await([](const ringway::TopicInfo& info) {
      return info.publishers.size() == 2 && info.publishers[1].waiting_ns.has_value();
    });
    const auto info = bus().topic("t");
    EXPECT_EQ(info.publishers[1].waiting_for, "publisher holder");
    EXPECT_EQ(info.publishers[0].open_claim, 0U);
    EXPECT_EQ(info.publishers[0].open_claim_bytes, 64U);
    EXPECT_EQ(info.publishers[1].open_claim, std::nullopt);  // nobody waits with a record standing
    const auto waited = in.receive(1ms);
    EXPECT_EQ(waited.status().code(), Code::timeout);
    EXPECT_TRUE(says(waited.status(), "publisher holder (pid " + std::to_string(::getpid()) + ") has an open claim"))
        << waited.status();
    std::memcpy(claim.payload().data(), "text", 4);
    if (commit) {
      EXPECT_TRUE(claim.commit());
    } else {
      claim.abort();
    }
    EXPECT_EQ(publisher.wait(), 0);
    bus().remove_topic("t");
  }
}

TEST_F(FlowTest, UpTo64ViewsAreHeldAndLetGoInAnyOrder) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = bus().subscriber("t", {.name = "s"});
  std::mt19937 random(1);
  std::uint64_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 70; ++i) ASSERT_TRUE(out.try_publish(std::to_string(sent + static_cast<std::uint64_t>(i))));
    std::vector<Message> held;
    for (int i = 0; i < 64; ++i) {
      held.push_back(in.try_receive());
      EXPECT_EQ(held.back().text(), std::to_string(sent + static_cast<std::uint64_t>(i)));
    }
    for (const auto code :
         {in.try_receive().status().code(), in.receive().status().code(), in.receive(1s).status().code()})
      EXPECT_EQ(code, Code::busy);
    EXPECT_EQ(in.status().code(), Code::busy);
    EXPECT_EQ(in.seek(ringway::From::oldest).code(), Code::busy);
    std::shuffle(held.begin(), held.end(), random);
    while (held.size() > 1) {
      const auto oldest = std::min_element(
          held.begin(), held.end(), [](const Message& a, const Message& b) { return a.position() < b.position(); });
      EXPECT_EQ(bus().topic("t").subscriptions.at(0).cursor, oldest->position());
      const std::string text = std::string(held.front().text());
      held.pop_back();
      EXPECT_EQ(held.front().text(), text);  // the others stay
    }
    EXPECT_TRUE(held.front().release());
    EXPECT_FALSE(held.front());
    EXPECT_EQ(held.front().release().code(), Code::closed);
    EXPECT_EQ(in.poll([](const Message&) {}, 100), 6U);
    EXPECT_EQ(in.lag_bytes(), 0U);
    sent += 70;
  }
  EXPECT_EQ(bus().topic("t").subscriptions.at(0).received, sent);
}

TEST_F(FlowTest, ARunEndsWhereItsHandlerSaysNoAndThatMessageComesAgain) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = bus().subscriber("t", {.name = "s"});
  auto lossy = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
  auto look = bus().observer("t");
  for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&lossy),
                                  static_cast<ringway::Reader*>(&look)}) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
    if (reader != &in) {
      ASSERT_TRUE(reader->seek(ringway::From::at(bus().topic("t").tail - 640)));
    }
    std::string seen;
    const auto handler = [&](const Message& message) {
      seen += message.text();
      return message.text() != "3";
    };
    EXPECT_EQ(reader->poll(handler, 100), 3U);
    EXPECT_EQ(seen, "0123");
    EXPECT_EQ(reader->poll(handler, 100), 0U);  // again, and refused again
    EXPECT_EQ(seen, "01233");
    EXPECT_THROW(reader->poll(
                     [&](const Message& message) {
                       if (message.text() == "5") throw std::runtime_error("part of the test");
                       seen += message.text();
                     },
                     100),
                 std::runtime_error);
    EXPECT_EQ(seen, "0123334");
    {
      const auto again = reader->try_receive();
      EXPECT_EQ(again.text(), "5");
    }
    EXPECT_EQ(reader->poll([&](const Message& message) { seen += message.text(); }, 2), 2U);
    EXPECT_EQ(seen, "012333467");
    EXPECT_EQ(reader->poll([](const Message&) {}, 100), 2U);
    EXPECT_EQ(reader->poll([](const Message&) {}, 100), 0U);
    EXPECT_EQ(reader->status().code(), Code::would_block);
    EXPECT_EQ(reader->poll([](const Message&) {}, 100, 1ms), 0U);
    EXPECT_EQ(reader->status().code(), Code::timeout);
  }
}

TEST_F(FlowTest, AHandlerMayThrowAwayItsSubscriberOrThrow) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = std::make_optional(bus().subscriber("t", {.name = "s"}));
  ASSERT_TRUE(out.publish("message"));
  EXPECT_THROW(in->poll([](const Message&) { throw std::runtime_error("part of the test"); }, 1), std::runtime_error);
  in.reset();
  EXPECT_FALSE(bus().topic("t").subscriptions.at(0).attached);  // an exception leaves nothing behind
  in = bus().subscriber("t", {.name = "s"});
  EXPECT_EQ(in->poll(
                [&](const Message& message) {
                  in.reset();
                  EXPECT_EQ(message.text(), "message");
                },
                10),
            1U);
  EXPECT_FALSE(bus().topic("t").subscriptions.at(0).attached);
  EXPECT_EQ(bus().topic("t").subscriptions.at(0).received, 1U);
}

TEST_F(FlowTest, ARunReleasesOnlyWhatItsHandlerHasSeenThrough) {
  auto out = bus().publisher("t", {.topic = kSmall});
  {
    auto in = bus().subscriber("t", {.name = "s"});
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(out.publish(std::to_string(i)));
    const auto held = in.try_receive();  // "0", older than the run
    EXPECT_EQ(in.poll(
                  [&](const Message& message) {
                    EXPECT_FALSE(in.try_receive());  // not within a run
                    EXPECT_EQ(in.status().code(), Code::busy);
                    return message.text() != "5";
                  },
                  100),
              4U);
    EXPECT_EQ(bus().topic("t").subscriptions.at(0).cursor, 0U);
    EXPECT_EQ(held.text(), "0");
  }
  auto in = bus().subscriber("t", {.name = "s"});
  const auto message = in.try_receive();
  EXPECT_EQ(message.text(), "5");
  EXPECT_EQ(bus().topic("t").subscriptions.at(0).received, 5U);
}

TEST_F(FlowTest, ClaimsAreCommittedWholeOrShortOrAborted) {
  for (const auto publishers : {ringway::Publishers::shared, ringway::Publishers::exclusive}) {
    auto out = bus().publisher("t", {.topic = {.capacity_bytes = 32_KiB, .publishers = publishers}});
    auto in = bus().subscriber("t", {.name = "s"});
    auto look = bus().observer("t");
    {
      auto claim = out.claim(100);
      ASSERT_TRUE(claim);
      EXPECT_EQ(claim.payload().size(), 100U);
      EXPECT_EQ(out.claim(1).status().code(), Code::busy);  // one at a time
      EXPECT_EQ(out.try_claim(1).status().code(), Code::busy);
      EXPECT_EQ(out.publish("x").code(), Code::busy);
      std::memset(claim.payload().data(), 's', 100);
      const auto more = claim.commit(101);
      EXPECT_EQ(more.code(), Code::too_large);
      EXPECT_TRUE(says(more, "100 bytes")) << more;
      EXPECT_TRUE(claim);  // still open
      EXPECT_FALSE(in.try_receive());
      EXPECT_TRUE(claim.commit(7));
      EXPECT_FALSE(claim);
      EXPECT_EQ(claim.commit().code(), Code::closed);
      EXPECT_TRUE(claim.payload().empty());
    }
    { auto abandoned = out.claim(200); }
    auto aborted = out.claim(300);
    aborted.abort();
    aborted.abort();
    EXPECT_FALSE(aborted);
    try {
      auto claim = out.claim(400);
      throw std::runtime_error("part of the test");
    } catch (const std::runtime_error&) {  // row 11: unwinding has aborted it
    }
    EXPECT_TRUE(out.claim(0).commit());
    ASSERT_TRUE(out.publish("end"));
    for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&look)}) {
      std::vector<std::string> texts;
      std::vector<std::uint64_t> sequences;
      for (auto message = reader->try_receive(); message; message = reader->try_receive()) {
        texts.emplace_back(message.text());
        sequences.push_back(message.sequence());
      }
      EXPECT_EQ(texts, (std::vector<std::string>{"sssssss", "", "end"}));
      EXPECT_EQ(sequences, (std::vector<std::uint64_t>{0, 1, 2}));  // what was aborted is no loss
      EXPECT_EQ(reader->lost(), 0U);
    }
    EXPECT_EQ(in.lag_bytes(), 0U);
    bus().remove_topic("t");
  }
}

struct Quote {
  std::uint64_t instrument;
  double bid, ask;
};

TEST_F(FlowTest, TypedMessagesArriveAsTheyWereGiven) {
  auto out = bus().publisher<Quote>("t", {.topic = {.capacity_bytes = 32_KiB, .stamped = true}});
  auto in = bus().subscriber<Quote>("t");
  auto look = bus().observer<Quote>("t");
  ASSERT_TRUE(out.publish({.instrument = 7, .bid = 99.5, .ask = 100.5}));
  {
    auto claim = out.claim();
    ASSERT_TRUE(claim);
    *claim = {.instrument = 8, .bid = 1, .ask = 2};
    claim->ask = 3;
    EXPECT_TRUE(claim.commit());
  }
  { auto aborted = out.try_claim(); }
  ASSERT_TRUE(out.try_publish({.instrument = 9, .bid = 0, .ask = 0}));
  {
    const auto first = in.try_receive();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->instrument, 7U);
    EXPECT_EQ((*first).bid, 99.5);
    EXPECT_EQ(first.sequence(), 0U);
    EXPECT_GT(first.stamp().count(), 0);
  }
  std::vector<std::uint64_t> seen;
  EXPECT_EQ(in.poll(
                [&](const Quote& quote) {
                  seen.push_back(quote.instrument);
                  return quote.instrument != 9;
                },
                10),
            1U);
  EXPECT_EQ(in.poll([&](const Quote& quote,
                        const Message& message) { seen.push_back(quote.instrument * 100 + message.sequence()); },
                    10),
            1U);
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{8, 9, 902}));
  EXPECT_EQ(in.receive(1ms).status().code(), Code::timeout);
  EXPECT_EQ(in.status().code(), Code::timeout);
  const auto observed = look.try_receive();
  ASSERT_TRUE(observed);
  EXPECT_EQ(observed->ask, 100.5);
}

TEST_F(FlowTest, StampsAreTakenAtCommitAndGrow) {
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch(); };  // CLOCK_MONOTONIC
  auto out = bus().publisher("t", {.topic = {.capacity_bytes = 32_KiB, .stamped = true}});
  auto in = bus().subscriber("t", {.name = "s"});
  auto claim = out.claim(1);
  std::chrono::nanoseconds last = now();
  claim.payload()[0] = std::byte{1};
  claim.commit();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(out.publish("x"));
  for (int i = 0; i < 101; ++i) {
    const auto message = in.try_receive();
    EXPECT_GE(message.stamp(), last);
    last = message.stamp();
  }
  EXPECT_LE(last, now());
  auto plain = bus().publisher("plain", {.topic = kSmall});
  auto reader = bus().subscriber("plain");
  ASSERT_TRUE(plain.publish("x"));
  EXPECT_EQ(reader.try_receive().stamp().count(), 0);
}

// Row 38
TEST_F(FlowTest, DeadlinesOfZeroAndInThePastDoNotWait) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto in = bus().subscriber("t", {.name = "s"});
  auto look = bus().observer("t");
  using Clock = std::chrono::steady_clock;
  const auto nan = std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN());
  for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&look)}) {
    EXPECT_EQ(reader->receive(0s).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive(-1s).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive(std::chrono::hours::min()).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive(nan).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive_until(Clock::now() - 1s).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive_until(Clock::time_point()).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive_until(Clock::time_point::min()).status().code(), Code::would_block);
    EXPECT_EQ(reader->receive(1ns).status().code(), Code::timeout);
    EXPECT_EQ(reader->receive_until(Clock::now() + 2ms).status().code(), Code::timeout);
  }
  EXPECT_EQ(fill(out).code(), Code::would_block);
  EXPECT_EQ(out.publish(std::string(1000, 'x'), 0s).code(), Code::would_block);
  EXPECT_EQ(out.publish(std::string(1000, 'x'), -1h).code(), Code::would_block);
  EXPECT_EQ(out.publish(std::string(1000, 'x'), 1ns).code(), Code::timeout);
  EXPECT_TRUE(in.receive(0s));  // what is there is had at once
  EXPECT_TRUE(in.receive_until(Clock::time_point::min()));
  EXPECT_TRUE(out.publish(std::string(1000, 'x'), 0s));
}

// Row 38
TEST_F(FlowTest, TheLongestDeadlinesWaitAsLongAsItTakes) {
  using Clock = std::chrono::steady_clock;
  const std::vector<std::function<Message(ringway::Subscriber&)>> forms = {
      [](auto& in) { return in.receive(); },
      [](auto& in) { return in.receive(ringway::Timeout::never()); },
      [](auto& in) { return in.receive(std::chrono::nanoseconds::max()); },
      [](auto& in) { return in.receive(std::chrono::hours::max()); },
      [](auto& in) { return in.receive(std::chrono::duration<double>(1e300)); },
      [](auto& in) { return in.receive(std::chrono::duration<float>(std::numeric_limits<float>::infinity())); },
      [](auto& in) { return in.receive_until(Clock::time_point::max()); },
  };
  bus().create_topic("t", kSmall);
  auto consumer = Child::fork([&] {
    auto in = bus().subscriber("t", {.wait = ringway::Wait::park});
    for (const auto& form : forms)
      if (const auto message = form(in); message.text() != "woken") return 1;
    return 0;
  });
  auto out = bus().publisher("t");
  for (std::size_t i = 0; i < forms.size(); ++i) {
    await([i](const ringway::TopicInfo& info) {
      return !info.subscriptions.empty() && info.subscriptions[0].sleeping && info.subscriptions[0].received == i;
    });
    ASSERT_TRUE(out.publish("woken"));
  }
  EXPECT_EQ(consumer.wait(), 0);
}

const Bus* signalled = nullptr;

// Bus::interrupt() in a signal handler, as a program that ends on SIGTERM has it; a signal by itself ends no wait.
TEST_F(FlowTest, InterruptFromASignalHandlerEndsEveryWaitUntilResume) {
  bus().create_topic("t", kSmall);
  bus().create_subscription("t", "unread");
  for (const int form : {0, 1, 2, 3}) {
    Pipe interrupted;
    Pipe resumed;
    auto child = Child::fork([&] {
      const Bus here = bus();
      signalled = &here;
      ::signal(SIGUSR1, [](int) { signalled->interrupt(); });
      ::signal(SIGUSR2, [](int) {});
      auto in = here.subscriber("t");
      auto look = here.observer("t");
      auto out = here.publisher("t");
      fill(out);
      while (in.try_receive()) {
      }
      while (look.try_receive()) {
      }
      const auto wait = [&] {
        switch (form) {
          case 0: return in.receive().status().code();
          case 1: return look.receive(1h).status().code();
          case 2: return out.publish(std::string(1000, 'x')).code();
          default: in.poll([](const Message&) {}, 1, 1h); return in.status().code();
        }
      };
      interrupted.signal();
      for (int i = 0; i < 2; ++i)
        if (wait() != Code::interrupted) return 1;
      if (in.try_receive().status() != Code::would_block) return 2;  // what does not wait goes on
      const auto opening = thrown([&] { return here.subscriber("absent", {.if_missing = ringway::IfMissing::wait}); });
      if (opening.code != Code::interrupted) return 3;
      here.resume();
      interrupted.signal();
      if (!resumed.await()) return 4;
      if (form == 2) return out.publish(std::string(1000, 'x')) ? 0 : 5;
      return wait() == Code::ok ? 0 : 6;
    });
    interrupted.close_write_end();
    resumed.close_read_end();
    ASSERT_TRUE(interrupted.await());
    for (int i = 0; i < 20; ++i) child.kill(SIGUSR2);
    child.kill(SIGUSR1);
    ASSERT_TRUE(interrupted.await());
    bus().remove_subscription("t", "unread");
    ASSERT_TRUE(bus().publisher("t").publish("for whoever waits"));
    resumed.signal();
    EXPECT_EQ(child.wait(), 0) << form;
    bus().create_subscription("t", "unread", {.from = ringway::From::newest});
  }
}

}  // namespace

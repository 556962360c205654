// Removing topics, subscriptions and buses, with and without users; what is on display; and all of it at once.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/numbered.hpp"
#include "support/sanitizer.hpp"
#include "support/scratch.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

struct Quote {
  std::uint64_t instrument;
  double bid, ask;
};
template <>
inline constexpr std::string_view ringway::type_name<Quote> = "md.Quote";

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway::Remove;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kNothing;
using ringway_test::kSmall;
using ringway_test::kWhole;
using ringway_test::names_in;
using ringway_test::Pipe;
using ringway_test::thrown;

constexpr std::chrono::seconds kPatience{20};  // where many want one lock on a loaded machine
const std::string kOwnPid = "pid " + std::to_string(::getpid());

class RemoveTest : public ringway_test::TopicFiles {
 protected:
  void remove_if_unused() const { bus().remove_topic("t", Remove::if_unused); }
};

TEST_F(RemoveTest, ATopicInUseIsNotRemovedUnlessForced) {
  {
    auto out = bus().publisher("t", {.name = "feed", .topic = kSmall});
    EXPECT_TRUE(
        is_error(thrown([&] { remove_if_unused(); }), Code::busy, "publisher feed", kOwnPid, "is attached", "--force"));
  }
  {
    auto in = bus().subscriber("t");
    EXPECT_TRUE(
        is_error(thrown([&] { remove_if_unused(); }), Code::busy, "subscription in slot 0", kOwnPid, "is attached"));
  }
  auto in = bus().subscriber("t", {.name = "s"});
  EXPECT_TRUE(is_error(thrown([&] { remove_if_unused(); }), Code::busy, "subscription s", kOwnPid, "is attached"));
  EXPECT_EQ(names_in(directory()), kWhole);
  bus().remove_topic("t");
  EXPECT_EQ(names_in(directory()), kNothing);
  EXPECT_EQ(in.receive().status().code(), Code::topic_gone);
  EXPECT_TRUE(is_error(thrown([&] { bus().remove_topic("t"); }), Code::not_found, directory().string()));
  EXPECT_EQ(thrown([&] { remove_if_unused(); }).code, Code::not_found);
}

TEST_F(RemoveTest, UnreadMessagesKeepATopic) {
  bus().create_topic("t", kSmall);
  bus().create_subscription("t", "billing");
  ASSERT_TRUE(bus().publisher("t").publish("unread"));
  EXPECT_TRUE(is_error(thrown([&] { remove_if_unused(); }), Code::busy, "subscription billing", "64 B unread"));
  auto in = std::make_optional(bus().subscriber("t", {.name = "billing"}));
  EXPECT_TRUE(in->try_receive());
  in.reset();
  EXPECT_EQ(thrown([&] { remove_if_unused(); }).code, Code::ok);
  EXPECT_EQ(names_in(directory()), kNothing);
}

TEST_F(RemoveTest, MessagesThatNoDurableSubscriptionCouldHaveReadKeepATopic) {
  bus().create_topic("t", kSmall);
  EXPECT_EQ(thrown([&] { remove_if_unused(); }).code, Code::ok);  // empty
  {
    auto out = bus().publisher("t", {.topic = kSmall});
    auto in = bus().subscriber("t");
    ASSERT_TRUE(out.publish("read, but not durably"));
    EXPECT_TRUE(in.receive());
  }
  EXPECT_TRUE(is_error(thrown([&] { remove_if_unused(); }), Code::busy, "never had a durable subscription"));
  bus().create_subscription("t", "s", {.from = ringway::From::newest});
  bus().remove_subscription("t", "s");
  EXPECT_EQ(thrown([&] { remove_if_unused(); }).code, Code::ok);
}

TEST_F(RemoveTest, ADeadOwnerDoesNotKeepATopicButAStoppedOneDoes) {
  Pipe attached;
  auto child = Child::fork([&] {
    const auto out = bus().publisher("t", {.topic = kSmall});
    const auto in = bus().subscriber("t");
    attached.signal();
    for (;;) ::pause();
    return 0;
  });
  attached.close_write_end();
  ASSERT_TRUE(attached.await());
  child.kill(SIGSTOP);
  ASSERT_TRUE(child.wait_stopped());
  EXPECT_TRUE(is_error(thrown([&] { remove_if_unused(); }), Code::busy, "pid " + std::to_string(child.pid())));
  EXPECT_TRUE(bus().topic("t").publishers.at(0).stopped);
  EXPECT_TRUE(bus().topic("t").publishers.at(0).alive);
  child.kill(SIGKILL);
  child.wait();
  EXPECT_FALSE(bus().topic("t").publishers.at(0).alive);
  EXPECT_FALSE(bus().topic("t").subscriptions.at(0).attached);
  EXPECT_EQ(thrown([&] { remove_if_unused(); }).code, Code::ok);
}

TEST_F(RemoveTest, ASubscriptionIsRemovedOnceNobodyIsAttached) {
  EXPECT_EQ(thrown([&] { bus().remove_subscription("t", "s"); }).code, Code::not_found);
  auto in = std::make_optional(bus().subscriber("t", {.name = "s", .topic = kSmall}));
  EXPECT_TRUE(is_error(thrown([&] { bus().remove_subscription("t", "s"); }), Code::taken, "subscription s", kOwnPid));
  EXPECT_TRUE(is_error(thrown([&] { bus().remove_subscription("t", "other"); }), Code::not_found, "other"));
  in.reset();
  bus().remove_subscription("t", "s");
  EXPECT_TRUE(bus().topic("t").subscriptions.empty());
  EXPECT_EQ(thrown([&] { bus().remove_subscription("t", "s"); }).code, Code::not_found);
  ASSERT_TRUE(bus().publisher("t").publish("before"));
  EXPECT_TRUE(bus().create_subscription("t", "s", {.from = ringway::From::newest}));  // nothing of the old one is left
  EXPECT_FALSE(bus().subscriber("t", {.name = "s"}).try_receive());
}

// Row 10.22
TEST_F(RemoveTest, APublisherHeldBackByASubscriptionGoesOnWhenThatIsRemoved) {
  bus().create_topic("t", kSmall);
  bus().create_subscription("t", "forgotten");
  auto publisher = Child::fork([&] {
    auto out = bus().publisher("t", {.wait = ringway::Wait::park});
    for (int i = 0; i < 100; ++i)
      if (!out.publish(std::string(1000, 'x'))) return 1;
    return 0;
  });
  for (;;) {
    const auto info = bus().topic("t");
    if (info.publishers.empty() || !info.publishers[0].waiting_ns) continue;
    EXPECT_EQ(info.publishers[0].waiting_for, "subscription forgotten");
    break;
  }
  bus().remove_subscription("t", "forgotten");
  EXPECT_EQ(publisher.wait(), 0);
}

TEST_F(RemoveTest, RemovingABusRemovesEveryTopicAndTheDirectoryButNoForeignFile) {
  const Bus here = bus();
  for (const char* name : {"t", "a/t", "a/b/t", "other"}) here.create_topic(name, kSmall);
  auto in = here.subscriber("a/t");
  std::ofstream(directory() / "notes.txt") << "mine";
  std::ofstream(directory() / ".data") << "mine";
  EXPECT_TRUE(is_error(thrown([&] { here.remove(); }), Code::busy, directory().string(), "not ours"));
  EXPECT_EQ(names_in(directory()), (std::set<std::string>{".data", "notes.txt"}));
  EXPECT_EQ(in.receive().status().code(), Code::topic_gone);
  fs::remove(directory() / "notes.txt");
  fs::remove(directory() / ".data");
  here.remove();
  EXPECT_FALSE(fs::exists(directory()));
  EXPECT_TRUE(is_error(thrown([&] { here.create_topic("t", kSmall); }), Code::not_found, directory().string()));
  EXPECT_EQ(thrown([&] { return here.topics(); }).code, Code::not_found);
  EXPECT_TRUE(bus().create_topic("t", kSmall));  // opened anew, it is made anew
}

TEST_F(RemoveTest, ATemporaryBusGoesWithItsLastHandleAndNotWithAForkedCopy) {
  std::string path;
  {
    std::optional<ringway::Subscriber> in;
    {
      const Bus temporary = Bus::temporary();
      path = temporary.directory();
      const Bus copy = temporary;  // NOLINT(performance-unnecessary-copy-initialization): a copy is the same bus
      EXPECT_NE(Bus::temporary().directory(), path);
      copy.create_topic("a/t", kSmall);
      in = copy.subscriber("a/t");
      EXPECT_EQ(Child::fork([&] {
                  const Bus forked = temporary;  // NOLINT(performance-unnecessary-copy-initialization): as above
                  std::exit(0);                  // with every destructor and handler
                  return 1;
                }).wait(),
                0);
      EXPECT_EQ(Child::fork([&] {
                  const_cast<Bus&>(temporary) = Bus::at(directory().string());
                  const_cast<Bus&>(copy) = temporary;
                  in.reset();
                  return 0;
                }).wait(),
                0);
    }
    EXPECT_TRUE(fs::exists(path));
    EXPECT_EQ(in->try_receive().status().code(), Code::would_block);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(RemoveTest, ATemporaryTopicGoesWithItsLastPublisherOrEphemeralSubscriber) {
  const ringway::TopicOptions temporary{.capacity_bytes = 32_KiB, .temporary = true};
  auto out = std::make_optional(bus().publisher("a/t", {.topic = temporary}));
  auto in = std::make_optional(bus().subscriber("a/t"));
  auto durable = std::make_optional(bus().subscriber("a/t", {.name = "s"}));
  const auto look = bus().observer("a/t");
  durable.reset();
  out.reset();
  EXPECT_EQ(bus().topic("a/t").subscriptions.size(), 2U);
  in.reset();
  EXPECT_EQ(names_in(directory()), kNothing);  // neither the observer nor the durable subscription keeps it
  bus().create_topic("a/t", temporary);
  EXPECT_EQ(bus().topics().size(), 1U);  // nobody has left yet
  { const auto only = bus().publisher("a/t"); }
  EXPECT_EQ(names_in(directory()), kNothing);
}

TEST_F(RemoveTest, OfSeveralThatLeaveATemporaryTopicAtOnceTheLastRemovesIt) {
  for (int round = 0; round < ringway_test::rounds(20); ++round) {
    Pipe attached;
    Pipe leave;
    std::vector<Child> children;
    children.reserve(4);
    for (int i = 0; i < 4; ++i) {
      children.push_back(Child::fork([&, i] {
        leave.close_write_end();
        const Bus here = bus();
        auto out = std::make_optional(
            here.publisher("t", {.attach_timeout = kPatience, .topic = {.capacity_bytes = 32_KiB, .temporary = true}}));
        auto in = std::make_optional(here.subscriber("t", {.attach_timeout = kPatience}));
        attached.signal();
        leave.await();
        if (i % 2 == 0) {
          out.reset();
          in.reset();
        } else {
          in.reset();
          out.reset();
        }
        return 0;
      }));
    }
    attached.close_write_end();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(attached.await());
    leave.close_write_end();
    for (Child& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(names_in(directory()), kNothing) << round;
  }
}

TEST_F(RemoveTest, WhatIsThereIsOnDisplay) {
  const Bus here = bus();
  EXPECT_TRUE(here.topics().empty());
  here.create_topic<Quote>("md/quotes", {.capacity_bytes = 64_KiB,
                                         .publishers = ringway::Publishers::exclusive,
                                         .max_publishers = 3,
                                         .max_subscriptions = 5,
                                         .stamped = true});
  here.create_topic("bytes", kSmall);
  auto out = here.publisher<Quote>("md/quotes", {.name = "feed"});
  auto durable = here.subscriber<Quote>("md/quotes", {.name = "billing"});
  auto lossy = here.subscriber<Quote>("md/quotes", {.reliability = ringway::Reliability::lossy});
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(out.publish({i, 1, 2}));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(durable.receive());
  EXPECT_EQ(lossy.poll([](const Quote&) {}, 7), 7U);

  const auto all = here.topics();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "bytes");
  EXPECT_EQ(all[0].type_size, 0U);
  EXPECT_EQ(all[0].type_name, "");
  EXPECT_TRUE(all[0].publishers.empty());
  const auto& info = all[1];
  EXPECT_EQ(info.name, "md/quotes");
  EXPECT_EQ(info.problem, "");
  EXPECT_EQ(info.layout_version, 1U);
  EXPECT_EQ(info.options.capacity_bytes, 64_KiB);
  EXPECT_EQ(info.options.publishers, ringway::Publishers::exclusive);
  EXPECT_EQ(info.options.max_publishers, 3U);
  EXPECT_EQ(info.options.max_subscriptions, 5U);
  EXPECT_EQ(info.options.payload_alignment, 8U);
  EXPECT_EQ(info.options.stamped, true);
  EXPECT_EQ(info.options.temporary, false);
  EXPECT_EQ(info.options.access, ringway::Access{});
  EXPECT_EQ(info.options.max_groups, 4U);
  EXPECT_EQ(info.options.max_members, 64U);
  EXPECT_EQ(info.options.max_in_flight, 1024U);
  EXPECT_EQ(info.type_name, "md.Quote");
  EXPECT_EQ(info.type_size, sizeof(Quote));
  EXPECT_GT(info.created_ns, 0U);
  EXPECT_EQ(info.tail, 640U);
  EXPECT_EQ(info.oldest, 0U);
  EXPECT_EQ(info.max_payload_bytes, 16_KiB - 32);
  EXPECT_FALSE(info.lock_blocked);
  ASSERT_EQ(info.publishers.size(), 1U);
  EXPECT_EQ(info.publishers[0].name, "feed");
  EXPECT_EQ(info.publishers[0].pid, ::getpid());
  EXPECT_TRUE(info.publishers[0].alive);
  EXPECT_FALSE(info.publishers[0].stopped);
  EXPECT_EQ(info.publishers[0].messages, 10U);
  EXPECT_EQ(info.publishers[0].bytes, 240U);
  EXPECT_EQ(info.publishers[0].waiting_ns, std::nullopt);
  EXPECT_EQ(info.publishers[0].waiting_for, "");
  EXPECT_EQ(info.publishers[0].open_claim, std::nullopt);
  ASSERT_EQ(info.subscriptions.size(), 2U);
  EXPECT_EQ(info.subscriptions[0].name, "billing");
  EXPECT_TRUE(info.subscriptions[0].durable);
  EXPECT_EQ(info.subscriptions[0].reliability, ringway::Reliability::reliable);
  EXPECT_EQ(info.subscriptions[0].cursor, 256U);
  EXPECT_EQ(info.subscriptions[0].lag_bytes, 384U);
  EXPECT_EQ(info.subscriptions[0].received, 4U);
  EXPECT_EQ(info.subscriptions[1].name, "");
  EXPECT_FALSE(info.subscriptions[1].durable);
  EXPECT_EQ(info.subscriptions[1].reliability, ringway::Reliability::lossy);
  EXPECT_EQ(info.subscriptions[1].lag_bytes, 192U);
  EXPECT_EQ(info.subscriptions[1].received, 7U);
  EXPECT_EQ(info.subscriptions[1].lost, 0U);
  EXPECT_TRUE(is_error(thrown([&] { return here.topic("absent"); }), Code::not_found, "absent"));
}

// Row 10: whoever comes is on files that the name means, starts over, or hears why not.
TEST_F(RemoveTest, CreatingAttachingAndRemovingAtOnceEndsWell) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(ringway_test::seed()));
  constexpr int kProcesses = 6;
  const std::vector<std::string> names = {"t", "a/t", "a/b/t"};
  std::vector<Child> children;
  children.reserve(kProcesses);
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(Child::fork([&, process] {
      ringway_test::Dice dice(static_cast<std::uint64_t>(process));
      const Bus here = bus();
      const auto expected = [](const ringway_test::Thrown& error, std::initializer_list<Code> codes) {
        for (const Code code : codes)
          if (error.code == code) return;
        ADD_FAILURE() << error.text;
      };
      for (int i = 0; i < ringway_test::rounds(300); ++i) {
        const std::string& name = names[dice.up_to(names.size() - 1)];
        const ringway::TopicOptions options{.capacity_bytes = 32_KiB, .temporary = name == "a/t"};
        switch (dice.up_to(7)) {
          case 0: expected(thrown([&] { return here.create_topic(name, options); }), {Code::ok, Code::busy}); break;
          case 1: expected(thrown([&] { here.remove_topic(name); }), {Code::ok, Code::not_found, Code::busy}); break;
          case 2:
            expected(thrown([&] { here.remove_topic(name, Remove::if_unused); }),
                     {Code::ok, Code::not_found, Code::busy});
            break;
          case 3: {
            const std::string subscription = "s" + std::to_string(process % 2);
            expected(thrown([&] {
                       auto in =
                           here.subscriber(name, {.name = subscription, .attach_timeout = kPatience, .topic = options});
                       while (in.try_receive()) {
                       }
                     }),
                     {Code::ok, Code::taken});
            break;
          }
          case 4:
            expected(thrown([&] { here.remove_subscription(name, "s0"); }),
                     {Code::ok, Code::not_found, Code::taken, Code::busy});
            break;
          case 5:
            for (const auto& topic : here.topics()) EXPECT_EQ(topic.problem, "") << topic.name;
            expected(thrown([&] { std::ignore = here.observer(name).try_receive(); }), {Code::ok, Code::not_found});
            break;
          default:
            expected(thrown([&] {
                       auto out = here.publisher(name, {.attach_timeout = kPatience, .topic = options});
                       for (int message = 0; message < 20; ++message) {
                         const auto status = out.try_publish(std::string(100, 'x'));
                         if (status != Code::ok && status != Code::would_block && status != Code::topic_gone)
                           ADD_FAILURE() << status;
                       }
                     }),
                     {Code::ok});
        }
      }
      return 0;
    }));
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
  for (const std::string& name : names) {
    auto in = bus().subscriber(name);
    ASSERT_TRUE(bus().publisher(name).publish("works", 0s)) << name;
    EXPECT_TRUE(in.try_receive()) << name;
  }
  bus().remove();
  EXPECT_FALSE(fs::exists(directory()));
}

}  // namespace

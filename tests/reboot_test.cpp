// A bus on a disk across a reboot: another boot id in a mount namespace of a child's own, and a file system that says it is a disk.

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "reboot.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/privileged.hpp"
#include "support/ring_fixture.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {
bool on_a_disk = true;
}

// The library is linked into this program: it asks here what file system it is on.
extern "C" int fstatfs(int file, struct statfs* status) noexcept {
  static auto* const next = reinterpret_cast<decltype(&fstatfs)>(::dlsym(RTLD_NEXT, "fstatfs"));
  const int result = next(file, status);
  if (on_a_disk) status->f_type = EXT4_SUPER_MAGIC;
  return result;
}

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::Publishers;
using ringway::Reliability;
using ringway::SubscriptionInfo;
using ringway::TopicInfo;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kNotPermitted;
using ringway_test::kSmall;
using ringway_test::kWhole;
using ringway_test::map_topic;
using ringway_test::names_in;
using ringway_test::Pipe;
using ringway_test::text_of;
using ringway_test::thrown;

constexpr int kKilled = 128 + SIGKILL;
[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  ::_exit(1);
}

class RebootTest : public ringway_test::TopicFiles {
 protected:
  // A process in a boot of that name.
  static Child in_boot(const std::string& name, const std::function<int()>& body) {
    return Child::fork([name, body] {
      char id[] = "/tmp/ringway-boot.XXXXXX";
      const int file = ::mkstemp(id);
      const std::string text = std::string("00000000-0000-4000-8000-000000000000").replace(0, name.size(), name) + "\n";
      const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
      ::fchmod(file, 0644);
      ::close(file);
      const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           ::mount(id, "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) == 0;
      ::unlink(id);
      return written && mounted ? body() : kNotPermitted;
    });
  }
  std::uint64_t mark() const {
    return map_topic(directory(), "t", ringway::detail::Role::observe)->memory().control->boot;
  }

  // Five messages: the reliable s has released two, the lossy l one, n none. Then all die.
  int use_and_die(const ringway::TopicOptions& options = kSmall) const {
    auto out = bus().publisher("t", {.name = "feed", .topic = options});
    auto s = bus().subscriber("t", {.name = "s"});
    auto l = bus().subscriber("t", {.name = "l", .reliability = Reliability::lossy});
    auto n = bus().subscriber("t", {.name = "n", .max_lag_bytes = 4096});
    auto ephemeral = bus().subscriber("t");
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(out.publish("old " + std::to_string(i)));
    EXPECT_EQ(s.poll([](const ringway::Message&) {}, 2), 2U);
    EXPECT_EQ(l.poll([](const ringway::Message&) {}, 1), 1U);
    if (testing::Test::HasFailure()) return 1;
    die();
  }
  SubscriptionInfo subscription(const std::string& name) const {
    for (const SubscriptionInfo& one : bus().topic("t").subscriptions)
      if (one.name == name) return one;
    ADD_FAILURE() << "there is no subscription " << name;
    return {};
  }
  // What use_and_die has left is counted, and gone; everybody can go on.
  int expect_discarded() const {
    auto out = bus().publisher("t", {.name = "next"});
    const TopicInfo info = bus().topic("t");
    EXPECT_EQ(names_in(directory()), kWhole);
    EXPECT_EQ(info.discarded, 5U);
    EXPECT_EQ(info.oldest, info.tail);
    EXPECT_EQ(info.publishers.at(0).messages, 5U);
    EXPECT_EQ(info.subscriptions.size(), 3U);  // the ephemeral one is gone
    for (const SubscriptionInfo& one : info.subscriptions) EXPECT_EQ(one.lag_bytes, 0U) << one.name;
    struct Expected {
      const char* name;
      Reliability reliability;
      std::uint64_t max_lag_bytes, received, lost;
    };
    for (const Expected& all : {Expected{"s", Reliability::reliable, 0, 2, 3},
                                {"l", Reliability::lossy, 0, 1, 4},
                                {"n", Reliability::reliable, 4096, 0, 5}}) {
      const SubscriptionInfo one = subscription(all.name);
      EXPECT_EQ(one.lost, all.lost) << all.name;
      EXPECT_EQ(one.received, all.received) << all.name;
      EXPECT_FALSE(one.attached) << all.name;
      const auto open = [&] {
        return bus().subscriber("t",
                                {.name = all.name, .reliability = all.reliability, .max_lag_bytes = all.max_lag_bytes});
      };
      {
        auto in = open();
        EXPECT_EQ(in.lost(), all.lost) << all.name;
        EXPECT_TRUE(out.publish("new"));
        const auto message = in.receive(1s);
        EXPECT_EQ(message.text(), "new") << all.name << ": " << message.status();
        EXPECT_GE(message.position(), info.tail) << "a position came again";
        EXPECT_EQ(message.lost(), all.name == std::string("s") ? 0 : all.lost) << all.name;
      }
      EXPECT_EQ(open().lost(), 0U) << all.name << ": told twice";
      EXPECT_EQ(subscription(all.name).lost, all.lost) << all.name;
    }
    return testing::Test::HasFailure() ? 1 : 0;
  }
};

// Row 26
TEST_F(RebootTest, AfterAnOrderlyLeaveTheContentsAreThere) {
  const int first = in_boot("a", [&] {
                      auto out = bus().publisher("t", {.topic = kSmall});
                      auto in = bus().subscriber("t", {.name = "s"});
                      for (const char* text : {"one", "two", "three"}) EXPECT_TRUE(out.publish(text));
                      EXPECT_EQ(text_of(in.receive(1s)), "one");
                      return HasFailure() ? 1 : 0;
                    }).wait();
  NEEDS_PERMISSION(first);
  EXPECT_EQ(mark(), 0U);
  EXPECT_EQ(in_boot("b",
                    [&] {
                      auto in = bus().subscriber("t", {.name = "s"});
                      EXPECT_EQ(text_of(in.receive(1s)), "two");
                      EXPECT_EQ(text_of(in.receive(1s)), "three");
                      EXPECT_EQ(in.lost(), 0U);
                      EXPECT_EQ(bus().topic("t").discarded, 0U);
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
}

// Row 26
TEST_F(RebootTest, WhatWasInUseWhenTheMachineStoppedIsDiscardedAndCounted) {
  for (const Publishers publishers : {Publishers::shared, Publishers::exclusive}) {
    ringway::TopicOptions options = kSmall;
    options.publishers = publishers;
    const int first = in_boot("a", [&] { return use_and_die(options); }).wait();
    if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
    ASSERT_EQ(first, kKilled);
    const auto mode = ringway_test::status_of(data()).st_mode;
    EXPECT_EQ(in_boot("b", [&] { return expect_discarded(); }).wait(), 0);
    EXPECT_EQ(ringway_test::status_of(data()).st_mode, mode);
    bus().remove_topic("t");
  }
}

// Row 26: dead in the boot that is still on, everything comes again, though the topic is older.
TEST_F(RebootTest, ADeathInThisBootDiscardsNothing) {
  const int first = in_boot("a", [&] {
                      bus().create_subscription("t", "s", {.topic = kSmall});
                      std::ignore = bus().publisher("t");
                      return 0;
                    }).wait();
  NEEDS_PERMISSION(first);
  for (int round = 0; round < 2; ++round)
    EXPECT_EQ(in_boot("b",
                      [&] {
                        auto out = bus().publisher("t");
                        if (out.publish("kept")) die();
                        return 1;
                      })
                  .wait(),
              kKilled);
  EXPECT_EQ(in_boot("b",
                    [&] {
                      auto in = bus().subscriber("t", {.name = "s"});
                      EXPECT_EQ(text_of(in.receive(1s)), "kept");
                      EXPECT_EQ(text_of(in.receive(1s)), "kept");
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
}

// Row 26: no kernel lock outlives a reboot. A container may show a boot id of its own.
TEST_F(RebootTest, WhoeverLivesProvesThatThereWasNone) {
  Pipe ready;
  Pipe done;
  Child other = in_boot("a", [&] {
    done.close_write_end();
    auto out = bus().publisher("t", {.topic = kSmall});
    auto in = bus().subscriber("t", {.name = "s"});
    EXPECT_TRUE(out.publish("kept"));
    ready.signal();
    done.await();
    EXPECT_TRUE(out.publish("more"));
    EXPECT_EQ(text_of(in.receive(1s)), "kept");
    return HasFailure() ? 1 : 0;
  });
  ready.close_write_end();
  if (!ready.await()) {
    NEEDS_PERMISSION(other.wait());
    FAIL() << "it ended early";
  }
  EXPECT_EQ(in_boot("b",
                    [&] {
                      auto out = bus().publisher("t");
                      auto in = bus().subscriber("t", {.name = "d"});
                      EXPECT_EQ(text_of(in.receive(1s)), "kept");
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
  done.signal();
  EXPECT_EQ(other.wait(), 0);
}

// Row 26: an observer, who has no lock, is on the old file.
TEST_F(RebootTest, AnObserverOfTheOldFilesIsToldThatTheTopicIsGone) {
  const int first = in_boot("a", [&] { return use_and_die(); }).wait();
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  ASSERT_EQ(first, kKilled);
  auto look = bus().observer("t", {.from = ringway::From::oldest});
  EXPECT_EQ(text_of(look.try_receive()), "old 0");
  EXPECT_EQ(in_boot("b",
                    [&] {
                      std::ignore = bus().publisher("t");
                      return 0;
                    })
                .wait(),
            0);
  int old = 1;
  while (const auto message = look.receive(5s)) ++old;
  EXPECT_EQ(old, 5);
  EXPECT_EQ(look.status(), Code::topic_gone);
}

// Row 26: a tmpfs does not outlive the kernel, so what lies there is of this boot, whatever a container shows.
TEST_F(RebootTest, OnATmpfsNothingIsEverDiscarded) {
  on_a_disk = false;
  const int first = in_boot("a", [&] { return use_and_die(); }).wait();
  const int second = first == kNotPermitted ? first : in_boot("b", [&] {
                                                        auto in = bus().subscriber("t", {.name = "s"});
                                                        EXPECT_EQ(text_of(in.receive(1s)), "old 2");
                                                        return HasFailure() ? 1 : 0;
                                                      }).wait();
  on_a_disk = true;
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  EXPECT_EQ(first, kKilled);
  EXPECT_EQ(second, 0);
}

// Row 26: wherever the one who discards died, the next one comes to the same sums.
TEST_F(RebootTest, EveryHalfWayPointLeadsToTheSameEnd) {
  for (int done = 0; done <= 5; ++done) {
    SCOPED_TRACE(done);
    const int first = in_boot("a", [&] { return use_and_die(); }).wait();
    if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
    ASSERT_EQ(first, kKilled);
    const std::uint64_t boot = mark();
    if (done < 5) {
      std::ofstream(ringway::detail::next_data_path(directory(), "t")) << "half";
      const auto segment = map_topic(directory(), "t", ringway::detail::Role::publish);
      const auto& memory = segment->memory();
      for (std::uint32_t slot = 0; slot < 3; ++slot) {
        auto& row = memory.subscription(slot);
        const std::uint64_t lost = slot == 0 ? 3 : 3 + slot;
        if (done > 0) row.discarded_from = row.lost.load();
        if (done > 1) row.discarded_to = row.lost.load() + lost;
        if (done > 2) row.cursor = memory.tail().load();
        if (done > 3) row.lost = row.discarded_to.load();
      }
    } else {  // all but the mark
      ASSERT_EQ(in_boot("b", [&] { return bus().create_topic("t", kSmall) ? 1 : 0; }).wait(), 0);
      map_topic(directory(), "t", ringway::detail::Role::publish)->memory().control->boot = boot;
    }
    EXPECT_EQ(in_boot("b", [&] { return expect_discarded(); }).wait(), 0);
    bus().remove_topic("t");
  }
}

// Row 26: two such reboots without anybody who was told in between.
TEST_F(RebootTest, LossesAddUpUntilTheyAreTold) {
  const int first = in_boot("a", [&] { return use_and_die(); }).wait();
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  ASSERT_EQ(first, kKilled);
  EXPECT_EQ(in_boot("b",
                    [&] {
                      auto out = bus().publisher("t");
                      if (out.publish("more")) die();
                      return 1;
                    })
                .wait(),
            kKilled);
  EXPECT_EQ(in_boot("c",
                    [&] {
                      auto in = bus().subscriber("t", {.name = "s"});
                      EXPECT_EQ(in.lost(), 4U);
                      EXPECT_EQ(bus().topic("t").discarded, 6U);
                      EXPECT_EQ(subscription("l").lost, 5U);
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
}

// Row 26: an open claim of a dead publisher does not hide what lies behind it.
TEST_F(RebootTest, MessagesBehindADeadClaimAreCounted) {
  const int first = in_boot("a", [&] {
                      bus().create_subscription("t", "s", {.topic = kSmall});
                      auto holder = bus().publisher("t");
                      auto out = bus().publisher("t");
                      const auto claim = holder.claim(100);
                      EXPECT_TRUE(out.publish("behind") && out.publish("it"));
                      die();
                      return 0;
                    }).wait();
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  ASSERT_EQ(first, kKilled);
  EXPECT_EQ(in_boot("b",
                    [&] {
                      EXPECT_EQ(bus().subscriber("t", {.name = "s"}).lost(), 2U);
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
}

// Row 26: a cursor may stand inside a packed frame.
TEST_F(RebootTest, MessagesOfAPackedFrameAreCountedOneByOne) {
  const int first = in_boot("a", [&] {
                      auto in = bus().subscriber("t", {.name = "s", .topic = kSmall});
                      EXPECT_TRUE(bus().publisher("t").publish_all("12345", 1));
                      EXPECT_EQ(text_of(in.receive(1s)), "1");
                      EXPECT_EQ(text_of(in.receive(1s)), "2");
                      die();
                      return 0;
                    }).wait();
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  ASSERT_EQ(first, kKilled);
  EXPECT_EQ(in_boot("b",
                    [&] {
                      EXPECT_EQ(bus().subscriber("t", {.name = "s"}).lost(), 3U);
                      EXPECT_EQ(bus().topic("t").discarded, 5U);
                      return HasFailure() ? 1 : 0;
                    })
                .wait(),
            0);
}

// Row 26
TEST_F(RebootTest, OnlyTheLastOneWhoLeavesMarksIt) {
  std::optional<ringway::Publisher> one = bus().publisher("t", {.topic = kSmall});
  std::optional<ringway::Publisher> two = bus().publisher("t");
  std::optional<ringway::Subscriber> durable = bus().subscriber("t", {.name = "s"});
  std::optional<ringway::Subscriber> ephemeral = bus().subscriber("t");
  const std::uint64_t used = mark();
  EXPECT_NE(used, 0U);
  const auto left = [&](auto& handle) {
    handle.reset();
    return mark() & ~ringway::detail::kLeaving;
  };
  EXPECT_EQ(left(one), used);
  EXPECT_EQ(left(durable), used);
  EXPECT_EQ(left(ephemeral), used);
  EXPECT_EQ(Child::fork([&] {
              auto dead = bus().publisher("t");
              die();
              return 0;
            }).wait(),
            kKilled);
  EXPECT_EQ(left(two), 0U) << "the dead are not there";
  EXPECT_EQ(thrown([&] { return bus().subscriber("t", {.from = ringway::From::at(64)}); }).code,
            Code::invalid_argument);
  EXPECT_EQ(mark(), 0U) << "who did not come does not have to leave";
  durable.emplace(bus().subscriber("t", {.name = "s"}));
  EXPECT_EQ(mark(), used);
}

// Row 26: the new file must be its owner's.
TEST_F(RebootTest, AnotherUserWhoMayPublishIsToldWhoCanDiscard) {
  constexpr unsigned kBob = 12346;
  const int status = ringway_test::with_private_tmpfs("/dev/shm", "size=4m,mode=1777", [] {
    const auto there = [] { return Bus::at("/dev/shm/bus"); };
    ringway::TopicOptions options = kSmall;
    options.access = {
        .publish = ringway::Who::everyone, .subscribe = ringway::Who::everyone, .observe = ringway::Who::everyone};
    EXPECT_EQ(in_boot("a",
                      [&] {
                        auto out = there().publisher("t", {.topic = options});
                        if (out.publish("old")) die();
                        return 1;
                      })
                  .wait(),
              kKilled);
    const auto by_bob = [&](const std::function<int()>& body) {
      return in_boot("b", [&] { return ringway_test::as_user(kBob, kBob, body); }).wait();
    };
    EXPECT_EQ(by_bob([&] {
                EXPECT_TRUE(is_error(thrown([&] { return there().publisher("t"); }), Code::no_permission, "user 0"));
                EXPECT_TRUE(is_error(thrown([&] { return there().subscriber("t"); }), Code::no_permission, "user 0"));
                EXPECT_EQ(there().topic("t").discarded, 0U);
                return HasFailure() ? 1 : 0;
              }),
              0);
    EXPECT_EQ(in_boot("b", [&] { return there().create_topic("t", options) ? 1 : 0; }).wait(), 0);
    EXPECT_EQ(by_bob([&] {
                EXPECT_TRUE(there().publisher("t").publish("new"));
                EXPECT_EQ(there().topic("t").discarded, 1U);
                return HasFailure() ? 1 : 0;
              }),
              0);
    return HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 26: on what is no tmpfs, with nothing in between.
TEST_F(RebootTest, OnARealDiskToo) {
  on_a_disk = false;
  const fs::path place = fs::current_path() / ("reboot." + std::to_string(::getpid()));
  const Bus there = Bus::at(place.string());
  const auto finally = [&] {
    fs::remove_all(place);
    on_a_disk = true;
  };
  struct statfs status {};
  const bool disk = ::statfs(place.c_str(), &status) == 0 && status.f_type != TMPFS_MAGIC &&
                    thrown([&] { return there.publisher("t", {.topic = kSmall}); }).code == Code::ok;
  if (!disk) {
    finally();
    GTEST_SKIP() << "the build directory is on a tmpfs, or on a file system that topics cannot be on";
  }
  const int first = in_boot("a", [&] {
                      auto in = there.subscriber("t", {.name = "s"});
                      auto out = there.publisher("t");
                      if (out.publish("old")) die();
                      return 1;
                    }).wait();
  const int second = first == kNotPermitted ? 0 : in_boot("b", [&] {
                                                    auto in = there.subscriber("t", {.name = "s"});
                                                    EXPECT_EQ(in.lost(), 1U);
                                                    EXPECT_EQ(in.try_receive().status(), Code::would_block);
                                                    return HasFailure() ? 1 : 0;
                                                  }).wait();
  finally();
  if (first == kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace";
  EXPECT_EQ(first, kKilled);
  EXPECT_EQ(second, 0);
}

}  // namespace

// `ringway` for operators: observe, drain, check, gc, subscription info and seek; and a day of theirs.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "ringway/detail/layout.hpp"
#include "support/privileged.hpp"
#include "support/tool.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ringway::literals;
using nlohmann::json;
using ringway_test::Child;
using ringway_test::contains;
using ringway_test::OpenFile;
using ringway_test::Output;
using ringway_test::with_private_tmpfs;

class OperateTest : public ringway_test::ToolTest {};

TEST_F(OperateTest, ObserveShowsTheLastMessagesAndGoesOnIfToldTo) {
  ASSERT_EQ(tool({"pub", "t"}, numbered_lines(100)).status, 0);
  EXPECT_EQ(tool({"observe", "t", "--last", "2"}).out, "message 98\nmessage 99\n");
  EXPECT_EQ(tool({"observe", "t", "--from", "oldest", "--count", "1"}).out, "message 0\n");
  const Output hex = tool({"observe", "t", "--last", "1", "--hex"});
  EXPECT_TRUE(contains(hex.out, "6d 65 73 73 61 67 65 20 39 39")) << hex.out;
  EXPECT_TRUE(contains(hex.out, "message 99")) << hex.out;
  EXPECT_TRUE(contains(hex.out, "publisher 0")) << hex.out;
  const json line = json::parse(tool({"observe", "t", "--last", "1", "--json"}).out);
  EXPECT_EQ(line["hex"], "6d657373616765203939");
  EXPECT_EQ(line["bytes"], 10);
  EXPECT_EQ(tool({"observe", "t", "--timeout", "50ms"}).status, 3);
  EXPECT_EQ(tool({"observe", "nothing"}).status, 1);
  EXPECT_TRUE(bus().topic("t").subscriptions.empty());

  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child follow = start({"observe", "t", "--last", "1", "--follow"}, {.out = out.get()});
  await_bytes("out", 11);
  ASSERT_EQ(tool({"pub", "t"}, "more\n").status, 0);
  await_bytes("out", 16);
  follow.kill(SIGINT);
  EXPECT_EQ(follow.wait(), 0);
  EXPECT_EQ(read("out"), "message 99\nmore\n");
}

TEST_F(OperateTest, ObserveKeepsControlBytesFromTheTerminal) {
  auto out = bus().publisher("t");
  ASSERT_TRUE(out.publish("\x1b[2J\\"));
  EXPECT_EQ(tool({"observe", "t", "--last", "1"}).out, "\\x1b[2J\\\\\n");
}

TEST_F(OperateTest, ObserveReadsFilesThatWereCopiedAfterACrash) {
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\n").status, 0);
  Child dead = attached([](const ringway::Bus& bus) {
    auto out = bus.publisher("t", {.name = "feed"});
    auto claim = out.claim(100);
    return std::pair(std::move(out), std::move(claim));
  });
  dead.kill(SIGKILL);
  dead.wait();
  fs::copy(directory(), path("copy"), fs::copy_options::recursive);
  EXPECT_EQ(tool({"--dir", path("copy"), "observe", "t", "--last", "5"}).out, "one\ntwo\n");
  EXPECT_TRUE(contains(tool({"--dir", path("copy"), "info", "t"}).out, "publisher feed"));
  EXPECT_EQ(tool({"--dir", path("copy"), "pub", "t"}, "three\n").status, 1);
}

TEST_F(OperateTest, SubscriptionsAreShownAndMoved) {
  ASSERT_EQ(tool({"subscription", "create", "t", "billing"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\nthree\n").status, 0);
  EXPECT_EQ(listing({"subscription", "info", "t", "billing", "--json"})["lag_bytes"], 192);
  EXPECT_TRUE(contains(tool({"subscription", "info", "t", "billing"}).out, "192 B behind"));
  EXPECT_EQ(tool({"subscription", "seek", "t", "billing", "64"}).status, 0);
  EXPECT_EQ(tool({"sub", "t", "--name", "billing", "--count", "1"}).out, "two\n");
  EXPECT_EQ(tool({"subscription", "seek", "t", "billing", "newest"}).status, 0);
  EXPECT_EQ(listing({"subscription", "info", "t", "billing", "--json"})["lag_bytes"], 0);
  EXPECT_EQ(tool({"subscription", "seek", "t", "billing", "65"}).status, 2);
  EXPECT_EQ(tool({"subscription", "seek", "t", "billing", "sideways"}).status, 2);
  EXPECT_EQ(tool({"subscription", "info", "t", "nobody"}).status, 1);
  const Child reader = attached([](const ringway::Bus& bus) { return bus.subscriber("t", {.name = "billing"}); });
  const Output taken = tool({"subscription", "seek", "t", "billing", "oldest"});
  EXPECT_EQ(taken.status, 1);
  EXPECT_TRUE(contains(taken.err, "live owner")) << taken.err;
}

TEST_F(OperateTest, DrainWaitsUntilEverythingHasBeenRead) {
  ASSERT_EQ(tool({"subscription", "create", "t", "billing"}).status, 0);
  ASSERT_EQ(tool({"subscription", "create", "t", "ticker", "--lossy"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, numbered_lines(10)).status, 0);
  const Output late = tool({"drain", "t", "--timeout", "100ms"});
  EXPECT_EQ(late.status, 3);
  EXPECT_TRUE(contains(late.err, "subscription billing has 640 B to read, owner: nobody")) << late.err;
  Child drain = start({"drain", "t", "--timeout", "50s"});
  ASSERT_EQ(tool({"sub", "t", "--name", "billing", "--count", "10"}).status, 0);
  EXPECT_EQ(drain.wait(), 0);
  EXPECT_EQ(tool({"drain", "nothing"}).status, 1);
}

TEST_F(OperateTest, CheckIsForScripts) {
  EXPECT_EQ(tool({"check"}).status, 0);
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  bus().create_subscription("t", "billing");
  ASSERT_EQ(tool({"pub", "t"}, "one\n").status, 0);
  EXPECT_EQ(tool({"check", "--max-lag", "64"}).status, 0);
  const Output lag = tool({"check", "--max-lag", "63"});
  EXPECT_EQ(lag.status, 1);
  EXPECT_EQ(lag.out, "topic t: subscription billing is 64 B behind, more than 63 B; owner: nobody\n");
  EXPECT_EQ(find(listing({"check", "--max-lag", "0", "--json"}, 1), "lag")["about"], "billing");

  const Child feed = attached([](const ringway::Bus& bus) {
    auto out = bus.publisher("t", {.name = "feed"});
    while (out.try_publish("hello")) {
    }
    EXPECT_FALSE(out.publish("hello", std::chrono::milliseconds(1)));
    return out;
  });
  const OpenFile in(path("in"), O_RDWR | O_CREAT);
  write("in", numbered_lines(1));
  const Child pub = start({"pub", "t"}, {.in = in.get()});
  await([&] { return tool({"check", "--max-blocked", "1ms"}).status == 1; });
  EXPECT_TRUE(contains(tool({"check", "--max-blocked", "1ms"}).out, "subscription billing holds publisher"));
  EXPECT_EQ(tool({"check", "--max-blocked", "1h"}).status, 0);
  EXPECT_EQ(tool({"check"}).status, 0);
  // As if it had waited since a minute ago: too long, if nothing else is said.
  const auto info = bus().topic("t");
  const std::uint64_t since = info.seen_ns - 60'000'000'000;
  const ringway::detail::Limits limits = {.max_publishers = *info.options.max_publishers,
                                          .max_subscriptions = *info.options.max_subscriptions};
  for (const auto& publisher : info.publishers)
    std::fstream(directory() + "/t.control", std::ios::in | std::ios::out | std::ios::binary)
        .seekp(static_cast<std::streamoff>(ringway::detail::waiting_lines_offset(limits) +
                                           publisher.slot * sizeof(ringway::detail::WaitingLine) +
                                           offsetof(ringway::detail::WaitingLine, since_ns)))
        .write(reinterpret_cast<const char*>(&since), sizeof since);
  EXPECT_EQ(tool({"check"}).status, 1);
  EXPECT_TRUE(contains(tool({"check"}).out, " back since 60 s")) << tool({"check"}).out;
  EXPECT_EQ(tool({"check", "--max-blocked", "1h"}).status, 0);
  fs::resize_file(directory() + "/t.data", 100);
  EXPECT_EQ(tool({"check"}).status, 1);
}

TEST_F(OperateTest, GcRemovesWhatBelongsToNobodyAndNothingElse) {
  bus().create_topic("kept");
  bus().create_subscription("kept", "billing");
  bus().create_topic("t");
  bus().create_topic("half");
  fs::remove(directory() + "/half.data");
  for (const bool temporary : {true, false}) {
    Child dead = attached([temporary](const ringway::Bus& bus) {
      if (temporary) return bus.subscriber("temporary", {.topic = {.temporary = true}});
      return bus.subscriber("t");
    });
    EXPECT_EQ(find(listing({"gc", "--json"}), temporary ? "temporary" : "dead"), json());  // it lives
    dead.kill(SIGKILL);
    dead.wait();
  }
  const json found = listing({"gc", "--json"});
  EXPECT_EQ(found.size(), 3U) << found;
  EXPECT_EQ(find(found, "half")["topic"], "half");
  EXPECT_EQ(find(found, "temporary")["topic"], "temporary");
  EXPECT_EQ(find(found, "dead")["topic"], "t");
  EXPECT_EQ(bus().topic("t").subscriptions.size(), 1U);  // it only listed
  EXPECT_EQ(tool({"gc", "--apply"}).status, 0);
  EXPECT_EQ(listing({"gc", "--json"}), json::array());
  EXPECT_EQ(listing({"ls", "--json"}).size(), 2U);  // kept, t
  EXPECT_TRUE(bus().topic("t").subscriptions.empty());
  EXPECT_FALSE(fs::exists(directory() + "/half.control"));
}

TEST_F(OperateTest, WhatAnotherVersionMadeIsShownAndRemoved) {
  bus().create_topic("old");
  const std::uint32_t version = 99;
  for (const char* file : {"/old.data", "/old.control"})
    std::fstream(directory() + file, std::ios::in | std::ios::out | std::ios::binary)
        .seekp(offsetof(ringway::detail::Prefix, layout_version))
        .write(reinterpret_cast<const char*>(&version), sizeof version);
  EXPECT_EQ(listing({"ls", "--json"})[0]["layout_version"], 99);
  const Output info = tool({"info", "old"});
  EXPECT_EQ(info.status, 0) << info.err;
  EXPECT_TRUE(contains(info.out, "layout 99")) << info.out;
  EXPECT_EQ(tool({"rm", "old"}).status, 1);
  EXPECT_EQ(tool({"rm", "old", "--force"}).status, 0);
  EXPECT_EQ(listing({"ls", "--json"}), json::array());
}

// It measures, so what it prints is not compared; that it runs, and says why where it cannot.
TEST_F(OperateTest, BenchMeasuresThisMachineOrSaysWhyNot) {
  if (!contains(tool({"--help"}).out, "bench")) GTEST_SKIP() << "a build with sanitizers measures nothing";
  const Output one_core = shell("exec taskset -c $(taskset -pc $$ | sed 's/.*: *\\([0-9]*\\).*/\\1/') $R bench");
  EXPECT_EQ(one_core.status, 1);
  EXPECT_TRUE(contains(one_core.err, "two processes need two cores")) << one_core.err;
  const Output output = tool({"bench"});
  if (contains(output.err, "two cores")) return;
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char* words : {"kernel", "one way, 64 bytes", "streaming, 64 bytes", "exclusive", "shared"})
    EXPECT_TRUE(contains(output.out, words)) << words << "\n" << output.out;
  EXPECT_TRUE(bus().topics().empty());
}

// A day of an operator: who lags, why is the producer blocked, drain and remove, a restart.
TEST_F(OperateTest, ADayOfAnOperator) {
  ASSERT_EQ(
      tool({"create", "orders", "--capacity", "32KiB", "--access", "publish=owner,subscribe=owner,observe=everyone"})
          .status,
      0);
  ASSERT_EQ(tool({"subscription", "add", "orders", "billing"}).status, 0);
  write("in", numbered_lines(10'000));
  const OpenFile in(path("in"), O_RDONLY);
  Child feed = start({"pub", "orders", "--name", "feed"}, {.in = in.get()});
  // Nothing comes out. Who lags?
  await([&] { return tool({"check", "--max-lag", "16KiB", "--max-blocked", "1ms"}).status == 1; });
  EXPECT_TRUE(contains(tool({"subscription", "ls"}).out, "billing"));
  // Why is the producer blocked?
  const Output info = tool({"info", "orders"});
  EXPECT_TRUE(contains(info.out, "blocked: publisher feed (pid ")) << info.out;
  EXPECT_TRUE(contains(info.out, "nobody attached")) << info.out;
  EXPECT_TRUE(contains(tool({"subscription", "info", "orders", "billing"}).out, "holds back    publisher feed"));
  // It may not be removed by mistake.
  const Output refused = tool({"rm", "orders"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "--force")) << refused.err;
  // Its reader is started; what was kept comes first, and the producer goes on to its end.
  EXPECT_EQ(tool({"sub", "orders", "--name", "billing", "--count", "10000"}).out, numbered_lines(10'000));
  EXPECT_EQ(feed.wait(), 0);
  EXPECT_EQ(tool({"drain", "orders", "--timeout", "50s"}).status, 0);
  EXPECT_EQ(tool({"check", "--max-lag", "0"}).status, 0);
  // The reader is restarted: it goes on where it stopped.
  ASSERT_EQ(tool({"pub", "orders"}, "one more\n").status, 0);
  EXPECT_EQ(tool({"sub", "orders", "--name", "billing", "--count", "1"}).out, "one more\n");
  // Done with it.
  EXPECT_EQ(tool({"subscription", "rm", "orders", "billing"}).status, 0);
  EXPECT_EQ(tool({"rm", "orders"}).status, 0);
  EXPECT_EQ(tool({"ls"}).out, "");
}

// ... and of one who shares a bus with another user, on a file system that becomes full.
TEST_F(OperateTest, ADayOfAnOperatorOfASharedBus) {
  constexpr unsigned kAlice = 12345;
  const int status = with_private_tmpfs("/dev/shm", "size=4m,mode=1777", [] {
    const auto ringway = [](Words words, const std::string& input = {}) {
      words.insert(words.begin(), {ringway_test::program("ringway"), "--dir", "/dev/shm/bus"});
      return ringway_test::run(words, input);
    };
    const auto expect_refused = [](const Output& output, const std::string& words) {
      EXPECT_EQ(output.status, 1) << output.out;
      EXPECT_TRUE(contains(output.err, "[no_permission]")) << output.err;
      EXPECT_TRUE(contains(output.err, words)) << output.err;
    };
    EXPECT_EQ(ringway({"create", "orders", "--capacity", "64KiB", "--access", "observe=everyone"}).status, 0);
    EXPECT_EQ(ringway({"pub", "orders", "--name", "feed"}, "one\ntwo\n").status, 0);
    // Alice may look, and is told what she may not.
    EXPECT_EQ(ringway_test::as_user(kAlice, kAlice,
                                    [&] {
                                      EXPECT_TRUE(contains(ringway({"info", "orders"}).out, "feed"));
                                      EXPECT_EQ(ringway({"observe", "orders", "--last", "1"}).out, "two\n");
                                      expect_refused(ringway({"sub", "orders"}), "ask its owner for access");
                                      expect_refused(ringway({"pub", "orders"}, "three\n"), "orders.data");
                                      expect_refused(ringway({"rm", "orders", "--force"}), "ask its owner for access");
                                      expect_refused(ringway({"create", "mine"}), "use a directory of your own");
                                      expect_refused(ringway({"ls"}), "others open topics by their names");
                                      EXPECT_TRUE(contains(ringway({"where"}).out, "you may not list them"));
                                      const Output doctor = ringway({"doctor"});
                                      EXPECT_EQ(doctor.status, 1);
                                      EXPECT_TRUE(contains(doctor.out, "ask its owner for access")) << doctor.out;
                                      EXPECT_TRUE(contains(doctor.out, "run this as the bus's owner")) << doctor.out;
                                      return ::testing::Test::HasFailure() ? 1 : 0;
                                    }),
              0);
    // The file system becomes full. What is in the way, and how much would be enough?
    EXPECT_EQ(ringway({"create", "big", "--capacity", "2MiB"}).status, 0);
    const Output full = ringway({"create", "more", "--capacity", "2MiB"});
    EXPECT_EQ(full.status, 1);
    EXPECT_TRUE(contains(full.err, " bytes needed, ") && contains(full.err, " bytes free; choose")) << full.err;
    EXPECT_EQ(ringway({"pub", "big"}, numbered_lines(20'000)).status, 0);  // what is there works on
    std::ofstream("/dev/shm/somebody-elses") << std::string(1_MiB, 'x');
    const Output check = ringway({"check"});
    EXPECT_EQ(check.status, 1);
    EXPECT_TRUE(contains(check.out, "/dev/shm is 9") && contains(check.out, " % full, ")) << check.out;
    EXPECT_TRUE(contains(ringway({"doctor"}).out, "remove topics that nobody needs")) << ringway({"doctor"}).out;
    EXPECT_EQ(ringway({"rm", "big", "--force"}).status, 0);
    EXPECT_EQ(ringway({"check"}).status, 0);
    EXPECT_EQ(ringway({"create", "more", "--capacity", "1MiB"}).status, 0);
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

}  // namespace

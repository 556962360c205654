// `ringway` for operators: ls, info, create, rm, subscription, where; and what wrong use gets.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "support/tool.hpp"

namespace {

using namespace ringway::literals;
using nlohmann::json;
using ringway_test::Child;
using ringway_test::contains;
using ringway_test::OpenFile;
using ringway_test::Output;
using ringway_test::Pipe;

class InspectTest : public ringway_test::ToolTest {};

TEST_F(InspectTest, ListingsOfAnEmptyBusAreEmpty) {
  EXPECT_EQ(tool({"ls"}).status, 0);
  EXPECT_EQ(listing({"ls", "--json"}), json::array());
  EXPECT_EQ(listing({"subscription", "ls", "--json"}), json::array());
}

TEST_F(InspectTest, ListingsShowWhatIsThere) {
  ASSERT_EQ(tool({"create", "b/quotes", "--capacity", "64KiB", "--stamped", "--max-publishers", "3"}).status, 0);
  ASSERT_EQ(tool({"subscription", "add", "b/quotes", "ledger", "--lossy"}).status, 0);
  ASSERT_EQ(tool({"pub", "b/quotes", "--name", "feed"}, "one\ntwo\n").status, 0);
  ASSERT_EQ(tool({"create", "a"}).status, 0);

  const Output table = tool({"ls"});
  EXPECT_EQ(table.status, 0);
  EXPECT_LT(table.out.find("\na "), table.out.find("\nb/quotes "));
  EXPECT_TRUE(contains(table.out, "64.0 KiB")) << table.out;

  const json topics = listing({"ls", "--json"});
  ASSERT_EQ(topics.size(), 2U);
  EXPECT_EQ(topics[0]["name"], "a");
  const json& quotes = topics[1];
  EXPECT_EQ(quotes["options"]["capacity_bytes"], 65536);
  EXPECT_EQ(quotes["options"]["publishers"], "shared");
  EXPECT_EQ(quotes["options"]["stamped"], true);
  EXPECT_EQ(quotes["options"]["max_publishers"], 3);
  EXPECT_EQ(quotes["options"]["access"]["publish"], "owner");
  EXPECT_EQ(quotes["tail"], 128);
  EXPECT_EQ(quotes["publishers"][0]["name"], "feed");
  EXPECT_EQ(quotes["publishers"][0]["alive"], false);
  EXPECT_EQ(quotes["publishers"][0]["messages"], 2);
  EXPECT_EQ(quotes["publishers"][0]["bytes"], 6);
  EXPECT_EQ(quotes["publishers"][0]["open_claim"], nullptr);
  json info = listing({"info", "b/quotes", "--json"});
  info["seen_ns"] = quotes["seen_ns"];
  EXPECT_EQ(info, quotes);

  const json subscriptions = listing({"subscription", "ls", "b/quotes", "--json"});
  ASSERT_EQ(subscriptions.size(), 1U);
  EXPECT_EQ(subscriptions[0]["topic"], "b/quotes");
  EXPECT_EQ(subscriptions[0]["name"], "ledger");
  EXPECT_EQ(subscriptions[0]["durable"], true);
  EXPECT_EQ(subscriptions[0]["reliability"], "lossy");
  EXPECT_EQ(subscriptions[0]["lag_bytes"], 128);
  EXPECT_EQ(listing({"subscription", "ls", "--json"}), subscriptions);
  EXPECT_TRUE(contains(tool({"subscription", "ls"}).out, "ledger"));
}

// Rows 68 and 70: `info` and `ls` say who waits for whom, since when, and how far it is behind.
TEST_F(InspectTest, TheLatencyOfASubscriptionAndOfAGroupIsShown) {
  bus().create_topic("t", {.latency = true});
  bus().create_group("t", "workers");
  ASSERT_EQ(tool({"pub", "t"}, "1\n2\n").status, 0);
  ASSERT_EQ(tool({"sub", "t", "--name", "audit", "--count", "2"}).status, 0);
  EXPECT_FALSE(contains(tool({"info", "t"}).out, "group workers: p50"));
  ASSERT_EQ(tool({"sub", "t", "--group", "workers", "--count", "2"}).status, 0);
  const std::string info = tool({"info", "t"}).out;
  EXPECT_TRUE(contains(info, "latency      subscription audit: p50 ")) << info;
  EXPECT_TRUE(contains(info, "latency      group workers: p50 ")) << info;
  const std::string one = tool({"subscription", "info", "t", "workers"}).out;
  EXPECT_TRUE(contains(one, "latency       p50 ")) << one;
  EXPECT_EQ(listing({"subscription", "info", "t", "workers", "--json"})["latency"]["messages"], 2);
}

TEST_F(InspectTest, InfoSaysWhoIsBlockedByWhom) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  bus().create_subscription("t", "billing");
  write("in", numbered_lines(10'000));
  const OpenFile in(path("in"), O_RDONLY);
  const Child pub = start({"pub", "t", "--name", "feed"}, {.in = in.get()});
  await([&] {
    const auto publishers = bus().topic("t").publishers;
    return !publishers.empty() && publishers[0].waiting_ns.has_value();
  });
  const std::string blocked = "blocked: publisher feed (pid " + std::to_string(pub.pid()) + ") for ";
  EXPECT_TRUE(contains(tool({"info", "t"}).out, blocked)) << tool({"info", "t"}).out;
  EXPECT_TRUE(contains(tool({"info", "t"}).out, "by subscription billing, 32.0 KiB behind, nobody attached"));
  EXPECT_TRUE(contains(tool({"ls"}).out, "publisher feed by subscription billing")) << tool({"ls"}).out;
}

// Row 70: attached, and never reading.
TEST_F(InspectTest, InfoNamesAStoppedOwner) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  write("in", numbered_lines(10'000));
  const OpenFile in(path("in"), O_RDONLY);
  Child sub = start({"sub", "t", "--name", "billing"});
  await_attached("t");
  sub.kill(SIGSTOP);
  ASSERT_TRUE(sub.wait_stopped());
  const Child pub = start({"pub", "t"}, {.in = in.get()});
  const std::string behind = " behind, owner stopped (pid " + std::to_string(sub.pid()) + ")";
  await([&] { return contains(tool({"info", "t"}).out, behind); });
  EXPECT_TRUE(contains(tool({"info", "t"}).out, "blocked: publisher in slot 0 (pid "));
}

TEST_F(InspectTest, InfoNamesTheDeadOwnerOfAnOpenClaim) {
  bus().create_topic("t");
  Child dead = Child::fork([this] {
    auto out = ringway::Bus::at(directory()).publisher("t", {.name = "feed"});
    const auto claim = out.claim(100);
    ::raise(SIGKILL);
    return claim ? 0 : 1;
  });
  EXPECT_EQ(dead.wait(), 128 + SIGKILL);
  const std::string text = tool({"info", "t"}).out;
  EXPECT_TRUE(contains(text, "publisher feed (pid " + std::to_string(dead.pid()) + ") died with an")) << text;
  EXPECT_TRUE(contains(text, "open claim of 192 B at position 0")) << text;
}

TEST_F(InspectTest, WatchShowsTheTopicAgainAndAgainUntilItIsInterrupted) {
  bus().create_topic("t");
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child watch = start({"info", "t", "--watch", "--json"}, {.out = out.get()});
  await([&] {
    const std::string text = read("out");
    return std::count(text.begin(), text.end(), '\n') >= 2;
  });
  watch.kill(SIGINT);
  EXPECT_EQ(watch.wait(), 0);
  std::istringstream lines(read("out"));
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(json::parse(line)["name"], "t");
}

TEST_F(InspectTest, CreateSaysWhetherItCreatedOrFound) {
  EXPECT_EQ(tool({"create", "t", "--capacity", "64KiB", "--exclusive", "--align", "64", "--temporary"}).out,
            "topic t created\n");
  EXPECT_EQ(tool({"create", "t"}).out, "topic t exists and fits\n");
  EXPECT_EQ(tool({"create", "t", "--capacity", "64K", "--exclusive"}).out, "topic t exists and fits\n");
  const auto options = bus().topic("t").options;
  EXPECT_EQ(options.publishers, ringway::Publishers::exclusive);
  EXPECT_EQ(options.payload_alignment, 64U);
  EXPECT_EQ(options.temporary, true);
}

TEST_F(InspectTest, CreateRefusesAMismatchAndShowsBothSides) {
  ASSERT_EQ(tool({"create", "t", "--capacity", "2MiB"}).status, 0);
  const Output output = tool({"create", "t", "--capacity", "4MiB"});
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "2097152") && contains(output.err, "4194304")) << output.err;
}

TEST_F(InspectTest, AccessIsGivenWhenATopicIsCreatedAndShown) {
  ASSERT_EQ(tool({"create", "t", "--access", "publish=owner,subscribe=everyone"}).status, 0);
  const json access = listing({"info", "t", "--json"})["options"]["access"];
  EXPECT_EQ(access["publish"], "owner");
  EXPECT_EQ(access["subscribe"], "everyone");
  EXPECT_EQ(access["observe"], "everyone");
  const Output output = tool({"create", "u", "--unix-group", "daemon"});
  EXPECT_EQ(output.status, 2);
  EXPECT_TRUE(contains(output.err, "[invalid_argument]") && contains(output.err, "nothing is given")) << output.err;
}

TEST_F(InspectTest, RmRefusesWhileSomebodyIsAttached) {
  const OpenFile err(path("err"), O_RDWR | O_CREAT);
  Child sub = start({"sub", "t"}, {.err = err.get()});
  await_attached("t");
  const Output refused = tool({"rm", "t"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "pid " + std::to_string(sub.pid()))) << refused.err;
  EXPECT_EQ(tool({"rm", "t", "--force"}).status, 0);
  EXPECT_EQ(sub.wait(), 1);
  EXPECT_TRUE(contains(read("err"), "topic_gone"));
  const Output again = tool({"rm", "t"});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(contains(again.err, "[not_found]")) << again.err;
}

TEST_F(InspectTest, RmRefusesWhileMessagesAreUnread) {
  ASSERT_EQ(tool({"subscription", "create", "t", "billing"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, "one\n").status, 0);
  const Output unread = tool({"rm", "t"});
  EXPECT_EQ(unread.status, 1);
  EXPECT_TRUE(contains(unread.err, "billing")) << unread.err;
  ASSERT_EQ(tool({"sub", "t", "--name", "billing", "--count", "1"}).out, "one\n");
  EXPECT_EQ(tool({"rm", "t"}).status, 0);

  ASSERT_EQ(tool({"pub", "never"}, "one\n").status, 0);  // and nobody ever subscribed
  EXPECT_EQ(tool({"rm", "never"}).status, 1);
  EXPECT_EQ(tool({"rm", "never", "--force"}).out, "topic never removed\n");
  EXPECT_TRUE(bus().topics().empty());
}

TEST_F(InspectTest, SubscriptionsAreCreatedAndRemoved) {
  EXPECT_EQ(tool({"subscription", "create", "t", "s"}).out, "subscription s of topic t created\n");
  EXPECT_EQ(tool({"subscription", "add", "t", "s"}).out, "subscription s of topic t exists and fits\n");
  {
    const Child sub = start({"sub", "t", "--name", "s"});
    await_attached("t");
    const Output taken = tool({"subscription", "rm", "t", "s"});
    EXPECT_EQ(taken.status, 1);
    EXPECT_TRUE(contains(taken.err, "[taken]")) << taken.err;
  }
  EXPECT_EQ(tool({"subscription", "rm", "t", "s"}).out, "subscription s of topic t removed\n");
  const Output gone = tool({"subscription", "rm", "t", "s"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_TRUE(contains(gone.err, "[not_found]")) << gone.err;
  EXPECT_EQ(tool({"subscription", "create", "missing", "s", "--if-missing", "fail"}).status, 1);
}

// Row 63.
TEST_F(InspectTest, BadNamesAreWrongUseBeforeTheyReachTheFileSystem) {
  const Words bad = {"",
                     "..",
                     "../t",
                     "/t",
                     "t/",
                     "a//b",
                     ".hidden",
                     "a b",
                     "t\n",
                     "\xc3\xa9",
                     "t.data",
                     "t.control",
                     std::string(65, 'x'),
                     "a/b/c/d/e/f/g/h/i"};
  for (const auto& name : bad) {
    for (const Words& words : {Words{"pub", name}, Words{"sub", name, "--timeout", "1s"}, Words{"create", name},
                               Words{"info", name}, Words{"rm", name}, Words{"subscription", "create", name, "s"},
                               Words{"subscription", "create", "t", name.empty() ? "a/b" : name}}) {
      const Output output = tool(words);
      EXPECT_EQ(output.status, 2) << words[0] << " '" << name << "': " << output.err;
      EXPECT_TRUE(contains(output.err, "ringway: ")) << output.err;
    }
  }
  EXPECT_TRUE(bus().topics().empty());
}

// Row 50.
TEST_F(InspectTest, SizesOutOfRangeAreWrongUse) {
  for (const Words& option :
       {Words{"--capacity", "0"}, Words{"--capacity", "2TiB"}, Words{"--capacity", "99999999999999999999"},
        Words{"--capacity", "-1"}, Words{"--capacity", "1MB"}, Words{"--capacity", "much"}, Words{"--align", "3"},
        Words{"--align", "128"}, Words{"--align", "0"}, Words{"--max-publishers", "0"},
        Words{"--max-publishers", "5000"}, Words{"--max-subscriptions", "0"}, Words{"--max-subscriptions", "-1"},
        Words{"--access", "fly=owner"}, Words{"--access", "publish=nobody"}}) {
    const Output output = tool({"create", "t", option[0], option[1]});
    EXPECT_EQ(output.status, 2) << option[0] << ' ' << option[1] << ": " << output.err;
    EXPECT_FALSE(output.err.empty());
  }
  EXPECT_TRUE(bus().topics().empty());
}

TEST_F(InspectTest, ATopicThatIsNotThereIsToldWithWhereToLook) {
  for (const Words& words :
       {Words{"info", "t"}, Words{"info", "t", "--watch"}, Words{"observe", "t"}, Words{"drain", "t"},
        Words{"subscription", "ls", "t"}, Words{"subscription", "info", "t", "s"},
        Words{"subscription", "seek", "t", "s", "newest"}}) {
    const Output output = tool(words);
    EXPECT_EQ(output.status, 1) << words[0];
    EXPECT_TRUE(contains(output.err, "there is no such topic in " + directory() + "; `ringway ls` lists"))
        << output.err;
  }
}

TEST_F(InspectTest, WrongUseIsExitCodeTwo) {
  for (const Words& words : {Words{},
                             Words{"fly"},
                             Words{"pub"},
                             Words{"sub"},
                             Words{"info"},
                             Words{"subscription"},
                             Words{"subscription", "create", "t"},
                             Words{"pub", "t", "more"},
                             Words{"pub", "t", "--fly"},
                             Words{"pub", "t", "--binary", "--frame", "3"},
                             Words{"pub", "t", "--frame", "0"},
                             Words{"sub", "t", "--count", "0"},
                             Words{"sub", "t", "--count", "x"},
                             Words{"sub", "t", "--timeout", "0"},
                             Words{"sub", "t", "--timeout", "5 days"},
                             Words{"sub", "t", "--from", "yesterday"},
                             Words{"sub", "t", "--if-missing", "cry"},
                             Words{"sub", "t", "--group", "g", "--name", "n"},
                             Words{"--bus", "a", "--dir", "/tmp", "ls"},
                             Words{"--bus", "", "ls"},
                             Words{"--bus", "a/b", "ls"}}) {
    const Output output = tool(words);
    EXPECT_EQ(output.status, 2) << output.err;
    EXPECT_TRUE(output.err.starts_with("ringway: ")) << output.err;
    EXPECT_EQ(output.out, "");
  }
}

TEST_F(InspectTest, TheBusMayBeNamedBeforeAndAfterTheCommand) {
  const std::string other = path("other");
  ASSERT_EQ(tool({"--dir", other, "create", "x"}).status, 0);
  EXPECT_TRUE(bus().topics().empty());  // --dir beats RINGWAY_DIR
  for (const Words& words :
       {Words{"ls", "--json", "--dir", other}, Words{"--dir", other, "ls", "--json"},
        Words{"subscription", "create", "x", "s", "--dir", other}, Words{"subscription", "ls", "--dir", other}})
    EXPECT_TRUE(contains(tool(words).out, "x")) << words[0];
  for (const std::string name : {"ls", "rm", "subscription"}) {  // names of commands are good names of topics
    EXPECT_EQ(tool({"create", name}).out, "topic " + name + " created\n");
    EXPECT_EQ(tool({"rm", name}).out, "topic " + name + " removed\n");
  }
}

TEST_F(InspectTest, WhereNamesTheDirectoryAndItsInode) {
  ASSERT_EQ(tool({"create", "t"}).status, 0);
  struct stat status {};
  ASSERT_EQ(::stat(directory().c_str(), &status), 0);
  const Output output = tool({"where"});
  EXPECT_EQ(output.status, 0);
  EXPECT_TRUE(contains(output.out, "path      " + directory() + '\n')) << output.out;
  EXPECT_TRUE(contains(output.out, "device    " + std::to_string(status.st_dev) + '\n')) << output.out;
  EXPECT_TRUE(contains(output.out, "inode     " + std::to_string(status.st_ino) + '\n')) << output.out;
  EXPECT_TRUE(contains(output.out, "topics    1\n")) << output.out;
}

TEST_F(InspectTest, VersionAndHelpAreNoErrors) {
  const Output version = tool({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "ringway " RINGWAY_VERSION " (layout version 1)\n");
  for (const Words& words :
       {Words{"--help"}, Words{"--help-all"}, Words{"pub", "--help"}, Words{"subscription", "-h"}}) {
    const Output help = tool(words);
    EXPECT_EQ(help.status, 0);
    EXPECT_FALSE(help.out.empty());
    EXPECT_EQ(help.err, "");
  }
}

TEST_F(InspectTest, AClosedOutputIsAnErrorAndAClosedPipeIsNone) {
  ASSERT_EQ(tool({"create", "t"}).status, 0);
  EXPECT_EQ(shell("exec \"$R\" ls >&-").status, 1);
  EXPECT_EQ(shell("exec \"$R\" info t >/dev/full").status, 1);
  Pipe out;
  out.close_read_end();
  EXPECT_EQ(start({"ls"}, {.out = out.write_end()}).wait(), 0);
}

// The directory that the demo says it uses.
std::string demo_directory(const std::string& text) {
  const std::size_t begin = text.find("topic ticks in ") + 15;
  return text.substr(begin, text.find(':', begin) - begin);
}

TEST_F(InspectTest, TheDemoLosesNothingAndLeavesNothing) {
  const Output output = tool({"demo", "--seconds", "0.5"});
  EXPECT_EQ(output.status, 0) << output.err << output.out;
  EXPECT_TRUE(contains(output.out, "\nlost       0\n")) << output.out;
  EXPECT_TRUE(contains(output.out, "latency    p50 ")) << output.out;
  EXPECT_FALSE(std::filesystem::exists(demo_directory(output.out))) << output.out;
}

TEST_F(InspectTest, AnInterruptedDemoLeavesNothing) {
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child demo = start({"demo", "--seconds", "3600"}, {.out = out.get()});
  await([&] { return contains(read("out"), "published"); });
  const std::string directory = demo_directory(read("out"));
  EXPECT_TRUE(std::filesystem::exists(directory)) << directory;
  demo.kill(SIGINT);
  EXPECT_EQ(demo.wait(), 0) << read("out");
  EXPECT_FALSE(std::filesystem::exists(directory)) << directory;
}

}  // namespace

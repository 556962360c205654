// `ringway` for operators: observe, drain, check, gc, doctor, subscription info and seek, top; and a day of theirs.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
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
using ringway_test::kNotPermitted;
using ringway_test::OpenFile;
using ringway_test::Output;
using ringway_test::Pipe;
using ringway_test::with_private_tmpfs;

class OperateTest : public ringway_test::ToolTest {
 protected:
  json listing(const Words& words, int status = 0) const {
    const Output output = tool(words);
    EXPECT_EQ(output.status, status) << output.out << output.err;
    return json::parse(output.out);
  }
  // A process that attaches, says so, and then stands still until it is killed.
  template <class Attach>
  Child attached(Attach attach) const {
    Pipe done;
    Child child = Child::fork([&] {
      auto handle = attach(ringway::Bus::at(directory()));
      done.signal();
      for (;;) ::pause();
      return 0;
    });
    done.close_write_end();
    EXPECT_TRUE(done.await());
    return child;
  }
  static json find(const json& array, const std::string& id) {
    for (const json& one : array)
      if (one["id"] == id) return one;
    return {};
  }
};

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

TEST_F(OperateTest, TheManualAndTheCompletionsHaveEveryCommand) {
  const Output man = tool({"manual", "man"});
  const Output bash = tool({"manual", "bash"});
  for (const char* command : {"pub", "sub", "ls", "info", "top", "observe", "create", "rm", "drain", "where", "check",
                              "gc", "doctor", "demo"}) {
    EXPECT_TRUE(contains(man.out, std::string("\n.SS ") + command + "\n")) << command;
    EXPECT_TRUE(contains(bash.out, std::string("\"") + command + "\")")) << command;
    const Output help = tool({command, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(contains(help.out, "Usage:")) << help.out;
  }
  EXPECT_TRUE(contains(man.out, "\\-\\-max\\-blocked"));
  write("completion", bash.out);
  bus().create_topic("quotes");
  EXPECT_EQ(tool({"create", "other"}).status, 0);
  const std::string complete = "PATH=$(dirname $R):$PATH; . " + path("completion") + "; COMP_WORDS=(ringway ";
  const auto completed = [&](const std::string& words, int at) {
    return shell("bash -c '" + complete + words + "); COMP_CWORD=" + std::to_string(at) +
                 "; _ringway; echo ${COMPREPLY[@]}'")
        .out;
  };
  EXPECT_EQ(completed("obs", 1), "observe\n");
  EXPECT_EQ(completed("info q", 2), "quotes\n");
  EXPECT_EQ(completed("info quotes --w", 3), "--watch\n");
  EXPECT_EQ(completed("subscription se", 2), "seek\n");
}

// `doctor`: each check fails for real.
class DoctorTest : public OperateTest {
 protected:
  json finding(const std::string& id, const Words& more = {}) const {
    Words words = {"doctor", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Output output = tool(words);
    json found = find(json::parse(output.out), id);
    if (!found.is_null()) {
      EXPECT_EQ(output.status, found["severity"] == "problem" ? 1 : output.status);
      if (found["severity"] != "note") {
        EXPECT_NE(found["next"], "");
      }
    }
    return found;
  }
  void configure(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path("root" + name)).parent_path());
    write("root" + name, text);
  }
};

TEST_F(DoctorTest, AMachineInOrderIsFit) {
  const Output output = tool({"doctor"});
  EXPECT_EQ(output.status, 0) << output.out << output.err;
  EXPECT_TRUE(contains(output.out, "ok       trial")) << output.out;
  EXPECT_TRUE(bus().topics().empty());
}

TEST_F(DoctorTest, ASmallOrFullFileSystemIsFound) {
  const int status = with_private_tmpfs(directory(), "size=64m,mode=700", [&] {
    EXPECT_EQ(finding("size")["severity"], "warning");  // as containers have it
    write("bus/ballast", std::string(62_MiB, 'x'));
    EXPECT_EQ(finding("space")["severity"], "problem");
    write("bus/more", std::string(2_MiB, 'x'));
    const json trial = finding("trial");
    EXPECT_EQ(trial["severity"], "problem");
    EXPECT_TRUE(contains(trial["text"].get<std::string>(), "has no room")) << trial;
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

TEST_F(DoctorTest, AFileSystemThatDropsLocksIsFound) {
  const int status = with_private_tmpfs(directory(), "size=16m,mode=700", [&] {
    for (const char* name : {"lower", "upper", "work", "merged"}) fs::create_directory(directory() + "/" + name);
    const std::string options =
        "lowerdir=" + directory() + "/lower,upperdir=" + directory() + "/upper,workdir=" + directory() + "/work";
    if (::mount("overlay", (directory() + "/merged").c_str(), "overlay", 0, options.c_str()) != 0) return kNotPermitted;
    const json trial = finding("trial", {"--dir", directory() + "/merged"});
    EXPECT_EQ(trial["severity"], "problem") << trial;
    ::umount((directory() + "/merged").c_str());
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

TEST_F(DoctorTest, ABusThatOthersMayWriteIsFound) {
  ASSERT_EQ(::chmod(directory().c_str(), 0777), 0);
  const json found = finding("bus");
  EXPECT_EQ(found["severity"], "problem") << found;
  ::chmod(directory().c_str(), 0700);
}

TEST_F(DoctorTest, LowLimitsAreFound) {
  EXPECT_EQ(finding("limits")["severity"], "note");
  const Output files = shell("ulimit -n 64; $R doctor --json");
  EXPECT_EQ(find(json::parse(files.out), "limits")["severity"], "warning") << files.out;
  configure("/proc/sys/vm/max_map_count", "100\n");
  const json maps = finding("limits", {"--root", path("root")});
  EXPECT_EQ(maps["severity"], "warning");
  EXPECT_TRUE(contains(maps["text"].get<std::string>(), "vm.max_map_count is 100"));
}

TEST_F(DoctorTest, LeftoversAndOtherLayoutsAreFound) {
  bus().create_topic("half");
  fs::remove(directory() + "/half.data");
  EXPECT_EQ(finding("leftovers")["severity"], "warning");
  bus().create_topic("torn");
  fs::resize_file(directory() + "/torn.data", 10);
  EXPECT_EQ(finding("layout")["severity"], "warning");
}

// Row 49
TEST_F(DoctorTest, RemoveIpcIsFoundForThoseItConcerns) {
  fs::create_directories(path("root/run/systemd/system"));
  configure("/etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\n");
  const auto as_a_user = [&] {
    const std::string open =
        "/tmp/ringway-doctor." + std::to_string(::getpid());  // the scratch directory is ours alone
    fs::copy(path("root"), open, fs::copy_options::recursive);
    const int status = ringway_test::as_user(12345, 12345, [&] {
      const auto bus = ringway::Bus::temporary();
      const Output output = ringway_test::run(
          {ringway_test::program("ringway"), "--dir", bus.directory(), "doctor", "--json", "--root", open});
      const json found = find(json::parse(output.out), "removeipc");
      return found["severity"] == "warning" ? 10 : found["severity"] == "note" ? 11 : 12;
    });
    fs::remove_all(open);
    std::error_code in_use;
    fs::remove("/dev/shm/ringway-12345", in_use);  // that user's, if the test made it
    return status;
  };
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
  EXPECT_EQ(as_a_user(), 10);
  configure("/etc/systemd/logind.conf.d/keep.conf", "[Login]\nRemoveIPC=no\n");
  EXPECT_EQ(as_a_user(), 11);
  EXPECT_EQ(finding("removeipc", {"--root", path("root")})["severity"], "note");  // root's files are kept
}

// Row 49
TEST_F(DoctorTest, ACleanerIsFound) {
  configure("/usr/lib/tmpfiles.d/clean.conf",
            "# comment\nd /var/x 0755 root root 1d\nD " + directory() + " 0700 root root 10d\n");
  const json found = finding("cleaner", {"--root", path("root")});
  EXPECT_EQ(found["severity"], "warning");
  EXPECT_TRUE(contains(found["text"].get<std::string>(), "older than 10d")) << found;
}

// `top` in a real terminal.
class TopTest : public OperateTest {
 protected:
  void SetUp() override {
    if (ringway_test::run({"tmux", "-V"}).status != 0) GTEST_SKIP() << "tmux is not installed";
    ASSERT_EQ(
        tmux("new-session -d -x 80 -y 24 'RINGWAY_DIR=" + directory() + " TERM=screen $R top --interval 100ms'").status,
        0);
  }
  void TearDown() override { tmux("kill-server"); }

  Output tmux(const std::string& words) const { return shell("tmux -S " + path("tmux") + " -f /dev/null " + words); }
  std::string screen() const { return tmux("capture-pane -p").out; }
  void press(const std::string& keys) const { tmux("send-keys " + keys); }
  void await_on_screen(const std::string& words) const {
    await([&] { return contains(screen(), words); });
    if (HasFatalFailure()) ADD_FAILURE() << "not on the screen: " << words << "\n" << screen();
  }
};

TEST_F(TopTest, ShowsWhoHoldsWhomBackAndADetailOfIt) {
  bus().create_topic("jobs", {.capacity_bytes = 32_KiB});
  bus().create_topic("quotes", {.latency = true});
  bus().create_subscription("jobs", "billing");
  write("in", numbered_lines(10'000));
  const OpenFile in(path("in"), O_RDONLY);
  const Child pub = start({"pub", "jobs", "--name", "feed"}, {.in = in.get()});
  await_on_screen("held");
  EXPECT_TRUE(contains(screen(), "[########]100%")) << screen();
  EXPECT_TRUE(contains(screen(), "2 topics")) << screen();
  std::ofstream(ringway_test::program("../top.txt")) << screen();  // to look at; docs/watching.md has one
  std::istringstream lines(screen());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;

  press("/ quo Enter");
  await([&] { return !contains(screen(), "\njobs "); });
  EXPECT_TRUE(contains(screen(), "\nquotes")) << screen();
  press("Escape");
  await_on_screen("\njobs ");
  press("l Down Enter");
  await_on_screen("waits");
  EXPECT_TRUE(contains(screen(), "problem: subscription billing holds") ||
              contains(screen(), ": subscription billing holds publisher feed back"))
      << screen();
  EXPECT_TRUE(contains(screen(), "nobody")) << screen();
  press("Escape");
  await_on_screen("\nquotes");
  press("Space");
  await_on_screen("PAUSED");
  bus().create_topic("later");
  press("?");
  await_on_screen("sort by name");
  press("?");
  await_on_screen("\njobs ");
  EXPECT_FALSE(contains(screen(), "\nlater")) << screen();
  press("Space");
  await_on_screen("\nlater");
  press("q");
  await([&] { return tmux("has-session").status != 0; });
}

TEST_F(TopTest, AThousandTopicsScroll) {
  for (int topic = 0; topic < 100; ++topic)
    bus().create_topic("topic-" + std::to_string(100 + topic), {.capacity_bytes = 32_KiB});
  await_on_screen("100 topics");
  EXPECT_FALSE(contains(screen(), "topic-199"));
  press("NPage NPage NPage NPage NPage NPage NPage NPage");
  await_on_screen("topic-199");
}

TEST_F(OperateTest, TopWithoutATerminalSaysWhatToUse) {
  const Output output = tool({"top"});
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "info TOPIC --watch")) << output.err;
}

// A day of an operator: who lags, why is the producer blocked, drain and remove, rights, a restart.
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

}  // namespace

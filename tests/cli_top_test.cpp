// `ringway top` in a real terminal (tmux).

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "support/terminal.hpp"

namespace {

using namespace ringway::literals;
using ringway_test::Child;
using ringway_test::contains;
using ringway_test::OpenFile;
using ringway_test::Output;
using ringway_test::program;

class TopTest : public ringway_test::TerminalTest {
 protected:
  void start_top(const std::string& environment = {}) const {
    open_terminal(80, environment + " $R top --interval 100ms");
  }
  bool coloured() const {
    return std::regex_search(tmux("capture-pane -p -e").out, std::regex("\x1b\\[[0-9;]*3[0-7]m"));
  }
  void expect_80_columns() const {
    std::istringstream lines(screen());
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  }
  // A topic whose publisher is held back by a subscription that nobody reads.
  Child blocked_publisher() const {
    bus().create_topic("jobs", {.capacity_bytes = 64_KiB});
    bus().create_subscription("jobs", "billing");
    write("in", numbered_lines(10'000));
    const OpenFile in(path("in"), O_RDONLY);
    return start({"pub", "jobs", "--name", "feed"}, {.in = in.get()});
  }
  // A topic with latency, and with messages that pass.
  Child quotes() const {
    bus().create_topic("quotes", {.latency = true});
    return attached_and_busy("quotes");
  }

 private:
  Child attached_and_busy(const std::string& topic) const {
    return Child::fork([this, topic] {
      const auto mine = ringway::Bus::at(directory());
      auto out = mine.publisher(topic, {.name = "feed-ffm"});
      auto in = mine.subscriber(topic, {.name = "pricing"});
      for (;;) {
        if (!out.publish("99.5") || !in.receive()) return 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      return 0;
    });
  }
};

// What a capture shows, without the values of the moment.
std::string shape(const std::string& capture) {
  std::string lines = std::regex_replace(capture, std::regex("\n    +"), " ");  // what was wrapped
  lines = std::regex_replace(lines, std::regex("  /[^\n]*"), "");               // the directory
  lines = std::regex_replace(lines, std::regex("\\[[#.]*\\]"), "[]");
  lines = std::regex_replace(lines, std::regex("[0-9]+(\\.[0-9]+)?"), "0");
  lines = std::regex_replace(lines, std::regex("\\b0 ?(min|[nmu]?s|[kKM]?i?B?)\\b"), "0");
  lines = std::regex_replace(lines, std::regex("problem:|warning:"), "finding:");
  lines = std::regex_replace(lines, std::regex(" +"), " ");
  return std::regex_replace(lines, std::regex("( ?\n)+"), "\n");
}

// docs/watching.md shows what this test sees. With RINGWAY_UPDATE_DOCS in the environment it is written there.
void compare_with_documentation(const std::string& capture) {
  const std::string path = program("../../../docs/watching.md");
  std::ostringstream bytes;
  bytes << std::ifstream(path).rdbuf();
  std::string page = bytes.str();
  const std::string fence = "```\n";
  const auto begin = page.find(fence + "ringway top") + fence.size();
  const auto end = page.find(fence, begin);
  ASSERT_NE(end, std::string::npos) << path;
  if (std::getenv("RINGWAY_UPDATE_DOCS") != nullptr) {
    const std::string there =
        std::regex_replace(capture, std::regex("/dev/shm/[^ \n]*"), "/dev/shm/ringway-1000/default");
    page.replace(begin, end - begin, std::regex_replace(there, std::regex("\n\n+"), "\n\n"));
    std::ofstream(path) << page;
  } else {
    EXPECT_EQ(shape(capture), shape(page.substr(begin, end - begin)));
  }
}

TEST_F(TopTest, ShowsWhoHoldsWhomBackAndADetailOfIt) {
  bus().create_topic("audit/log");
  const Child pub = blocked_publisher();
  const Child busy = quotes();
  start_top();
  await_on_screen(std::getenv("RINGWAY_UPDATE_DOCS") != nullptr ? "problem: jobs" : ": jobs: subscription billing");
  std::string capture;
  await([&] {
    capture = screen();
    return std::regex_search(capture, std::regex("\nquotes +[1-9].*[0-9.]+[mun]s\n"));
  });
  EXPECT_TRUE(contains(capture, "[########]100%")) << capture;
  EXPECT_TRUE(contains(capture, "3 topics")) << capture;
  expect_80_columns();
  std::ofstream(program("../top.txt")) << capture;
  compare_with_documentation(capture);

  press("/ quo Enter");
  await([&] { return !contains(screen(), "\njobs "); });
  EXPECT_TRUE(contains(screen(), "\nquotes")) << screen();
  press("Escape");
  await_on_screen("\njobs ");
  press("l Down Enter");
  await_on_screen("waits");
  EXPECT_TRUE(contains(screen(), ": subscription billing holds publisher feed back")) << screen();
  EXPECT_TRUE(contains(screen(), "nobody\n")) << screen();
  EXPECT_TRUE(std::regex_search(screen(), std::regex("waits [0-9.]+ m?s for billing\n"))) << screen();
  expect_80_columns();
  press("Escape");
  await_on_screen("\nquotes");
  press("Space");
  await_on_screen("PAUSED");
  bus().create_topic("later");
  press("?");
  await_on_screen("sort by name");
  EXPECT_TRUE(contains(screen(), "enter: done\n") && contains(screen(), "of the ring's capacity.\n")) << screen();
  press("?");
  await_on_screen("\njobs ");
  EXPECT_FALSE(contains(screen(), "\nlater")) << screen();
  press("Space");
  await_on_screen("\nlater");
  press("q");
  await([&] { return tmux("has-session").status != 0; });
}

TEST_F(TopTest, ShowsTheLatencyOfAGroup) {
  bus().create_topic("jobs", {.latency = true});
  bus().create_group("jobs", "workers");
  const Child busy = Child::fork([this] {
    const auto mine = ringway::Bus::at(directory());
    auto out = mine.publisher("jobs");
    auto in = mine.group_member("jobs", {.group = "workers"});
    for (;;) {
      if (!out.publish("job") || !in.receive().ack()) return 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 0;
  });
  start_top();
  await_on_screen("jobs");
  press("Down Enter");
  const std::regex row("\nworkers +[0-9]+ +[1-9][0-9]* .* [0-9.]+[mun]s +[0-9.]+[mun]s .*group\n");
  await([&] { return std::regex_search(screen(), row); });
}

TEST_F(TopTest, AThousandTopicsCanBeScrolledSortedAndFiltered) {
  constexpr int kTopics = 1000;
  const ringway::TopicOptions small = {.capacity_bytes = 32_KiB,
                                       .max_publishers = 2,
                                       .max_subscriptions = 2,
                                       .max_groups = 1,
                                       .max_members = 1,
                                       .max_in_flight = 1};
  for (int topic = 0; topic < kTopics; ++topic) bus().create_topic("topic-" + std::to_string(1000 + topic), small);
  bus().create_subscription("topic-1777", "billing");
  ASSERT_EQ(tool({"pub", "topic-1777"}, numbered_lines(100)).status, 0);
  start_top();
  await_on_screen("1000 topics");
  await_on_screen("\ntopic-1000 ");
  EXPECT_FALSE(contains(screen(), "topic-1777"));
  expect_80_columns();
  press("End");
  await_on_screen("\ntopic-1999 ");
  press("PPage Home");
  await_on_screen("\ntopic-1000 ");
  press("NPage NPage");
  await_on_screen("\ntopic-1030 ");
  press("Home l");
  await_on_screen("\ntopic-1777 ");
  expect_80_columns();
  press("n / c-19 Enter");
  await_on_screen("\ntopic-1900 ");
  EXPECT_FALSE(contains(screen(), "topic-1777")) << screen();
  press("Escape / 1777 Enter Down Enter");
  await_on_screen("billing");
  press("q");
  await([&] { return tmux("has-session").status != 0; });
}

TEST_F(TopTest, ColoursWhatIsWrong) {
  const Child pub = blocked_publisher();
  start_top();
  await([&] { return coloured(); });
}

TEST_F(TopTest, ColoursNothingUnderNoColor) {
  const Child pub = blocked_publisher();
  start_top("NO_COLOR=1");
  await_on_screen(": jobs: subscription billing");
  EXPECT_FALSE(coloured()) << tmux("capture-pane -p -e").out;
}

// What commands write to a terminal, byte for byte.
class EscapeTest : public ringway_test::ToolTest {
 protected:
  EscapeTest() { ::setenv("TERM", "xterm", 1); }
  ~EscapeTest() override { ::unsetenv("TERM"); }

  std::string on_a_terminal(const Words& words, const std::string& typed = {}) const {
    int master = -1;
    int slave = -1;
    const winsize size = {24, 80, 0, 0};
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
    for (const int end : {master, slave}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    Child child = start(words, {.in = slave, .out = slave, .err = slave});
    ::close(slave);
    EXPECT_EQ(::write(master, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
    std::string said;
    std::array<char, 4096> bytes{};
    for (ssize_t count = 0; (count = ::read(master, bytes.data(), bytes.size())) > 0;)
      said.append(bytes.data(), static_cast<std::size_t>(count));
    ::close(master);
    child.wait();
    return said;
  }
  static bool escapes(const std::string& said) { return contains(said, "\x1b"); }
  // Those that have no commands of their own, as the completion knows them: "pub", "subscription create", ...
  std::set<std::string> commands() const {
    std::set<std::string> names;
    const std::string cases = tool({"manual", "bash"}).out;
    const std::regex row("\"([a-z ]+)\"\\) words='([^']*)'");
    for (auto at = std::sregex_iterator(cases.begin(), cases.end(), row); at != std::sregex_iterator(); ++at)
      if (!std::regex_search((*at)[2].str(), std::regex("^[a-z]"))) names.insert((*at)[1]);
    return names;
  }
};

TEST_F(EscapeTest, NoCommandWritesOneButThoseThatPaintInPlace) {
  const std::pair<Words, std::string> lines[] = {
      {{"create", "t", "--latency"}, ""},
      {{"subscription", "create", "t", "s"}, ""},
      {{"pub", "t"}, "one\ntwo\n\x04"},
      {{"pub", "t", "--if-missing", "never"}, ""},
      {{"sub", "t", "--from", "oldest", "--count", "1"}, ""},
      {{"sub", "t", "--group", "g", "--count", "1"}, ""},
      {{"sub", "t", "--timeout", "1ms"}, ""},
      {{"ls"}, ""},
      {{"info", "t"}, ""},
      {{"info", "t", "--json"}, ""},
      {{"observe", "t", "--last", "2", "--verbose"}, ""},
      {{"subscription", "ls"}, ""},
      {{"subscription", "info", "t", "s"}, ""},
      {{"subscription", "seek", "t", "s", "newest"}, ""},
      {{"subscription", "rm", "t", "s"}, ""},
      {{"drain", "t", "--timeout", "1ms"}, ""},
      {{"check", "--max-lag", "0"}, ""},
      {{"gc"}, ""},
      {{"doctor"}, ""},
      {{"where"}, ""},
      {{"bench"}, ""},
      {{"rm", "t"}, ""},
      {{"rm", "t", "--force"}, ""},
      {{"--help-all"}, ""},
      {{"--no-such-option"}, ""},
  };
  std::set<std::string> tried = {"top", "demo"};
  for (const auto& [words, typed] : lines) {
    const std::string said = on_a_terminal(words, typed);
    EXPECT_NE(said, "") << words[0];
    EXPECT_FALSE(escapes(said)) << words[0] << "\n" << said;
    tried.insert(words[0] == "subscription" ? words[0] + ' ' + words[1] : words[0]);
  }
  EXPECT_GE(commands().size(), 18U);
  for (const std::string& name : commands()) EXPECT_TRUE(tried.contains(name)) << name;
}

TEST_F(EscapeTest, WhatPaintsInPlaceMovesTheCursorAndTopAloneColours) {
  const std::regex colour("\x1b\\[[0-9;]*m");
  bus().create_topic("t");
  EXPECT_TRUE(std::regex_search(on_a_terminal({"top"}, "q"), colour));
  const std::string demo = on_a_terminal({"demo", "--seconds", "0.6"});
  EXPECT_TRUE(escapes(demo)) << demo;
  EXPECT_FALSE(std::regex_search(demo, colour)) << demo;
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(escapes(on_a_terminal({"demo", "--seconds", "0.6"})));
  const std::string top = on_a_terminal({"top"}, "q");
  EXPECT_TRUE(contains(top, "TERM is `dumb`")) << top;
  EXPECT_FALSE(escapes(top)) << top;
}

TEST_F(TopTest, WithoutATerminalItSaysWhatToUse) {
  const Output output = tool({"top"});
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "info TOPIC --watch")) << output.err;
}

}  // namespace

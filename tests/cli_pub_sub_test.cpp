// `ringway pub` and `ringway sub`: what goes in comes out, once, in full, however a pipeline ends.

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "support/sanitizer.hpp"
#include "support/tool.hpp"

namespace {

using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway_test::Child;
using ringway_test::contains;
using ringway_test::OpenFile;
using ringway_test::Output;
using ringway_test::Pipe;

std::string random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class PubSubTest : public ringway_test::ToolTest {
 protected:
  // What `ringway sub` prints of `input`, while `ringway pub` publishes it: `messages` of them, through a small ring.
  std::string through_the_ring(const std::string& input, std::size_t messages, const Words& flags = {}) {
    bus().create_topic("t", {.capacity_bytes = 64_KiB});
    EXPECT_EQ(tool({"subscription", "create", "t", "s"}).status, 0);
    const OpenFile out(path("out"), O_RDWR | O_CREAT | O_TRUNC);
    Words sub = {"sub", "t", "--name", "s", "--count", std::to_string(messages)};
    Words pub = {"pub", "t"};
    sub.insert(sub.end(), flags.begin(), flags.end());
    pub.insert(pub.end(), flags.begin(), flags.end());
    Child reader = start(sub, {.out = out.get()});
    const Output published = tool(pub, input);
    EXPECT_EQ(published.status, 0) << published.err;
    EXPECT_EQ(reader.wait(), 0);
    return read("out");
  }

  // What the durable subscription `s` still has to give, as lines.
  std::string rest(std::uint64_t count, const Words& flags = {}) {
    Words words = {"sub", "t", "--name", "s", "--count", std::to_string(count), "--timeout", "30s"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Output output = tool(words);
    EXPECT_EQ(output.status, 0) << output.err;
    return output.out;
  }

  std::uint64_t cursor() const { return bus().topic("t").subscriptions.at(0).cursor; }
};

TEST_F(PubSubTest, TextComesOutByteForByte) {
  std::string text = numbered_lines(20'000) + "\n\n" + std::string(10'000, 'x') + '\n';
  text += "bytes that are no text: \xff\xfe" + std::string(1, '\0') + "\r\n\n";
  EXPECT_EQ(through_the_ring(text, static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'))), text);
}

TEST_F(PubSubTest, BinaryComesOutByteForByte) {
  std::mt19937 random(7);
  std::string input;
  std::size_t messages = 0;
  const auto add = [&](std::size_t size) {
    input += with_length(random_bytes(size, static_cast<std::uint32_t>(++messages)));
  };
  // Row 73: nothing, around each line and each write, and the largest that the ring takes.
  const std::size_t largest = 16'384 - 32;
  for (const unsigned size : {0U, 1U, 31U, 32U, 33U, 95U, 96U, 97U, 4096U, 16'000U, 16'383U - 32U}) add(size);
  add(largest);
  for (int i = 0; i < 2000; ++i) add(random() % (i % 50 == 0 ? largest + 1 : 200));
  EXPECT_EQ(through_the_ring(input, messages, {"--binary"}), input);
}

TEST_F(PubSubTest, BlocksComeOutByteForByte) {
  const std::string input = random_bytes(1'000'003, 1);
  EXPECT_EQ(through_the_ring(input, 1001, {"--frame", "1000"}), input);
}

TEST_F(PubSubTest, LargeMessagesComeOutByteForByte) {
  bus().create_topic("large", {.capacity_bytes = 8_MiB});
  const std::string input = random_bytes(5'000'000, 2);
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child reader = start({"sub", "large", "--name", "s", "--frame", "1000000", "--count", "5"}, {.out = out.get()});
  EXPECT_EQ(tool({"pub", "large", "--frame", "1000000"}, input).status, 0);
  EXPECT_EQ(reader.wait(), 0);
  EXPECT_EQ(read("out"), input);
}

TEST_F(PubSubTest, APartialLastLineIsAMessageAndSoAreEmptyLines) {
  EXPECT_EQ(tool({"pub", "t"}, "\n\na\n\nend").status, 0);
  EXPECT_EQ(bus().topic("t").publishers.at(0).messages, 5U);
  EXPECT_EQ(rest(5, {"--binary"}),
            with_length("") + with_length("") + with_length("a") + with_length("") + with_length("end"));
}

TEST_F(PubSubTest, AnEmptyInputPublishesNothing) {
  for (const Words& flags : {Words{}, Words{"--binary"}, Words{"--frame", "10"}}) {
    Words words = {"pub", "t"};
    words.insert(words.end(), flags.begin(), flags.end());
    EXPECT_EQ(tool(words).status, 0);
  }
  EXPECT_EQ(bus().topic("t").tail, 0U);
}

TEST_F(PubSubTest, LinesPassAsSoonAsTheyAreComplete) {
  Pipe in;
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child sub = start({"sub", "t", "--name", "s"}, {.out = out.get()});
  await_attached("t");
  Child pub = start({"pub", "t"}, {.in = in.read_end()});
  ASSERT_EQ(::write(in.write_end(), "one\ntw", 6), 6);
  await_bytes("out", 4);
  ASSERT_EQ(::write(in.write_end(), "o\n", 2), 2);
  await_bytes("out", 8);
  in.close_write_end();
  EXPECT_EQ(pub.wait(), 0);
  sub.kill(SIGTERM);
  EXPECT_EQ(sub.wait(), 0);
  EXPECT_EQ(read("out"), "one\ntwo\n");
}

// Row 73: one more than the largest.
TEST_F(PubSubTest, ALineThatIsTooLongIsRefusedWithItsNumberAndTheLimit) {
  const std::string largest(262'112, 'x');
  for (const std::string end : {"\n", "", "and more without end\nnever read"}) {
    std::string input = "first\n";
    input.append(largest).append("\n").append(largest).append("x").append(end);
    const Output output = tool({"pub", "t"}, input);
    EXPECT_EQ(output.status, 1);
    EXPECT_TRUE(contains(output.err, "line 3 of standard input")) << output.err;
    EXPECT_TRUE(contains(output.err, "262112 bytes")) << output.err;
    EXPECT_TRUE(contains(output.err, "ringway create t --capacity 2MiB")) << output.err;
    EXPECT_EQ(rest(2), "first\n" + largest + '\n');  // what came before is delivered
  }
  const Output frame = tool({"pub", "t", "--frame", "262113"}, "x");
  EXPECT_EQ(frame.status, 1);
  EXPECT_TRUE(contains(frame.err, "262113 bytes") && contains(frame.err, "262112 bytes")) << frame.err;
  const Output binary = tool({"pub", "t", "--binary"}, with_length("ok") + "\xff\xff\xff\xff....");
  EXPECT_EQ(binary.status, 1);
  EXPECT_TRUE(contains(binary.err, "message 2 of standard input has 4294967295 bytes")) << binary.err;
  EXPECT_EQ(rest(1), "ok\n");
}

TEST_F(PubSubTest, ALineWithoutEndIsRefusedBeforeItFillsTheMemory) {
  const Output output = shell("yes | tr -d '\\n' | \"$R\" pub t");
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "line 1 of standard input has at least")) << output.err;
}

TEST_F(PubSubTest, BinaryInputThatEndsWithinAMessageIsRefused) {
  for (const std::string& cut : {std::string("\5\0\0\0abc", 7), std::string("\5\0", 2)}) {
    const Output output = tool({"pub", "t", "--binary"}, with_length("whole") + cut);
    EXPECT_EQ(output.status, 1);
    EXPECT_TRUE(contains(output.err, "ends within message 2")) << output.err;
    EXPECT_EQ(rest(1), "whole\n");
  }
}

TEST_F(PubSubTest, PubEndsAfterItsCount) {
  EXPECT_EQ(tool({"pub", "t", "--count", "2"}, "a\nb\nc\n").status, 0);
  EXPECT_EQ(rest(2), "a\nb\n");
  EXPECT_EQ(cursor(), bus().topic("t").tail);
}

TEST_F(PubSubTest, AnInterruptedSubscriptionGoesOnWhereItStopped) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "out" + std::to_string(signal);
    const OpenFile out(path(name), O_RDWR | O_CREAT);
    Child sub = start({"sub", "t", "--name", "s"}, {.out = out.get()});
    ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\n").status, 0);
    await_bytes(name, 8);
    sub.kill(signal);
    EXPECT_EQ(sub.wait(), 0);
    EXPECT_EQ(read(name), "one\ntwo\n");
    ASSERT_EQ(tool({"pub", "t"}, "three\n").status, 0);
    EXPECT_EQ(rest(1), "three\n");
  }
}

TEST_F(PubSubTest, AnInterruptedPublisherPublishesNoPartialLine) {
  Pipe in;
  bus().create_subscription("t", "s");
  Child pub = start({"pub", "t"}, {.in = in.read_end()});
  ASSERT_EQ(::write(in.write_end(), "whole\npart", 10), 10);
  await([&] { return bus().topic("t").tail != 0; });
  pub.kill(SIGINT);
  EXPECT_EQ(pub.wait(), 0);
  EXPECT_EQ(bus().topic("t").publishers.at(0).messages, 1U);
}

std::size_t held_by(const Pipe& pipe) {
  int bytes = 0;
  EXPECT_EQ(::ioctl(pipe.read_end(), FIONREAD, &bytes), 0);
  return static_cast<std::size_t>(bytes);
}

// True once the pipe takes nothing more and `writer`, who has more, sleeps.
bool is_stuck(const Pipe& pipe, const Child& writer) {
  pollfd room{pipe.write_end(), POLLOUT, 0};
  if (::poll(&room, 1, 0) != 0) return false;
  std::string stat;
  std::getline(std::ifstream("/proc/" + std::to_string(writer.pid()) + "/stat"), stat);
  return stat.find(") S ") != std::string::npos;
}

// Starts a subscriber whose output nobody reads, on 20,000 messages; returns once it cannot write any more.
class StalledTest : public PubSubTest {
 protected:
  StalledTest() : text_(numbered_lines(20'000)) {
    bus().create_topic("t", {.capacity_bytes = 4_MiB});
    bus().create_subscription("t", "s");
    EXPECT_EQ(tool({"pub", "t"}, text_).status, 0);
    child_.emplace(start({"sub", "t", "--name", "s"}, {.out = out_.write_end()}));
    await([&] { return is_stuck(out_, *child_); });
    out_.close_write_end();
  }
  // What the pipe took.
  std::string printed() {
    std::string text;
    std::array<char, 65536> buffer{};
    for (ssize_t count = 0; (count = ::read(out_.read_end(), buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(count));
    return text;
  }
  // All but the first `accepted` bytes, from the first line of which a part is missing there.
  std::string not_accepted(std::size_t accepted) const { return text_.substr(text_.rfind('\n', accepted - 1) + 1); }
  static std::uint64_t lines(const std::string& text) {
    return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  }

  const std::string text_;
  Pipe out_;
  std::optional<Child> child_;
};

TEST_F(StalledTest, AnInterruptEndsItAndWhatWasNotAcceptedComesNextTime) {
  child_->kill(SIGINT);
  EXPECT_EQ(child_->wait(), 0);
  const std::string first = printed();
  EXPECT_EQ(first, text_.substr(0, first.size()));
  const std::string second = not_accepted(first.size());
  EXPECT_EQ(rest(lines(second)), second);
  EXPECT_EQ(cursor(), bus().topic("t").tail);
}

TEST_F(StalledTest, AClosedPipeEndsItAndWhatWasNotAcceptedComesNextTime) {
  const std::size_t accepted = held_by(out_);
  out_.close_read_end();
  EXPECT_EQ(child_->wait(), 0);
  const std::string second = not_accepted(accepted);
  EXPECT_EQ(rest(lines(second)), second);
  EXPECT_EQ(cursor(), bus().topic("t").tail);
}

TEST_F(PubSubTest, HeadEndsASubscriptionCleanlyAndTheRestComesNextTime) {
  const std::string text = numbered_lines(20'000);
  bus().create_topic("t", {.capacity_bytes = 4_MiB});
  ASSERT_EQ(tool({"subscription", "create", "t", "s"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, text).status, 0);
  std::size_t begin = 0;
  for (int i = 0; i < 3; ++i) {
    const Output output = shell("(\"$R\" sub t --name s; echo $? >\"" + path("code") + "\") | head -n 3");
    EXPECT_EQ(output.status, 0) << output.err;
    EXPECT_EQ(read("code"), "0\n");
    EXPECT_EQ(text.find(output.out), begin) << "not where the last one stopped";
    // What write(2) had accepted is behind the cursor, though head did not print it; nothing else is.
    const std::uint64_t released = bus().topic("t").subscriptions.at(0).received;
    begin = text.find("message " + std::to_string(released) + '\n');
    EXPECT_GE(released, 3U);
  }
  const std::string last = text.substr(begin);
  EXPECT_EQ(rest(static_cast<std::uint64_t>(std::count(last.begin(), last.end(), '\n'))), last);
}

TEST_F(PubSubTest, AReaderThatGoesEndsASubscriptionThatWaits) {
  const Output output = shell("\"$R\" sub t | true");
  EXPECT_EQ(output.status, 0);
  EXPECT_EQ(output.err, "");
}

// Row 44: descriptor 1 is free, and must not become a segment's.
TEST_F(PubSubTest, AClosedOrFullOutputIsAnErrorAndKeepsTheMessages) {
  ASSERT_EQ(tool({"subscription", "create", "t", "s"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\n").status, 0);
  for (const std::string to : {">&-", ">/dev/full", "<&- >&- 3>&-"}) {
    const Output output = shell("exec \"$R\" sub t --name s --count 2 " + to);
    EXPECT_EQ(output.status, 1) << to;
    EXPECT_TRUE(contains(output.err, "cannot write to standard output")) << output.err;
    EXPECT_EQ(cursor(), 0U);
  }
  EXPECT_EQ(rest(2), "one\ntwo\n");
  const Output input = shell("exec \"$R\" pub t <&-");
  EXPECT_EQ(input.status, 1);
  EXPECT_TRUE(contains(input.err, "cannot read standard input")) << input.err;
}

TEST_F(PubSubTest, TheTimeoutBeforeTheCountIsExitCodeThree) {
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\n").status, 0);
  const Output sub = tool({"sub", "t", "--from", "oldest", "--count", "3", "--timeout", "100ms"});
  EXPECT_EQ(sub.status, 3);
  EXPECT_EQ(sub.out, "one\ntwo\n");
  EXPECT_TRUE(contains(sub.err, "2 messages of 3")) << sub.err;
  EXPECT_EQ(tool({"sub", "t", "--from", "oldest", "--count", "2", "--timeout", "30s"}).status, 0);
  Pipe in;  // nothing comes
  const OpenFile err(path("err"), O_RDWR | O_CREAT);
  EXPECT_EQ(start({"pub", "t", "--timeout", "0.1s"}, {.in = in.read_end(), .err = err.get()}).wait(), 3);
  EXPECT_TRUE(contains(read("err"), "waiting for more input")) << read("err");
}

// Rows 68 and 70: nobody reads; the publisher gives up as it was told to, and is told who holds it back.
TEST_F(PubSubTest, AFullRingHoldsPubBackAndTheMessageNamesTheSubscription) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  ASSERT_EQ(tool({"subscription", "create", "t", "billing"}).status, 0);
  const Output output = tool({"pub", "t", "--timeout", "200ms"}, numbered_lines(10'000));
  EXPECT_EQ(output.status, 3);
  EXPECT_TRUE(contains(output.err, "--timeout has passed after 512 messages")) << output.err;
  EXPECT_TRUE(contains(output.err, "subscription billing (nobody attached)")) << output.err;
  EXPECT_TRUE(contains(output.err, "32.0 KiB behind")) << output.err;
  EXPECT_EQ(bus().topic("t").tail, 32_KiB);
}

// Row 68.
TEST_F(PubSubTest, AnInterruptEndsAPublisherThatIsHeldBack) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  bus().create_subscription("t", "s");
  write("in", numbered_lines(10'000));
  const OpenFile in(path("in"), O_RDONLY);
  Child pub = start({"pub", "t"}, {.in = in.get()});
  await([&] {
    const auto publishers = bus().topic("t").publishers;
    return !publishers.empty() && publishers[0].waiting_ns.has_value();
  });
  pub.kill(SIGINT);
  EXPECT_EQ(pub.wait(), 0);
  EXPECT_EQ(rest(512), numbered_lines(512));
}

TEST_F(PubSubTest, ANewSubscriptionStartsWhereItIsTold) {
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\nthree\n").status, 0);
  EXPECT_EQ(tool({"sub", "t", "--from", "oldest", "--count", "1"}).out, "one\n");
  EXPECT_EQ(tool({"sub", "t", "--from", "64", "--count", "2"}).out, "two\nthree\n");
  EXPECT_EQ(tool({"sub", "t", "--timeout", "100ms"}).out, "");                // unnamed: from the newest
  EXPECT_EQ(tool({"sub", "t", "--name", "n", "--count", "1"}).out, "one\n");  // named: from the oldest
  EXPECT_EQ(tool({"sub", "t", "--name", "m", "--from", "newest", "--timeout", "100ms"}).out, "");
  const Output nowhere = tool({"sub", "t", "--from", "65"});
  EXPECT_EQ(nowhere.status, 2) << nowhere.err;
}

// Row 69.
TEST_F(PubSubTest, ALossySubscriptionSaysHowMuchItLost) {
  bus().create_topic("t", {.capacity_bytes = 32_KiB});
  ASSERT_EQ(tool({"subscription", "create", "t", "s", "--lossy"}).status, 0);
  const std::string text = numbered_lines(2000);
  ASSERT_EQ(tool({"pub", "t"}, text).status, 0);
  const Output output = tool({"sub", "t", "--name", "s", "--lossy", "--timeout", "300ms"});
  EXPECT_EQ(output.status, 3);
  EXPECT_TRUE(text.ends_with(output.out));
  const auto received = static_cast<std::size_t>(std::count(output.out.begin(), output.out.end(), '\n'));
  EXPECT_GT(received, 0U);
  EXPECT_TRUE(contains(output.err, std::to_string(2000 - received) + " messages lost")) << output.err;
}

TEST_F(PubSubTest, AMissingTopicIsCreatedAwaitedOrRefused) {
  for (const std::string command : {"pub", "sub"}) {
    const Output refused = tool({command, "missing", "--if-missing", "fail"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_TRUE(contains(refused.err, "[not_found]")) << refused.err;
    EXPECT_EQ(tool({command, "missing", "--if-missing", "wait", "--timeout", "100ms"}).status, 3);
    Child stopped = start({command, "missing", "--if-missing", "wait"});
    std::this_thread::sleep_for(50ms);  // so that it mostly waits already; right either way
    stopped.kill(SIGKILL);
  }
  EXPECT_TRUE(bus().topics().empty());
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child sub = start({"sub", "late", "--name", "s", "--if-missing", "wait", "--count", "1"}, {.out = out.get()});
  ASSERT_EQ(tool({"pub", "late"}, "hello\n").status, 0);
  EXPECT_EQ(sub.wait(), 0);
  EXPECT_EQ(read("out"), "hello\n");
}

TEST_F(PubSubTest, AnInterruptEndsTheWaitForATopic) {
  for (const std::string command : {"pub", "sub"}) {
    const OpenFile err(path("err"), O_RDWR | O_CREAT | O_TRUNC);
    Child child = start({command, "missing", "--if-missing", "wait"}, {.err = err.get()});
    await([&] {  // its handlers are set
      std::ifstream status("/proc/" + std::to_string(child.pid()) + "/status");
      for (std::string line; std::getline(status, line);)
        if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
      return false;
    });
    child.kill(SIGINT);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(read("err"), "");
  }
}

// Row 42: what was removed under it.
TEST_F(PubSubTest, ARemovedTopicEndsBothWithAMessage) {
  const OpenFile err(path("err"), O_RDWR | O_CREAT);
  Child sub = start({"sub", "t", "--name", "s"}, {.err = err.get()});
  await_attached("t");
  bus().remove_topic("t");
  EXPECT_EQ(sub.wait(), 1);
  EXPECT_TRUE(contains(read("err"), "topic_gone")) << read("err");
}

TEST_F(PubSubTest, MembersOfAGroupShareTheLines) {
  ASSERT_EQ(tool({"pub", "t"}, "1\n2\n3\n").status, 0);
  const Output first = tool({"sub", "t", "--group", "g", "--count", "2"});
  EXPECT_EQ(first.out, "1\n2\n") << first.err;
  const Output second = tool({"sub", "t", "--group", "g", "--ack-after-output", "--count", "2", "--timeout", "200ms"});
  EXPECT_EQ(second.status, 3);
  EXPECT_EQ(second.out, "3\n") << second.err;
  const Output list = tool({"subscription", "ls", "t"});
  EXPECT_TRUE(contains(list.out, "group")) << list.out;
  EXPECT_TRUE(contains(list.out, "dead-lettered")) << list.out;
  const Output json = tool({"subscription", "ls", "t", "--json"});
  EXPECT_TRUE(contains(json.out, "\"redelivered\": 0")) << json.out;
  EXPECT_TRUE(contains(tool({"info", "t"}).out, "0 held")) << tool({"info", "t"}).out;
  EXPECT_EQ(tool({"sub", "t", "--name", "g"}).status, 1);
  EXPECT_EQ(tool({"sub", "t", "--ack-after-output"}).status, 2);
}

// What the command line says of a new group is what the group has; later commands need not repeat it, and may not contradict it.
TEST_F(PubSubTest, AGroupIsMadeAsItsFirstCommandSays) {
  const Words settings = {"--max-attempts", "3",    "--dead-letter",      "t.dead",
                          "--retry-delay",  "20ms", "--dead-letter-full", "wait"};
  const ringway::GroupOptions same = {.max_attempts = 3,
                                      .retry_delay = 20ms,
                                      .dead_letter = "t.dead",
                                      .dead_letter_full = ringway::DeadLetterFull::wait};
  const std::pair<std::string, Words> makers[] = {
      {"g", {"sub", "t", "--group", "g", "--prefetch", "8", "--timeout", "1ms"}},
      {"h", {"subscription", "create", "t", "h", "--group"}},
  };
  for (const auto& [name, maker] : makers) {
    Words words = maker;
    words.insert(words.end(), settings.begin(), settings.end());
    const Output made = tool(words);
    EXPECT_EQ(made.status, name == "g" ? 3 : 0) << made.err;
    EXPECT_FALSE(bus().create_group("t", name, same));  // it exists and fits
    EXPECT_EQ(tool({"sub", "t", "--group", name, "--timeout", "1ms"}).status, 3);
    const Output other = tool({"sub", "t", "--group", name, "--max-attempts", "4"});
    EXPECT_EQ(other.status, 1);
    EXPECT_TRUE(contains(other.err, "group " + name + " has max_attempts 3, 4 was asked for")) << other.err;
    EXPECT_TRUE(contains(other.err, "`ringway subscription rm t " + name + "`")) << other.err;
    EXPECT_TRUE(contains(tool({"sub", "t", "--group", name, "--retry-delay", "1s"}).err, "retry_delay 20 ms, 1 s was"));
  }
  EXPECT_EQ(bus().topic("t.dead").options.capacity_bytes, 2_MiB);
  const std::string attempts =
      "at most 3 attempts, the second after 20 ms, then to topic t.dead (wait if that is full)";
  EXPECT_TRUE(contains(tool({"info", "t"}).out, attempts)) << tool({"info", "t"}).out;
  EXPECT_TRUE(contains(tool({"subscription", "info", "t", "g"}).out, attempts));
  const auto json = listing({"subscription", "info", "t", "h", "--json"});
  EXPECT_EQ(json["max_attempts"], 3);
  EXPECT_EQ(json["retry_delay_ns"], 20'000'000);
  EXPECT_EQ(json["dead_letter"], "t.dead");
  EXPECT_EQ(json["dead_letter_full"], "wait");
  EXPECT_EQ(tool({"subscription", "create", "t", "h", "--group"}).out, "group h of topic t exists and fits\n");
  for (const Words& wrong : {Words{"sub", "t", "--max-attempts", "3"}, Words{"sub", "t", "--prefetch", "3"},
                             Words{"sub", "t", "--group", "i", "--max-attempts", "3"},  // nowhere to go after that
                             Words{"sub", "t", "--group", "i", "--dead-letter", "t.dead"},
                             Words{"sub", "t", "--group", "g", "--prefetch", "0"},
                             Words{"sub", "t", "--group", "g", "--dead-letter-full", "drop"},
                             Words{"sub", "t", "--group", "g", "--retry-delay", "2min"},
                             Words{"subscription", "create", "t", "i", "--retry-delay", "1s"},
                             Words{"subscription", "create", "t", "i", "--group", "--lossy"}}) {
    const Output refused = tool(wrong);
    EXPECT_EQ(refused.status, 2) << refused.err;
  }
  EXPECT_EQ(bus().topic("t").subscriptions.size(), 2U);
}

// Members of a group whose output nobody reads, so that each stands still with a job in its hands.
class StalledMemberTest : public PubSubTest {
 protected:
  StalledMemberTest() {
    ::fcntl(full_.write_end(), F_SETFL, O_NONBLOCK);
    while (::write(full_.write_end(), "x", 1) == 1) {
    }
    ::fcntl(full_.write_end(), F_SETFL, 0);
  }
  // Returns once the one that it starts has the job, at that attempt.
  Child member_with_a_job(std::uint64_t attempt) {
    Child child = start({"sub", "t", "--group", "g", "--ack-after-output", "--max-attempts", "2", "--dead-letter",
                         "t.dead", "--retry-delay", "0"},
                        {.out = full_.write_end()});
    await([&] {
      const auto groups = bus().topic("t").subscriptions;
      return is_stuck(full_, child) && !groups.empty() && groups[0].held == 1 && groups[0].redelivered == attempt - 1;
    });
    return child;
  }
  nlohmann::json listed() const { return listing({"subscription", "ls", "t", "--json"}).at(0); }

 private:
  Pipe full_;
};

// Row 4.
TEST_F(StalledMemberTest, AJobWhoseMembersAreKilledEndsAsADeadLetter) {
  ASSERT_EQ(tool({"pub", "t"}, "poison\ngood\n").status, 0);
  for (const std::uint64_t attempt : {1U, 2U}) {
    Child member = member_with_a_job(attempt);
    EXPECT_TRUE(listed()["oldest_held_ns"].is_number());
    member.kill(SIGKILL);
    member.wait();
  }
  const Output rest = tool({"sub", "t", "--group", "g", "--count", "1", "--timeout", "30s"});
  EXPECT_EQ(rest.out, "good\n") << rest.err;
  EXPECT_EQ(tool({"sub", "t.dead", "--from", "oldest", "--count", "1", "--timeout", "30s"}).out, "poison\n");
  const std::string origin = tool({"observe", "t.dead", "--last", "1", "--verbose"}).out;
  EXPECT_TRUE(contains(origin, "from position 0 of topic t after 2 attempts of group g (the member ended")) << origin;
  EXPECT_EQ(listed()["dead_lettered"], 1);
  EXPECT_EQ(listed()["received"], 1);
  EXPECT_EQ(listed()["held"], 0);
  const Output table = tool({"subscription", "ls", "t"});
  EXPECT_TRUE(contains(table.out, "dead-lettered")) << table.out;
}

TEST_F(StalledMemberTest, AStoppedMemberIsTold) {
  ASSERT_EQ(tool({"pub", "t"}, "one\n").status, 0);
  Child member = member_with_a_job(1);
  EXPECT_EQ(listed()["stopped"], false);
  member.kill(SIGSTOP);
  ASSERT_TRUE(member.wait_stopped());
  EXPECT_EQ(listed()["stopped"], true);
  const std::string table = tool({"subscription", "ls", "t"}).out;
  EXPECT_TRUE(contains(table, "1 member, 1 stopped")) << table;
  const std::string info = tool({"info", "t"}).out;
  EXPECT_TRUE(contains(info, "warning: group g is 64 B behind: 1 member, 1 stopped")) << info;
}

TEST_F(StalledMemberTest, AnInterruptEndsItAndItsJobComesAgainAtOnce) {
  ASSERT_EQ(tool({"pub", "t"}, "one\n").status, 0);
  Child member = member_with_a_job(1);
  member.kill(SIGINT);
  EXPECT_EQ(member.wait(), 0);
  EXPECT_EQ(listed()["returned"], 1);
  EXPECT_EQ(tool({"sub", "t", "--group", "g", "--count", "1", "--timeout", "30s"}).out, "one\n");
}

// What it has not done can be let go of: it is removed, and made anew further on.
TEST_F(PubSubTest, ANewGroupStartsWhereItIsTold) {
  ASSERT_EQ(tool({"pub", "t"}, "one\ntwo\nthree\n").status, 0);
  EXPECT_EQ(tool({"sub", "t", "--group", "g", "--from", "64", "--count", "2"}).out, "two\nthree\n");
  const Output advice = tool({"subscription", "seek", "t", "g", "oldest"});
  EXPECT_EQ(advice.status, 2);
  EXPECT_TRUE(contains(advice.err, "`ringway subscription create t g --group --from WHERE`")) << advice.err;
  ASSERT_EQ(tool({"subscription", "rm", "t", "g"}).status, 0);
  ASSERT_EQ(tool({"subscription", "create", "t", "g", "--group", "--from", "newest"}).status, 0);
  ASSERT_EQ(tool({"pub", "t"}, "four\n").status, 0);
  EXPECT_EQ(tool({"sub", "t", "--group", "g", "--from", "oldest", "--count", "1"}).out, "four\n");  // it exists
  const Output nowhere = tool({"sub", "t", "--group", "h", "--from", "65"});
  EXPECT_EQ(nowhere.status, 2) << nowhere.err;
  EXPECT_TRUE(contains(nowhere.err, "no message starts at position 65; the oldest is at 0")) << nowhere.err;
  EXPECT_EQ(bus().topic("t").subscriptions.size(), 1U);
}

TEST_F(PubSubTest, ADurableSubscriptionHasOneReader) {
  Child sub = start({"sub", "t", "--name", "s"});
  await_attached("t");
  const Output second = tool({"sub", "t", "--name", "s"});
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(contains(second.err, "[taken]")) << second.err;
}

// Standard error on a terminal: what people are told there, and scripts are not.
class TerminalTest : public PubSubTest {
 protected:
  TerminalTest() {
    int slave = -1;
    EXPECT_EQ(::openpty(&master_, &slave, nullptr, nullptr, nullptr), 0);
    slave_ = slave;
    for (const int end : {master_, slave_}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    EXPECT_EQ(tool({"pub", "t"}, "one\ntwo\n").status, 0);
  }
  ~TerminalTest() override {
    ::close(master_);
    if (slave_ >= 0) ::close(slave_);
  }
  // Reads until the terminal has said `words`.
  void await_words(const std::string& words) {
    while (!contains(said_, words)) {
      char byte = 0;
      ASSERT_EQ(::read(master_, &byte, 1), 1) << said_;
      said_ += byte;
    }
  }

  int master_ = -1;
  int slave_ = -1;
  std::string said_;
};

TEST_F(TerminalTest, AnUnnamedSubscriptionSaysThatItWaitsAndWhatIsKept) {
  Child sub = start({"sub", "t"}, {.err = slave_});
  await_words("waiting for new messages on topic t; kept from before: 2 messages");
  await_words("`ringway sub t --from oldest`");
  sub.kill(SIGINT);
  EXPECT_EQ(sub.wait(), 0);
}

TEST_F(TerminalTest, ANamedSubscriptionSaysThatItStaysAndHowToRemoveIt) {
  const OpenFile out(path("out"), O_RDWR | O_CREAT);
  Child sub = start({"sub", "t", "--name", "s", "--count", "1"}, {.out = out.get(), .err = slave_});
  EXPECT_EQ(sub.wait(), 0);
  await_words("subscription s of topic t stays");
  await_words("`ringway subscription rm t s`");
}

}  // namespace

// Topics that a crash has left half made or half removed, many creators at once, and copies.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "ringway/detail/layout.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/numbered.hpp"
#include "support/sanitizer.hpp"
#include "support/scratch.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway_test::bytes_of;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kNothing;
using ringway_test::kSmall;
using ringway_test::kWhole;
using ringway_test::names_in;
using ringway_test::Opener;
using ringway_test::openers;
using ringway_test::Pipe;
using ringway_test::status_of;
using ringway_test::thrown;

class HalvesTest : public ringway_test::TopicFiles {};

// Row 67, 8 and 10.6: the creator died between its two links.
TEST_F(HalvesTest, AControlFileWithoutDataIsReplacedByTheNextCreator) {
  for (const Opener& opener : openers()) {
    bus().create_topic("t", kSmall);
    fs::remove(data());
    const ino_t half = status_of(control()).st_ino;
    EXPECT_TRUE(bus().topics().empty());
    const auto error = thrown([&] { opener.open(bus()); });
    if (opener.only_looks) {
      EXPECT_EQ(error.code, Code::not_found) << opener.what;
      EXPECT_EQ(status_of(control()).st_ino, half) << opener.what;
    } else {
      EXPECT_EQ(error.code, Code::ok) << opener.what << ": " << error.text;
      EXPECT_NE(status_of(control()).st_ino, half) << opener.what;
    }
    expect_works();
    bus().remove_topic("t");
    EXPECT_EQ(names_in(directory()), kNothing);
  }
}

// Row 66: names are opened if they are there and linked if they are not; O_CREAT is never used on one.
TEST_F(HalvesTest, NoNameIsOpenedWithOCreat) {
  if (ringway_test::kSanitized) GTEST_SKIP() << "strace cannot look at a sanitized program";
  const std::string trace = directory() / "trace";
  const auto result = ringway_test::run({"strace", "-f", "-qq", "-e", "trace=open,openat,creat,linkat", "-o", trace,
                                         ringway_test::program("tests/halves_test"),
                                         "--gtest_filter=HalvesTest.AControlFileWithoutDataIsReplaced*"});
  if (result.status == 127) GTEST_SKIP() << "needs strace";
  ASSERT_EQ(result.status, 0) << result.out << result.err;
  int opened = 0;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("t.data\"") == std::string::npos && line.find("t.control\"") == std::string::npos) continue;
    if (line.find(" open") == std::string::npos) continue;
    ++opened;
    EXPECT_EQ(line.find("O_CREAT"), std::string::npos) << line;
    EXPECT_NE(line.find("O_NOFOLLOW"), std::string::npos) << line;
    EXPECT_NE(line.find("O_NONBLOCK"), std::string::npos) << line;
    EXPECT_NE(line.find("O_CLOEXEC"), std::string::npos) << line;
  }
  EXPECT_GT(opened, 10);
}

// Row 67
TEST_F(HalvesTest, AControlFileWithoutDataIsLeftAloneWhileItsCreatorLives) {
  bus().create_topic("t", kSmall);
  fs::remove(data());
  const ino_t half = status_of(control()).st_ino;
  const int descriptor = ::open(control().c_str(), O_RDWR | O_CLOEXEC);
  struct flock creator {};
  creator.l_type = F_WRLCK;
  creator.l_whence = SEEK_SET;
  creator.l_start = static_cast<off_t>(ringway::detail::kCreatorByte);
  creator.l_len = 1;
  ASSERT_EQ(::fcntl(descriptor, F_OFD_SETLK, &creator), 0);
  const auto error = thrown([&] { return bus().publisher("t", {.attach_timeout = 20ms, .topic = kSmall}); });
  EXPECT_TRUE(is_error(error, Code::busy, "creator byte", control().string()));
  EXPECT_EQ(thrown([&] { return bus().publisher("t", {.attach_timeout = 0s, .topic = kSmall}); }).code, Code::busy);
  const Bus waiting = bus();
  waiting.interrupt();
  EXPECT_EQ(thrown([&] { return waiting.publisher("t", {.attach_timeout = ringway::Timeout::never()}); }).code,
            Code::interrupted);
  EXPECT_EQ(status_of(control()).st_ino, half);
  ::close(descriptor);
  expect_works();
}

// Row 67 and 10.17
TEST_F(HalvesTest, ADataFileWithoutControlIsReplacedByTheNextCreator) {
  for (const Opener& opener : openers()) {
    auto lost = bus().publisher("t", {.topic = kSmall});
    fs::remove(control());
    const ino_t half = status_of(data()).st_ino;
    EXPECT_TRUE(bus().topics().empty());
    const auto error = thrown([&] { opener.open(bus()); });
    if (opener.only_looks) {
      EXPECT_EQ(error.code, Code::not_found) << opener.what;
    } else {
      EXPECT_EQ(error.code, Code::ok) << opener.what << ": " << error.text;
      EXPECT_NE(status_of(data()).st_ino, half) << opener.what;
    }
    expect_works();
    bus().remove_topic("t");
  }
}

// Row 67: the control file of a creator that died before it had replaced the orphan.
TEST_F(HalvesTest, HalvesOfTwoTopicsAreReplacedByTheNextCreator) {
  for (const Opener& opener : openers()) {
    bus().create_topic("t", kSmall);
    fs::rename(data(), directory() / "kept");
    bus().remove_topic("t");
    bus().create_topic("t", kSmall);
    fs::rename(directory() / "kept", data());
    const auto error = thrown([&] { opener.open(bus()); });
    if (opener.only_looks) {
      EXPECT_EQ(error.code, Code::not_found) << opener.what;
    } else {
      EXPECT_EQ(error.code, Code::ok) << opener.what << ": " << error.text;
    }
    expect_works();
    bus().remove_topic("t");
    EXPECT_EQ(names_in(directory()), kNothing);
  }
}

// Row 67: the remover died after its mark, before or between its two unlinks.
TEST_F(HalvesTest, ARemovalUnderWayIsFinishedByTheNextOpener) {
  for (const Opener& opener : openers()) {
    auto attached = bus().subscriber("t", {.topic = kSmall});
    const int descriptor = ::open(control().c_str(), O_RDWR | O_CLOEXEC);
    const std::uint32_t removed = 1;
    ASSERT_EQ(::pwrite(descriptor, &removed, sizeof removed, offsetof(ringway::detail::ControlHeader, removed)), 4);
    ::close(descriptor);
    const ino_t old = status_of(control()).st_ino;
    EXPECT_TRUE(bus().topics().empty());
    const auto error = thrown([&] { opener.open(bus()); });
    if (opener.only_looks) {
      EXPECT_EQ(error.code, Code::not_found) << opener.what;
    } else {
      EXPECT_EQ(error.code, Code::ok) << opener.what << ": " << error.text;
      EXPECT_NE(status_of(control()).st_ino, old) << opener.what;
    }
    if (opener.what == std::string("create_topic")) {
      EXPECT_FALSE(bus().create_topic("t", kSmall));  // it was made, not found
    }
    expect_works();
    EXPECT_EQ(attached.receive().status().code(), Code::topic_gone);
    bus().remove_topic("t");
    EXPECT_EQ(names_in(directory()), kNothing);
  }
}

// Row 67
TEST_F(HalvesTest, EveryHalfCanBeRemoved) {
  for (const fs::path& file : {data(), control()}) {
    bus().create_topic("t", kSmall);
    fs::remove(file);
    bus().remove_topic("t");
    EXPECT_EQ(names_in(directory()), kNothing);
    bus().create_topic("t", kSmall);
    bus().create_topic("a/t", kSmall);
    fs::remove(file);
    fs::remove(directory() / "a" / file.filename());
    bus().remove();
    EXPECT_FALSE(fs::exists(directory()));
  }
}

// Row 9
TEST_F(HalvesTest, ManyThatCreateOneTopicAtOnceAreAttachedToTheSame) {
  constexpr int kProcesses = 16;
  for (int round = 0; round < 4; ++round) {
    Pipe start;
    Pipe inodes;
    Pipe attached;
    std::vector<Child> children;
    children.reserve(kProcesses);
    for (int i = 0; i < kProcesses; ++i) {
      children.push_back(Child::fork([&, i] {
        start.close_write_end();
        attached.close_write_end();
        const Bus here = bus();
        start.await();  // the end of the pipe: all at once
        bool made = false;
        if (i % 4 == 0) {
          const auto error = thrown([&] { made = here.create_topic("t", kSmall); });
          if (error.code != Code::ok && error.code != Code::busy) return 4;  // busy: a second of others in the way
        }
        auto out = here.publisher("t", {.attach_timeout = 20s, .topic = kSmall});
        auto in = here.subscriber("t", {.attach_timeout = 20s, .topic = kSmall});
        const std::array<std::uint64_t, 2> seen = {here.topic("t").inode, made ? 1U : 0U};
        if (::write(inodes.write_end(), &seen, sizeof seen) != sizeof seen) return 1;
        attached.await();
        if (!out.publish("from each")) return 2;
        for (int message = 0; message < kProcesses; ++message)
          if (const auto received = in.receive(); received.text() != "from each") return 3;
        return 0;
      }));
    }
    start.close_write_end();
    std::set<std::uint64_t> inode;
    std::uint64_t made = 0;
    for (int i = 0; i < kProcesses; ++i) {
      std::array<std::uint64_t, 2> seen{};
      ASSERT_EQ(::read(inodes.read_end(), &seen, sizeof seen), ssize_t{sizeof seen});
      inode.insert(seen[0]);
      made += seen[1];
    }
    EXPECT_EQ(inode.size(), 1U);
    EXPECT_LE(made, 1U);
    EXPECT_EQ(bus().topic("t").publishers.size(), std::size_t{kProcesses});
    EXPECT_EQ(bus().topic("t").subscriptions.size(), std::size_t{kProcesses});
    attached.close_write_end();
    for (Child& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(names_in(directory()), kWhole);
    bus().remove_topic("t");
  }
}

// Rows 8 and 67
TEST_F(HalvesTest, KilledAtAnyMomentOfCreatingOrRemovingTheNextOpenerFindsAWholeTopic) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(ringway_test::seed()));
  ringway_test::Dice dice(1);
  for (int round = 0; round < ringway_test::rounds(100); ++round) {
    Pipe running;
    auto child = Child::fork([&]() -> int {
      const Bus here = bus();
      running.signal();
      for (;;) {
        here.create_topic("t", kSmall);
        here.remove_topic("t");
      }
    });
    running.close_write_end();
    ASSERT_TRUE(running.await());
    ::usleep(static_cast<useconds_t>(dice.up_to(2000)));
    child.kill(SIGKILL);
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    for (const std::string& name : names_in(directory())) EXPECT_TRUE(kWhole.contains(name)) << name;
    for (const auto& topic : bus().topics()) EXPECT_EQ(topic.problem, "");
    expect_works();
    if (round % 2 == 0) bus().remove_topic("t");
  }
}

// A backup or `cp -r` of a bus: its files no longer name each other.
TEST_F(HalvesTest, ACopiedTopicIsRefusedAndNotDestroyed) {
  const fs::path original = directory() / "original";
  const fs::path copy = directory() / "copy";
  {
    auto out = Bus::at(original.string()).publisher("t", {.topic = kSmall});
    Bus::at(original.string()).create_subscription("t", "s");
    ASSERT_TRUE(out.publish("kept"));
    fs::copy(original, copy);  // under its users
  }
  const Bus copied = Bus::at(copy.string());
  const std::string data_before = bytes_of(copy / "t.data");
  const std::string control_before = bytes_of(copy / "t.control");
  for (const Opener& opener : openers()) {
    const auto error = thrown([&] { opener.open(copied); });
    if (opener.only_looks)
      EXPECT_EQ(error.code, Code::ok) << opener.what << ": " << error.text;
    else
      EXPECT_TRUE(is_error(error, Code::corrupt, "is a copy", (copy / "t.control").string())) << opener.what;
  }
  EXPECT_TRUE(
      is_error(thrown([&] { copied.remove_topic("t", ringway::Remove::if_unused); }), Code::corrupt, "is a copy"));
  ASSERT_EQ(copied.topics().size(), 1U);
  EXPECT_EQ(copied.topics()[0].problem, "");
  auto look = copied.observer("t", {.from = ringway::From::oldest});
  const auto copied_message = look.try_receive();
  EXPECT_EQ(copied_message.text(), "kept");
  EXPECT_EQ(bytes_of(copy / "t.data"), data_before);
  EXPECT_EQ(bytes_of(copy / "t.control"), control_before);
  auto in = Bus::at(original.string()).subscriber("t", {.name = "s"});
  const auto message = in.try_receive();
  EXPECT_EQ(message.text(), "kept");
  copied.remove_topic("t");
  EXPECT_EQ(names_in(copy), kNothing);
}

}  // namespace

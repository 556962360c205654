// The helpers that the other tests trust.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "support/child.hpp"
#include "support/scratch.hpp"

namespace {

using namespace std::chrono_literals;
using ringway_test::Child;
using ringway_test::Pipe;
using ringway_test::run;
using ringway_test::ScratchDir;

TEST(ScratchDirTest, IsEmptyPrivateAndGoneAfterwards) {
  std::filesystem::path path;
  {
    const ScratchDir scratch;
    path = scratch.path();
    EXPECT_TRUE(std::filesystem::is_empty(path));
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
    std::filesystem::create_directories(path / "a" / "b");
    std::ofstream(path / "a" / "file") << "text";
    const ScratchDir other;
    EXPECT_NE(other.path(), path);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ScratchDirTest, StaysWhenAForkedCopyEnds) {
  const ScratchDir scratch;
  auto child = Child::fork([&] {
    scratch.~ScratchDir();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(scratch.path()));
}

TEST(ChildTest, GivesTheBodysResult) {
  auto child = Child::fork([] { return 7; });
  EXPECT_EQ(child.wait(), 7);
  EXPECT_EQ(child.wait(), 7);
  EXPECT_TRUE(child.ended());
}

TEST(ChildTest, TellsFailuresExceptionsAndSignalsApart) {
  EXPECT_EQ(Child::fork([] {
              EXPECT_TRUE(false) << "this failure is part of the test";
              return 0;
            }).wait(),
            97);
  EXPECT_EQ(Child::fork([]() -> int { throw std::runtime_error("this error is part of the test"); }).wait(), 98);
  EXPECT_EQ(Child::fork([] { return ::raise(SIGKILL); }).wait(), 128 + SIGKILL);
}

TEST(ChildTest, IsEndedByItsWatchdog) {
  EXPECT_EQ(Child::fork([] { return ::pause(); }, 1s).wait(), 128 + SIGALRM);
  EXPECT_EQ(Child::spawn({"sleep", "100"}, {.watchdog = 1s}).wait(), 128 + SIGALRM);
}

TEST(ChildTest, IsKilledAndReapedAtTheEndOfItsScope) {
  pid_t pid = 0;
  {
    const auto child = Child::fork([] { return ::pause(); });
    pid = child.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(ChildTest, CanBeStoppedAndContinued) {
  auto child = Child::fork([] {
    ::raise(SIGSTOP);
    return 3;
  });
  EXPECT_TRUE(child.wait_stopped());
  EXPECT_FALSE(child.ended());
  child.kill(SIGCONT);
  EXPECT_FALSE(child.wait_stopped());
  EXPECT_EQ(child.wait(), 3);
}

TEST(ChildTest, DiesWithTheProcessThatStartedIt) {
  Pipe alive;
  auto parent = Child::fork([&] {
    const auto child = Child::fork([&] {
      alive.signal();
      return ::pause();
    });
    return ::pause();
  });
  ASSERT_TRUE(alive.await());
  alive.close_write_end();
  parent.kill(SIGKILL);
  EXPECT_FALSE(alive.await()) << "the write end is open as long as the grandchild lives";
}

TEST(RunTest, CapturesBothStreamsAndTheStatus) {
  const auto output =
      run({"sh", "-c", "cat; echo \"$GREETING\" >&2; exit 5"}, "one\ntwo", {.environment = {"GREETING=hello"}});
  EXPECT_EQ(output.status, 5);
  EXPECT_EQ(output.out, "one\ntwo");
  EXPECT_EQ(output.err, "hello\n");
}

TEST(RunTest, PassesMoreThanAPipeHolds) {
  const std::string much(3'000'000, 'x');
  EXPECT_EQ(run({"cat"}, much).out, much);
  EXPECT_EQ(run({"true"}, much).status, 0);
}

TEST(RunTest, EndsAProgramThatTakesTooLong) {
  const auto output = run({"sh", "-c", "echo begun; sleep 100"}, {}, {.watchdog = 1s});
  EXPECT_GE(output.status, 128);
  EXPECT_EQ(output.out, "begun\n");
}

TEST(RunTest, ReportsAProgramThatIsNotThere) { EXPECT_EQ(run({"no-such-program-anywhere"}).status, 127); }

TEST(PipeTest, CarriesStepsBetweenProcesses) {
  Pipe there;
  Pipe back;
  auto child = Child::fork([&] {
    back.close_read_end();
    if (!there.await()) return 1;
    back.signal();
    return 0;
  });
  back.close_write_end();
  there.signal();
  EXPECT_TRUE(back.await());
  EXPECT_FALSE(back.await());
  EXPECT_EQ(child.wait(), 0);
}

TEST(ProgramTest, IsFoundBesideTheTests) {
  EXPECT_TRUE(std::filesystem::exists(ringway_test::program("tests/support_test")));
}

}  // namespace

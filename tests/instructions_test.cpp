// What a message costs, in instructions, which are the same on every run: with and without somebody who looks.

#include <gtest/gtest.h>

#include <signal.h>

#include <cmath>
#include <string>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/sanitizer.hpp"
#include "support/scratch.hpp"

namespace {

using ringway_test::Child;
using ringway_test::Output;

class InstructionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ringway_test::kSanitized) GTEST_SKIP() << "what is counted is what ships, and valgrind runs no sanitizer";
    if (ringway_test::run({"valgrind", "--version"}).status != 0) GTEST_SKIP() << "valgrind is not installed";
    bus_.create_topic("plain", {.stamped = true});
    bus_.create_topic("timed", {.latency = true});
  }
  // Of a publish and a receive, start and end left out.
  long each(const std::string& topic) const { return std::lround((all(topic, 6000) - all(topic, 2000)) / 4000); }

  ringway_test::ScratchDir scratch_;
  ringway::Bus bus_ = ringway::Bus::at((scratch_.path() / "bus").string());

 private:
  double all(const std::string& topic, int count) const {
    const Output output = ringway_test::run({"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                                             ringway_test::program("tests/messages_main"), bus_.directory(), topic,
                                             std::to_string(count)});
    EXPECT_EQ(output.status, 0) << output.err;
    const auto at = output.err.find("Collected : ");
    if (at == std::string::npos) {
      ADD_FAILURE() << output.err;
      return 0;
    }
    return std::stod(output.err.substr(at + 12));
  }
};

TEST_F(InstructionsTest, AWatcherCostsThoseWhoAreWatchedNothing) {
  const long alone = each("plain");
  EXPECT_GT(alone, 50);
  Child watcher = Child::fork([this] {
    auto watch = bus_.watch();
    auto look = bus_.observer("plain");
    for (;;) {
      if (watch.look().size() != 2) return 1;
      look.poll([](const ringway::Message&) {}, 1000);
    }
  });
  EXPECT_EQ(each("plain"), alone);
  watcher.kill(SIGSTOP);
  ASSERT_TRUE(watcher.wait_stopped());
  EXPECT_EQ(each("plain"), alone);
  EXPECT_GT(each("timed"), alone + 10);  // the count can differ
}

}  // namespace

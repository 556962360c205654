// Watch: snapshots from mappings that stay, without a trace on what is watched.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ringway/detail/layout.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/scratch.hpp"

namespace {

using namespace ringway::literals;
using ringway_test::Child;
using ringway_test::Pipe;

class WatchTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return bus_.directory() + "/" + name; }
  static std::string bytes_of(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }

  ringway_test::ScratchDir scratch_;
  ringway::Bus bus_ = ringway::Bus::at((scratch_.path() / "bus").string());
};

std::vector<std::string> names_of(const std::vector<ringway::TopicInfo>& topics) {
  std::vector<std::string> names;
  for (const auto& topic : topics) names.push_back(topic.name);
  return names;
}

TEST_F(WatchTest, SeesTopicsComeGoAndBeReplaced) {
  ringway::Watch watch = bus_.watch();
  EXPECT_TRUE(watch.look().empty());
  bus_.create_topic("b");
  bus_.create_topic("a/x");
  auto seen = watch.look();
  EXPECT_EQ(names_of(seen), (std::vector<std::string>{"a/x", "b"}));
  auto out = bus_.publisher("b");
  ASSERT_TRUE(out.publish("hello"));
  EXPECT_EQ(watch.look()[1].tail, 64U);

  const auto inode = seen[1].inode;
  bus_.remove_topic("b");
  bus_.create_topic("b", {.capacity_bytes = 64_KiB});
  seen = watch.look();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_NE(seen[1].inode, inode);
  EXPECT_EQ(seen[1].tail, 0U);
  EXPECT_EQ(seen[1].options.capacity_bytes, 64_KiB);

  bus_.remove_topic("a/x");
  EXPECT_EQ(names_of(watch.look()), std::vector<std::string>{"b"});
  EXPECT_EQ(names_of(bus_.watch("b").look()), std::vector<std::string>{"b"});
  EXPECT_TRUE(bus_.watch("nothing").look().empty());
}

TEST_F(WatchTest, SaysTheSameAsASnapshot) {
  bus_.create_topic("t", {.capacity_bytes = 32_KiB});
  auto out = bus_.publisher("t", {.name = "feed"});
  auto in = bus_.subscriber("t", {.name = "billing"});
  ringway::Watch watch = bus_.watch();
  for (int look = 0; look < 3; ++look) {
    ASSERT_TRUE(out.publish("hello"));
    const auto seen = watch.look().at(0);
    const auto now = bus_.topic("t");
    EXPECT_EQ(seen.tail, now.tail);
    ASSERT_EQ(seen.publishers.size(), 1U);
    EXPECT_EQ(seen.publishers[0].messages, now.publishers.at(0).messages);
    EXPECT_TRUE(seen.publishers[0].alive);
    ASSERT_EQ(seen.subscriptions.size(), 1U);
    EXPECT_TRUE(seen.subscriptions[0].attached);
    EXPECT_EQ(seen.subscriptions[0].lag_bytes, now.subscriptions.at(0).lag_bytes);
  }
}

TEST_F(WatchTest, LeavesNoTraceInTheFiles) {
  bus_.create_topic("t", {.capacity_bytes = 32_KiB});
  bus_.create_subscription("t", "billing");
  auto out = bus_.publisher("t");
  ASSERT_TRUE(out.publish("hello"));
  const std::string data = bytes_of(file("t.data"));
  const std::string control = bytes_of(file("t.control"));
  ringway::Watch watch = bus_.watch();
  for (int look = 0; look < 10; ++look) EXPECT_EQ(watch.look().size(), 1U);
  EXPECT_EQ(bytes_of(file("t.data")), data);
  EXPECT_EQ(bytes_of(file("t.control")), control);
}

TEST_F(WatchTest, ShowsWhatItCannotReadWithItsLayout) {
  bus_.create_topic("old");
  bus_.create_topic("torn");
  const std::uint32_t version = 99;
  std::fstream(file("old.data"), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(offsetof(ringway::detail::Prefix, layout_version))
      .write(reinterpret_cast<const char*>(&version), sizeof version);
  std::filesystem::resize_file(file("torn.data"), 10);
  ringway::Watch watch = bus_.watch();
  for (const auto& seen : {watch.look(), watch.look(), bus_.topics()}) {
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0].layout_version, 99U);
    EXPECT_NE(seen[0].problem.find("layout version"), std::string::npos) << seen[0].problem;
    EXPECT_GT(seen[0].file_bytes, 1_MiB);
    EXPECT_NE(seen[0].inode, 0U);
    EXPECT_EQ(seen[1].layout_version, 0U);
    EXPECT_NE(seen[1].problem, "");
  }
}

TEST_F(WatchTest, DatesAClaimFromWhenItWasFirstSeen) {
  bus_.create_topic("t");
  ringway::Watch watch = bus_.watch();
  auto out = bus_.publisher("t");
  const auto claim_of = [&] { return watch.look().at(0).publishers.at(0); };
  EXPECT_FALSE(claim_of().open_claim_seen_ns);
  auto claim = out.claim(10);
  const auto first = claim_of();
  ASSERT_TRUE(first.open_claim_seen_ns);
  EXPECT_EQ(claim_of().open_claim_seen_ns, first.open_claim_seen_ns);
  claim.commit();
  EXPECT_FALSE(claim_of().open_claim_seen_ns);
  auto next = out.claim(10);
  EXPECT_GT(claim_of().open_claim_seen_ns, first.open_claim_seen_ns);
}

TEST_F(WatchTest, NeedsNoTwoDescriptorsForEachTopic) {
  for (int topic = 0; topic < 40; ++topic) bus_.create_topic("t" + std::to_string(topic), {.capacity_bytes = 32_KiB});
  auto out = bus_.publisher("t39");
  Child watcher = Child::fork([&] {
    const rlimit few{32, 32};
    ::setrlimit(RLIMIT_NOFILE, &few);
    ringway::Watch watch = bus_.watch();
    for (int look = 0; look < 3; ++look) {
      std::size_t alive = 0;
      const auto seen = watch.look();
      for (const auto& topic : seen) {
        EXPECT_EQ(topic.problem, "");
        for (const auto& publisher : topic.publishers) alive += publisher.alive ? 1 : 0;
      }
      EXPECT_EQ(seen.size(), 40U);
      EXPECT_EQ(alive, 1U);
    }
    return 0;
  });
  EXPECT_EQ(watcher.wait(), 0);
}

TEST_F(WatchTest, TellsTheDeadAndTheStoppedFromTheLiving) {
  bus_.create_topic("t");
  Pipe attached;
  Child child = Child::fork([&] {
    auto out = bus_.publisher("t", {.name = "feed"});
    auto claim = out.claim(10);
    attached.signal();
    for (;;) ::pause();
    return 0;
  });
  attached.close_write_end();
  ASSERT_TRUE(attached.await());
  ringway::Watch watch = bus_.watch();
  const auto feed = [&] { return watch.look().at(0).publishers.at(0); };
  EXPECT_TRUE(feed().alive);
  EXPECT_FALSE(feed().stopped);
  child.kill(SIGSTOP);
  ASSERT_TRUE(child.wait_stopped());
  EXPECT_TRUE(feed().alive);
  EXPECT_TRUE(feed().stopped);
  child.kill(SIGKILL);
  child.wait();
  EXPECT_FALSE(feed().alive);
  EXPECT_TRUE(feed().open_claim);
}

}  // namespace

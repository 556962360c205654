// What the tools make of what they see: rates between two looks, and findings in words.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "look/view.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/scratch.hpp"

namespace {

using namespace ringway::literals;
using ringway::PublisherInfo;
using ringway::SubscriptionInfo;
using ringway::TopicInfo;
using ringway::tool::Finding;
using ringway::tool::findings_of;
using ringway::tool::Severity;
using ringway_test::Child;
using ringway_test::Pipe;

constexpr std::uint64_t kSecond = 1'000'000'000;

// A topic as seen after `seconds`, with one publisher and one durable subscription.
TopicInfo seen_after(std::uint64_t seconds) {
  TopicInfo topic;
  topic.name = "jobs";
  topic.seen_ns = 100 * kSecond + seconds * kSecond;
  topic.inode = 7;
  topic.options.capacity_bytes = 1_MiB;
  topic.options.max_publishers = 64;
  topic.options.max_subscriptions = 64;
  PublisherInfo& feed = topic.publishers.emplace_back();
  feed.name = "feed";
  feed.pid = 12;
  feed.alive = true;
  feed.messages = 100 * seconds;
  feed.bytes = 1000 * seconds;
  topic.subscriptions = {{.name = "billing", .durable = true, .received = 50 * seconds, .attached = true, .pid = 34}};
  return topic;
}

// The only finding, or one without an id.
Finding only(const std::vector<Finding>& findings) {
  EXPECT_EQ(findings.size(), 1U);
  for (const auto& finding : findings)
    if (findings.size() != 1) ADD_FAILURE() << finding.id << ": " << finding.text;
  return findings.size() == 1 ? findings[0] : Finding{};
}

TEST(LookTest, ATopicInOrderHasNoFindings) {
  const TopicInfo before = seen_after(0);
  EXPECT_TRUE(findings_of(seen_after(1), &before).empty());
}

TEST(LookTest, WhoHoldsPublishersBackIsNamedWithHisOwnersState) {
  TopicInfo topic = seen_after(12);
  topic.publishers[0].waiting_ns = 100 * kSecond;
  topic.publishers[0].waiting_for_subscription = 0;
  topic.subscriptions[0].lag_bytes = 1_MiB;
  topic.subscriptions[0].stopped = true;
  Finding finding = only(findings_of(topic));
  EXPECT_EQ(finding.id, "held-back");
  EXPECT_EQ(finding.severity, Severity::problem);
  EXPECT_EQ(finding.topic, "jobs");
  EXPECT_EQ(finding.about, "billing");
  EXPECT_EQ(finding.since_ns, 100 * kSecond);
  EXPECT_EQ(finding.text,
            "subscription billing holds publisher feed back since 12 s: 1.0 MiB behind, owner stopped (pid 34)");
  EXPECT_NE(finding.next.find("kill -CONT 34"), std::string::npos);

  topic.seen_ns = 100 * kSecond + kSecond / 10;
  EXPECT_EQ(only(findings_of(topic)).severity, Severity::note);  // a moment is how a ring works

  topic.subscriptions[0].stopped = topic.subscriptions[0].attached = false;
  topic.publishers.push_back(topic.publishers[0]);
  finding = only(findings_of(topic));
  EXPECT_NE(finding.text.find("holds 2 publishers back"), std::string::npos) << finding.text;
  EXPECT_NE(finding.next.find("ringway subscription rm jobs billing"), std::string::npos) << finding.next;
}

// One stopped member may hold a job that all wait for, while the others go on.
TEST(LookTest, OfAGroupTheStoppedMemberIsNamed) {
  TopicInfo topic = seen_after(12);
  topic.publishers[0].waiting_ns = 100 * kSecond;
  topic.publishers[0].waiting_for_subscription = 0;
  SubscriptionInfo& group = topic.subscriptions[0];
  group.group = true;
  group.lag_bytes = 1_MiB;
  group.members = {"slot 0 (pid 34)", "slot 1 (pid 35, stopped)"};
  Finding finding = only(findings_of(topic));
  EXPECT_EQ(finding.text, "group billing holds publisher feed back since 12 s: 1.0 MiB behind, 2 members, 1 stopped");
  EXPECT_EQ(finding.next, "member slot 1 (pid 35, stopped) keeps what it has: let it go on (`kill -CONT`), or end it");
  group.members = {"slot 0 (pid 34)"};
  finding = only(findings_of(topic));
  EXPECT_NE(finding.next.find("start more"), std::string::npos) << finding.next;
  group.members.clear();
  group.attached = false;
  finding = only(findings_of(topic));
  EXPECT_NE(finding.next.find("start a member"), std::string::npos) << finding.next;
  group.attached = group.stopped = true;
  group.members = {"slot 1 (pid 35, stopped)"};
  topic.publishers[0].waiting_ns.reset();
  topic.publishers[0].waiting_for_subscription.reset();
  group.lag_bytes = 64;
  finding = only(findings_of(topic));
  EXPECT_EQ(finding.id, "stopped-reader");
  EXPECT_EQ(finding.text, "group billing is 64 B behind: 1 member, 1 stopped");
}

TEST(LookTest, OpenClaimsAreFindingsWhenTheirOwnerIsDeadOrTheyAreOld) {
  TopicInfo topic = seen_after(3);
  topic.publishers[0].open_claim = 640;
  topic.publishers[0].open_claim_bytes = 64;
  topic.publishers[0].open_claim_seen_ns = topic.seen_ns;
  EXPECT_TRUE(findings_of(topic).empty());
  topic.publishers[0].open_claim_seen_ns = 100 * kSecond;
  EXPECT_EQ(only(findings_of(topic)).text,
            "publisher feed (pid 12) has a claim open at position 640 for at least 3.0 s: readers wait there");
  topic.publishers[0].alive = false;
  const Finding dead = only(findings_of(topic));
  EXPECT_EQ(dead.id, "dead-claim");
  EXPECT_EQ(dead.text, "publisher feed (pid 12) died with an open claim of 64 B at position 640");
}

TEST(LookTest, WhatNobodyReadsAndGrowsIsSaid) {
  TopicInfo before = seen_after(0);
  TopicInfo after = seen_after(10);
  after.tail = 64'000;
  after.subscriptions[0].attached = before.subscriptions[0].attached = false;
  after.subscriptions[0].received = 0;
  after.subscriptions[0].lag_bytes = 64'000;
  auto findings = findings_of(after, &before);
  ringway::tool::sort(findings);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].id, "falls-behind");
  EXPECT_EQ(findings[0].text, "subscription billing falls behind, 62.5 KiB more in 10 s: nobody is attached");
  EXPECT_EQ(findings[1].id, "grows");
  EXPECT_EQ(findings[1].severity, Severity::note);
  before.name = after.name = "jobs.dead";
  before.subscriptions.clear();
  after.subscriptions.clear();
  const Finding dead_letters = only(findings_of(after, &before));
  EXPECT_EQ(dead_letters.severity, Severity::warning);
  EXPECT_EQ(dead_letters.text, "it grows, 1000 messages in 10 s, and nobody reads it");
  before.inode = 8;  // another topic of that name
  EXPECT_TRUE(findings_of(after, &before).empty());
}

TEST(LookTest, ARingThatIsNearlyFullIsSaidBeforeAnybodyWaits) {
  TopicInfo topic = seen_after(1);
  topic.subscriptions[0].lag_bytes = 980'000;
  EXPECT_EQ(only(findings_of(topic)).id, "nearly-full");
  topic.subscriptions[0].reliability = ringway::Reliability::lossy;
  EXPECT_TRUE(findings_of(topic).empty());
}

TEST(LookTest, FullTablesLockedOnesAndFilesThatCannotBeReadAreFindings) {
  TopicInfo topic = seen_after(1);
  topic.options.max_subscriptions = 1;
  EXPECT_EQ(only(findings_of(topic)).id, "table-full");
  topic = seen_after(1);
  topic.lock_blocked = true;
  EXPECT_EQ(only(findings_of(topic)).id, "locked");
  topic.problem = "jobs.data is cut off";
  const Finding unreadable = only(findings_of(topic));
  EXPECT_EQ(unreadable.id, "unreadable");
  EXPECT_EQ(unreadable.text, topic.problem);
}

TEST(LookTest, RatesAreWhatHappenedBetweenTwoLooks) {
  TopicInfo before = seen_after(0);
  TopicInfo after = seen_after(2);
  before.subscriptions[0].latency.counts = {1, 2, 3};
  after.subscriptions[0].latency.counts = {1, 5, 3};
  auto rates = ringway::tool::rates_between(before, after);
  EXPECT_DOUBLE_EQ(rates.seconds, 2);
  EXPECT_DOUBLE_EQ(rates.published.messages, 100);
  EXPECT_DOUBLE_EQ(rates.published.bytes, 1000);
  EXPECT_DOUBLE_EQ(rates.subscriptions.at(0).received, 50);
  EXPECT_EQ(rates.subscriptions[0].latency.total(), 3U);
  before.inode = 8;
  rates = ringway::tool::rates_between(before, after);
  EXPECT_EQ(rates.seconds, 0);
  EXPECT_EQ(rates.published.messages, 0);
}

TEST(LookTest, PercentilesLieInTheirBuckets) {
  ringway::LatencyHistogram latency;
  EXPECT_EQ(latency.percentile_ns(0.5), 0U);
  latency.counts.resize(64);
  latency.counts[0] = 50;  // below 64 ns
  latency.counts[1] = 49;  // 64 to 95
  latency.counts[9] = 1;   // 1024 to 1535
  EXPECT_LT(latency.percentile_ns(0.4), 64U);
  EXPECT_GE(latency.percentile_ns(0.9), 64U);
  EXPECT_LT(latency.percentile_ns(0.9), 96U);
  EXPECT_GT(latency.percentile_ns(1), 1023U);
  EXPECT_LE(latency.percentile_ns(1), 1536U);
}

// Row 70: live, with real processes.
TEST(LookTest, AViewNamesAStoppedReaderAndAKilledPublisher) {
  const ringway_test::ScratchDir scratch;
  const auto bus = ringway::Bus::at((scratch.path() / "bus").string());
  bus.create_topic("t", {.capacity_bytes = 32_KiB});
  Pipe attached;
  Child reader = Child::fork([&] {
    auto in = bus.subscriber("t", {.name = "billing"});
    attached.signal();
    for (;;) ::pause();
    return 0;
  });
  ASSERT_TRUE(attached.await());
  reader.kill(SIGSTOP);
  ASSERT_TRUE(reader.wait_stopped());
  Child feed = Child::fork([&] {
    auto out = bus.publisher("t", {.name = "feed"});
    while (out.publish("hello")) {
    }
    return 0;
  });
  ringway::tool::View view(bus);
  const auto find = [&](const std::string& id) {
    view.refresh();
    for (const auto& finding : view.findings())
      if (finding.id == id) return finding;
    return Finding{};
  };
  Finding held;
  while (held.id.empty()) held = find("held-back");
  EXPECT_NE(held.text.find("subscription billing holds publisher feed back"), std::string::npos) << held.text;
  EXPECT_NE(held.text.find("owner stopped"), std::string::npos) << held.text;

  Child dying = Child::fork([&] {
    bus.remove_topic("t");
    auto out = bus.publisher("t", {.name = "feed"});
    auto claim = out.claim(100);
    ::raise(SIGKILL);
    return 0;
  });
  dying.wait();
  const Finding dead = find("dead-claim");
  EXPECT_NE(dead.text.find("publisher feed"), std::string::npos) << dead.text;
  EXPECT_EQ(view.topics().size(), 1U);
  EXPECT_EQ(view.rates().size(), 1U);
}

}  // namespace

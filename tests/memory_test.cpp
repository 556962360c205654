// Memory options: what was obtained is so, and what was not is said.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "ringway/ringway.hpp"
#include "support/privileged.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"

namespace {

using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway_test::is_error;
using ringway_test::thrown;

// A sum over this process's mappings of a topic's data file, in bytes: Rss, Locked, ShmemPmdMapped ...
std::uint64_t mapped(const std::string& what) {
  std::ifstream file("/proc/self/smaps");
  std::uint64_t total = 0;
  bool ours = false;
  for (std::string line; std::getline(file, line);) {
    unsigned long from = 0;
    if (std::sscanf(line.c_str(), "%lx-", &from) == 1 && line.find('-') < line.find(' '))
      ours = line.ends_with("/t.data");
    else if (ours && line.starts_with(what + ":"))
      total += std::stoull(line.substr(what.size() + 1)) << 10;
  }
  return total;
}

// Messages through all of the ring, and across its end.
bool flows(ringway::Publisher& out, ringway::Subscriber& in) {
  for (std::uint64_t i = 0; i < 12; ++i) {
    const std::string text = ringway_test::pattern(i, out.max_payload_bytes() / 2 - i * 100);
    if (!out.publish(text)) return false;
    const auto message = in.try_receive();
    if (!message || message.text() != text) return false;
  }
  return true;
}

TEST(MemoryTest, NothingIsObtainedThatWasNotAskedFor) {
  const Bus bus = Bus::temporary();
  auto out = bus.publisher<int>("t", {.topic = {.capacity_bytes = 1_MiB}});
  const auto memory = out.memory();
  EXPECT_FALSE(memory.prefault || memory.lock || memory.huge_pages);
  EXPECT_EQ(memory.why_not, "");
  EXPECT_LT(mapped("Rss"), 1_MiB);
  [[maybe_unused]] const auto taken = std::move(out);
  EXPECT_EQ(out.memory().why_not, "");
}

TEST(MemoryTest, PrefaultMapsEveryPage) {
  const Bus bus = Bus::temporary();
  {
    auto out = bus.publisher("t", {.topic = {.capacity_bytes = 1_MiB}, .memory = {.prefault = true}});
    EXPECT_TRUE(out.memory().prefault) << out.memory().why_not;
    EXPECT_GE(mapped("Rss"), 2_MiB);
  }
  auto in = bus.subscriber<int>("typed", {.memory = {.prefault = true, .required = true}});
  EXPECT_TRUE(in.memory().prefault);
  auto bytes = bus.subscriber("t", {.memory = {.prefault = true}});
  EXPECT_TRUE(bytes.memory().prefault) << bytes.memory().why_not;
  EXPECT_GE(mapped("Rss"), 2_MiB);
  auto out = bus.publisher("t");
  EXPECT_TRUE(flows(out, bytes));
}

// Row 46.
TEST(MemoryTest, WhatMayNotBeLockedIsSaidOrRefused) {
  if (ringway_test::kSanitized) GTEST_SKIP() << "a sanitizer's mlock does nothing";
  const auto body = [](bool allowed) {
    const rlimit limit{allowed ? 8_MiB : 64_KiB, allowed ? 8_MiB : 64_KiB};
    if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return ringway_test::kNotPermitted;
    const Bus bus = Bus::temporary();
    const ringway::TopicOptions topic{.capacity_bytes = 1_MiB};
    auto out = bus.publisher("t", {.topic = topic, .memory = {.lock = true}});
    auto in = bus.subscriber("t", {.memory = {.prefault = true, .lock = true}});
    const auto memory = in.memory();
    EXPECT_EQ(out.memory().lock, allowed) << out.memory().why_not;
    EXPECT_EQ(memory.lock, allowed) << memory.why_not;
    EXPECT_TRUE(memory.prefault);
    EXPECT_EQ(mapped("Locked") != 0, allowed);
    EXPECT_TRUE(flows(out, in));
    if (!allowed) {
      EXPECT_NE(memory.why_not.find("RLIMIT_MEMLOCK is 64.0 KiB"), std::string::npos) << memory.why_not;
      EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.memory = {.lock = true, .required = true}}); }),
                           Code::no_permission, "memory.lock", "RLIMIT_MEMLOCK"));
      EXPECT_TRUE(is_error(thrown([&] { return bus.publisher("t", {.memory = {.lock = true, .required = true}}); }),
                           Code::no_permission, "memory.lock", "RLIMIT_MEMLOCK"));
      EXPECT_EQ(bus.topic("t").subscriptions.size(), 1U);  // nobody has a slot who was refused
      EXPECT_EQ(bus.topic("t").publishers.size(), 1U);
    }
    return testing::Test::HasFailure() ? 1 : 0;
  };
  for (const bool allowed : {true, false}) {
    // Root may lock whatever it likes.
    const int status = ::geteuid() == 0 ? ringway_test::as_user(65534, 65534, [&] { return body(allowed); })
                                        : ringway_test::Child::fork([&] { return body(allowed); }).wait();
    if (::geteuid() == 0) ::rmdir("/dev/shm/ringway-65534");  // that user's, if it is empty
    NEEDS_PERMISSION(status);
  }
}

// Row 46.
TEST(MemoryTest, HugePagesAreThereOrItIsSaidWhyNot) {
  const Bus bus = Bus::temporary();
  const ringway::PublisherOptions options{.topic = {.capacity_bytes = 8_MiB}, .memory = {.huge_pages = true}};
  auto out = bus.publisher("t", options);
  const auto memory = out.memory();
  EXPECT_EQ(memory.huge_bytes, mapped("ShmemPmdMapped") + mapped("FilePmdMapped"));
  EXPECT_EQ(memory.huge_pages, memory.why_not.empty());
  EXPECT_TRUE(!memory.huge_pages || memory.huge_bytes >= 12_MiB) << memory.huge_bytes;
  auto in = bus.subscriber("t", {.memory = {.prefault = true, .huge_pages = true}});
  EXPECT_EQ(in.memory().huge_pages, in.memory().why_not.empty());
  EXPECT_TRUE(flows(out, in));
  RecordProperty("huge_bytes", std::to_string(memory.huge_bytes));
  std::printf("huge pages: %llu bytes; %s\n", static_cast<unsigned long long>(memory.huge_bytes),
              memory.why_not.c_str());
}

// Row 46.
TEST(MemoryTest, ARingSmallerThanAHugePageHasNone) {
  const Bus bus = Bus::temporary();
  auto out = bus.publisher("t", {.memory = {.huge_pages = true}});
  EXPECT_FALSE(out.memory().huge_pages);
  EXPECT_NE(out.memory().why_not.find("1.0 MiB"), std::string::npos) << out.memory().why_not;
  EXPECT_TRUE(is_error(thrown([&] { return bus.publisher("t", {.memory = {.huge_pages = true, .required = true}}); }),
                       Code::unsupported, "memory.huge_pages", "1.0 MiB"));
}

}  // namespace

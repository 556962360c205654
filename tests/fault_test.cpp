// Every system call and every allocation of what opens, closes, creates, repairs and removes fails once, at each of its places:
// the cause is told, or the call does without; nothing is left behind, and the next one who comes can work.

#include "support/faults.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/scratch.hpp"
#include "support/topic_files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::Error;
using ringway::GroupOptions;
using ringway::Reliability;
using ringway::Remove;
using ringway::SubscriptionOptions;
using ringway::TopicOptions;
using ringway_test::errors_of;
using ringway_test::faults;
using ringway_test::kSmall;
using ringway_test::names_in;
using ringway_test::ScratchDir;

constexpr auto kPatience = 500ms;  // a busy machine, not a fault, may make the first try take long

TopicOptions temporary() {
  TopicOptions options = kSmall;
  options.temporary = true;
  return options;
}
TopicOptions for_all() {
  TopicOptions options = kSmall;
  options.access = {.observe = ringway::Who::everyone};
  return options;
}

// What is tried: `before` makes the surroundings, `attempt` is disturbed. It also lets go of what it has opened.
struct Attempt {
  const char* what;
  std::function<void(const Bus&)> before;
  std::function<void(const Bus&)> attempt;
  bool removes = false;  // a failure may leave half of a topic, which the next creator clears
};

void nothing(const Bus&) {}
void create(const Bus& bus) { bus.create_topic("t", kSmall); }

// A publisher and an ephemeral subscription, both dead by the kernel's locks: the one inside a claim, the other behind it.
void create_with_the_dead(const Bus& bus) {
  using namespace ringway::detail;
  ringway_test::make_topic(bus.directory(), "t", ringway_test::small_spec());
  const auto segment = ringway_test::map_topic(bus.directory(), "t", Role::publish);
  const SegmentMemory& memory = segment->memory();
  memory.tail_line->publishers_used.store(1);
  memory.publisher(0).incarnation.store(1);
  memory.publisher(0).state.store(PublisherState::owned);
  ringway_test::Writer writer;
  writer.attach(memory, 0, 0);
  ASSERT_TRUE(ringway_test::claim(writer, 100));
  memory.control->subscriptions_used.store(1);
  memory.subscription(0).kind.store(SubscriptionKind::ephemeral);
  memory.subscription(0).wanted.store(static_cast<std::uint32_t>(SubscriptionState::reliable));
  memory.subscription(0).owned.store(1);
  memory.subscription(0).state.store(SubscriptionState::reliable);
}

// In use in another boot, and nobody has said since that all have left.
void create_in_another_boot(const Bus& bus) {
  bus.create_subscription("t", "s", {.topic = kSmall});
  EXPECT_TRUE(bus.publisher("t").publish("old"));
  ringway_test::map_topic(bus.directory(), "t", ringway::detail::Role::publish)->memory().control->boot = 4097;
}

void give_a_job(const Bus& bus, const GroupOptions& group) {
  bus.create_group("t", "g", group);
  EXPECT_TRUE(bus.publisher("t").publish("job"));
}

// The whole ring, so that the publisher meets the dead.
void publish_a_lap(const Bus& bus) {
  auto out = bus.publisher("t", {.attach_timeout = kPatience});
  for (int i = 0; i < 12; ++i) static_cast<void>(out.publish(std::string(500, 'x'), 20ms));
}

std::vector<Attempt> attempts() {
  const SubscriptionOptions durable{.name = "s", .attach_timeout = kPatience, .topic = kSmall};
  const GroupOptions group{.group = "g",
                           .max_attempts = 1,
                           .retry_delay = 0ns,
                           .dead_letter = "dead",
                           .attach_timeout = kPatience,
                           .topic = kSmall};
  const SubscriptionOptions lossy{.reliability = Reliability::lossy, .attach_timeout = kPatience, .topic = kSmall};
  return {
      {"create", nothing, create},
      {"create in a directory", nothing,
       [](const Bus& bus) { auto out = bus.publisher("a/b/t", {.attach_timeout = kPatience, .topic = for_all()}); }},
      {"first publisher", nothing,
       [](const Bus& bus) { auto out = bus.publisher("t", {.attach_timeout = kPatience, .topic = kSmall}); }},
      {"publisher", create, [](const Bus& bus) { auto out = bus.publisher("t", {.attach_timeout = kPatience}); }},
      {"durable subscriber", create, [=](const Bus& bus) { auto in = bus.subscriber("t", durable); }},
      {"durable subscriber again", [=](const Bus& bus) { auto in = bus.subscriber("t", durable); },
       [=](const Bus& bus) { auto in = bus.subscriber("t", durable); }},
      {"ephemeral subscriber", create, [=](const Bus& bus) { auto in = bus.subscriber("t", lossy); }},
      {"observer", create, [](const Bus& bus) { auto in = bus.observer("t", {.attach_timeout = kPatience}); }},
      {"snapshot", create, [](const Bus& bus) { std::ignore = bus.topic("t"); }},
      {"subscription ahead", nothing,
       [](const Bus& bus) {
         bus.create_subscription("t", "s",
                                 {.reliability = Reliability::lossy, .attach_timeout = kPatience, .topic = kSmall});
       }},
      {"remove a subscription", [=](const Bus& bus) { bus.create_subscription("t", "s", durable); },
       [](const Bus& bus) { bus.remove_subscription("t", "s"); }},
      {"remove", create, [](const Bus& bus) { bus.remove_topic("t"); }, true},
      {"remove if unused", create, [](const Bus& bus) { bus.remove_topic("t", Remove::if_unused); }, true},
      {"last leaver", nothing,
       [](const Bus& bus) {
         auto out = bus.publisher("t", {.attach_timeout = kPatience, .topic = temporary()});
         auto in = bus.subscriber("t", {.attach_timeout = kPatience});
       },
       true},
      {"settle the dead", create_with_the_dead, publish_a_lap},
      {"discard what another boot left", create_in_another_boot,
       [](const Bus& bus) { auto out = bus.publisher("t", {.attach_timeout = kPatience}); }},
      {"publisher with its memory", create,
       [](const Bus& bus) {
         auto out = bus.publisher(
             "t", {.attach_timeout = kPatience, .memory = {.prefault = true, .lock = true, .required = true}});
       }},
      {"subscriber with what memory there is", create,
       [](const Bus& bus) {
         auto in = bus.subscriber("t", {.attach_timeout = kPatience, .memory = {.prefault = true, .lock = true}});
       }},
      {"group ahead", nothing, [=](const Bus& bus) { bus.create_group("t", "g", group); }},
      {"group member", create, [=](const Bus& bus) { auto member = bus.group_member("t", group); }},
      {"group member that answers", [=](const Bus& bus) { give_a_job(bus, group); },
       [=](const Bus& bus) {
         auto member = bus.group_member("t", group);
         if (auto job = member.receive(20ms)) static_cast<void>(job.nack());
         if (auto job = member.receive(20ms)) static_cast<void>(job.ack());
       }},
      {"clear half a topic",
       [](const Bus& bus) {
         create(bus);
         fs::remove(bus.directory() + "/t.data");
       },
       create},
  };
}

// What a process has: descriptors, and mappings of files of a directory.
struct Holdings {
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
  std::size_t reservations = 0;
  friend bool operator==(const Holdings&, const Holdings&) = default;
};
Holdings holdings(const std::string& directory) {
  Holdings all;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++all.descriptors;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(directory) != std::string::npos || line.find(" (deleted)") != std::string::npos) ++all.mappings;
    // A sanitizer reserves address space of its own as it goes.
    if (!ringway_test::kSanitized && line.find("---p 00000000 00:00 0") != std::string::npos) ++all.reservations;
  }
  return all;
}
std::ostream& operator<<(std::ostream& out, const Holdings& all) {
  return out << all.descriptors << " descriptors, " << all.mappings << " mappings, " << all.reservations
             << " reservations";
}

struct Outcome {
  bool thrown = false;
  bool bad_alloc = false;
  Code code = Code::ok;
  int error = 0;
  std::string text;
};

Outcome run(const Attempt& attempt, const Bus& bus) {
  Outcome outcome;
  try {
    attempt.attempt(bus);
    faults.armed = false;
  } catch (const Error& error) {
    faults.armed = false;
    outcome = {true, false, error.code(), error.system_errno(), error.what()};
  } catch (const std::bad_alloc&) {
    faults.armed = false;
    outcome.thrown = outcome.bad_alloc = true;
    outcome.text = "bad_alloc";
  }
  return outcome;
}

void expect_clean(const Attempt& attempt, const std::string& directory, const std::string& how) {
  std::set<std::string> files;
  for (const std::string& name : names_in(directory))
    if (!fs::is_directory(fs::path(directory) / name)) files.insert(name);
  if (files.count("dead.control") + files.count("dead.data") == 2) {  // a group's, whole
    files.erase("dead.control");
    files.erase("dead.data");
  }
  const std::string topic = std::string(attempt.what) == "create in a directory" ? "a/b/t" : "t";
  const std::set<std::string> whole = {topic + ".control", topic + ".data"};
  const bool half_before = std::string(attempt.what) == "clear half a topic";
  if (!attempt.removes && !half_before) {
    EXPECT_TRUE(files.empty() || files == whole) << how << ": " << testing::PrintToString(files);
    EXPECT_TRUE(!files.empty() || names_in(directory).empty())
        << how << ": " << testing::PrintToString(names_in(directory));
  }
  EXPECT_TRUE(std::includes(whole.begin(), whole.end(), files.begin(), files.end()))
      << how << ": " << testing::PrintToString(files);
  // And now somebody who is not disturbed.
  const Bus bus = Bus::at(directory);
  TopicOptions options = kSmall;
  if (!files.empty()) options = {};
  auto in = bus.subscriber(topic, {.topic = options});
  auto out = bus.publisher(topic);
  ASSERT_TRUE(out.publish("works", 1s)) << how;
  ringway::Message message = in.receive(1s);
  while (message && message.text() != "works") message = in.receive(1s);
  EXPECT_EQ(message.text(), "works") << how << ": " << message.status();
}

// One attempt with one fault. False: there was no such place.
bool disturb(const Attempt& attempt, std::size_t call, int error, std::size_t allocation, std::string how,
             std::set<std::string>& met) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  attempt.before(bus);
  const Holdings before = holdings(scratch.path());
  faults.arm(call, error, allocation);
  const Outcome outcome = run(attempt, bus);
  if (!faults.fired) return false;
  if (call != 0) met.insert(faults.names[call - 1]);
  how = std::string(attempt.what) + ", " + how + (outcome.thrown ? " -> " + outcome.text : " -> it did without");
  if (outcome.thrown && allocation == 0) {
    EXPECT_FALSE(outcome.bad_alloc) << how;
    EXPECT_EQ(outcome.error, error) << how;
  }
  Holdings after = holdings(scratch.path());
  // A prober whose descriptor can no longer be told to be its own does not close it: it may be somebody else's by now.
  if (call != 0 && std::string(faults.names[call - 1]) == "fstat" && !outcome.thrown &&
      after.descriptors == before.descriptors + 1)
    --after.descriptors;
  EXPECT_EQ(after, before) << how;
  expect_clean(attempt, scratch.path(), how);
  return true;
}

// The system calls that an attempt makes when nothing fails.
std::vector<std::string> calls_of(const Attempt& attempt) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  attempt.before(bus);
  faults.arm(0, 0);
  const Outcome outcome = run(attempt, bus);
  EXPECT_FALSE(outcome.thrown) << attempt.what << ": " << outcome.text;
  return {faults.names, faults.names + faults.calls};
}

void warm_up() {  // what the process does only once: its token, tables of users, streams
  const ScratchDir scratch;
  for (const Attempt& attempt : attempts())
    if (std::string(attempt.what) == "create in a directory") attempt.attempt(Bus::at(scratch.path().string()));
}

class FaultTest : public testing::TestWithParam<std::size_t> {};

// Rows 45, 8, 67.
TEST_P(FaultTest, OfASystemCallIsToldAndUndone) {
  const Attempt attempt = attempts()[GetParam()];
  warm_up();
  const std::vector<std::string> calls = calls_of(attempt);
  ASSERT_GT(calls.size(), 3U) << attempt.what;
  std::set<std::string> met;
  for (std::size_t call = 1; call <= calls.size(); ++call)
    for (const int error : errors_of(calls[call - 1])) {
      const std::string how = calls[call - 1] + " (call " + std::to_string(call) + "): " + std::strerror(error);
      EXPECT_TRUE(disturb(attempt, call, error, 0, how, met)) << attempt.what << ": " << how;
      if (HasFatalFailure()) return;
    }
  EXPECT_TRUE(met.contains("open") && met.contains("fstat")) << testing::PrintToString(met);
}

// Row 76
TEST_P(FaultTest, OfAnAllocationIsToldAndUndone) {
  const Attempt attempt = attempts()[GetParam()];
  warm_up();
  std::set<std::string> met;
  std::size_t allocation = 1;
  while (allocation < 10'000 && disturb(attempt, 0, 0, allocation, "allocation " + std::to_string(allocation), met) &&
         !HasFatalFailure())
    ++allocation;
  EXPECT_GT(allocation, 3U) << attempt.what;
  EXPECT_LT(allocation, 10'000U) << attempt.what;
}

// Row 27: an old kernel, a filter or a file system that refuses the locks themselves.
TEST(LocksTest, AKernelThatRefusesThemIsToldWithTheReason) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  create(bus);
  for (const int error : {EINVAL, ENOSYS, EPERM, EOPNOTSUPP, ENOLCK}) {
    Outcome outcome;
    for (std::size_t call = 1; call < 100 && outcome.code != Code::unsupported; ++call) {
      faults.arm(call, error);
      outcome = run({"publisher", nothing, [](const Bus& at) { auto out = at.publisher("t"); }}, bus);
      if (std::string(faults.names[call - 1]) != "fcntl") outcome = {};
    }
    EXPECT_EQ(outcome.code, Code::unsupported) << std::strerror(error);
    EXPECT_EQ(outcome.error, error);
    for (const std::string& part : std::vector<std::string>{"locks", std::strerror(error), "tmpfs", "seccomp"})
      EXPECT_NE(outcome.text.find(part), std::string::npos) << outcome.text;
  }
  auto out = bus.publisher("t");
  EXPECT_TRUE(out.publish("works"));
}

INSTANTIATE_TEST_SUITE_P(Each, FaultTest, testing::Range<std::size_t>(0, attempts().size()), [](const auto& instance) {
  std::string name = attempts()[instance.param].what;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

}  // namespace

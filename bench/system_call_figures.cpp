// How many system calls a message costs: a publisher and a subscriber under strace, a marker after every step.

#include <fmt/core.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <ringway/ringway.hpp>
#include <thread>
#include <vector>

#include "figures.hpp"
#include "process.hpp"

namespace bench {
namespace {

constexpr std::uint64_t kCapacity = 64 << 10;
constexpr int kMessages = 8192;  // of one cache line: eight times around the ring
constexpr int kWakes = 50;
constexpr std::uint64_t kSteps = 8 * kMessages * 64 / kCapacity + 1;  // eighths of the ring, and the first

// A call that nothing else here makes.
void mark() { ::syscall(SYS_getppid); }

// Calls between two markers, by what was done there.
struct Counts {
  std::uint64_t steps = 0;      // publishes that called the kernel
  std::uint64_t largest = 0;    // calls of one of them
  std::uint64_t receiving = 0;  // calls while receiving
  std::uint64_t messages = 0;
};

Counts count_calls(const std::string& trace) {
  std::ifstream lines(trace);
  Counts counts;
  std::uint64_t calls = 0;
  std::uint64_t markers = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("getppid(") == std::string::npos) {
      ++calls;
      continue;
    }
    if (markers++ % 2 == 1) {  // after a publish
      ++counts.messages;
      if (calls != 0) ++counts.steps;
      counts.largest = std::max(counts.largest, calls);
    } else if (markers > 1) {  // after a receive
      counts.receiving += calls;
    }
    calls = 0;
  }
  return counts;
}

// Wake-ups by the traced thread between two markers each, at most.
std::uint64_t most_wakes(const std::string& trace, std::uint64_t& messages) {
  std::ifstream lines(trace);
  std::uint64_t most = 0;
  std::uint64_t wakes = 0;
  std::uint64_t markers = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("getppid(") != std::string::npos) {
      if (markers++ % 2 == 1) {  // after a publish
        ++messages;
        most = std::max(most, wakes);
      }
      wakes = 0;
    } else if (line.find("FUTEX_WAKE,") != std::string::npos) {
      ++wakes;
    }
  }
  return most;
}

// Publishes when all subscriptions of both topics sleep.
void publish_to_sleepers(const ringway::Bus& bus, int sleepers) {
  auto publisher = bus.publisher("traced");
  static_cast<void>(bus.publisher("other"));
  std::atomic<int> received{0};
  std::vector<std::jthread> threads;
  for (const char* topic : {"traced", "other"}) {
    for (int i = 0; i < sleepers; ++i) {
      threads.emplace_back([&, topic](const std::stop_token& stop) {
        auto subscriber = bus.subscriber(topic, {.wait = ringway::Wait::park});
        while (!stop.stop_requested()) received += subscriber.receive(std::chrono::milliseconds(200)) ? 1 : 0;
      });
    }
  }
  const auto all_sleep = [&] {
    for (const char* topic : {"traced", "other"}) {
      const auto subscriptions = bus.topic(topic).subscriptions;
      if (std::ssize(subscriptions) != sleepers ||
          !std::all_of(subscriptions.begin(), subscriptions.end(), [](const auto& one) { return one.sleeping; }))
        return false;
    }
    return true;
  };
  for (int i = 0; i < kWakes; ++i) {
    while (!all_sleep() || received != i * sleepers) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    mark();
    const auto status = publisher.publish("wake up");
    mark();
    if (!status) fail(status.text());
  }
}

Row count_row(const std::string& what, std::uint64_t count, double limit) {
  return {.group = "syscalls",
          .figure = what,
          .value = Value{static_cast<double>(count), "calls"},
          .target = Target{Target::Kind::at_most, limit}};
}

}  // namespace

void traced_run(const std::string& directory, int sleepers) {
  const ringway::Bus bus = ringway::Bus::at(directory);
  if (sleepers != 0) return publish_to_sleepers(bus, sleepers);
  const ringway::TopicOptions topic = {.capacity_bytes = kCapacity};
  auto publisher = bus.publisher("traced", {.topic = topic});
  auto subscriber = bus.subscriber("traced", {.topic = topic});
  const std::string text(32, 'x');
  mark();
  for (int i = 0; i < kMessages; ++i) {
    const auto status = publisher.publish(text);
    mark();
    const bool received = static_cast<bool>(subscriber.receive());
    mark();
    if (!status || !received) fail("a message was lost under strace");
  }
}

std::vector<Row> system_call_figures(const Options& options) {
  if (!installed("strace"))
    return {{.group = "syscalls", .figure = "system calls", .note = "skipped: strace is not installed"}};
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string trace = options.directory + "/trace";
  Process::spawn({"strace", "-f", "-qq", "-o", trace, self, "--traced", options.bus("traced")}).join("strace");
  const Counts counts = count_calls(trace);
  if (counts.messages != kMessages) fail("strace did not see every marker");
  std::vector<Row> rows = {
      count_row(fmt::format("publishes of {} that called the kernel: steps of oldest", counts.messages), counts.steps,
                static_cast<double>(kSteps)),
      count_row("system calls at one step of oldest, at most", counts.largest, 2),
      count_row(fmt::format("system calls of {} receives", counts.messages), counts.receiving, 0)};
  for (const int sleepers : {1, 3}) {
    Process::spawn({"strace", "-qq", "-e", "trace=futex,getppid", "-o", trace, self, "--traced", options.bus("woken"),
                    "--sleepers", std::to_string(sleepers)})
        .join("strace");
    std::uint64_t messages = 0;
    const std::uint64_t most = most_wakes(trace, messages);
    if (messages != kWakes || most == 0) fail("strace did not see every marker, or no wake-up");
    rows.push_back(count_row(
        fmt::format("wake-ups by one message, {} asleep on its topic and {} on another, at most", sleepers, sleepers),
        most, sleepers));
  }
  return rows;
}

}  // namespace bench

// Figures of what a process costs beside its messages: attaching, memory, sleeping.

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <ringway/ringway.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "figures.hpp"
#include "process.hpp"

namespace bench {
namespace {

using namespace ringway::literals;

constexpr int kMaxSamples = 1000;

// What a child measured.
struct Samples {
  double values[kMaxSamples];
  int count;

  void add(double value) {
    if (count < kMaxSamples) values[count++] = value;
  }
  [[nodiscard]] std::vector<double> all() const { return {values, values + count}; }
};

// Runs `body` in a pinned process of its own, which fills the samples.
template <class Body>
std::vector<double> in_a_process(const std::string& name, Body body) {
  auto& samples = *make_shared_memory<Samples>();
  const int cpu = allowed_cpus().front();
  Process::fork([&] {
    pin(cpu);
    body(samples);
  }).join(name);
  return samples.all();
}

// Microseconds that `open` takes; what it gave is closed outside the time.
template <class Open>
double timed_us(Open open) {
  const std::uint64_t start = now_ns();
  const auto handle = open();
  return static_cast<double>(now_ns() - start) / 1000;
}

Row time_row(const std::string& what, const std::vector<double>& us, std::optional<Target> target) {
  return {.group = "attach",
          .figure = what,
          .value = Value{median(us), "us"},
          .target = target,
          .note = fmt::format("p99 {:.0f} max {:.0f} us", percentile(us, 0.99), percentile(us, 1))};
}

// Resident KiB of this process.
double resident_kib() {
  std::istringstream lines(read_file("/proc/self/smaps_rollup"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Rss:")) return std::strtod(line.c_str() + 4, nullptr);
  }
  return 0;
}

template <class Open>
Row growth_row(const std::string& what, const std::string& directory, Open open) {
  const auto kib = in_a_process(what, [&](Samples& samples) {
    const ringway::Bus bus = ringway::Bus::at(directory);
    { const auto first = open(bus, "small"); }  // so that the library's own pages are there
    resident_kib();
    const double before = resident_kib();
    const auto handle = open(bus, "measured");
    samples.add(resident_kib() - before);
  });
  return {.group = "memory", .figure = what, .value = Value{kib.at(0), "KiB resident"}};
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

std::vector<Row> attach_figures(const Options& options) {
  const std::string directory = options.bus("attach");
  const int times = options.quick ? 100 : kMaxSamples;
  const Target target{Target::Kind::at_most, 200};
  const auto repeated = [&](const char* what, auto open) {
    return time_row(what,
                    in_a_process(what,
                                 [&](Samples& samples) {
                                   const ringway::Bus bus = ringway::Bus::at(directory);
                                   bus.create_topic("topic");
                                   for (int i = 0; i < times; ++i) samples.add(timed_us([&] { return open(bus); }));
                                 }),
                    target);
  };
  std::vector<Row> rows = {
      repeated("attach a publisher", [](const ringway::Bus& bus) { return bus.publisher("topic"); }),
      repeated("attach a subscriber", [](const ringway::Bus& bus) { return bus.subscriber("topic"); }),
      repeated("attach an observer", [](const ringway::Bus& bus) { return bus.observer("topic"); })};
  const auto us = in_a_process("create", [&](Samples& samples) {
    const ringway::Bus bus = ringway::Bus::at(directory);
    for (int i = 0; i < times / 10; ++i) {
      const std::string topic = fmt::format("new-{}", i);
      samples.add(timed_us([&] {
        auto publisher = bus.publisher(topic);
        if (const auto status = publisher.publish("first"); !status) fail(status.text());
        return publisher;
      }));
      bus.remove_topic(topic);
    }
  });
  rows.push_back(time_row("create a topic of 1 MiB and publish", us, Target{Target::Kind::at_most, 2000}));

  const int topics = options.quick ? 100 : kMaxSamples;
  const auto many = in_a_process("many topics", [&](Samples& samples) {
    const ringway::Bus bus = ringway::Bus::at(directory);
    std::vector<ringway::Publisher> attached;
    for (int i = 0; i < topics; ++i) {
      const std::string topic = fmt::format("many-{}", i);
      bus.create_topic(topic, {.capacity_bytes = 32_KiB, .max_groups = 1, .max_members = 1, .max_in_flight = 16});
      const std::uint64_t start = now_ns();
      attached.push_back(bus.publisher(topic));
      samples.add(static_cast<double>(now_ns() - start) / 1000);
    }
  });
  rows.push_back(time_row(fmt::format("attach {} topics in one process, each", topics), many, target));
  return rows;
}

std::vector<Row> memory_figures(const Options& options) {
  std::vector<Row> rows;
  for (const std::uint64_t mib : {1U, 256U}) {
    const std::string directory = options.bus(fmt::format("memory-{}", mib));
    const std::string of = fmt::format("a topic of {} MiB", mib);
    try {
      const ringway::Bus bus = ringway::Bus::at(directory);
      bus.create_topic("small");
      bus.create_topic("measured", {.capacity_bytes = mib * 1_MiB});
    } catch (const ringway::Error& error) {
      rows.push_back({.group = "memory", .figure = of, .note = fmt::format("skipped: {}", error.what())});
      continue;
    }
    rows.push_back(growth_row("a publisher of " + of, directory,
                              [](const ringway::Bus& bus, const char* topic) { return bus.publisher(topic); }));
    rows.push_back(
        growth_row("a publisher, and one message, of " + of, directory, [](const ringway::Bus& bus, const char* topic) {
          auto publisher = bus.publisher(topic);
          if (const auto status = publisher.publish(std::string(64, 'x')); !status) fail(status.text());
          return publisher;
        }));
    rows.push_back(growth_row("a subscriber of " + of, directory,
                              [](const ringway::Bus& bus, const char* topic) { return bus.subscriber(topic); }));
  }
  return rows;
}

std::vector<Row> idle_figures(const Options& options) {
  const auto time = options.quick ? std::chrono::milliseconds(1000) : std::chrono::milliseconds(5000);
  std::vector<Row> rows;
  for (const auto& [name, wait] :
       {std::pair{"park", ringway::Wait::park}, std::pair{"spin then park", ringway::Wait::spin_then_park}}) {
    const auto cpu = in_a_process("idle", [&, wait = wait](Samples& samples) {
      const ringway::Bus bus = ringway::Bus::at(options.bus("idle"));
      auto subscriber = bus.subscriber("idle", {.wait = wait});
      static_cast<void>(subscriber.receive(std::chrono::milliseconds(50)));  // so that all code is there
      const double before = cpu_seconds();
      static_cast<void>(subscriber.receive(time));
      samples.add(cpu_seconds() - before);
    });
    rows.push_back({.group = "idle",
                    .figure = fmt::format("a subscriber with nothing to read ({})", name),
                    .value = Value{100 * cpu.at(0) / std::chrono::duration<double>(time).count(), "% of a core"},
                    .target = Target{Target::Kind::at_most, 0.1}});
  }
  return rows;
}

}  // namespace bench

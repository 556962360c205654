// Fan-out and fan-in with more processes than cores: everybody parks, and what counts is CPU time.

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <ringway/ringway.hpp>
#include <span>

#include "figures.hpp"
#include "futex.hpp"
#include "process.hpp"
#include "rounds.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

struct Message {
  std::uint64_t publisher;
  std::uint64_t number;
  std::uint64_t filling[6];
};

constexpr std::uint32_t kMost = 16;  // processes

struct Shared {
  std::atomic<std::uint32_t> ready;
  std::atomic<std::uint32_t> go;
  std::atomic<double> cpu_ns[kMost];
};

double cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

struct Crowd {
  std::uint32_t publishers;
  std::uint32_t subscribers;
  std::uint64_t each;  // messages a publisher
};

struct Cost {
  double cpu_ns;   // of all processes, a message
  double wall_ns;  // a message
};

void publish(const ringway::Bus& bus, std::uint32_t self, const Crowd& crowd, const auto& start) {
  auto out = bus.publisher<Message>("crowd", {.wait = ringway::Wait::park});
  start();
  Message message{.publisher = self, .number = 0, .filling = {}};
  for (; message.number < crowd.each; ++message.number) {
    if (const auto status = out.publish(message); !status) fail(status.text());
  }
}

void subscribe(const ringway::Bus& bus, const Crowd& crowd, const auto& start) {
  auto in = bus.subscriber<Message>("crowd", {.wait = ringway::Wait::park});
  start();
  std::uint64_t next[kMost] = {};
  for (std::uint64_t left = crowd.publishers * crowd.each; left > 0;) {
    const auto check = [&](const Message& message) {
      if (message.publisher >= kMost || message.number != next[message.publisher]++) fail("a message was lost");
    };
    const auto handled = in.poll(check, std::min<std::uint64_t>(left, 256), ringway::Timeout::never());
    if (handled == 0) fail(in.status().text());
    left -= handled;
  }
}

Cost run(const Crowd& crowd, const std::string& directory) {
  const ringway::Bus bus = ringway::Bus::at(directory);
  bus.create_topic<Message>("crowd");
  auto& shared = *make_shared_memory<Shared>();
  const std::uint32_t all = crowd.publishers + crowd.subscribers;
  std::vector<Process> processes;
  for (std::uint32_t i = 0; i < all; ++i) {
    processes.push_back(Process::fork([&, i] {
      double before = 0;
      const auto start = [&] {
        shared.ready.fetch_add(1);
        while (shared.go.load() == 0) futex_wait(shared.go, 0);
        before = cpu_ns();
      };
      if (i < crowd.subscribers)
        subscribe(bus, crowd, start);
      else
        publish(bus, i - crowd.subscribers, crowd, start);
      shared.cpu_ns[i] = cpu_ns() - before;
    }));
  }
  while (shared.ready.load() != all) ::usleep(200);
  const std::uint64_t start = now_ns();
  shared.go.store(1);
  for (std::uint32_t i = 0; i < all; ++i) futex_wake(shared.go);
  for (auto& process : processes) process.join("crowd");
  const auto messages = static_cast<double>(crowd.publishers * crowd.each);
  Cost cost = {.cpu_ns = 0, .wall_ns = static_cast<double>(now_ns() - start) / messages};
  for (const auto& ns : std::span(shared.cpu_ns).first(all)) cost.cpu_ns += ns / messages;
  bus.remove_topic("crowd");
  return cost;
}

}  // namespace

std::vector<Row> crowd_figures(const Options& options) {
  constexpr Crowd kCrowds[] = {{1, 1, 0}, {1, 3, 0}, {1, 8, 0}, {2, 1, 0}, {4, 1, 0}};
  const std::uint64_t messages = options.quick ? 20'000 : 200'000;
  std::vector<Row> rows;
  for (Crowd crowd : kCrowds) {
    crowd.each = messages / crowd.publishers;
    std::vector<double> cpu;
    std::vector<double> wall;
    for (int round = 0; round < (options.quick ? 3 : 9); ++round) {
      const Cost cost = run(crowd, options.bus("crowd"));
      cpu.push_back(cost.cpu_ns);
      wall.push_back(cost.wall_ns);
    }
    rows.push_back(
        {.group = "fan",
         .figure = fmt::format("CPU time, parked: {} publisher{}, {} subscriber{}, 64 bytes", crowd.publishers,
                               crowd.publishers == 1 ? "" : "s", crowd.subscribers, crowd.subscribers == 1 ? "" : "s"),
         .value = Value{median(cpu), "ns a message"},
         .note = fmt::format("wall {:.0f} ns a message; a delivery {:.0f} ns of CPU", median(wall),
                             median(cpu) / crowd.subscribers)});
  }
  return rows;
}

}  // namespace bench

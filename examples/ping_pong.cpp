// Two processes pass a message to and fro: how long does one way take?

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>
#include <vector>

using namespace std::chrono_literals;

namespace {

using Number = std::uint64_t;
constexpr Number kRounds = 20'000;

int answer(const ringway::Bus& bus) {
  auto pong = bus.publisher<Number>("pong", {.topic = {.publishers = ringway::Publishers::exclusive}});
  auto ping = bus.subscriber<Number>("ping", {.from = ringway::From::oldest});
  for (Number round = 0; round < kRounds; ++round) {
    const auto number = ping.receive(10s);
    if (!number || !pong.publish(*number)) return 1;
  }
  return 0;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  auto ping = bus.publisher<Number>("ping", {.topic = {.publishers = ringway::Publishers::exclusive}});
  auto pong = bus.subscriber<Number>("pong", {.topic = {.publishers = ringway::Publishers::exclusive}});
  const pid_t child = ::fork();
  if (child == 0) std::exit(answer(ringway::Bus::at(bus.directory())));

  std::vector<std::int64_t> one_way_ns;
  for (Number round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    if (!ping.publish(round)) return 1;
    const auto number = pong.receive(10s);
    if (!number || *number != round) return 1;
    one_way_ns.push_back(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count() / 2);
  }
  std::sort(one_way_ns.begin(), one_way_ns.end());
  std::cout << one_way_ns.size() << " round trips\n";
  for (const std::size_t percent : {50U, 90U, 99U})
    std::cerr << 'p' << percent << ' ' << one_way_ns[one_way_ns.size() * percent / 100] << " ns\n";

  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}

// Many processes publish to one topic without a lock. Each one's messages stay in order.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>

using namespace std::chrono_literals;
using namespace ringway::literals;

namespace {

constexpr std::uint32_t kPublishers = 4;
constexpr std::uint32_t kMessages = 5000;  // of each

struct Step {
  std::uint32_t publisher;
  std::uint32_t number;
};

int publish(const ringway::Bus& bus, std::uint32_t publisher) {
  auto out = bus.publisher<Step>("steps");
  for (std::uint32_t number = 0; number < kMessages; ++number)
    if (!out.publish({publisher, number})) return 1;  // waits while the ring is full
  return 0;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  auto in = bus.subscriber<Step>("steps", {.topic = {.capacity_bytes = 64_KiB}});  // before the first step
  for (std::uint32_t publisher = 0; publisher < kPublishers; ++publisher)
    if (::fork() == 0) std::exit(publish(ringway::Bus::at(bus.directory()), publisher));

  std::array<std::uint32_t, kPublishers> next{};
  std::uint32_t out_of_order = 0;
  for (std::uint32_t left = kPublishers * kMessages; left > 0;) {
    const auto count = in.poll(
        [&](const Step& step) {
          if (step.number != next[step.publisher]) ++out_of_order;
          next[step.publisher] = step.number + 1;
        },
        256, 10s);
    if (count == 0) {
      std::cerr << in.status() << '\n';
      return 1;
    }
    left -= static_cast<std::uint32_t>(count);
  }
  for (const auto count : next) std::cout << count << " messages\n";
  std::cout << out_of_order << " out of order\n";

  int failed = 0;
  for (int status = 0; ::wait(&status) > 0;) failed |= status;
  return failed == 0 ? 0 : 1;
}

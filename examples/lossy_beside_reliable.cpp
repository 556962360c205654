// A slow reader that may lose messages beside one that must not. Publishers wait for the reliable one and overtake the
// lossy one, which is told how many messages it has lost.

#include <cstdint>
#include <iostream>
#include <ringway/ringway.hpp>

using namespace ringway::literals;

int main() {
  constexpr std::uint64_t kMessages = 20'000;
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher<std::uint64_t>("numbers", {.topic = {.capacity_bytes = 32_KiB}});  // 512 messages
  auto reliable = bus.subscriber<std::uint64_t>("numbers");
  auto lossy = bus.subscriber<std::uint64_t>("numbers", {.reliability = ringway::Reliability::lossy});

  std::uint64_t received = 0;
  std::uint64_t seen = 0;
  std::uint64_t gaps = 0;
  const auto look = [&] {
    const auto number = lossy.try_receive();
    if (!number) return false;
    ++seen;
    if (number.lost() != 0) ++gaps;  // number.lost() are missing just before this one
    return true;
  };

  for (std::uint64_t number = 0; number < kMessages; ++number) {
    if (!out.publish(number)) return 1;
    if (number % 100 == 0) {
      received += reliable.poll([](const std::uint64_t&) {}, 256);
      look();  // one out of a hundred: too slow
    }
  }
  received += reliable.poll([](const std::uint64_t&) {}, 256);
  while (look()) {
  }

  std::cout << "published: " << kMessages << '\n';
  std::cout << "reliable: received " << received << ", lost " << reliable.lost() << '\n';
  std::cout << "lossy: received + lost = " << seen + lossy.lost() << ", with gaps: " << (gaps > 0 ? "yes" : "no")
            << '\n';
}

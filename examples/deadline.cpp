// Waiting with a deadline, on both sides; the status says why there is nothing, and names who is in the way.

#include <chrono>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

using namespace std::chrono_literals;
using namespace ringway::literals;

int main() {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("orders", {.topic = {.capacity_bytes = 32_KiB}});
  auto in = bus.subscriber("orders", {.name = "billing"});

  // Nothing to read.
  if (auto order = in.try_receive(); !order) std::cout << "try_receive: " << order.status() << '\n';
  if (auto order = in.receive(20ms); !order) std::cout << "receive: " << order.status() << '\n';
  const auto deadline = std::chrono::steady_clock::now() + 20ms;  // one deadline for several calls
  while (auto order = in.receive_until(deadline)) std::cout << order.text() << '\n';
  std::cout << "receive_until: " << in.status() << '\n';

  // No space: billing does not read, and publishers wait for it.
  const std::string order(1000, 'x');
  while (out.try_publish(order)) {
  }
  std::cout << "try_publish: " << out.try_publish(order) << '\n';
  std::cout << "publish: " << out.publish(order, 20ms) << '\n';
  if (auto claim = out.claim(1000, 20ms); !claim) std::cout << "claim: " << claim.status() << '\n';

  // What may be tried again is told from what will never work.
  std::cout << "too large: " << out.publish(std::string(100'000, 'x')).code() << '\n';
}

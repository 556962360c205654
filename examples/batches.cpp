// Batches: many small messages of one type at a time, copied in or filled in place. Readers get them one by one.

#include <cstdint>
#include <iostream>
#include <ringway/ringway.hpp>
#include <vector>

struct Reading {
  std::uint32_t sensor, value;
};

int main() {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher<Reading>("readings");
  auto in = bus.subscriber<Reading>("readings");

  // As many as there are, 63 in a frame. If there is no space for all, done.count() says how many are published.
  std::vector<Reading> readings(100);
  for (std::uint32_t i = 0; i < 100; ++i) readings[i] = {.sensor = i % 4, .value = i};
  const auto done = out.publish_all(readings);
  std::cout << done.count() << " published: " << done.status() << '\n';

  // In place: readers see none of a run before its commit, then as many as it says.
  if (auto run = out.claim_run(10)) {
    std::size_t filled = 0;
    for (; filled < 7; ++filled) run[filled] = {.sensor = 9, .value = 1000};
    run.commit(filled);
  }
  if (auto run = out.claim_run(10)) run[0] = {.sensor = 9, .value = 1};  // never committed: nobody sees it

  std::uint64_t sum = 0;
  std::size_t count = 0;
  count += in.poll([&](const Reading& reading) { sum += reading.value; }, 50);  // any number at a time
  while (auto reading = in.try_receive()) {
    sum += reading->value;
    ++count;
  }
  std::cout << count << " received, their sum is " << sum << '\n';
}

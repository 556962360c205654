// One thread reads several topics: it polls each in turn, and waits a little when all are quiet.

#include <array>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;

int main() {
  const auto bus = ringway::Bus::temporary();
  struct Input {
    ringway::Subscriber in;
    std::string topic;
    std::size_t count = 0;
  };
  std::array inputs{Input{bus.subscriber("orders"), "orders"}, Input{bus.subscriber("trades"), "trades"},
                    Input{bus.subscriber("news/today"), "news/today"}};
  bool stop = false;

  std::thread publishing([&bus] {  // handles belong to one thread each; the bus may be shared
    auto orders = bus.publisher("orders");
    auto trades = bus.publisher("trades");
    auto news = bus.publisher("news/today");
    bool ok = true;
    for (int i = 0; i < 1000; ++i) {
      ok = ok && orders.publish("order " + std::to_string(i));
      if (i % 2 == 0) ok = ok && trades.publish("trade " + std::to_string(i));
    }
    ok = ok && news.publish("closed");
    if (!ok) std::cerr << "publishing failed\n";
  });

  while (!stop) {
    std::size_t handled = 0;
    for (auto& input : inputs) {  // at most 64 of each, so that a busy topic does not starve the others
      const auto count =
          input.in.poll([&](const ringway::Message& message) { stop |= message.text() == "closed"; }, 64);
      input.count += count;
      handled += count;
    }
    if (handled == 0) std::this_thread::sleep_for(100us);
  }
  publishing.join();
  for (auto& input : inputs) {  // news came last, but was perhaps read first
    while (input.in.poll([&](const ringway::Message&) { ++input.count; }, 64) != 0) {
    }
    std::cout << input.topic << ": " << input.count << '\n';
  }
}

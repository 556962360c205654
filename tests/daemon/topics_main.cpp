// Makes many topics on the bus that RINGWAY_DIR names, with a message in each: `topics_main COUNT`. Says `ready`, then publishes one more
// to each whenever a line comes in, until the input's end.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"

int main(int, char** argv) {
  const ringway::Bus bus;
  std::vector<ringway::Publisher> publishers;
  const int count = std::atoi(argv[1]);
  for (int i = 0; i < count; ++i) {
    const std::string name = "t" + std::to_string(10000 + i);
    publishers.push_back(bus.publisher(name, {.topic = {.capacity_bytes = 32 * 1024,
                                                        .max_publishers = 2,
                                                        .max_subscriptions = 2,
                                                        .max_groups = 1,
                                                        .max_members = 1,
                                                        .max_in_flight = 1}}));
  }
  std::string line = "ready";
  do {
    for (auto& publisher : publishers)
      if (!publisher.publish("a message")) return 1;
    std::cout << line << std::endl;
  } while (std::getline(std::cin, line));
  return 0;
}

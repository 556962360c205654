// Publishes and receives COUNT messages one by one on a topic of the bus in DIR: its instructions are counted by callgrind.

#include <cstdlib>
#include <string>

#include "ringway/ringway.hpp"

// messages_main DIR TOPIC COUNT
int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto bus = ringway::Bus::at(argv[1]);
  auto out = bus.publisher(argv[2]);
  auto in = bus.subscriber(argv[2]);
  for (int left = std::atoi(argv[3]); left > 0; --left) {
    if (!out.try_publish(std::string_view("thirty-two bytes, and no more...")) || !in.try_receive()) return 1;
  }
  return 0;
}

// How many instructions of the library 16 messages take, published and received one by one: `instructions_main TOPIC`. Says `ready` before it
// begins, and waits for a line.
#include <iostream>
#include <string>

#include "crash/traced.hpp"
#include "ringway/ringway.hpp"

namespace {

int messages(const char* topic) {
  const ringway::Bus bus;
  auto out = bus.publisher(topic);
  auto in = bus.subscriber(topic, {.name = "reader"});
  const std::string text(40, 'x');
  const auto pass = [&](int count) {
    for (int i = 0; i < count; ++i)
      if (!out.try_publish(text) || !in.try_receive()) return false;
    return true;
  };
  if (!pass(16)) return 1;
  ringway_crash::mark();
  const bool passed = pass(16);
  ringway_crash::mark();
  return passed ? 0 : 1;
}

}  // namespace

int main(int, char** argv) {
  ringway_crash::Traced traced([topic = argv[1]] { return messages(topic); });
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  long own = 0;
  do own += ringway_crash::Traced::own_code(traced.at()) ? 1 : 0;
  while (traced.step());
  std::cout << own << std::endl;
  return own > 0 && !traced.ended() ? 0 : 1;
}

// A durable subscription outlives its process: the next one goes on with the first message that was not released.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

// Prints orders until none comes any more; dies while it holds `fatal`.
int bill(const ringway::Bus& bus, int run, std::string_view fatal) {
  auto in = bus.subscriber("orders", {.name = "billing"});
  while (auto order = in.receive(100ms)) {
    if (order.text() == fatal) std::raise(SIGKILL);
    std::cout << "run " << run << ": " << order.text() << std::endl;
  }
  return 0;
}

// Runs billing in a process of its own, to its end.
void run_billing(const ringway::Bus& bus, int run, std::string_view fatal) {
  const pid_t child = ::fork();
  if (child == 0) std::exit(bill(ringway::Bus::at(bus.directory()), run, fatal));
  int status = 0;
  ::waitpid(child, &status, 0);
  std::cout << "run " << run << (WIFSIGNALED(status) ? " was killed" : " has ended") << std::endl;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("orders");
  for (int order = 1; order <= 4; ++order)
    if (!out.publish("order " + std::to_string(order))) return 1;
  run_billing(bus, 1, "order 3");

  // Nobody runs now. What is published waits.
  if (!out.publish("order 5")) return 1;
  run_billing(bus, 2, "no order");
}

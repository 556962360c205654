// A clean stop from a signal: interrupt() may be called from a handler and ends every wait on this bus.

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>

namespace {

const ringway::Bus* interrupted_bus = nullptr;

void stop(int) { interrupted_bus->interrupt(); }

void stop_at_signals(const ringway::Bus& bus) {
  interrupted_bus = &bus;
  struct sigaction action {};
  action.sa_handler = stop;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// Somebody publishes three lines and then wants us to stop.
int publish_and_stop(const ringway::Bus& bus, pid_t whom) {
  auto out = bus.publisher("lines");
  for (const char* line : {"one", "two", "three"})
    if (!out.publish(line)) return 1;
  ::kill(whom, SIGTERM);
  return 0;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  stop_at_signals(bus);
  auto in = bus.subscriber("lines", {.name = "printer"});
  if (::fork() == 0) std::exit(publish_and_stop(ringway::Bus::at(bus.directory()), ::getppid()));

  const auto print = [](const ringway::Message& line) { std::cout << line.text() << '\n'; };
  while (auto line = in.receive()) print(line);
  const auto why = in.status();
  in.poll(print, 256);  // what is there already; does not wait
  if (why != ringway::Code::interrupted) {
    std::cerr << why << '\n';
    return 1;
  }
  std::cout << "stopped\n";  // destructors do the rest
}

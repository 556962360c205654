// The first two calls: one program publishes, another receives.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>

namespace {

int publish() {
  // [readme: publish]
  auto out = ringway::Bus().publisher("greetings");
  if (auto status = out.publish("hello, world"); !status) std::cerr << status << '\n';
  // [end]
  return 0;
}

void receive() {
  // [readme: receive]
  auto in = ringway::Bus().subscriber("greetings", {.name = "printer"});
  if (auto message = in.receive()) std::cout << message.text() << '\n';
  // [end]
}

}  // namespace

int main() {
  const pid_t child = ::fork();
  if (child == 0) std::exit(publish());
  receive();
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? 0 : 1;
}

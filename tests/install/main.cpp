// Says hello to itself, and catches an error that the library throws: both must work across the library's boundary.

#include <chrono>
#include <iostream>
#include <ringway/ringway.hpp>

int main() {
  ringway::Bus bus;
  auto out = bus.publisher("greetings");
  if (auto status = out.publish("hello"); !status) {
    std::cerr << status << '\n';
    return 1;
  }
  auto in = bus.subscriber("greetings", {.name = "printer"});
  auto message = in.receive(std::chrono::seconds(10));
  if (!message) {
    std::cerr << in.status() << '\n';
    return 1;
  }
  std::cout << message.text() << '\n';

  try {
    auto refused = bus.publisher("not/../a name");
  } catch (const ringway::Error&) {
    return 0;
  }
  std::cerr << "a bad name was not refused\n";
  return 1;
}

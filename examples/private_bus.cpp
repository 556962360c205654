// A private bus for a test: nobody else is on it, and it goes with its last handle.

#include <filesystem>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

namespace {

// What is to be tested: takes the bus it works on, so that a test can give it one of its own.
bool greet(const ringway::Bus& bus, const std::string& name) {
  return static_cast<bool>(bus.publisher("greetings").publish("hello, " + name));
}

std::string greeting_for(const std::string& name) {
  const auto bus = ringway::Bus::temporary();
  auto in = bus.subscriber("greetings");
  if (!greet(bus, name)) return "not published";
  const auto message = in.try_receive();
  return message ? std::string(message.text()) : "nothing there";
}

}  // namespace

int main() {
  std::cout << greeting_for("Ada") << '\n' << greeting_for("Grace") << '\n';

  std::string directory;
  {
    const auto bus = ringway::Bus::temporary();
    directory = bus.directory();
    bus.create_topic("greetings");
    std::cout << "in use: " << std::filesystem::exists(directory) << '\n';
  }
  std::cout << "afterwards: " << std::filesystem::exists(directory) << '\n';
}

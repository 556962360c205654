// Bytes: publish, claim and fill in place, a durable subscriber, poll. The second message is read from standard input.

#include <chrono>
#include <cstddef>
#include <iostream>
#include <ringway/ringway.hpp>

using namespace std::chrono_literals;

int main() {
  // clang-format off
  // [readme: bytes]
  ringway::Bus bus;                                   // this user's default bus; Bus("name"), Bus::at(directory)
  auto out = bus.publisher("greetings");              // creates the topic on first use
  if (auto status = out.publish("hello"); !status) { std::cerr << status << '\n'; return 1; }

  if (auto claim = out.claim(1000)) {                 // or: reserve, fill in place, make visible; no commit() = abort
    const auto n = std::cin.read(reinterpret_cast<char*>(claim.payload().data()), 1000).gcount();
    claim.commit(static_cast<std::size_t>(n));        // commit(): all of it
  } else std::cerr << claim.status() << '\n';         // names who holds it back

  auto in = bus.subscriber("greetings", {.name = "printer"});   // named = durable: stays, goes on where it stopped, and holds
                                                      // publishers back when the ring is full, until it reads on or is removed
  while (auto message = in.receive(1s)) std::cout << message.text() << '\n';   // released when `message` goes
  if (in.status() != ringway::Code::timeout) std::cerr << in.status() << '\n';
  in.poll([](const ringway::Message& message) { std::cout << message.text() << '\n'; }, 256);   // several, one release
  // [end]
  // clang-format on
}

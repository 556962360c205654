// Looking without touching: an observer takes no slot, and nobody waits for it.

#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

int main() {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("quotes");
  auto in = bus.subscriber("quotes", {.name = "billing"});

  // clang-format off
  // [readme: observer]
  auto look = bus.observer("quotes");                 // read-only mapping, no slot, works on a dead or full topic; {.from}
  for (const auto& topic : bus.topics()) std::cout << topic.name << ' ' << topic.subscriptions.size() << '\n';
  // [end]
  // clang-format on

  for (int quote = 1; quote <= 3; ++quote)
    if (!out.publish("quote " + std::to_string(quote))) return 1;
  look.poll([](const ringway::Message& message) { std::cout << "passed: " << message.text() << '\n'; }, 256);

  // What is in the ring may be looked at again, whoever has read it.
  if (look.seek(ringway::From::oldest))
    if (const auto message = look.try_receive()) std::cout << "oldest: " << message.text() << '\n';

  // Nothing was taken from the subscription.
  const auto topic = bus.topic("quotes");
  for (const auto& subscription : topic.subscriptions)
    std::cout << subscription.name << (subscription.attached ? " is attached, " : " is away, ") << subscription.received
              << " received\n";
  in.poll([](const ringway::Message& message) { std::cout << "received: " << message.text() << '\n'; }, 256);
}

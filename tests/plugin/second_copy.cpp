// The library once more, with nothing of it visible: edge_test.cpp loads this beside its own copy.

#include <exception>
#include <optional>

#include "ringway/ringway.hpp"

namespace {
std::optional<ringway::Publisher> out;
std::optional<ringway::Subscriber> in;
}  // namespace

// Each gives 0 if all is well, else the code.
extern "C" int second_attach(const char* directory) try {
  out.emplace(ringway::Bus::at(directory).publisher("t", {.name = "second"}));
  in.emplace(ringway::Bus::at(directory).subscriber("t", {.name = "second"}));
  return 0;
} catch (const ringway::Error& error) {
  return static_cast<int>(error.code());
}
extern "C" int second_publish(const char* text) { return static_cast<int>(out->publish(text).code()); }
extern "C" int second_receive(const char* text) {
  const auto message = in->try_receive();
  if (!message) return static_cast<int>(message.status().code());
  return message.text() == text ? 0 : -1;
}
extern "C" void second_detach() {
  out.reset();
  in.reset();
}

// expect: deleted .*text
// The text would be gone with the message.
#include <ringway/ringway.hpp>

std::size_t length(ringway::Observer& look) {
#ifdef RINGWAY_COMPILE_OK
  const auto message = look.try_receive();
  return message.text().size();
#else
  return look.try_receive().text().size();
#endif
}

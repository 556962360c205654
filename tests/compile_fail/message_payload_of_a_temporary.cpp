// expect: deleted .*payload
// The bytes would be gone with the message.
#include <ringway/ringway.hpp>

std::size_t length(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  const auto message = in.receive();
  return message.payload().size();
#else
  return in.receive().payload().size();
#endif
}

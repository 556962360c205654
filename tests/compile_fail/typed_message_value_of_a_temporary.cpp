// expect: deleted .*operator
// The value would be gone with the message.
#include <ringway/ringway.hpp>

int value(ringway::TypedSubscriber<int>& in) {
#ifdef RINGWAY_COMPILE_OK
  const auto message = in.receive();
  return *message;
#else
  return *in.receive();
#endif
}

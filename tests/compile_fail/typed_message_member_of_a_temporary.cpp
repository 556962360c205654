// expect: deleted .*operator
// The value would be gone with the message.
#include <ringway/ringway.hpp>

struct Quote {
  int bid;
};

int value(ringway::TypedSubscriber<Quote>& in) {
#ifdef RINGWAY_COMPILE_OK
  const auto message = in.receive();
  return message->bid;
#else
  return in.receive()->bid;
#endif
}

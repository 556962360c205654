// expect: !.*is_member_pointer_v.*to .?false
// An address means nothing in another process.
#include <ringway/ringway.hpp>

struct Quote {
  int bid;
};

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = int Quote::*;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

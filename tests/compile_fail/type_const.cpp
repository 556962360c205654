// expect: !.*is_const_v.*to .?false
// A message is filled in place.
#include <ringway/ringway.hpp>

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = const int;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

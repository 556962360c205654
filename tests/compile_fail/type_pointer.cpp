// expect: !.*is_pointer_v.*to .?false
// An address means nothing in another process.
#include <ringway/ringway.hpp>

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = int*;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

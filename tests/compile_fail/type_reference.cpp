// expect: is_object_v.*to .?false
// A reference is an address.
#include <ringway/ringway.hpp>

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = int&;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

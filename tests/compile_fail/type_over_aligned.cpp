// expect: align.*to .?false
// A payload starts on a cache line at most.
#include <ringway/ringway.hpp>

struct alignas(64) Line {
  int value;
};
struct alignas(128) Wide {
  int value;
};

#ifdef RINGWAY_COMPILE_OK
using Sent = Line;
#else
using Sent = Wide;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

// expect: !.*view<.*to .?false
// A view points into this process.
#include <ringway/ringway.hpp>
#include <span>

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = std::span<int>;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

// expect: !.*is_array_v.*to .?false
// An array has no value: std::array has.
#include <array>
#include <ringway/ringway.hpp>

#ifdef RINGWAY_COMPILE_OK
using Sent = std::array<int, 4>;
#else
using Sent = int[4];
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

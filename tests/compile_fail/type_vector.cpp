// expect: is_trivially_copyable_v.*to .?false
// A vector owns memory of this process.
#include <ringway/ringway.hpp>
#include <vector>

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = std::vector<int>;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

// expect: is_trivially_copyable_v.*to .?false
// A string owns memory of this process.
#include <ringway/ringway.hpp>
#include <string>

struct Text {
  char characters[32];
};

#ifdef RINGWAY_COMPILE_OK
using Sent = Text;
#else
using Sent = std::string;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

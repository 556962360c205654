// expect: !.*view<.*to .?false
// A view points into this process.
#include <ringway/ringway.hpp>
#include <string_view>

struct Text {
  char characters[32];
};

#ifdef RINGWAY_COMPILE_OK
using Sent = Text;
#else
using Sent = std::string_view;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

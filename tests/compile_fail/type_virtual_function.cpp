// expect: is_trivially_copyable_v.*to .?false
// A table of functions lies elsewhere in another process.
#include <ringway/ringway.hpp>

struct Virtual {
  virtual void function();
};

#ifdef RINGWAY_COMPILE_OK
using Sent = int;
#else
using Sent = Virtual;
#endif

ringway::TypedPublisher<Sent> open(const ringway::Bus& bus) { return bus.publisher<Sent>("topic"); }

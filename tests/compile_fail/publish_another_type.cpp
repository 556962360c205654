// expect: cannot convert|no viable conversion|invalid initialization|could not bind
// A typed publisher takes its type only.
#include <ringway/ringway.hpp>

struct Quote {
  int bid;
};

bool publish(ringway::TypedPublisher<Quote>& out) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(out.publish(Quote{1}));
#else
  return static_cast<bool>(out.publish("1"));
#endif
}

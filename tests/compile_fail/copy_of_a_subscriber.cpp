// expect: deleted .*Subscriber
// A handle owns a slot: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::Subscriber take(ringway::Subscriber& subscriber) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(subscriber);
#else
  return subscriber;
#endif
}

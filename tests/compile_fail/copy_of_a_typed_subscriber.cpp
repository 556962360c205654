// expect: deleted .*TypedSubscriber
// A handle owns a slot: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::TypedSubscriber<int> take(ringway::TypedSubscriber<int>& subscriber) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(subscriber);
#else
  return subscriber;
#endif
}

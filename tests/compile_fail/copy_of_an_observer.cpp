// expect: deleted .*Observer
// A handle owns a mapping: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::Observer take(ringway::Observer& observer) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(observer);
#else
  return observer;
#endif
}

// expect: deleted .*TypedObserver
// A handle owns a mapping: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::TypedObserver<int> take(ringway::TypedObserver<int>& observer) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(observer);
#else
  return observer;
#endif
}

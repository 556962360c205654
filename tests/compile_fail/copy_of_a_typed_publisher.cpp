// expect: deleted .*TypedPublisher
// A handle owns a slot: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::TypedPublisher<int> take(ringway::TypedPublisher<int>& publisher) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(publisher);
#else
  return publisher;
#endif
}

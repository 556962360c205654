// expect: deleted .*Publisher
// A handle owns a slot: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::Publisher take(ringway::Publisher& publisher) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(publisher);
#else
  return publisher;
#endif
}

// expect: nullptr_t.*deleted|deleted .*nullptr_t
// A null pointer is no text.
#include <ringway/ringway.hpp>

bool publish(ringway::Publisher& out) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(out.publish(""));
#else
  return static_cast<bool>(out.publish(nullptr));
#endif
}

// expect: cannot convert|no viable conversion
// Wide characters are no bytes.
#include <ringway/ringway.hpp>

bool publish(ringway::Publisher& out) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(out.publish("text"));
#else
  return static_cast<bool>(out.publish(L"text"));
#endif
}

// expect: cannot convert|no viable conversion
// Numbers are no bytes: a typed topic carries them, or std::as_bytes says so.
#include <ringway/ringway.hpp>
#include <span>
#include <vector>

bool publish(ringway::Publisher& out, const std::vector<int>& numbers) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(out.publish(std::as_bytes(std::span(numbers))));
#else
  return static_cast<bool>(out.publish(numbers));
#endif
}

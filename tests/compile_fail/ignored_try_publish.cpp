// expect: ignoring return value .*nodiscard
// Whether it was published must be looked at.
#include <ringway/ringway.hpp>

void ignore(ringway::Publisher& out) {
#ifdef RINGWAY_COMPILE_OK
  const auto status = out.try_publish("hello");
  static_cast<void>(status);
#else
  out.try_publish("hello");
#endif
}

// expect: ignoring return value .*nodiscard
// Whether it went there must be looked at.
#include <ringway/ringway.hpp>

void ignore(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  const auto status = in.seek(ringway::From::oldest);
  static_cast<void>(status);
#else
  in.seek(ringway::From::oldest);
#endif
}

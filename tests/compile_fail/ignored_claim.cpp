// expect: ignoring return value .*nodiscard
// A claim that nobody holds is aborted at once.
#include <ringway/ringway.hpp>

void ignore(ringway::Publisher& out) {
#ifdef RINGWAY_COMPILE_OK
  const auto claim = out.claim(8);
  static_cast<void>(claim);
#else
  out.claim(8);
#endif
}

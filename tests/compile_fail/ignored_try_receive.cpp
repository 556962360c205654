// expect: ignoring return value .*nodiscard
// A message that nobody holds is released at once.
#include <ringway/ringway.hpp>

void ignore(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  const auto message = in.try_receive();
  static_cast<void>(message);
#else
  in.try_receive();
#endif
}

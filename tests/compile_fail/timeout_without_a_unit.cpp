// expect: cannot convert|no viable conversion
// Five of what?
#include <chrono>
#include <ringway/ringway.hpp>

bool receive(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(in.receive(std::chrono::seconds(5)));
#else
  return static_cast<bool>(in.receive(5));
#endif
}

// expect: cannot convert|no viable conversion
// The wall clock may be set back: deadlines are of the steady clock.
#include <chrono>
#include <ringway/ringway.hpp>

bool receive(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  return static_cast<bool>(in.receive_until(std::chrono::steady_clock::now()));
#else
  return static_cast<bool>(in.receive_until(std::chrono::system_clock::now()));
#endif
}

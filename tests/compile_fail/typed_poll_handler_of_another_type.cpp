// expect: a handler takes const T&
// A handler of a typed topic takes its type.
#include <ringway/ringway.hpp>

std::size_t poll(ringway::TypedSubscriber<int>& in) {
#ifdef RINGWAY_COMPILE_OK
  return in.poll([](const int&) {}, 1);
#else
  return in.poll([](const char*) {}, 1);
#endif
}

// expect: a handler takes const ringway::Message&
// A handler of bytes takes the message.
#include <ringway/ringway.hpp>

std::size_t poll(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  return in.poll([](const ringway::Message&) {}, 1);
#else
  return in.poll([](int) {}, 1);
#endif
}

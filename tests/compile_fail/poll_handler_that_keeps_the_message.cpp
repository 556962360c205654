// expect: a handler takes const ringway::Message&
// A message of a run is lent to the handler: it cannot be moved away.
#include <ringway/ringway.hpp>

std::size_t poll(ringway::Subscriber& in) {
#ifdef RINGWAY_COMPILE_OK
  return in.poll([](const ringway::Message&) {}, 1);
#else
  return in.poll([](ringway::Message) {}, 1);
#endif
}

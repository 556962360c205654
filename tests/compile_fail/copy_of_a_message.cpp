// expect: deleted .*Message
// A message is released once: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::Message take(ringway::Message& message) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(message);
#else
  return message;
#endif
}

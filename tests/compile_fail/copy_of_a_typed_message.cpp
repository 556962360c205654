// expect: deleted .*TypedMessage
// A message is released once: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::TypedMessage<int> take(ringway::TypedMessage<int>& message) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(message);
#else
  return message;
#endif
}

// expect: read-only|const value|const-qualified
// A subscriber cannot change a message: its mapping is read-only.
#include <cstddef>
#include <ringway/ringway.hpp>

void change(const ringway::Message& message) {
#ifdef RINGWAY_COMPILE_OK
  auto mine = message.payload()[0];
  mine |= std::byte{1};
  static_cast<void>(mine);
#else
  message.payload()[0] = std::byte{1};
#endif
}

// expect: literal operator
// Sizes are whole numbers of bytes.
#include <ringway/ringway.hpp>

using namespace ringway::literals;

std::uint64_t capacity() {
#ifdef RINGWAY_COMPILE_OK
  return 1536_KiB;
#else
  return 1.5_MiB;
#endif
}

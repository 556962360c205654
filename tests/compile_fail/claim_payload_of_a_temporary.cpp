// expect: deleted .*payload
// The claim is aborted at the end of the expression.
#include <ringway/ringway.hpp>

std::size_t length(ringway::Publisher& out) {
#ifdef RINGWAY_COMPILE_OK
  auto claim = out.claim(8);
  return claim.payload().size();
#else
  return out.claim(8).payload().size();
#endif
}

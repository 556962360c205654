// expect: deleted .*operator
// The claim is aborted at the end of the expression.
#include <ringway/ringway.hpp>

void fill(ringway::TypedPublisher<int>& out) {
#ifdef RINGWAY_COMPILE_OK
  auto claim = out.claim();
  *claim = 1;
#else
  *out.claim() = 1;
#endif
}

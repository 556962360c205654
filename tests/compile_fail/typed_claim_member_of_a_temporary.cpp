// expect: deleted .*operator
// The claim is aborted at the end of the expression.
#include <ringway/ringway.hpp>

struct Quote {
  int bid;
};

void fill(ringway::TypedPublisher<Quote>& out) {
#ifdef RINGWAY_COMPILE_OK
  auto claim = out.claim();
  claim->bid = 1;
#else
  out.claim()->bid = 1;
#endif
}

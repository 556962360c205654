// expect: deleted .*operator
// The claim on the left would be lost without a word.
#include <ringway/ringway.hpp>
#include <utility>

void take(ringway::Claim& from, ringway::Claim& to) {
#ifdef RINGWAY_COMPILE_OK
  to.abort();
  const ringway::Claim taken = std::move(from);
#else
  to = std::move(from);
#endif
}

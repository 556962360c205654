// expect: deleted .*Claim
// A claim is committed once: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::Claim take(ringway::Claim& claim) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(claim);
#else
  return claim;
#endif
}

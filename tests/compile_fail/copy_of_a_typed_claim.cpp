// expect: deleted .*TypedClaim
// A claim is committed once: it is moved, not copied.
#include <ringway/ringway.hpp>
#include <utility>

ringway::TypedClaim<int> take(ringway::TypedClaim<int>& claim) {
#ifdef RINGWAY_COMPILE_OK
  return std::move(claim);
#else
  return claim;
#endif
}

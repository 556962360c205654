// What tests must know about the sanitizer they are built with: strace cannot look at such programs, and everything takes longer.

#pragma once

namespace ringway_test {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
inline constexpr bool kSanitized = kThreadSanitizer || kAddressSanitizer;

// `n` rounds of a stress test, or a tenth of them where each takes about ten times as long.
constexpr int rounds(int n) { return kSanitized ? (n + 9) / 10 : n; }

}  // namespace ringway_test

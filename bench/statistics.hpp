// Medians and percentiles: of a few rounds, and of millions of round trips.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace bench {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// The cheapest clock there is; its unit is found by measuring.
inline std::uint64_t ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return now_ns();
#endif
}

inline double ns_per_tick() {
  static const double value = [] {
    const std::uint64_t start_ns = now_ns();
    const std::uint64_t start = ticks();
    while (now_ns() - start_ns < 20'000'000) {
    }
    return static_cast<double>(now_ns() - start_ns) / static_cast<double>(ticks() - start);
  }();
  return value;
}

// `share` from 0 to 1.
inline double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(std::lround(share * static_cast<double>(values.size() - 1)))];
}
inline double median(const std::vector<double>& values) { return percentile(values, 0.5); }

struct Spread {
  double median = 0;
  double p10 = 0;
  double p90 = 0;
};

inline Spread spread(const std::vector<double>& values) {
  return {median(values), percentile(values, 0.1), percentile(values, 0.9)};
}

// Round by round: a / b.
inline Spread ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < std::min(a.size(), b.size()); ++round) ratios.push_back(a[round] / b[round]);
  return spread(ratios);
}

// Counts by value, within 1/32 of it: plain data, so that it can lie in memory that two processes share.
struct Histogram {
  static constexpr unsigned kBits = 5;
  std::array<std::uint64_t, (64 - kBits) << kBits> counts;
  std::uint64_t total;
  std::uint64_t largest;

  void add(std::uint64_t value) {
    const unsigned shift = value < 2U << kBits ? 0 : static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    ++counts[(std::uint64_t{shift} << kBits) + (value >> shift)];
    ++total;
    largest = std::max(largest, value);
  }
  [[nodiscard]] double at(double share) const {
    auto left = static_cast<std::uint64_t>(share * static_cast<double>(total));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > left) {
        const std::size_t shift = i < 2U << kBits ? 0 : (i >> kBits) - 1;
        const std::uint64_t low = (i - (shift << kBits)) << shift;
        return static_cast<double>(low) + static_cast<double>((1ULL << shift) - 1) / 2;
      }
      left -= counts[i];
    }
    return static_cast<double>(largest);
  }
};

}  // namespace bench

// Small words for messages to people.
#pragma once

#include <cstdint>
#include <string>

namespace ringway::detail {

// 1048576 -> "1.0 MiB".
inline std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::size_t unit = 0;
  std::uint64_t tenths = bytes * 10;
  for (; tenths >= 10240 && unit < 4; ++unit) tenths /= 1024;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " " + kUnits[unit];
}

// 1500000 -> "1500 us": exact, in the largest unit that is.
inline std::string human_time(std::uint64_t ns) {
  static constexpr const char* kUnits[] = {"ns", "us", "ms", "s"};
  std::size_t unit = 0;
  for (; ns % 1000 == 0 && unit < 3; ++unit) ns /= 1000;
  return std::to_string(ns) + " " + kUnits[unit];
}

}  // namespace ringway::detail

#include "text.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

namespace ringway::tool {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// A number and one of the units behind it; nothing if it is not that, negative, or too large for 64 bits.
std::optional<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return {};
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto unit = std::find_if(units.begin(), units.end(), [rest](const Unit& known) { return known.name == rest; });
  if (unit == units.end()) return {};
  const double value = std::round(number * unit->factor);
  if (!(value >= 0 && value < 9.2e18)) return {};
  return static_cast<std::uint64_t>(value);
}

std::optional<std::chrono::nanoseconds> parse_time(std::string_view text) {
  static constexpr std::array<Unit, 8> kUnits = {
      {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}}};
  const auto time = parse_quantity(text, kUnits);
  if (!time) return {};
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*time));
}

template <class Value>
Value one_of(const std::string& text, std::initializer_list<std::pair<std::string_view, Value>> known) {
  std::string names;
  for (const auto& [name, value] : known) {
    if (text == name) return value;
    names += names.empty() ? fmt::format("{}", name) : fmt::format(", {}", name);
  }
  throw CLI::ValidationError(fmt::format("`{}` is none of {}", text, names));
}

}  // namespace

std::uint64_t parse_bytes(const std::string& text) {
  static constexpr std::array<Unit, 10> kUnits = {{{"", 1},
                                                   {"B", 1},
                                                   {"KiB", 0x1p10},
                                                   {"K", 0x1p10},
                                                   {"MiB", 0x1p20},
                                                   {"M", 0x1p20},
                                                   {"GiB", 0x1p30},
                                                   {"G", 0x1p30},
                                                   {"TiB", 0x1p40},
                                                   {"T", 0x1p40}}};
  const auto bytes = parse_quantity(text, kUnits);
  if (!bytes) throw CLI::ValidationError(fmt::format("`{}` is no size: write bytes, or 4KiB, 64MiB, 1GiB", text));
  return *bytes;
}

std::chrono::nanoseconds parse_duration(const std::string& text) {
  const auto time = parse_time(text);
  if (!time || time->count() == 0)
    throw CLI::ValidationError(fmt::format("`{}` is no time: write more than 0, as 500ms, 2s, 1min, 1h", text));
  return *time;
}

std::chrono::nanoseconds parse_delay(const std::string& text) {
  const auto time = parse_time(text);
  if (!time) throw CLI::ValidationError(fmt::format("`{}` is no time: write 0, 500ms, 2s, 1min", text));
  return *time;
}

From parse_from(const std::string& text) {
  if (text == "oldest") return From::oldest;
  if (text == "newest") return From::newest;
  std::uint64_t position = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (error != std::errc() || end != text.data() + text.size())
    throw CLI::ValidationError(fmt::format("`{}` is none of oldest, newest, or a position (a number of bytes)", text));
  return From::at(position);
}

IfMissing parse_if_missing(const std::string& text) {
  return one_of<IfMissing>(text, {{"create", IfMissing::create}, {"wait", IfMissing::wait}, {"fail", IfMissing::fail}});
}

DeadLetterFull parse_dead_letter_full(const std::string& text) {
  return one_of<DeadLetterFull>(text, {{"keep", DeadLetterFull::keep}, {"wait", DeadLetterFull::wait}});
}

}  // namespace ringway::tool

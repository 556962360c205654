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
  static constexpr std::array<Unit, 8> kUnits = {
      {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}}};
  const auto time = parse_quantity(text, kUnits);
  if (!time || *time == 0)
    throw CLI::ValidationError(fmt::format("`{}` is no time: write more than 0, as 500ms, 2s, 1min, 1h", text));
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*time));
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

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string capacity_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string duration_text(std::chrono::nanoseconds time) {
  const auto ns = static_cast<double>(std::max<std::int64_t>(time.count(), 0));
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.{}f} us", ns / 1e3, ns < 1e4 ? 1 : 0);
  if (ns < 1e9) return fmt::format("{:.{}f} ms", ns / 1e6, ns < 1e7 ? 1 : 0);
  if (ns < 120e9) return fmt::format("{:.{}f} s", ns / 1e9, ns < 1e10 ? 1 : 0);
  return fmt::format("{:.0f} min", ns / 60e9);
}

std::string count_text(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string_view text_of(Reliability reliability) { return reliability == Reliability::lossy ? "lossy" : "reliable"; }
std::string_view text_of(Publishers publishers) { return publishers == Publishers::exclusive ? "exclusive" : "shared"; }
std::string_view text_of(Who who) {
  if (who == Who::owner) return "owner";
  return who == Who::unix_group ? "group" : "everyone";
}

Table::Table(std::vector<std::string> header) {
  for (auto& name : header) {
    right_.push_back(name.starts_with('>'));
    if (right_.back()) name.erase(0, 1);
  }
  rows_.push_back(std::move(header));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(right_.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) line += "  ";
      line += right_[i] ? fmt::format("{:>{}}", row[i], widths[i]) : fmt::format("{:<{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace ringway::tool

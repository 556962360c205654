// Numbers, sizes, times and tables as people write and read them.
//
// Plain functions of their arguments. What parses throws CLI::ValidationError, which ends in exit code 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringway/options.hpp"

namespace ringway::tool {

// "4096", "64KiB", "64K", "1.5MiB": bytes; units are powers of 1024.
std::uint64_t parse_bytes(const std::string& text);
// "500ms", "2s", "1.5min"; a bare number is seconds. Must be more than nothing.
std::chrono::nanoseconds parse_duration(const std::string& text);
// "oldest", "newest", or a position.
From parse_from(const std::string& text);
// "create", "wait" or "fail".
IfMissing parse_if_missing(const std::string& text);

std::string bytes_text(std::uint64_t bytes);               // "1.0 MiB", "512 B"
std::string capacity_text(std::uint64_t bytes);            // "4MiB", as --capacity takes it; bytes: a power of two
std::string duration_text(std::chrono::nanoseconds time);  // "12 s", "85 us"
std::string count_text(std::uint64_t count, std::string_view what);  // "1 message", "2 messages"
std::string_view text_of(Reliability reliability);
std::string_view text_of(Publishers publishers);
std::string_view text_of(Who who);

// Columns as wide as their widest cell; those named with a leading '>' are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ringway::tool

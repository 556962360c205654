// Sizes, times and places as people write them.
//
// Plain functions of their arguments. What parses throws CLI::ValidationError, which ends in exit code 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "look/words.hpp"
#include "ringway/options.hpp"

namespace ringway::tool {

// "4096", "64KiB", "64K", "1.5MiB": bytes; units are powers of 1024.
std::uint64_t parse_bytes(const std::string& text);
// "500ms", "2s", "1.5min"; a bare number is seconds. Must be more than nothing.
std::chrono::nanoseconds parse_duration(const std::string& text);
// The same, or nothing: "0", "0s".
std::chrono::nanoseconds parse_delay(const std::string& text);
// "oldest", "newest", or a position.
From parse_from(const std::string& text);
// "create", "wait" or "fail".
IfMissing parse_if_missing(const std::string& text);
// "keep" or "wait".
DeadLetterFull parse_dead_letter_full(const std::string& text);

}  // namespace ringway::tool

#include "names.hpp"

#include <algorithm>
#include <cstddef>

#include "ringway/error.hpp"

namespace ringway::detail {
namespace {

constexpr std::size_t kMaxComponents = 8;
constexpr std::size_t kMaxComponentBytes = 64;
constexpr std::size_t kMaxTopicBytes = 255;
constexpr std::string_view kComponentRule =
    "letters, digits, '_', '-' and '.', at most 64 bytes, not starting with '.', not ending in .data or .control";

bool is_word(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool is_component(std::string_view name) {
  return !name.empty() && name.size() <= kMaxComponentBytes && is_word(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_word(c) || c == '.'; }) &&
         !name.ends_with(".data") && !name.ends_with(".control");
}

}  // namespace

std::string quoted(std::string_view name) {
  constexpr std::size_t kShown = 80;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : name.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
      text += c;
    } else {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
  }
  return text + (name.size() > kShown ? "...\" (" + std::to_string(name.size()) + " bytes)" : "\"");
}

void check_component(std::string_view what, std::string_view name, std::string_view topic) {
  if (is_component(name)) return;
  throw Error(Code::invalid_argument, std::string(topic),
              std::string(what) + " name " + quoted(name) + " is refused: it must be " + std::string(kComponentRule));
}

void check_topic_name(std::string_view name) {
  std::size_t components = 0;
  bool good = !name.empty() && name.size() <= kMaxTopicBytes;
  for (std::string_view rest = name; good;) {
    const std::size_t slash = rest.find('/');
    good = is_component(rest.substr(0, slash)) && ++components <= kMaxComponents;
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (good) return;
  throw Error(Code::invalid_argument, {},
              "topic name " + quoted(name) +
                  " is refused: it must be 1 to 8 components joined by '/', 255 bytes in all, "
                  "each of " +
                  std::string(kComponentRule));
}

}  // namespace ringway::detail

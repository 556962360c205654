// What `ringway top` shows, as lines of text: the layout, without a terminal.
//
// Plain functions of what was seen and of what the user chose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "look/view.hpp"

namespace ringway::tool {

enum class Style : std::uint8_t { plain, header, chosen, dim, warning, problem };

struct Line {
  std::string text;
  Style style = Style::plain;
};

enum class Order : std::uint8_t { name, messages, bytes, lag, latency };

struct Choice {
  Order order = Order::name;
  std::string filter;    // part of a topic's name
  bool editing = false;  // the filter is being typed
  bool paused = false;
  bool help = false;
  std::string topic;      // not empty: this one in detail
  std::string chosen;     // the topic under the bar
  std::size_t first = 0;  // the first row shown
};

// The topics that pass the filter, in order.
std::vector<std::size_t> rows_of(const View& view, const Choice& choice);

// At most `height` lines of at most `width` columns. Moves choice.first so that the chosen row is seen.
std::vector<Line> screen_of(const View& view, Choice& choice, std::size_t width, std::size_t height);

}  // namespace ringway::tool

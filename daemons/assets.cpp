// The page's files, put into the program by the assembler.
#include <array>
#include <span>

#include "site.hpp"

// clang-format off
// NOLINTBEGIN: there is no other way to say it
#define RINGWAY_EMBED(name, path)                                             \
  asm(".section .rodata\n"                                                    \
      ".global ringway_asset_" #name "\nringway_asset_" #name ":\n"           \
      ".incbin \"" path "\"\n"                                                \
      ".global ringway_asset_" #name "_end\nringway_asset_" #name "_end:\n"   \
      ".byte 0\n"                                                             \
      ".previous\n");                                                         \
  extern "C" const char ringway_asset_##name[];                               \
  extern "C" const char ringway_asset_##name##_end[]
// clang-format on

RINGWAY_EMBED(index, RINGWAY_PAGE "/index.html");
RINGWAY_EMBED(style, RINGWAY_PAGE "/page.css");
RINGWAY_EMBED(parts, RINGWAY_PAGE "/parts.js");
RINGWAY_EMBED(script, RINGWAY_PAGE "/page.js");
RINGWAY_EMBED(icon, RINGWAY_PAGE "/icon.svg");
RINGWAY_EMBED(chart, RINGWAY_CHART);

#define RINGWAY_BYTES(name) std::string_view(ringway_asset_##name, ringway_asset_##name##_end)
// NOLINTEND

namespace ringway::daemon {

std::span<const Asset> assets() {
  static const std::array<Asset, 6> all = {{{"/", "text/html; charset=utf-8", RINGWAY_BYTES(index)},
                                            {"/page.css", "text/css; charset=utf-8", RINGWAY_BYTES(style)},
                                            {"/parts.js", "text/javascript; charset=utf-8", RINGWAY_BYTES(parts)},
                                            {"/page.js", "text/javascript; charset=utf-8", RINGWAY_BYTES(script)},
                                            {"/icon.svg", "image/svg+xml", RINGWAY_BYTES(icon)},
                                            {"/chart.js", "text/javascript; charset=utf-8", RINGWAY_BYTES(chart)}}};
  return all;
}

}  // namespace ringway::daemon

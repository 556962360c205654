// A program's man page, from the definitions that parse its command line.
//
// Plain functions of their arguments.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace ringway::tool {

// What the definitions do not have.
struct Manual {
  using Terms = std::vector<std::pair<std::string, std::string>>;  // a term, and what it means
  struct Section {
    std::string title;
    std::string text;
    Terms terms;
  };
  std::string synopsis;  // behind the program's name
  Terms environment;
  std::vector<Section> more;
  std::string see_also;
};

// Those that a user may name: not the hidden ones.
std::vector<const CLI::App*> commands_of(const CLI::App& app);
std::vector<const CLI::Option*> options_of(const CLI::App& app);

// In roff, for section 1.
std::string man_page(const CLI::App& app, const Manual& manual);

}  // namespace ringway::tool

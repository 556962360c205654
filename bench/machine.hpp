// Where and of what a figure was taken.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Machine {
  std::string cpu;
  std::string cores;  // the two that are measured on, of how many
  std::string kernel;
  std::string compiler;
  std::string commit;
  std::string load;  // when it began: other work spoils every figure
  std::string mode;

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> lines() const;
};

Machine this_machine();
// Why this build must not be measured; empty if it may.
std::string unfit_build();

}  // namespace bench

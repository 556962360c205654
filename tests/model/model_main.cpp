// ./dev model: every scenario must hold, every mutant must fail in the scenario that is named for it, and those that are said
// to survive must survive. Two tables, and an exit status.
//
// usage: model [--full] [--smoke] [--scenario NAME] [--mutant NAME] [--executions N] [--seed N] [--show]
#include <cstdio>
#include <ctime>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "scenario.hpp"

namespace model {

std::ostream& nowhere() {
  static std::ostream stream(nullptr);
  return stream;
}
std::ostream& report() { return std::cout; }

namespace {

constexpr std::uint64_t kUntilCaught = 400'000;  // executions that a mutant may take to fail

struct Arguments {
  bool full = false;
  bool smoke = false;
  bool show = false;
  std::string scenario;
  std::string mutant;
  std::uint64_t executions = 0;
  std::uint64_t seed = 1;
};

Arguments parse(int count, char** values) {
  Arguments parsed;
  const std::vector<std::string> all(values + 1, values + count);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (++i == all.size()) throw std::runtime_error(all[i - 1] + " needs a value");
      return all[i];
    };
    if (all[i] == "--full")
      parsed.full = true;
    else if (all[i] == "--smoke")
      parsed.smoke = true;
    else if (all[i] == "--show")
      parsed.show = true;
    else if (all[i] == "--scenario")
      parsed.scenario = value();
    else if (all[i] == "--mutant")
      parsed.mutant = value();
    else if (all[i] == "--executions")
      parsed.executions = std::stoull(value());
    else if (all[i] == "--seed")
      parsed.seed = std::stoull(value());
    else
      throw std::runtime_error("what is " + all[i] + "?");
  }
  return parsed;
}

const Scenario& scenario_named(const std::string& name) {
  for (std::size_t i = 0; i < kScenarioCount; ++i)
    if (name == kScenarios[i].name) return kScenarios[i];
  throw std::runtime_error("no scenario is called " + name);
}

Settings settings_of(const Arguments& arguments, std::uint64_t executions) {
  Settings settings;
  settings.seed = arguments.seed;
  settings.executions = arguments.executions != 0 ? arguments.executions : executions;
  settings.show = arguments.show;
  return settings;
}

// How often each scenario holds. True: always.
bool run_scenarios(const Arguments& arguments) {
  bool good = true;
  std::printf("%-18s %10s %10s %8s  %s\n", "scenario", "random", "bounded", "seconds", "threads and frames; what");
  for (std::size_t i = 0; i < kScenarioCount; ++i) {
    const Scenario& scenario = kScenarios[i];
    if (!arguments.scenario.empty() && arguments.scenario != scenario.name) continue;
    const std::clock_t start = std::clock();
    set_mutant(nullptr);
    Settings settings = settings_of(arguments, arguments.full ? 1'000'000 : arguments.smoke ? 500 : scenario.brief);
    const Outcome random = scenario.run(settings);
    Outcome bounded;
    if (arguments.full && !random.failed) {
      settings.search = Search::bounded;
      settings.executions = 250'000;
      bounded = scenario.run(settings);
    }
    std::printf("%-18s %10llu %10llu %8.1f  %s; %s\n", scenario.name,
                static_cast<unsigned long long>(random.executions), static_cast<unsigned long long>(bounded.executions),
                static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, scenario.bounds, scenario.about);
    for (const Outcome& outcome : {random, bounded})
      if (outcome.failed) {
        good = false;
        std::printf("  FAILED: %s (./dev model --scenario %s --seed %llu --show)\n", outcome.why.c_str(), scenario.name,
                    static_cast<unsigned long long>(outcome.seed));
      }
    std::fflush(stdout);
  }
  return good;
}

void print_mutant(const Mutant& mutant, const char* result, std::uint64_t executions, const char* why) {
  std::printf("%-18s %-8s %-18s %10llu  %s\n", std::string(mutant.site).c_str(), name_of(mutant.weakened), result,
              static_cast<unsigned long long>(executions), why);
  std::fflush(stdout);
}

// A mutant that must be caught where the table says so.
bool run_caught(const Arguments& arguments, const Mutant& mutant) {
  set_mutant(&mutant);
  const Outcome outcome = scenario_named(mutant.scenario).run(settings_of(arguments, kUntilCaught));
  print_mutant(mutant, outcome.failed ? mutant.scenario : "NOT CAUGHT", outcome.executions, outcome.why.c_str());
  return outcome.failed;
}

// One that is said to survive, or a look at where any one fails.
bool run_everywhere(const Arguments& arguments, const Mutant& mutant, std::uint64_t executions) {
  std::uint64_t total = 0;
  bool met = false;
  bool caught = false;
  for (std::size_t i = 0; i < kScenarioCount; ++i) {
    if (!arguments.scenario.empty() && arguments.scenario != kScenarios[i].name) continue;
    set_mutant(&mutant);
    const Outcome outcome = kScenarios[i].run(settings_of(arguments, executions));
    met = met || weakened_accesses() > 0;
    total += outcome.executions;
    caught = caught || outcome.failed;
    if (outcome.failed) print_mutant(mutant, kScenarios[i].name, outcome.executions, outcome.why.c_str());
  }
  if (!met) print_mutant(mutant, "NEVER MET", total, "");
  if (!caught) print_mutant(mutant, "survives", total, mutant.why == nullptr ? "" : mutant.why);
  return met && !caught;
}

bool run_mutants(const Arguments& arguments) {
  bool good = true;
  std::printf("\n%-18s %-8s %-18s %10s  %s\n", "order", "weakened", "caught by", "executions", "what fails");
  for (std::size_t i = 0; i < kMutantCount; ++i) {
    const Mutant& mutant = kMutants[i];
    const bool named =
        name_of(mutant) == arguments.mutant || mutant.site == arguments.mutant || arguments.mutant == "all";
    if (named)
      run_everywhere(arguments, mutant, 100'000);
    else if (!arguments.mutant.empty())
      continue;
    else if (mutant.scenario != nullptr)
      good = run_caught(arguments, mutant) && good;
    else
      good = run_everywhere(arguments, mutant, arguments.full ? 100'000 : 300) && good;
  }
  return good;
}

}  // namespace
}  // namespace model

int main(int count, char** values) {
  try {
    const model::Arguments arguments = model::parse(count, values);
    model::find_sites(RINGWAY_ROOT);
    bool good = true;
    if (arguments.mutant.empty()) good = model::run_scenarios(arguments);
    if (!arguments.mutant.empty() || (arguments.scenario.empty() && !arguments.smoke))
      good = model::run_mutants(arguments) && good;
    return good ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "model: %s\n", error.what());
    return 2;
  }
}

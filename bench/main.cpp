// ringway-bench: what Ringway costs on this machine, beside what the machine itself costs. See README.md here.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "figures.hpp"
#include "machine.hpp"
#include "process.hpp"
#include "report.hpp"

namespace {

struct Group {
  const char* name;
  bool two_cores;
  std::vector<bench::Row> (*measure)(const bench::Options&);
};

constexpr std::array<Group, 9> kGroups = {{{"ping-pong", true, bench::ping_pong_figures},
                                           {"streaming", true, bench::streaming_figures},
                                           {"blocking", true, bench::blocking_figures},
                                           {"idle", false, bench::idle_figures},
                                           {"attach", false, bench::attach_figures},
                                           {"memory", false, bench::memory_figures},
                                           {"death", false, bench::death_figures},
                                           {"syscalls", false, bench::system_call_figures},
                                           {"pipeline", true, bench::pipeline_figures}}};

struct Arguments {
  std::vector<std::string> only;
  std::string json;
  std::string traced;  // hidden: what runs under strace
  bool markdown = false;
  bench::Options options;
};

int measure(const Arguments& arguments) {
  bench::Machine machine = bench::this_machine();
  machine.mode =
      fmt::format("{} rounds{}", arguments.options.rounds, arguments.options.quick ? ", quick: not to be quoted" : "");
  if (!arguments.markdown) {
    for (const auto& [name, value] : machine.lines()) fmt::print("{:<12} {}\n", name, value);
    fmt::print("\n");
    std::fflush(stdout);
  }
  const bool two_cores = bench::allowed_cpus().size() > 1;
  std::vector<bench::Row> rows;
  bool failed = false;
  for (const auto& group : kGroups) {
    const auto& only = arguments.only;
    if (!only.empty() && std::find(only.begin(), only.end(), group.name) == only.end()) continue;
    if (group.two_cores && !two_cores) {
      rows.push_back({.group = group.name, .figure = group.name, .note = "skipped: it takes two cores"});
      continue;
    }
    fmt::print(stderr, "measuring: {}\n", group.name);
    try {
      for (auto& row : group.measure(arguments.options)) rows.push_back(std::move(row));
    } catch (const std::exception& error) {
      rows.push_back({.group = group.name, .figure = group.name, .note = std::string("FAILED: ") + error.what()});
      failed = true;
    }
  }
  if (arguments.markdown)
    bench::print_markdown(machine, rows);
  else
    bench::print_table(rows);
  if (!arguments.json.empty()) bench::write_json(arguments.json, machine, rows);
  const auto missed = std::count_if(rows.begin(), rows.end(), [](const bench::Row& row) { return row.met() == false; });
  const auto with_target =
      std::count_if(rows.begin(), rows.end(), [](const bench::Row& row) { return row.met().has_value(); });
  fmt::print(arguments.markdown ? stderr : stdout, "\n{} of {} targets met\n", with_target - missed, with_target);
  return failed ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  std::vector<std::string> names;
  names.reserve(kGroups.size());
  for (const auto& group : kGroups) names.emplace_back(group.name);
  CLI::App app("Measures Ringway beside the machine's own limits, in rounds. bench/README.md says how.");
  app.add_option("--only", arguments.only, "Measure only these")->check(CLI::IsMember(names))->delimiter(',');
  app.add_option("--rounds", arguments.options.rounds, "Rounds of 3 ms each")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_flag("--quick", arguments.options.quick, "Shorter: to see that it works, not to be quoted");
  app.add_flag("--markdown", arguments.markdown, "Print the table as Markdown, for bench/NOTES.md");
  app.add_option("--json", arguments.json, "Write the figures to this file");
  app.add_option("--traced", arguments.traced)->group("");
  CLI11_PARSE(app, argc, argv);

  try {
    if (!arguments.traced.empty()) {
      bench::traced_run(arguments.traced);
      return 0;
    }
    if (const std::string why = bench::unfit_build(); !why.empty()) bench::fail("not measured: " + why);
    return bench::supervise([&](const std::string& directory) {
      arguments.options.directory = directory;
      return measure(arguments);
    });
  } catch (const std::exception& error) {
    fmt::print(stderr, "ringway-bench: {}\n", error.what());
    return 1;
  }
}

// ringway-bench: what Ringway costs on this machine, beside what the machine itself costs. See README.md here.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <iterator>
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

constexpr std::array<Group, 17> kGroups = {{{"ping-pong", true, bench::ping_pong_figures},
                                            {"streaming", true, bench::streaming_figures},
                                            {"sizes", true, bench::size_figures},
                                            {"peers", true, bench::peer_figures},
                                            {"fan-in", true, bench::lapping_figures},
                                            {"fan", false, bench::crowd_figures},
                                            {"blocking", true, bench::blocking_figures},
                                            {"observer", true, bench::observer_figures},
                                            {"stamp", true, bench::stamp_figures},
                                            {"instructions", false, bench::instruction_figures},
                                            {"idle", false, bench::idle_figures},
                                            {"attach", false, bench::attach_figures},
                                            {"memory", false, bench::memory_figures},
                                            {"death", false, bench::death_figures},
                                            {"syscalls", false, bench::system_call_figures},
                                            {"pipeline", true, bench::pipeline_figures},
                                            {"groups", true, bench::group_figures}}};

struct Arguments {
  std::vector<std::string> only;
  std::string json;
  std::string baseline;
  std::string plots;
  std::vector<std::string> show;  // reports to show, instead of measuring
  std::string traced;             // hidden: what runs under strace
  int sleepers = 0;               // hidden, as above
  std::string counted;            // hidden: what runs under callgrind, and where
  std::string counted_in;
  bool markdown = false;
  bench::Options options;
};

bool measure(const Arguments& arguments, bench::Report& report) {
  const bool two_cores = bench::allowed_cpus().size() > 1;
  bool good = true;
  auto& rows = report.rows;
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
      good = false;
    }
  }
  return good;
}

// Of several reports the rows of all, and the first one's machine.
bench::Report merged(const std::vector<std::string>& files) {
  bench::Report report;
  for (const auto& file : files) {
    bench::Report next = bench::read_json(file);
    if (report.machine.empty()) report.machine = std::move(next.machine);
    std::move(next.rows.begin(), next.rows.end(), std::back_inserter(report.rows));
  }
  return report;
}

void present(const Arguments& arguments, const bench::Report& report) {
  if (arguments.markdown)
    bench::print_markdown(report);
  else
    bench::print_table(report);
  if (!arguments.json.empty()) bench::write_json(arguments.json, report);
  if (!arguments.plots.empty()) bench::draw_plots(arguments.plots, report);
  const auto& rows = report.rows;
  const auto missed = std::count_if(rows.begin(), rows.end(), [](const bench::Row& row) { return row.met() == false; });
  const auto with_target =
      std::count_if(rows.begin(), rows.end(), [](const bench::Row& row) { return row.met().has_value(); });
  fmt::print(arguments.markdown ? stderr : stdout, "\n{} of {} targets met\n", with_target - missed, with_target);
  if (!arguments.baseline.empty()) bench::print_moved(bench::read_json(arguments.baseline), report);
}

int run(const Arguments& arguments) {
  bench::Machine machine = bench::this_machine();
  machine.mode =
      fmt::format("{} rounds{}", arguments.options.rounds, arguments.options.quick ? ", quick: not to be quoted" : "");
  bench::Report report = {.machine = machine.lines(), .rows = {}};
  if (!arguments.markdown) bench::print_machine(report);
  const bool good = measure(arguments, report);
  present(arguments, report);
  return good ? 0 : 1;
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
  app.add_option("--peer", arguments.options.peers, "Of the peers, measure only these")->delimiter(',');
  app.add_option("--json", arguments.json, "Write the figures to this file");
  app.add_option("--baseline", arguments.baseline, "Print what moved since this file beyond the noise");
  app.add_flag("--plots{bench/plots}", arguments.plots, "Draw the plots, into bench/plots or =DIRECTORY");
  app.add_option("--show", arguments.show, "Do not measure: show these files");
  app.add_option("--traced", arguments.traced)->group("");
  app.add_option("--sleepers", arguments.sleepers)->group("");
  app.add_option("--counted", arguments.counted)->group("");
  app.add_option("--counted-in", arguments.counted_in)->group("");
  CLI11_PARSE(app, argc, argv);

  try {
    if (!arguments.traced.empty()) {
      bench::traced_run(arguments.traced, arguments.sleepers);
      return 0;
    }
    if (!arguments.counted.empty()) {
      bench::counted_run(arguments.counted_in, arguments.counted);
      return 0;
    }
    if (!arguments.show.empty()) {
      const bench::Report report = merged(arguments.show);
      if (!arguments.markdown) bench::print_machine(report);
      present(arguments, report);
      return 0;
    }
    if (const std::string why = bench::unfit_build(); !why.empty()) bench::fail("not measured: " + why);
    return bench::supervise([&](const std::string& directory) {
      arguments.options.directory = directory;
      return run(arguments);
    });
  } catch (const std::exception& error) {
    fmt::print(stderr, "ringway-bench: {}\n", error.what());
    return 1;
  }
}

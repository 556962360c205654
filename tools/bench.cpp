// `ringway bench`: the machine's own limits and Ringway beside them, in some seconds. bench/ has the rest.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "../bench/machine.hpp"
#include "../bench/process.hpp"
#include "../bench/ringway_parts.hpp"
#include "../bench/yardsticks.hpp"
#include "cli.hpp"
#include "look/json.hpp"
#include "look/words.hpp"

namespace ringway::tool {
namespace {

struct Figure {
  std::string name;
  double ns;                 // one way, or a message
  ::bench::Spread compared;  // with the first of its group
};

std::vector<Figure> figures_of(const std::vector<::bench::Measured>& all, double share, bool rate) {
  std::vector<Figure> figures;
  figures.reserve(all.size());
  for (const auto& one : all)
    figures.push_back({one.name, ::bench::median(one.ns) * share,
                       rate ? ::bench::ratio(all[0].ns, one.ns) : ::bench::ratio(one.ns, all[0].ns)});
  return figures;
}

void print_figures(const std::string& title, const std::string& ratio, const std::vector<Figure>& figures) {
  Table table({title, ">ns", ">" + ratio, "10th..90th percentile of the rounds"});
  for (const Figure& figure : figures)
    table.add({figure.name, fmt::format("{:.1f}", figure.ns), fmt::format("{:.2f}", figure.compared.median),
               fmt::format("{:.2f}..{:.2f}", figure.compared.p10, figure.compared.p90)});
  print(table.text() + '\n');
}

Json json_of_figures(const std::vector<Figure>& figures) {
  Json array = Json::array();
  for (const Figure& figure : figures)
    array.push_back({{"name", figure.name},
                     {"ns", figure.ns},
                     {"ratio", figure.compared.median},
                     {"ratio_p10", figure.compared.p10},
                     {"ratio_p90", figure.compared.p90}});
  return array;
}

int measure_in(const std::string& directory, bool json) {
  using namespace ::bench;
  const TopicSetup exclusive = {.directory = directory + "/bus"};
  TopicSetup shared = exclusive;
  shared.publishers = Publishers::shared;
  const RoundOptions rounds = {.rounds = 20};
  const auto trips =
      figures_of(measure({limit_ping_pong(), ringway_ping_pong(64, exclusive), ringway_ping_pong(64, shared)}, rounds),
                 0.5, false);
  const auto stream = figures_of(
      measure({spsc_stream(true), ringway_stream(64, exclusive), ringway_stream(64, shared)}, rounds), 1, true);
  if (json) {
    const Json object = {{"ping_pong", json_of_figures(trips)}, {"streaming", json_of_figures(stream)}};
    print(object.dump(2) + '\n');
    return kDone;
  }
  for (const auto& [name, value] : this_machine().lines())
    if (!value.empty()) print(fmt::format("{:<12} {}\n", name, value));
  print("\n");
  print_figures("one way, 64 bytes", "time", trips);
  print_figures("streaming, 64 bytes", "rate", stream);
  return kDone;
}

int measure_here(bool json) {
  std::string why = ::bench::unfit_build();
  if (::bench::allowed_cpus().size() < 2) why = "two processes need two cores, and there is one";
  if (!why.empty()) throw Error(Code::unsupported, {}, "not measured: " + why);
  return ::bench::supervise([json](const std::string& directory) {
    try {
      return measure_in(directory, json);
    } catch (const std::exception& error) {
      complain(error.what());
      return static_cast<int>(kFailed);
    }
  });
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  auto* command =
      app.add_subcommand("bench", "What a message costs on this machine, beside what the machine itself costs");
  command->add_flag("--json", *json, "As JSON");
  command->footer(
      "In rounds of 3 ms, side by side: what counts are the ratios, each to the first line of its table: the bare\n"
      "exchange of one cache line, and boost::lockfree::spsc_queue. `./dev bench` measures more, for longer.");
  command->callback([json, &action] { action = [json](const Place&) { return measure_here(*json); }; });
}

}  // namespace ringway::tool

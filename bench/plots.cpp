// The rows as pictures, by gnuplot.

#include <fmt/core.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "process.hpp"
#include "report.hpp"

namespace bench {
namespace {

struct Plot {
  const char* name;
  const char* title;
  const char* x;  // nullptr: bars
  const char* y;
  bool log_y;
};

constexpr Plot kPlots[] = {
    {"ping-pong", "64-byte ping-pong on two cores, one way", nullptr, "ns (less is better)", true},
    {"streaming", "64-byte messages on two cores, one way, lossless", nullptr, "messages a second, in millions", true},
    {"latency-by-size", "Ping-pong in place, first and last line touched", "bytes of a message", "ns one way", true},
    {"rate-by-size", "Streaming, written and read in full", "bytes of a message", "GB/s", true},
    {"growth", "Instructions of a publish (64 bytes) by subscriptions", "subscriptions", "instructions", false},
};

class Gnuplot {
 public:
  Gnuplot() : pipe_(::popen("gnuplot", "we"), ::pclose) {
    if (!pipe_) fail_with_errno("gnuplot");
  }
  void say(const std::string& text) { std::fputs((text + '\n').c_str(), pipe_.get()); }

 private:
  std::unique_ptr<FILE, int (*)(FILE*)> pipe_;
};

void draw(Gnuplot& gnuplot, const Plot& plot, const std::string& file, const std::vector<Spot>& spots) {
  std::map<std::string, std::string> series;  // its name and its data
  std::string bars;
  std::vector<std::string> order;
  for (const auto& spot : spots) {
    if (!series.contains(spot.series)) order.push_back(spot.series);
    series[spot.series] += fmt::format("{} {}\n", spot.x.value_or(0), spot.y);
    bars += fmt::format("\"{}\" {}\n", spot.series, spot.y);
  }
  gnuplot.say("reset session");
  gnuplot.say(fmt::format("set terminal svg size 760,{} font 'sans,12' background rgb 'white'", plot.x ? 380 : 420));
  gnuplot.say(
      fmt::format("set output '{}'\nset title '{}'\nset ylabel '{}'\nset grid ytics", file, plot.title, plot.y));
  if (plot.log_y) gnuplot.say("set logscale y");
  if (plot.x == nullptr) {
    gnuplot.say("set style fill solid 0.7\nset boxwidth 0.7\nset xtics rotate by -35\nunset key");
    gnuplot.say(fmt::format("$d << EOD\n{}EOD", bars));
    gnuplot.say("plot $d using 0:2:xtic(1) with boxes, '' using 0:2:(sprintf('%.3g', $2)) with labels offset 0,0.7");
    return;
  }
  gnuplot.say(fmt::format("set logscale x 2\nset xlabel '{}'\nset key left top\nset yrange [{}:*]", plot.x,
                          plot.log_y ? "*" : "0"));
  std::string command;
  for (std::size_t i = 0; i < order.size(); ++i) {
    gnuplot.say(fmt::format("$d{} << EOD\n{}EOD", i, series[order[i]]));
    command += fmt::format("{} $d{} using 1:2 with linespoints title '{}'", i == 0 ? "plot" : ",", i, order[i]);
  }
  gnuplot.say(command);
}

}  // namespace

void draw_plots(const std::string& directory, const Report& report) {
  if (!installed("gnuplot")) fail("gnuplot is not installed");
  std::filesystem::create_directories(directory);
  Gnuplot gnuplot;
  for (const auto& plot : kPlots) {
    std::vector<Spot> spots;
    for (const auto& row : report.rows) {
      if (row.spot && row.spot->plot == plot.name) spots.push_back(*row.spot);
    }
    if (!spots.empty()) draw(gnuplot, plot, fmt::format("{}/{}.svg", directory, plot.name), spots);
  }
}

}  // namespace bench

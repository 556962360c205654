// What was measured, and how it is shown: a table for people, the same as Markdown, and JSON.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "statistics.hpp"

namespace bench {

struct Value {
  double number = 0;
  std::string unit;
};

struct Yardstick {
  std::string name;
  Value value;
};

// Of the ratio's median if the row has one, else of the value.
struct Target {
  enum class Kind { at_most, at_least } kind;
  double limit;
};

// Where a row stands in a plot. Without x: a bar of that name.
struct Spot {
  std::string plot;
  std::string series;
  std::optional<double> x;
  double y;
};

struct Row {
  std::string group;   // the name that --only takes
  std::string figure;  // what was measured
  std::optional<Value> value = {};
  std::optional<Yardstick> yardstick = {};
  std::optional<Spread> ratio = {};
  std::optional<Target> target = {};
  std::string note = {};  // percentiles, or why it was skipped
  std::optional<Spot> spot = {};

  [[nodiscard]] std::optional<bool> met() const;
};

// What a run gave.
struct Report {
  std::vector<std::pair<std::string, std::string>> machine;  // name and value: where and of what it was taken
  std::vector<Row> rows;
};

void print_machine(const Report& report);
void print_table(const Report& report);
void print_markdown(const Report& report);
void write_json(const std::string& path, const Report& report);
Report read_json(const std::string& path);

// Prints the figures that moved since `before` by more than their noise: the ranges of their ratios do not meet; of a figure
// without a range, by a tenth.
void print_moved(const Report& before, const Report& now);

// An SVG for each plot that the rows name, by gnuplot, in `directory`. bench/plots.cpp
void draw_plots(const std::string& directory, const Report& report);

}  // namespace bench

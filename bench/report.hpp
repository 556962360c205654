// What was measured, and how it is shown: a table for people, the same as Markdown, and JSON.
#pragma once

#include <optional>
#include <string>
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

struct Row {
  std::string group;   // the name that --only takes
  std::string figure;  // what was measured
  std::optional<Value> value = {};
  std::optional<Yardstick> yardstick = {};
  std::optional<Spread> ratio = {};
  std::optional<Target> target = {};
  std::string note = {};  // percentiles, or why it was skipped

  [[nodiscard]] std::optional<bool> met() const;
};

struct Machine;

void print_table(const std::vector<Row>& rows);
void print_markdown(const Machine& machine, const std::vector<Row>& rows);
void write_json(const std::string& path, const Machine& machine, const std::vector<Row>& rows);

}  // namespace bench

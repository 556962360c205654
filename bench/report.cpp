#include "report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "process.hpp"

namespace bench {
namespace {

using Cells = std::array<std::string, 7>;

const Cells kTitles = {"figure", "value", "yardstick", "ratio [p10..p90]", "target", "met", "note"};

std::string text_of(const Value& value) {
  return fmt::format("{:.{}f} {}", value.number, value.number < 1 ? 3 : value.number < 1000 ? 1 : 0, value.unit);
}

Cells cells_of(const Row& row) {
  Cells cells;
  cells[0] = row.figure;
  if (row.value) cells[1] = text_of(*row.value);
  if (row.yardstick) cells[2] = fmt::format("{}: {}", row.yardstick->name, text_of(row.yardstick->value));
  if (row.ratio) cells[3] = fmt::format("{:.2f} [{:.2f}..{:.2f}]", row.ratio->median, row.ratio->p10, row.ratio->p90);
  if (row.target)
    cells[4] = fmt::format("{} {}", row.target->kind == Target::Kind::at_most ? "<=" : ">=", row.target->limit);
  if (row.met()) cells[5] = *row.met() ? "yes" : "NO";
  cells[6] = row.note;
  return cells;
}

nlohmann::ordered_json json_of(const Value& value) { return {{"number", value.number}, {"unit", value.unit}}; }

nlohmann::ordered_json json_of(const Row& row) {
  nlohmann::ordered_json json = {{"group", row.group}, {"figure", row.figure}};
  if (row.value) json["value"] = json_of(*row.value);
  if (row.yardstick) json["yardstick"] = {{"name", row.yardstick->name}, {"value", json_of(row.yardstick->value)}};
  if (row.ratio) json["ratio"] = {{"median", row.ratio->median}, {"p10", row.ratio->p10}, {"p90", row.ratio->p90}};
  if (row.target)
    json["target"] = {{"kind", row.target->kind == Target::Kind::at_most ? "at_most" : "at_least"},
                      {"limit", row.target->limit}};
  if (row.met()) json["met"] = *row.met();
  if (!row.note.empty()) json["note"] = row.note;
  if (row.spot) {
    json["spot"] = {{"plot", row.spot->plot}, {"series", row.spot->series}, {"y", row.spot->y}};
    if (row.spot->x) json["spot"]["x"] = *row.spot->x;
  }
  return json;
}

Value value_of(const nlohmann::ordered_json& json) { return {json.at("number"), json.at("unit")}; }

Row row_of(const nlohmann::ordered_json& json) {
  Row row = {.group = json.at("group"), .figure = json.at("figure"), .note = json.value("note", "")};
  if (json.contains("value")) row.value = value_of(json["value"]);
  if (json.contains("yardstick"))
    row.yardstick = Yardstick{json["yardstick"].at("name"), value_of(json["yardstick"].at("value"))};
  if (json.contains("ratio"))
    row.ratio = Spread{json["ratio"].at("median"), json["ratio"].at("p10"), json["ratio"].at("p90")};
  if (json.contains("target"))
    row.target = Target{json["target"].at("kind") == "at_most" ? Target::Kind::at_most : Target::Kind::at_least,
                        json["target"].at("limit")};
  if (json.contains("spot")) {
    const auto& spot = json["spot"];
    row.spot = Spot{spot.at("plot"), spot.at("series"), {}, spot.at("y")};
    if (spot.contains("x")) row.spot->x = spot["x"].get<double>();
  }
  return row;
}

// The figure that counts, with its range.
std::optional<Spread> spread_of(const Row& row) {
  if (row.ratio) return row.ratio;
  if (!row.value) return {};
  return Spread{row.value->number, row.value->number * 0.95, row.value->number * 1.05};
}

}  // namespace

std::optional<bool> Row::met() const {
  if (!target || (!ratio && !value)) return {};
  const double measured = ratio ? ratio->median : value->number;
  return target->kind == Target::Kind::at_most ? measured <= target->limit : measured >= target->limit;
}

void print_machine(const Report& report) {
  for (const auto& [name, value] : report.machine) fmt::print("{:<12} {}\n", name, value);
  fmt::print("\n");
  std::fflush(stdout);
}

void print_table(const Report& report) {
  std::vector<Cells> table = {kTitles};
  for (const auto& row : report.rows) table.push_back(cells_of(row));
  std::array<std::size_t, 7> widths{};
  for (const auto& cells : table) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  for (const auto& cells : table) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) line += fmt::format("{:<{}}  ", cells[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_markdown(const Report& report) {
  for (const auto& [name, value] : report.machine) fmt::print("* {}: {}\n", name, value);
  const auto line = [](const Cells& cells) {
    std::string text = "|";
    for (const auto& cell : cells) text += fmt::format(" {} |", cell);
    fmt::print("{}\n", text);
  };
  fmt::print("\n");
  line(kTitles);
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const auto& row : report.rows) line(cells_of(row));
}

void write_json(const std::string& path, const Report& report) {
  nlohmann::ordered_json json;
  for (const auto& [name, value] : report.machine) json["machine"][name] = value;
  for (const auto& row : report.rows) json["rows"].push_back(json_of(row));
  std::ofstream out(path);
  out << json.dump(1) << '\n';
  if (!out.flush()) fail("cannot write " + path);
}

Report read_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) fail("cannot read " + path);
  const auto json = nlohmann::ordered_json::parse(in);
  Report report;
  for (const auto& [name, value] : json.at("machine").items()) report.machine.emplace_back(name, value);
  for (const auto& row : json.at("rows")) report.rows.push_back(row_of(row));
  return report;
}

void print_moved(const Report& before, const Report& now) {
  int moved = 0;
  for (const auto& row : now.rows) {
    const auto old = std::find_if(before.rows.begin(), before.rows.end(), [&](const Row& other) {
      return other.group == row.group && other.figure == row.figure;
    });
    const auto is = spread_of(row);
    const auto was = old == before.rows.end() ? std::nullopt : spread_of(*old);
    if (!is || !was || (is->p10 <= was->p90 && was->p10 <= is->p90)) continue;
    const std::string unit = row.ratio ? "x" : row.value->unit;
    fmt::print("moved: {}: {:.3g} -> {:.3g} {}\n", row.figure, was->median, is->median, unit);
    ++moved;
  }
  fmt::print("{} figures moved beyond their noise\n", moved);
}

}  // namespace bench

#include "report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "machine.hpp"
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

nlohmann::json json_of(const Value& value) { return {{"number", value.number}, {"unit", value.unit}}; }

nlohmann::json json_of(const Row& row) {
  nlohmann::json json = {{"group", row.group}, {"figure", row.figure}};
  if (row.value) json["value"] = json_of(*row.value);
  if (row.yardstick) json["yardstick"] = {{"name", row.yardstick->name}, {"value", json_of(row.yardstick->value)}};
  if (row.ratio) json["ratio"] = {{"median", row.ratio->median}, {"p10", row.ratio->p10}, {"p90", row.ratio->p90}};
  if (row.target)
    json["target"] = {{"kind", row.target->kind == Target::Kind::at_most ? "at_most" : "at_least"},
                      {"limit", row.target->limit}};
  if (row.met()) json["met"] = *row.met();
  if (!row.note.empty()) json["note"] = row.note;
  return json;
}

}  // namespace

std::optional<bool> Row::met() const {
  if (!target || (!ratio && !value)) return {};
  const double measured = ratio ? ratio->median : value->number;
  return target->kind == Target::Kind::at_most ? measured <= target->limit : measured >= target->limit;
}

void print_table(const std::vector<Row>& rows) {
  std::vector<Cells> table = {kTitles};
  for (const auto& row : rows) table.push_back(cells_of(row));
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

void print_markdown(const Machine& machine, const std::vector<Row>& rows) {
  for (const auto& [name, value] : machine.lines()) fmt::print("* {}: {}\n", name, value);
  const auto line = [](const Cells& cells) {
    std::string text = "|";
    for (const auto& cell : cells) text += fmt::format(" {} |", cell);
    fmt::print("{}\n", text);
  };
  fmt::print("\n");
  line(kTitles);
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const auto& row : rows) line(cells_of(row));
}

void write_json(const std::string& path, const Machine& machine, const std::vector<Row>& rows) {
  nlohmann::json json;
  for (const auto& [name, value] : machine.lines()) json["machine"][name] = value;
  for (const auto& row : rows) json["rows"].push_back(json_of(row));
  std::ofstream out(path);
  out << json.dump(2) << '\n';
  if (!out.flush()) fail("cannot write " + path);
}

}  // namespace bench

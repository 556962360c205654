// All that is measured. Each figure is a function from the options to rows of the table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report.hpp"
#include "rounds.hpp"

namespace bench {

struct Options {
  std::string directory;  // scratch, in shared memory; removed at the end
  int rounds = 40;
  std::vector<std::string> peers = {};  // those to measure; empty: all
  bool quick = false;                   // smaller and shorter: to see that it works, not to be quoted

  [[nodiscard]] RoundOptions in_rounds(Cores cores, std::uint64_t timed_trips = 0) const {
    return {.cores = cores, .rounds = rounds, .timed_trips = quick ? timed_trips / 50 : timed_trips};
  }
  // A directory for a bus of its own.
  [[nodiscard]] std::string bus(const std::string& name) const { return directory + "/" + name; }
};

std::vector<Row> ping_pong_figures(const Options& options);
std::vector<Row> streaming_figures(const Options& options);
std::vector<Row> size_figures(const Options& options);
std::vector<Row> peer_figures(const Options& options);
std::vector<Row> lapping_figures(const Options& options);
std::vector<Row> observer_figures(const Options& options);
std::vector<Row> stamp_figures(const Options& options);
std::vector<Row> blocking_figures(const Options& options);
std::vector<Row> crowd_figures(const Options& options);
std::vector<Row> instruction_figures(const Options& options);
std::vector<Row> idle_figures(const Options& options);
std::vector<Row> attach_figures(const Options& options);
std::vector<Row> memory_figures(const Options& options);
std::vector<Row> death_figures(const Options& options);
std::vector<Row> system_call_figures(const Options& options);
std::vector<Row> pipeline_figures(const Options& options);
std::vector<Row> group_figures(const Options& options);

// What runs under strace for system_call_figures; `directory` is a bus. With sleepers, to be woken, or with one that spins.
void traced_run(const std::string& directory, int sleepers);
// What runs under callgrind for instruction_figures; `what` says what to count.
void counted_run(const std::string& directory, const std::string& what);

}  // namespace bench

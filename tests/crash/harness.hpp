// One operation, killed and stopped everywhere: on images, in the repair of each image, for real, and left standing.
//
// Thread safety: a run is a process of its own. Progress: bounded by the operation's instructions. Crash: a fault in the
// library may kill the run, which its starter counts as bad.
#pragma once

#include <cstdint>
#include <string>

#include "crash/operations.hpp"

namespace ringway_crash {

struct Options {
  bool full = false;       // every step, every pair; else samples
  std::uint64_t seed = 0;  // of the samples
  std::string keep;        // a directory for images of what was bad; empty: none
};

inline constexpr std::uint64_t kEnough = 10;  // bad ones of an operation, before it is given up

// A line of the table.
struct Row {
  std::string name;
  std::uint64_t instructions = 0;  // of Ringway's own and of the program's code, between the marks
  std::uint64_t images = 0;        // distinct ones
  std::uint64_t doubles = 0;       // distinct ones of the repairs of these
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t bad = 0;
};

Row run_operation(const Operation& operation, bool exclusive, const Options& options);

// Two publishers of a shared topic inside their claims at once: one dies at each of its steps while the other stands at
// each of its own and then goes on, step by step. `images`: of the second.
Row run_pairs(const Options& options);

// A sleeper whose waker is killed.
std::size_t sleepers();
const char* sleeper(std::size_t index);
Row run_sleeper(std::size_t index, bool exclusive, const Options& options);

// Creating, removing and leaving a topic, killed and stopped at every system call: what counts is which names exist.
Row run_directory_operation(std::size_t index, const Options& options);
std::size_t directory_operations();
const char* directory_operation(std::size_t index);

}  // namespace ringway_crash

// Says what was bad, where, and keeps its image.
//
// Thread safety: a Reporter belongs to one run. Progress: no waiting. Crash: what was printed is printed.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <exception>
#include <string>

#include "crash/harness.hpp"
#include "crash/image.hpp"

namespace ringway_crash {

class Reporter {
 public:
  Reporter(Row& row, const Options& options);

  // Counts and prints one; `image` may be null.
  void bad(const char* mode, std::uint64_t step, std::uintptr_t at, const std::string& what, const Image* image);
  // Runs `check`; what it throws is bad; `image` may be null. A hang or a fault in it is, too, and says where.
  template <class Check>
  void guard(const char* mode, std::uint64_t step, std::uintptr_t at, const Image* image, Check check) {
    note(mode, step, at);
    try {
      check();
    } catch (const std::exception& error) {
      bad(mode, step, at, error.what(), image);
    }
    ::alarm(0);  // what is stepped until the next check may take its time
  }

 private:
  void note(const char* mode, std::uint64_t step, std::uintptr_t at);
  Row& row_;
  const Options& options_;
};

}  // namespace ringway_crash

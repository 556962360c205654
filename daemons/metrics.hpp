// What was seen, as Prometheus takes it. docs/monitor.md lists every metric.
//
// Thread safety: add() from one thread; text() from any, of a look that was added. Crash: nothing is shared.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "monitor.hpp"

namespace ringway::daemon {

class Metrics {
 public:
  // So many topics have labels of their own, as long as they are there; what is beyond is summed up as one topic `other`.
  static constexpr std::size_t kLabelled = 1000;

  // To be told of every look, in order, so that the sums of `other` only grow.
  void add(const Seen& seen);
  // All metrics, of this look.
  [[nodiscard]] std::string text(const Seen& seen) const;

 private:
  using Key = std::pair<std::string, std::string>;  // bus, topic
  struct Counts {
    std::uint64_t inode = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };

  mutable std::mutex mutex_;
  std::set<Key> labelled_;
  std::map<Key, Counts> others_;  // as last seen
  double other_messages_ = 0;
  double other_bytes_ = 0;
};

}  // namespace ringway::daemon

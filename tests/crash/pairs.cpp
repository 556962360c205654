// Two publishers inside their claims at once. Both attach while the topic lives; the second runs to its step j and stands;
// the first runs to its step i and dies; the second goes on to its end, and every state of the files is looked at.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <unordered_set>
#include <vector>

#include "crash/harness.hpp"
#include "crash/reporter.hpp"
#include "crash/survivor.hpp"
#include "crash/traced.hpp"
#include "support/scratch.hpp"

namespace ringway_crash {
namespace {

// Frames of 128 bytes and of 256: a dead one's end is not everybody's.
int publish_one(const std::string& directory, std::uint64_t writer, std::size_t bytes) {
  const auto bus = ringway::Bus::at(directory);
  auto publisher = bus.publisher("t", {.name = "actor"});
  std::array<std::byte, kPayload> payload{};
  fill(payload.data(), writer, 0);
  if (!publisher.try_publish(payload)) return 1;
  fill(payload.data(), writer, 1);
  mark();
  auto claim = publisher.try_claim(bytes);
  if (claim) {
    std::memcpy(claim.payload().data(), payload.data(), payload.size());
    claim.commit(payload.size());
  }
  mark();
  return claim.status() ? 0 : 1;
}

// The steps of one publisher alone after which the files differ.
std::vector<std::uint64_t> steps_of(const std::string& directory, std::uint64_t writer, std::size_t bytes,
                                    std::uint64_t& instructions) {
  Traced traced([&] { return publish_one(directory, writer, bytes); });
  Watch watch(directory);
  std::vector<std::uint64_t> steps = {0};
  for (bool on = true; on;) {
    if (Traced::own_code(traced.at())) ++instructions;
    on = traced.step();
    if (!watch.changed()) continue;
    steps.push_back(traced.steps() - 1);  // before it
    steps.push_back(traced.steps());
  }
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

struct Sizes {
  std::size_t first;
  std::size_t second;
};

class Pairs {
 public:
  Pairs(const Options& options, Row& row) : options_(options), row_(row), reporter_(row, options) {
    make_base(base(), Base::few, false);
    start_ = read_image(base());
  }

  void run(const Sizes& sizes, std::mt19937_64& dice) {
    write_image(start_, base());
    const auto first = steps_of(base(), kActor, sizes.first, row_.instructions);
    write_image(start_, base());
    const auto second = steps_of(base(), kSecond, sizes.second, row_.instructions);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    for (const std::uint64_t i : first)
      for (const std::uint64_t j : second) all.emplace_back(i, j);
    std::shuffle(all.begin(), all.end(), dice);
    if (!options_.full && all.size() > 40) all.resize(40);
    for (const auto& [i, j] : all)
      if (row_.bad < kEnough) pair(sizes, i, j);
  }

 private:
  std::string base() const { return base_.path().string(); }
  std::string other() const { return other_.path().string(); }

  void pair(const Sizes& sizes, std::uint64_t i, std::uint64_t j) {
    write_image(start_, base());
    Traced second([&] { return publish_one(base(), kSecond, sizes.second); });
    Traced first([&] { return publish_one(base(), kActor, sizes.first); });
    Watch watch(base());
    const Rules rules{watch.image(), 2, 0, false};
    for (std::uint64_t step = 0; step < j; ++step) second.step();
    for (std::uint64_t step = 0; step < i; ++step) first.step();
    const std::uintptr_t died_at = first.at();
    first.kill();
    ++row_.kills;
    for (bool on = true; on; on = second.step()) {
      watch.changed();
      if (!seen_.insert(watch.image().hash()).second) continue;
      ++row_.images;
      reporter_.guard("pair", i, died_at, &watch.image(), [&] {
        check_image(watch.image(), rules, false);
        for (const bool readers_first : {true, false}) {
          write_image(watch.image(), other());
          survive(other(), readers_first);
        }
      });
    }
    second.kill();
    // What they really left, under the kernel's own locks.
    reporter_.guard("pair killed", i, died_at, &watch.image(), [&] { survive(base(), (i + j) % 2 == 0); });
  }

  const Options& options_;
  Row& row_;
  Reporter reporter_;
  ringway_test::ScratchDir base_;
  ringway_test::ScratchDir other_;
  Image start_;
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace

Row run_pairs(const Options& options) {
  Row row;
  row.name = "pairs";
  Pairs pairs(options, row);
  std::mt19937_64 dice(options.seed);
  for (const Sizes& sizes : {Sizes{kPayload, 200}, Sizes{200, kPayload}, Sizes{kPayload, kPayload}})
    pairs.run(sizes, dice);
  return row;
}

}  // namespace ringway_crash

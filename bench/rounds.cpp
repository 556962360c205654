#include "rounds.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <span>

#include "futex.hpp"
#include "process.hpp"

namespace bench {
namespace {

constexpr std::uint64_t kSlices = 50;  // of the timed trips: by turns, so that a disturbance meets all

// How the left process tells the right one what to do next, and hears that it is done.
struct Baton {
  alignas(64) std::atomic<std::uint32_t> turn;
  std::uint32_t contestant;
  std::uint64_t count;  // 0: the end
  alignas(64) std::atomic<std::uint32_t> done;
};

class Signals {
 public:
  explicit Signals(Cores cores) : spins_(cores == Cores::two ? 20'000 : 0) {}
  // Release and acquire: what was written before is seen after.
  static void set(std::atomic<std::uint32_t>& word, std::uint32_t value) {
    word.store(value, std::memory_order_release);
    futex_wake(word);
  }
  void await(std::atomic<std::uint32_t>& word, std::uint32_t value) const {
    for (int i = 0; i < spins_; ++i) {
      if (word.load(std::memory_order_acquire) == value) return;
      relax();
    }
    for (std::uint32_t seen = 0; (seen = word.load(std::memory_order_acquire)) != value;) futex_wait(word, seen);
  }

 private:
  int spins_;
};

// What one process does with its halves.
class Player {
 public:
  Player(const std::vector<Contestant>& contestants, Side side, Baton& baton, Cores cores)
      : baton_(baton), signals_(cores) {
    for (const auto& contestant : contestants) halves_.push_back(contestant.open(side));
  }

  // Right: until told to stop.
  void follow() {
    Signals::set(baton_.done, 1);  // open
    for (std::uint32_t turn = 1;; ++turn) {
      signals_.await(baton_.turn, turn);
      if (baton_.count == 0) return;
      halves_[baton_.contestant]->run(baton_.count, nullptr);
      Signals::set(baton_.done, turn + 1);
    }
  }

  // Left. Gives ns an operation.
  double lead(std::size_t contestant, std::uint64_t count, Histogram* trips = nullptr) {
    signals_.await(baton_.done, turn_);  // at first: until the other side is open
    baton_.contestant = static_cast<std::uint32_t>(contestant);
    baton_.count = count;
    const std::uint64_t start = now_ns();
    Signals::set(baton_.turn, turn_);
    halves_[contestant]->run(count, trips);
    signals_.await(baton_.done, ++turn_);
    return static_cast<double>(now_ns() - start) / static_cast<double>(count);
  }
  void stop() {
    baton_.count = 0;
    Signals::set(baton_.turn, turn_);
  }

  // Left: how many operations fill a round. The runs also warm everything up.
  std::uint64_t calibrate(std::size_t contestant, std::uint64_t round_ns) {
    for (std::uint64_t count = 64;; count *= 2) {
      const double ns = lead(contestant, count);
      if (ns * static_cast<double>(count) >= static_cast<double>(round_ns) / 2)
        return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(round_ns) / ns));
    }
  }

 private:
  Baton& baton_;
  Signals signals_;
  std::vector<std::unique_ptr<Half>> halves_;
  std::uint32_t turn_ = 1;
};

void play_left(const std::vector<Contestant>& contestants, const RoundOptions& options, Baton& baton,
               std::span<double> times, std::span<Histogram> trips) {
  Player player(contestants, Side::left, baton, options.cores);
  std::vector<std::uint64_t> counts;
  for (std::size_t i = 0; i < contestants.size(); ++i) counts.push_back(player.calibrate(i, options.round_ns));
  const auto rounds = static_cast<std::size_t>(options.rounds);
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < contestants.size(); ++k) {
      const std::size_t i = (round + k) % contestants.size();  // nobody is always the first, or after the same
      times[i * rounds + round] = player.lead(i, counts[i]);
    }
  }
  for (std::uint64_t slice = 0; slice < (options.timed_trips != 0 ? kSlices : 0); ++slice) {
    for (std::size_t i = 0; i < contestants.size(); ++i) player.lead(i, options.timed_trips / kSlices, &trips[i]);
  }
  player.stop();
}

}  // namespace

std::vector<Measured> measure(const std::vector<Contestant>& contestants, const RoundOptions& options) {
  const std::vector<int> cpus = allowed_cpus();
  const int left_cpu = cpus.front();
  const int right_cpu = options.cores == Cores::two ? cpus.at(1) : left_cpu;
  const auto rounds = static_cast<std::size_t>(options.rounds);
  auto& baton = *make_shared_memory<Baton>();
  const std::span times(static_cast<double*>(map_shared(contestants.size() * rounds * sizeof(double))),
                        contestants.size() * rounds);
  const std::span trips(static_cast<Histogram*>(map_shared(contestants.size() * sizeof(Histogram))),
                        contestants.size());

  Process left = Process::fork([&] {
    pin(left_cpu);
    play_left(contestants, options, baton, times, trips);
  });
  Process right = Process::fork([&] {
    pin(right_cpu);
    Player(contestants, Side::right, baton, options.cores).follow();
  });
  join_both(left, right, contestants.front().name);

  std::vector<Measured> result;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const auto own = times.subspan(i * rounds, rounds);
    result.push_back({contestants[i].name, {own.begin(), own.end()}, trips[i]});
  }
  ::munmap(&baton, sizeof baton);
  ::munmap(times.data(), times.size_bytes());
  ::munmap(trips.data(), trips.size_bytes());
  return result;
}

void* map_shared(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) fail_with_errno("mmap");
  return memory;
}

}  // namespace bench

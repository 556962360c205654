// Somebody really sleeps, and the one who would wake it is killed. If what it waits for is done, it finds that out by itself,
// with nobody else about; if not, the next one who comes does it.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "crash/harness.hpp"
#include "crash/reporter.hpp"
#include "crash/survivor.hpp"
#include "crash/traced.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;
using ringway::Bus;
using ringway::Wait;
using ringway_test::Child;

struct Case {
  const char* name;
  Base base;
  int (*sleep)(const std::string& directory);  // 0: it has what it waited for
  bool (*asleep)(const SegmentMemory& memory);
  int (*act)(const std::string& directory);  // what wakes it; killed
};

int wait_for_message(const std::string& directory) {
  auto subscriber = Bus::at(directory).subscriber("t", {.name = "d", .wait = Wait::park});
  const auto message = subscriber.receive(kPatience);
  return message && identify(message.payload().data(), message.payload().size()).whole ? 0 : 1;
}

int wait_for_job(const std::string& directory) {
  auto member = Bus::at(directory).group_member("t", {.group = "g"});
  auto job = member.receive(kPatience);
  return job && identify(job.payload().data(), job.payload().size()).whole && job.ack() ? 0 : 1;
}

int wait_for_space(const std::string& directory) {
  auto publisher = Bus::at(directory).publisher("t", {.wait = Wait::park});
  std::array<std::byte, kPayload> bytes{};
  fill(bytes.data(), kSecond, 0);
  return publisher.publish(bytes, kPatience) ? 0 : 1;
}

int publish(const std::string& directory) {
  auto publisher = Bus::at(directory).publisher("t", {.name = "actor"});
  std::array<std::byte, kPayload> bytes{};
  fill(bytes.data(), kActor, 0);
  mark();
  const auto status = publisher.publish(bytes, kPatience);
  mark();
  return status ? 0 : 1;
}

int release(const std::string& directory) {
  auto subscriber = Bus::at(directory).subscriber("t", {.name = "d"});
  auto message = subscriber.try_receive();
  mark();
  const auto status = message.release();
  mark();
  return status ? 0 : 1;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"wake-subscriber", Base::empty, wait_for_message, [](const SegmentMemory& m) { return anyone_parked(m); },
       publish},
      {"wake-publisher", Base::blocked, wait_for_space, [](const SegmentMemory& m) { return anyone_waiting(m); },
       release},
      {"wake-member", Base::jobs_padding, wait_for_job, [](const SegmentMemory& m) { return any_member_parked(m, 0); },
       publish},
  };
  return all;
}

class Sleepers {
 public:
  Sleepers(const Case& which, bool exclusive, const Options& options)
      : case_(which),
        row_{.name = std::string(which.name) + (exclusive ? " (exclusive)" : "")},
        reporter_(row_, options),
        full_(options.full),
        dice_(options.seed) {
    make_base(path(), which.base, exclusive);
    start_ = read_image(path());
  }

  Row run() {
    std::vector<std::uint64_t> steps = trial();
    std::shuffle(steps.begin(), steps.end(), dice_);
    if (!full_ && steps.size() > 8) steps.resize(8);
    for (const std::uint64_t step : steps)
      if (row_.bad < kEnough) kill(step);
    return row_;
  }

 private:
  [[nodiscard]] std::string path() const { return scratch_.path().string(); }

  // The steps after which the files differ, and those before them.
  std::vector<std::uint64_t> trial() {
    write_image(start_, path());
    Child sleeper = put_to_sleep();
    Traced traced([this] { return case_.act(path()); });
    Watch watch(path());
    std::vector<std::uint64_t> steps;
    for (bool on = true; on;) {
      if (Traced::own_code(traced.at())) ++row_.instructions;
      on = traced.step();
      if (!watch.changed()) continue;
      ++row_.images;
      steps.push_back(traced.steps() - 1);
      steps.push_back(traced.steps());
    }
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    return steps;
  }

  Child put_to_sleep() {
    Child sleeper = Child::fork([this] { return case_.sleep(path()); });
    const auto segment = ringway_test::map_topic(path(), "t", Role::observe);
    for (int tries = 0; tries < 10'000 && !case_.asleep(segment->memory()); ++tries) ::usleep(1000);
    return sleeper;
  }

  void kill(std::uint64_t step) {
    write_image(start_, path());
    Child sleeper = put_to_sleep();
    Traced traced([this] { return case_.act(path()); });
    const Image before_it = read_image(path());
    for (std::uint64_t i = 0; i < step; ++i) traced.step();
    const std::uintptr_t at = traced.at();
    traced.kill();
    ++row_.kills;
    const Image left = read_image(path());
    reporter_.guard("kill", step, at, &left, [&] {
      if (!done(before_it, left)) act_again();
      for (int tries = 0; tries < 10'000 && !sleeper.ended(); ++tries) ::usleep(1000);
      if (!sleeper.ended() || sleeper.wait() != 0) throw Bad("the sleeper was not woken, nor did it look by itself");
      survive(path(), step % 2 == 0);
    });
  }

  // Is what the sleeper waits for there?
  static bool done(const Image& before_it, const Image& left) {
    return left.frames().size() > before_it.frames().size() ||
           left.subscription(0).cursor.load() != before_it.subscription(0).cursor.load();
  }
  void act_again() {
    if (case_.act == publish) {
      std::array<std::byte, kPayload> bytes{};
      fill(bytes.data(), kSecond, 0);
      if (!Bus::at(path()).publisher("t").publish(bytes, kPatience)) throw Bad("cannot publish");
    } else if (!Bus::at(path()).subscriber("t", {.name = "d"}).try_receive()) {
      throw Bad("cannot receive");
    }
  }

  const Case& case_;
  Row row_;
  Reporter reporter_;
  bool full_;
  std::mt19937_64 dice_;
  ringway_test::ScratchDir scratch_;
  Image start_;
};

}  // namespace

std::size_t sleepers() { return cases().size(); }
const char* sleeper(std::size_t index) { return cases()[index].name; }
Row run_sleeper(std::size_t index, bool exclusive, const Options& options) {
  return Sleepers(cases()[index], exclusive, options).run();
}

}  // namespace ringway_crash

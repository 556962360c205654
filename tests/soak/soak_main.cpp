// Publishers, subscribers, members and observers start, publish, work, stop, are killed and are stopped at random, on two small
// rings; at the end every message, job, slot, byte and file is accounted for. Exit 0 only if nothing is missing, nothing came
// twice that should not, and nothing is left.
//
// usage: soak [--minutes M] [--seed N] [--drop | --drop-job]
// --drop, --drop-job: the checker must notice a message that was lost, a job that nobody did (tests of it)

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "soak/workers.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"
#include "support/scratch.hpp"

#ifdef RINGWAY_COVERAGE
extern "C" void __gcov_dump();  // NOLINT(bugprone-reserved-identifier): gcc's name
#else
static void __gcov_dump() {}  // NOLINT(bugprone-reserved-identifier)
#endif

namespace {

using namespace std::chrono_literals;
using namespace ringway_soak;
using ringway::Bus;
using ringway::DeadLetterFull;
using ringway_test::Child;

constexpr std::uint32_t kRows = 12;  // subscriptions and groups of a topic

enum class Kind {
  publisher,
  torn,
  durable,
  ephemeral,
  overtaken,
  limited,
  accountant,
  observer,
  member,
  torn_member,
  undertaker,
  wrecked,
};

struct Worker {
  Kind kind;
  std::uint32_t topic;
  std::uint32_t number = 0;  // of a durable subscription; of a publisher: its run; of a member: its crew
  std::optional<Child> child = {};
  bool stopped = false;
};

struct Options {
  double minutes = 1;
  std::uint64_t seed = 0;
  bool drop = false;
  bool drop_job = false;
};

class Soak {
 public:
  Soak(const Options& options, const std::string& directory, Ledger& ledger)
      : options_(options), bus_(Bus::at(directory)), place_{directory, &ledger, 0}, random_(options.seed) {
    for (std::uint32_t topic = 0; topic < kTopics; ++topic) {
      bus_.create_topic(kTopicNames[topic],
                        {.capacity_bytes = 32 << 10,
                         .publishers = topic == 0 ? ringway::Publishers::shared : ringway::Publishers::exclusive,
                         .max_publishers = topic == 0 ? 6 : 2,
                         .max_subscriptions = kRows,
                         .max_members = kMembers,
                         .max_in_flight = kInFlight});
      bus_.create_group(kTopicNames[topic], kGroup,
                        {.max_attempts = kMaxAttempts,
                         .retry_delay = 1ms,
                         .dead_letter = kDeadNames[topic],
                         .dead_letter_full = topic == 0 ? DeadLetterFull::keep : DeadLetterFull::wait});
      bus_.create_subscription(kDeadNames[topic], "undertaker", {});
      for (std::uint32_t which = 0; which < kDurables; ++which) {
        bus_.create_subscription(kTopicNames[topic], "durable" + std::to_string(which), {});
        workers_.push_back({Kind::durable, topic, which});
      }
      workers_.push_back({Kind::accountant, topic});
      for (std::uint32_t i = 0; i < (topic == 0 ? 3U : 1U); ++i) workers_.push_back({Kind::publisher, topic});
      for (std::uint32_t i = 0; i < 2; ++i) workers_.push_back({Kind::ephemeral, topic});
      workers_.push_back({Kind::overtaken, topic});
      workers_.push_back({Kind::limited, topic});
      workers_.push_back({Kind::observer, topic});
      workers_.push_back({Kind::torn, topic});
      for (std::uint32_t i = 0; i < (topic == 0 ? 3U : 2U); ++i) workers_.push_back({Kind::member, topic});
      workers_.push_back({Kind::torn_member, topic});
      workers_.push_back({Kind::undertaker, topic});
    }
    workers_.push_back({Kind::wrecked, 0});
  }

  void run() {
    for (Worker& worker : workers_) start(worker);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.minutes * 60);
    while (std::chrono::steady_clock::now() < end && place_.ledger->bad == 0 && failed_ == 0) {
      for (Worker& worker : workers_)
        if ((worker.kind == Kind::torn || (worker.kind == Kind::torn_member && random_() % 32 == 0)) &&
            worker.child->ended())
          disturb(worker);
      disturb(workers_[random_() % workers_.size()]);
      ::usleep(static_cast<useconds_t>(random_() % 10'000));
      if (place_.ledger->runs + 10 > kMaxRuns || place_.ledger->serials + (1U << 20) > kMaxJobs) break;
    }
    drain();
  }

  // What is left, and what does not add up.
  int judge() {
    Ledger& ledger = *place_.ledger;
    std::uint64_t messages = 0;
    std::uint64_t wrong = ledger.bad;
    if (options_.drop) ++ledger.run[0].committed;
    for (std::uint32_t topic = 0; topic < kTopics; ++topic) {
      std::uint64_t published = 0;
      for (std::uint32_t number = 0; number < ledger.runs; ++number) {
        const Run& run = ledger.run[number];
        if (run.topic != topic) continue;
        const std::uint64_t seen = ledger.next[topic][0][number];
        published += seen;
        if (seen < run.committed || seen > run.started) {
          ++wrong;
          std::printf("run %u committed %lu messages and began %lu; durable0 of %s was given %lu\n", number,
                      run.committed.load(), run.started.load(), kTopicNames[topic], seen);
        }
        for (std::uint32_t which = 1; which < kDurables; ++which)
          if (ledger.next[topic][which][number] != seen) {
            ++wrong;
            std::printf("run %u: durable%u of %s was given %lu messages, durable0 %lu\n", number, which,
                        kTopicNames[topic], ledger.next[topic][which][number].load(), seen);
          }
      }
      const std::uint64_t counted = ledger.accountant_received[topic] + ledger.accountant_lost[topic];
      if (counted != published) {
        ++wrong;
        std::printf("%s: %lu messages published, a lossy subscription received %lu and counted %lu lost\n",
                    kTopicNames[topic], published, ledger.accountant_received[topic].load(),
                    ledger.accountant_lost[topic].load());
      }
      lost_ += ledger.accountant_lost[topic];
      messages += published;
    }
    wrong += judge_jobs(ledger);
    const std::uint64_t leaked = leaks();
    std::printf(
        "seed %lu: %.1f min, %lu messages published, %lu received, %lu lost by lossy ones and counted, %lu "
        "redelivered\n"
        "jobs: %lu taken, %lu acked, %lu redelivered, %lu dead-lettered (%lu of them again), %lu members killed with "
        "jobs "
        "in hand\n"
        "%lu killed (%lu of them inside a claim), %lu stopped, %lu ended in order, %lu turned away, %u publishers "
        "started\n"
        "%lu subscriptions taken away for a cursor that cannot be, %lu topics that ended corrupt\n"
        "bad = %lu, failed = %lu, leaked = %lu\n",
        options_.seed, options_.minutes, messages, ledger.received.load(), lost_, ledger.redelivered.load(),
        ledger.jobs_taken.load(), ledger.jobs_acked.load(), ledger.jobs_redelivered.load(), ledger.jobs_buried.load(),
        ledger.buried_again.load(), killed_in_hand_, killed_, killed_in_claim_, stopped_, ended_, turned_away_,
        ledger.runs.load(), ledger.evicted.load(), ledger.wrecked.load(), wrong, failed_, leaked);
    return wrong + failed_ + leaked == 0 && messages > 0 && ledger.jobs_acked > 0 ? 0 : 1;
  }

 private:
  void start(Worker& worker) {
    place_.seed = random_();
    const Place place = place_;
    if (publishes(worker)) {
      worker.number = place.ledger->runs++;
      place.ledger->run[worker.number].topic = worker.topic;
    }
    if (works(worker)) worker.number = place.ledger->crews++;
    const bool forgets = options_.drop_job;
    const Worker* const self = &worker;
    worker.stopped = false;
    worker.child = Child::fork(
        [place, self, forgets] {
          ::signal(SIGTERM, tell_to_end);
          const int status = work(place, *self, forgets);
          __gcov_dump();
          return status;
        },
        std::chrono::seconds(static_cast<long>(options_.minutes * 60) + 300));
  }

  static bool works(const Worker& worker) { return worker.kind == Kind::member || worker.kind == Kind::torn_member; }
  static bool publishes(const Worker& worker) { return worker.kind == Kind::publisher || worker.kind == Kind::torn; }

  static int work(const Place& place, const Worker& worker, bool forgets) {
    switch (worker.kind) {
      case Kind::publisher: return run_publisher(place, worker.number);
      case Kind::torn: return run_torn(place, worker.number);
      case Kind::durable: return run_durable(place, worker.topic, worker.number);
      case Kind::ephemeral: return run_ephemeral(place, worker.topic);
      case Kind::overtaken: return run_overtaken(place, worker.topic, false);
      case Kind::limited: return run_overtaken(place, worker.topic, true);
      case Kind::accountant: return run_accountant(place, worker.topic);
      case Kind::observer: return run_observer(place, worker.topic);
      case Kind::member: return run_member(place, worker.topic, worker.number, forgets);
      case Kind::torn_member: return run_torn_member(place, worker.topic, worker.number);
      case Kind::undertaker: return run_undertaker(place, worker.topic);
      case Kind::wrecked: return run_wrecked(place);
    }
    return 1;
  }

  void reap(Worker& worker, bool expected_death) {
    const int status = worker.child->wait();
    const bool in_order = status == 0 || status == 128 + SIGTERM;  // the latter: told so before it could listen
    if (in_order) ++ended_;
    if (status == kTurnedAway) ++turned_away_;
    const bool killed = status == 128 + SIGKILL;
    if (worker.kind == Kind::torn || worker.kind == Kind::torn_member) {
      expected_death = true;
      if (killed) ++killed_;
    }
    if (killed && publishes(worker) && place_.ledger->run[worker.number].in_claim == 1) ++killed_in_claim_;
    if (!in_order && status != kTurnedAway && !(killed && expected_death)) {
      ++failed_;
      std::printf("a worker of kind %d on %s ended with status %d\n", static_cast<int>(worker.kind),
                  kTopicNames[worker.topic], status);
    }
    worker.child.reset();
  }

  void disturb(Worker& worker) {
    if (worker.stopped) {
      worker.child->kill(SIGCONT);
      worker.stopped = false;
      return;
    }
    if (worker.child->ended()) {
      reap(worker, false);
      start(worker);
      return;
    }
    const std::uint64_t what = random_() % 8;
    if ((worker.kind == Kind::accountant || worker.kind == Kind::undertaker) && what < 5) return;
    if (what < 4) {
      if (works(worker)) {
        Crew& crew = place_.ledger->crew[worker.number];
        crew.doomed = 1;
        if (crew.held != 0) ++killed_in_hand_;
      }
      worker.child->kill(SIGKILL);
      ++killed_;
      reap(worker, true);
      if (worker.kind == Kind::ephemeral) ::usleep(static_cast<useconds_t>(random_() % 20'000));  // it holds publishers
      start(worker);
    } else if (what == 4 || (what == 6 && worker.kind == Kind::publisher)) {  // those who repair live to say so
      resume();
      worker.child->kill(SIGTERM);
      reap(worker, false);
      start(worker);
    } else if (what == 5 && !resume()) {
      worker.child->kill(SIGSTOP);
      worker.stopped = true;
      ++stopped_;
      ::usleep(static_cast<useconds_t>(random_() % 100'000));
      if (random_() % 2 == 0) return;  // others go on being killed meanwhile
      worker.child->kill(SIGCONT);
      worker.stopped = false;
    }
  }

  // One at a time: whoever is stopped at the table lock holds attaching back, and that is as documented. None while another
  // is waited for: it may be stopped while it holds the lock of the coverage's files.
  bool resume() {
    for (Worker& worker : workers_)
      if (worker.stopped) {
        worker.child->kill(SIGCONT);
        worker.stopped = false;
        return true;
      }
    return false;
  }

  // Takes each slot once, so that what dead publishers have left in them is settled, and every message counted.
  void settle() {
    for (std::uint32_t topic = 0; topic < kTopics; ++topic) {
      std::vector<ringway::Publisher> publishers;
      for (std::uint32_t i = 0; i < (topic == 0 ? 6U : 1U); ++i)
        publishers.push_back(bus_.publisher(kTopicNames[topic]));
    }
  }

  void drain() {
    for (Worker& worker : workers_) worker.child->kill(SIGCONT);
    for (Worker& worker : workers_)
      if (publishes(worker)) {
        worker.child->kill(SIGTERM);
        reap(worker, false);
      }
    settle();
    place_.ledger->draining = 1;
    for (Worker& worker : workers_) {
      if (!worker.child || worker.kind == Kind::undertaker) continue;
      if ((worker.kind == Kind::durable || worker.kind == Kind::member) && worker.child->ended()) {
        reap(worker, false);
        start(worker);
      }
      reap(worker, false);
    }
    place_.ledger->draining = 2;
    for (Worker& worker : workers_)
      if (worker.child) reap(worker, false);
  }

  bool entry_is_free(std::uint32_t topic, std::uint32_t index) const {
    using namespace ringway::detail;
    const auto segment = ringway_test::map_topic(place_.directory, kTopicNames[topic], Role::subscribe);
    const InFlightEntry& entry = segment->memory().entry(0, index);
    return state_of(entry.word) == EntryState::free;
  }

  // Every slot can be had again, and removing leaves nothing.
  std::uint64_t leaks() {
    std::uint64_t leaked = 0;
    const auto expect = [&](bool good, const std::string& what) {
      if (good) return;
      ++leaked;
      std::printf("left: %s\n", what.c_str());
    };
    try {
      for (std::uint32_t topic = 0; topic < kTopics; ++topic) {
        const auto info = bus_.topic(kTopicNames[topic]);
        for (const auto& one : info.publishers) expect(!one.alive, "a publisher that is alive");
        expect(info.subscriptions.size() > kDurables, "too few subscriptions");
        for (const auto& one : info.subscriptions)
          expect(one.durable ? one.lag_bytes == 0 : !one.attached,
                 "subscription " + one.name + " with a lag or an owner");
        for (std::uint32_t i = 0; i < kInFlight; ++i) expect(entry_is_free(topic, i), "an entry that is not free");
        std::vector<ringway::GroupMember> members;
        for (std::uint32_t i = 0; i < kMembers; ++i)
          members.push_back(bus_.group_member(kTopicNames[topic], {.group = kGroup}));
        std::vector<ringway::Subscriber> subscribers;
        for (std::uint32_t i = kDurables + 1; i < kRows; ++i)
          subscribers.push_back(bus_.subscriber(kTopicNames[topic]));
        std::vector<ringway::Publisher> publishers;
        for (std::uint32_t i = 0; i < (topic == 0 ? 6U : 1U); ++i) {
          publishers.push_back(bus_.publisher(kTopicNames[topic]));
          expect(static_cast<bool>(publishers.back().try_publish("last")), "a publisher that cannot publish");
        }
        for (auto& in : subscribers)
          for (std::size_t i = 0; i < publishers.size(); ++i) {
            const auto message = in.try_receive();
            expect(message && message.text() == "last", "a message that does not come");
          }
      }
      bus_.remove();
    } catch (const ringway::Error& error) {
      expect(false, error.what());
    }
    expect(!std::filesystem::exists(bus_.directory()), "the bus directory");
    return leaked;
  }

  Options options_;
  Bus bus_;
  Place place_;
  std::mt19937_64 random_;
  std::vector<Worker> workers_;
  std::uint64_t killed_ = 0;
  std::uint64_t killed_in_claim_ = 0;
  std::uint64_t killed_in_hand_ = 0;  // members
  std::uint64_t stopped_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t turned_away_ = 0;
  std::uint64_t failed_ = 0;  // processes that ended otherwise than they should
  std::uint64_t lost_ = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  options.seed = std::random_device()();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--drop") {
      options.drop = true;
    } else if (word == "--drop-job") {
      options.drop_job = true;
    } else if (word == "--minutes" && i + 1 < argc) {
      options.minutes = std::atof(argv[++i]);
    } else if (word == "--seed" && i + 1 < argc) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: soak [--minutes M] [--seed N] [--drop | --drop-job]\n");
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::printf("seed %lu\n", options.seed);
  std::fflush(stdout);
  const ringway_test::ScratchDir scratch;
  Soak soak(options, (scratch.path() / "bus").string(), make_ledger());
  soak.run();
  return soak.judge();
}

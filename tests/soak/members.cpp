// Members of a group, those who read its dead letters, and what must be true of every job in the end.
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "ringway/ringway.hpp"
#include "soak/workers.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_soak {
namespace {

using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Job;

constexpr std::array<const char*, 3> kReasons = {"not now", "the member ended without an answer",
                                                 "dropped without an answer"};

bool never_done(const Head& head) { return mix(head.serial) % 64 == 0; }

// What one member has in hand, and what it notes of it. However it ends, all is noted as let go before it is let go.
class Hands {
 public:
  Hands(Ledger& ledger, std::uint32_t crew) : ledger_(ledger), crew_(crew) {}
  Hands(const Hands&) = delete;
  Hands& operator=(const Hands&) = delete;
  ~Hands() {
    for (const Held& held : jobs_) note(held.head, JobWord::returned, held.job.attempt());
    ledger_.crew[crew_].held = 0;
  }

  [[nodiscard]] std::size_t size() const { return jobs_.size(); }

  // False: it should not have come, or not so.
  bool take(Job&& job) {
    Held held{std::move(job), {}};
    if (!read_head(held.job.payload(), held.head)) return bad("a job is not whole");
    const JobWord was = unpack(ledger_.job[held.head.serial]);
    const std::string name = name_of(held.head) + ", attempt " + std::to_string(held.job.attempt());
    if (held.job.attempt() == 0 || held.job.attempt() > kMaxAttempts) return bad(name + ", of 3 that there are");
    if (ledger_.twin[held.head.serial] == 0 && was.state != JobWord::unseen) {
      if (!held.job.redelivered()) return bad(name + ", is not marked");
      const bool in_hand = was.state == JobWord::held && ledger_.crew[was.holder].doomed == 0;
      if (was.state == JobWord::acked || was.state == JobWord::buried || in_hand) {
        complain("member", name + (in_hand ? ", is in the hands of member " + std::to_string(was.holder)
                                           : ", comes again after its end"));
        ledger_.twin[held.head.serial] = 1;
        ++ledger_.unexplained;
      } else if (held.job.attempt() <= was.attempt) {
        return bad(name + ", after attempt " + std::to_string(was.attempt));
      }
    }
    if (held.job.redelivered()) ++ledger_.jobs_redelivered;
    ++ledger_.jobs_taken;
    note(held.head, JobWord::held, held.job.attempt());
    jobs_.push_back(std::move(held));
    ledger_.crew[crew_].held = static_cast<std::uint32_t>(jobs_.size());
    return true;
  }

  // One of them, in one of the ways there are.
  ringway::Status answer(std::mt19937_64& random, bool forget) {
    const std::size_t which = random() % jobs_.size();
    Held held = std::move(jobs_[which]);
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(which));
    const std::uint32_t attempt = held.job.attempt();
    ringway::Status status;
    if (const auto way = never_done(held.head) ? random() % 2 : random() % 50; way > 1) {
      if (!forget) note(held.head, JobWord::acking, attempt);
      status = held.job.ack();
      if (!forget) note(held.head, JobWord::acked, attempt);
      ++ledger_.jobs_acked;
    } else {
      note(held.head, JobWord::returned, attempt);
      if (way == 0) status = held.job.nack(std::chrono::microseconds(random() % 3000), kReasons[0]);
    }
    ledger_.crew[crew_].held = static_cast<std::uint32_t>(jobs_.size());
    return status;
  }

  bool bad(const std::string& what) {
    ++ledger_.bad;
    complain("member", what);
    return false;
  }

 private:
  struct Held {
    Job job;
    Head head;
  };
  void note(const Head& head, JobWord::State state, std::uint32_t attempt) {
    ledger_.job[head.serial] = pack({state, attempt, crew_});
  }

  Ledger& ledger_;
  std::uint32_t crew_;
  std::vector<Held> jobs_;
};

// Nothing is left for any member, nor in the hands of one.
bool all_done(const Bus& bus, std::uint32_t topic) {
  for (const auto& one : bus.topic(kTopicNames[topic]).subscriptions)
    if (one.name == kGroup) return one.lag_bytes == 0 && one.held == 0 && one.returned == 0;
  return false;
}

// A word of an entry whose n-th access kills the process, after a note of the jobs under way.
struct TornWord {
  static inline std::uint64_t left = 0;
  static inline std::array<ringway::detail::Taken, 2> jobs;
  static inline Ledger* ledger = nullptr;

  std::uint64_t load(std::memory_order order) const noexcept { return step().load(order); }
  void store(std::uint64_t value, std::memory_order order) noexcept { step().store(value, order); }
  bool compare_exchange_strong(std::uint64_t& seen, std::uint64_t value, std::memory_order success,
                               std::memory_order failure) noexcept {
    return step().compare_exchange_strong(seen, value, success, failure);
  }

 private:
  std::atomic<std::uint64_t>& step() const noexcept {
    if (left == 0) {
      Head head{};
      for (const auto& job : jobs)
        if (read_head({job.found.payload, job.found.length}, head)) ledger->twin[head.serial] = 1;
      ::raise(SIGKILL);
    }
    --left;
    return word_;
  }
  mutable std::atomic<std::uint64_t> word_;
};
struct TornEntry {  // as InFlightEntry
  TornWord word;
  TornWord position;
  std::atomic<std::uint64_t> time_ns;
  std::array<std::atomic<std::uint64_t>, ringway::detail::kReasonWords> reason;
};
static_assert(sizeof(TornEntry) == sizeof(ringway::detail::InFlightEntry));
struct TornMemory : ringway::detail::SegmentMemory {
  TornEntry& entry(std::uint32_t group, std::uint32_t index) const {
    return reinterpret_cast<TornEntry&>(SegmentMemory::entry(group, index));
  }
};

// What is wrong with a dead letter; empty: nothing.
std::string fault_of(const ringway::DeadLetter& letter, std::uint32_t topic) {
  if (letter.topic != kTopicNames[topic] || letter.group != kGroup)
    return "is from " + letter.topic + ", " + letter.group;
  if (letter.attempts != kMaxAttempts) return "had " + std::to_string(letter.attempts) + " attempts";
  for (const char* reason : kReasons)
    if (letter.reason == reason) return {};
  return "has the reason \"" + letter.reason + '"';
}

}  // namespace

int run_member(const Place& place, std::uint32_t topic, std::uint32_t crew, bool forgets) try {
  Ledger& ledger = *place.ledger;
  std::mt19937_64 random(place.seed);
  const Bus bus = Bus::at(place.directory);
  const auto prefetch = static_cast<std::uint32_t>(1 + random() % 6);
  while (told_to_end == 0) {  // joins, works, leaves
    auto member = bus.group_member(kTopicNames[topic], {.group = kGroup, .prefetch = prefetch});
    Hands hands(ledger, crew);
    Shortage shortage;
    for (std::uint64_t left = 1 + random() % 5000; left > 0 && told_to_end == 0; --left) {
      shortage.comes_and_goes(random);
      if (hands.size() < prefetch) {
        auto job = random() % 2 == 0 ? member.try_receive() : member.receive(std::chrono::milliseconds(random() % 20));
        if (job && !hands.take(std::move(job))) return 1;
        if (over(member.status())) return complain("member", member.status().text());
        if (hands.size() == 0 && ledger.draining == 1) {
          shortage.ends();
          if (all_done(bus, topic)) return 0;
        }
      }
      if (random() % 500 == 0) ::usleep(2000);  // to be killed there
      if (hands.size() != 0 && (hands.size() == prefetch || random() % 2 == 0)) {
        const ringway::Status status = hands.answer(random, std::exchange(forgets, false));
        if (!status) return complain("member", "an answer: " + status.text());
      }
      if (ledger.draining == 0 && random() % 20'000 == 0) {
        ledger.crew[crew].doomed = 1;
        ::_exit(0);  // as after exit() in the middle of work: nothing is given back
      }
    }
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("member", error);
}

int run_torn_member(const Place& place, std::uint32_t topic, std::uint32_t crew) try {
  using namespace ringway::detail;
  Ledger& ledger = *place.ledger;
  ledger.crew[crew].doomed = 1;
  std::mt19937_64 random(place.seed);
  const auto life = Bus::at(place.directory).group_member(kTopicNames[topic], {.group = kGroup});
  const auto segment = ringway_test::map_topic(place.directory, kTopicNames[topic], Role::subscribe);
  const TornMemory memory{segment->memory()};
  std::uint32_t slot = 0;
  while (memory.member(0, slot).pid != static_cast<std::uint32_t>(::getpid()) || memory.member(0, slot).owned != 1)
    ++slot;
  std::uint32_t row = 0;
  while (memory.subscription(row).kind != SubscriptionKind::group) ++row;
  RingMember<TornMemory> ring;
  ring.attach(memory, row, 0, slot, memory.member(0, slot).incarnation);
  TornWord::ledger = &ledger;
  auto& jobs = TornWord::jobs;
  while (told_to_end == 0 && ledger.draining == 0) {
    TornWord::left = random() % 12;
    jobs = {};
    std::uint32_t got = 0;
    const bool other = random() % 4 == 0;  // another's; its dead owners are left to those who live
    std::uint64_t due = 0;
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    const Took took =
        other ? ring.take_over(
                    jobs[0], now, due, [](std::uint32_t, std::uint32_t) { return false; }, [](Taken&) { return true; })
              : ring.take(jobs.data(), 2, now, got);
    if (took != Took::job) continue;
    Head head{};
    if (!other && random() % 2 == 0 && read_head({jobs[0].found.payload, jobs[0].found.length}, head)) {
      ledger.job[head.serial] = pack({JobWord::acking, 1, crew});
      TornWord::left = random() % 2;
      ring.ack(jobs[0]);
    }
    ::raise(SIGKILL);
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("torn member", error);
}

int run_undertaker(const Place& place, std::uint32_t topic) try {
  Ledger& ledger = *place.ledger;
  std::mt19937_64 random(place.seed);
  auto in = Bus::at(place.directory).subscriber(kDeadNames[topic], {.name = "undertaker"});
  std::map<std::uint32_t, std::uint64_t> buried;  // where each came from
  const auto bad = [&](const std::string& what) {
    ++ledger.bad;
    return complain("undertaker", what);
  };
  while (ledger.draining != 2 || in.lag_bytes() != 0) {
    const auto message = in.receive(20ms);
    if (!message) {
      if (over(in.status())) return complain("undertaker", in.status().text());
      continue;
    }
    Head head{};
    const auto letter = message.dead_letter();
    if (!letter || !read_head(message.payload(), head)) return bad("a dead letter is not whole");
    if (const std::string fault = fault_of(*letter, topic); !fault.empty()) return bad(name_of(head) + ' ' + fault);
    const JobWord was = unpack(ledger.job[head.serial]);
    const bool twin = ledger.twin[head.serial] == 1;
    if (was.state == JobWord::acked && !twin) return bad(name_of(head) + " was acknowledged, and is a dead letter");
    if (was.state == JobWord::held && ledger.crew[was.holder].doomed == 0 && !twin)
      return bad(name_of(head) + " is in hand, and a dead letter");
    const auto [first, fresh] = buried.try_emplace(head.serial, letter->position);
    if (first->second != letter->position) return bad(name_of(head) + " is a dead letter from two positions");
    if (fresh) ++ledger.jobs_buried;
    if (!fresh && !twin) ++ledger.buried_again;
    ledger.job[head.serial] = pack({JobWord::buried, was.attempt, was.holder});
    if (ledger.draining == 0 && random() % 2000 == 0)
      ::usleep(static_cast<unsigned>(random() % 4'000'000));  // its topic runs full
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("undertaker", error);
}

std::uint64_t judge_jobs(const Ledger& ledger) {
  std::uint64_t wrong = 0;
  std::vector<std::uint64_t> finished(ledger.runs);
  for (std::uint32_t serial = 0; serial < ledger.serials; ++serial) {
    const JobWord word = unpack(ledger.job[serial]);
    if (word.state >= JobWord::acking) ++finished[ledger.run_of[serial / kSerialBlock]];
    if (word.state == JobWord::unseen || word.state >= JobWord::acking) continue;
    ++wrong;
    std::printf("job %u was left after attempt %u, %s\n", serial, word.attempt,
                word.state == JobWord::held ? "in hand" : "given back");
  }
  for (std::uint32_t run = 0; run < finished.size(); ++run) {
    const std::uint64_t seen = ledger.next[ledger.run[run].topic][0][run];
    if (finished[run] == seen) continue;
    ++wrong;
    std::printf("run %u: %lu messages, %lu of them acknowledged or buried\n", run, seen, finished[run]);
  }
  std::uint64_t dead = 0;
  for (std::uint32_t crew = 0; crew < ledger.crews; ++crew) dead += ledger.crew[crew].doomed;
  if (ledger.buried_again > dead) {
    ++wrong;
    std::printf("%lu dead letters came again, %lu members died\n", ledger.buried_again.load(), dead);
  }
  if (ledger.unexplained > dead / 10'000) {  // where a kill hits the few instructions of a take that another wins
    ++wrong;
    std::printf("%lu jobs came again though they were done, or in hand\n", ledger.unexplained.load());
  }
  return wrong;
}

}  // namespace ringway_soak

// Members of a group: nobody gets another's job, none is lost, and nothing in hand is overwritten.
#include "scenario.hpp"

namespace model {
namespace {

using detail::Blocker;
using detail::EntryState;
using detail::SubscriptionState;
using detail::Taken;
using detail::Took;

constexpr std::uint32_t kRow = 0;

// A group in row 0, with two frames of two lines already there.
struct Jobs : World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Jobs() : World(false, kFirst, 1) {
    subscribe(kRow, kFirst, SubscriptionState::reliable);
    topic.subscriptions[kRow].kind.store(detail::SubscriptionKind::group, std::memory_order_relaxed);
    topic.group.next.set(kFirst);
    for (std::uint32_t slot = 0; slot < 3; ++slot) members[slot].attach(memory, kRow, 0, slot, 1);
  }
  std::array<Member, 3> members;
  std::array<unsigned, 16> given{};  // to users, by frame
  std::array<unsigned, 16> done{};

  [[nodiscard]] static std::size_t index(const Taken& job, unsigned lines) {
    return (job.found.position - kFirst) / (lines * kLine) % 16;
  }
  // lib/publisher.cpp
  void publish_through_gate(unsigned frames) {
    for (unsigned i = 0; i < frames;) {
      Blocker blocker;
      if (publish(0, 2, blocker))
        ++i;
      else if (blocker.slot != kRow || detail::before(detail::move_gate(memory, kRow, 0), blocker.position))
        yield();
    }
    finished[0] = true;
  }
  static bool is_copy(const Taken& job) { return detail::unpack_word(job.word).again; }
  void use(const Taken& job) {
    if (is_copy(job))
      check_copy(job.found, job.found.payload);
    else
      check_in_place(job.found);
    ++given[index(job, 2)];
  }
  void finish(Member& member, const Taken& job) {
    if (!is_copy(job)) check_in_place(job.found);
    ++done[index(job, 2)];
    member.ack(job);
    if (choose(2) == 0) detail::move_gate(memory, kRow, 0);
    if (choose(4) == 0) member.let_go();
  }
  // What `who` gets of those who died, or who gave it back.
  Took take_over(unsigned who, Taken& job) {
    std::uint64_t due = 0;
    const Took took = members[who].take_over(
        job, 1, due,
        [this](std::uint32_t slot, std::uint32_t) {
          return topic.members[slot].dead.load(std::memory_order_seq_cst, Where(&kOutside)) != 0;
        },
        [this, who](Taken& it) {
          Memory::racy_copy(copies[who].data(), it.found.payload, it.found.length);
          it.found.payload = copies[who].data();
          return true;
        });
    check(took != Took::corrupt, "what is taken over is there");
    return took;
  }
  std::array<std::array<std::byte, 2 * kLine>, 3> copies;
  // Takes up to two at a time, until `frames` are done.
  bool work(Member& member) {
    std::array<Taken, 2> jobs;
    std::uint32_t got = 1;
    const bool directly = choose(2) == 0 && member.take_next(jobs[0], 0);
    const Took took = directly ? Took::job : member.take(jobs.data(), 1 + choose(2), 0, got);
    check(took != Took::corrupt, "a member sees no corruption");
    for (std::uint32_t i = 0; i < got; ++i) use(jobs[i]);
    const bool backwards = got == 2 && choose(2) == 0;
    for (std::uint32_t i = 0; i < got; ++i) finish(member, jobs[backwards ? got - 1 - i : i]);
    return got != 0;
  }
  void check_gate() const {
    check(!detail::before(topic.group.next.latest(), topic.subscriptions[kRow].cursor.latest()),
          "the gate is not beyond next");
  }
  [[nodiscard]] bool none_in_hand() const {
    for (const Entry& entry : topic.entries)
      if (detail::has_job(detail::state_of(entry.word.latest()))) return false;
    return true;
  }
};

// Two members and a publisher that laps them. One member may pass the first frame, as if it were nobody's.
struct Work : rl::test_suite<Work, 3>, Jobs {
  static constexpr unsigned kFrames = 6;
  bool passes = false;
  void before() {
    fill(0, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_through_gate(kFrames - 3);
      return;
    }
    if (index == 1 && choose(4) == 0) {
      passes = true;
      members[1].pass(kFirst, kFirst + 2 * kLine);
    }
    while (topic.group.next.latest() != kFirst + kFrames * 2 * kLine)
      if (!work(members[index])) yield();
  }
  void after() {
    for (unsigned i = 0; i < kFrames; ++i) {
      check(given[i] == done[i] && given[i] <= 1, "no job is given twice");
      check(given[i] == 1 || (i == 0 && passes), "each job is given and done");
    }
    check(none_in_hand(), "no job is left");
    check_gate();
  }
};

// Members 1 and 2 work; the first may die anywhere in it.
struct Die : rl::test_suite<Die, 3>, Jobs {
  static constexpr unsigned kFrames = 5;
  static constexpr std::uint64_t kEnd = kFirst + kFrames * 2 * kLine;
  Die() { topic.copied = true; }
  void before() {
    fill(0, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_through_gate(kFrames - 3);
    } else if (index == 1) {
      mortal(topic.members[1].dead, dead, 40, [&] {
        while (topic.group.next.latest() != kEnd)
          if (!work(members[1])) yield();
      });
      over = true;
    } else {
      while (topic.group.next.latest() != kEnd || !over || !none_in_hand()) {
        Taken job;
        if (take_over(2, job) == Took::job) {
          check(dead, "only a dead one's job is taken over");
          use(job);
          finish(members[2], job);
        } else if (!work(members[2])) {
          yield();
        }
      }
    }
  }
  void after() {
    for (unsigned i = 0; i < kFrames; ++i) {
      check(given[i] >= 1 && done[i] >= 1, "each job is given and done");
      check(done[i] == 1 || dead, "more than once only after a death");
    }
    check_gate();
  }
  bool dead = false;
  bool over = false;
};

// Member 1 gives its first job back. Slot 0 was a dead one's, with a job in hand, and an entry that it kept, or one more job
// that it was about to take; it gets a new owner meanwhile.
struct Return : rl::test_suite<Return, 3>, Jobs {
  static constexpr unsigned kFrames = 4;
  static constexpr std::uint64_t kEnd = kFirst + kFrames * 2 * kLine;
  Return() { topic.copied = true; }
  void before() {
    fill(0, 3, 2);
    Taken job;
    std::uint32_t got = 0;
    check(members[0].take(&job, 1, 0, got) == Took::job, "what was filled in is there");
    twice = choose(2) == 0;
    const auto state = twice ? EntryState::trying : EntryState::kept;
    topic.entries[1].word.set(detail::pack_word({state, false, false, 0, 0, 1, 1}));
    topic.entries[1].position.set(twice ? job.found.next : kFirst);
    topic.group.entries_used.set(2);
    topic.members[0].dead.set(1);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      if (choose(2) == 0) {
        topic.members[0].dead.store(0, std::memory_order_seq_cst, Where(&kOutside));
        members[0].attach(memory, kRow, 0, 0, 2);
        members[0].settle();
      }
      publish_through_gate(kFrames - 3);
    } else {
      bool gave = index == 2;
      while (topic.group.next.latest() != kEnd || !none_in_hand()) {
        Taken job;
        Took took = take_over(index, job);
        std::uint32_t got = 0;
        if (took == Took::nothing) took = members[index].take(&job, 1, 0, got);
        if (took != Took::job) {
          yield();
          continue;
        }
        use(job);
        if (!gave)
          members[index].give_back(job, 0);
        else
          finish(members[index], job);
        gave = true;
      }
    }
  }
  void after() {
    // What a dead one had perhaps taken is given out again, even if somebody else took it.
    for (unsigned i = 0; i < kFrames; ++i)
      check(done[i] == 1 || (twice && i == 1 && done[i] == 2), "each job is done once");
    check_gate();
  }
  bool twice = false;
};

// Two members park, without backstops, while a publisher commits; each takes what it can. kBusy: member 1 has a job in hand for
// as long as it takes, and has woken another for the next one, or found none.
template <bool kBusy, unsigned kMessages>
struct Park : rl::test_suite<Park<kBusy, kMessages>, 3>, Jobs {
  void before() {
    topic.bias.set(kBusy ? detail::kArmed | detail::kReady : 0);
    topic.parked[0].set(kBusy ? 1 : 0);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_all(0, kMessages, 1);
      finished[0] = true;
      return;
    }
    if (kBusy && index == 1) {
      detail::wake_member(memory, kRow);
      finished[1] = true;
      return;
    }
    Member& member = members[index];
    while (taken < kMessages) {
      Taken job;
      std::uint32_t got = 0;
      if (member.take(&job, 1, 0, got) == Took::job) {
        ++taken;
        if (detail::any_member_parked(memory, 0) && member.something()) detail::wake_member(memory, kRow);
        member.ack(job);
        continue;
      }
      const std::uint32_t seen = detail::announce_member(memory, kRow, 0, index);
      asleep[index] = true;
      bell[index] = seen;
      if (!member.something())
        while (taken < kMessages && topic.members[index].doorbell.latest() == seen) {
          const std::uint64_t next = topic.group.next.latest();
          const bool others = finished[0] && (finished[3 - index] || sleeps(3 - index));
          check(!others || memory.frame(next).tag.latest() != (next ^ kEpoch), "nobody sleeps while a job is there");
          yield();
        }
      asleep[index] = false;
      detail::member_bed(memory, 0, index).leave();
      yield();
    }
    finished[index] = true;
  }
  [[nodiscard]] bool sleeps(unsigned index) const {
    return asleep[index] && topic.members[index].doorbell.latest() == bell[index];
  }
  unsigned taken = 0;
  std::array<bool, 3> asleep{};
  std::array<std::uint32_t, 3> bell{};
};

}  // namespace

Outcome run_jobs(const Settings& settings) { return search<Work>(settings); }
Outcome run_jobs_die(const Settings& settings) { return search<Die>(settings); }
Outcome run_jobs_return(const Settings& settings) { return search<Return>(settings); }
Outcome run_jobs_park(const Settings& settings) { return search<Park<false, 3>>(settings); }
Outcome run_jobs_busy(const Settings& settings) { return search<Park<true, 2>>(settings); }

}  // namespace model

// Publishers, subscribers of every kind and members of a group as processes on one small topic, through the API: every wait
// strategy, every form of every call, payloads of every size, views let go in any order, members killed with jobs in hand.
// Every message and every job is accounted for.

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/numbered.hpp"
#include "support/ring_fixture.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::Reliability;
using ringway::Wait;

constexpr std::uint64_t kHalf = 1ULL << 63;  // where a signed position changes its sign

// What they tell each other; anonymous shared memory.
struct Board {
  std::atomic<std::uint32_t> subscribed, attached, done;
  std::array<std::atomic<std::uint64_t>, kMaxWriters> published;  // by each publisher, once it is done
};

enum class Kind : std::uint8_t { reliable, durable, lossy };

struct Processes {
  explicit Processes(const TopicSpec& spec) : topic(spec), bus(Bus::at(topic.directory())) {
    board = new (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Board{};
  }
  ~Processes() { ::munmap(board, 4096); }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  static void until(const std::atomic<std::uint32_t>& count, std::uint32_t wanted) {
    while (count.load() < wanted) ::usleep(200);
  }

  int publish(std::uint32_t which, Wait wait, std::uint32_t publishers, std::uint32_t subscribers,
              std::uint64_t messages) const {
    auto publisher = bus.publisher("t", {.wait = wait});
    ++board->attached;
    until(board->attached, publishers);
    until(board->subscribed, subscribers);
    Dice dice(which);
    std::vector<std::byte> buffer(publisher.max_payload_bytes());
    for (std::uint64_t number = 0; number < messages;) {
      const std::uint64_t size = sizeof(Head) + dice.up_to(dice.one_in(4) ? buffer.size() - sizeof(Head) : 200);
      const auto how = dice.up_to(6);
      const std::size_t batch = std::min(1 + dice.up_to(99), messages - number);
      if (how == 6 && size * batch <= buffer.size()) {
        for (std::size_t i = 0; i < batch; ++i) fill(buffer.data() + i * size, size, which, number + i);
        const auto done = publisher.publish_all(std::span(buffer).first(batch * size), size, 30s);
        if (!done) return complain("publish_all", done.status());
        number += batch;
        continue;
      }
      if (how <= 2) {
        fill(buffer.data(), size, which, number);
        const auto status = how == 0 ? publisher.try_publish(std::span(buffer).first(size))
                                     : publisher.publish(std::span(buffer).first(size), 30s);
        if (status) ++number;
        if (!status && !(how == 0 && status == Code::would_block)) return complain("publish", status);
        continue;
      }
      auto claim = how == 3 ? publisher.try_claim(size) : publisher.claim(size, 30s);
      if (!claim && how == 3 && claim.status() == Code::would_block) continue;
      if (!claim) return complain("claim", claim.status());
      std::memset(claim.payload().data(), 0xEE, size);
      if (dice.one_in(4)) continue;  // aborts itself
      const std::uint64_t length = dice.one_in(2) ? sizeof(Head) + dice.up_to(size - sizeof(Head)) : size;
      fill(claim.payload().data(), length, which, number++);
      if (const auto status = claim.commit(length); !status) return complain("commit", status);
    }
    board->published[which] = messages;
    ++board->done;
    return 0;
  }

  static int complain(const std::string& what, const ringway::Status& status) {
    std::cerr << "RINGWAY_TEST_SEED=" << seed() << ' ' << what << ": " << status << '\n';
    return 1;
  }
  static int complain(const std::string& what) {
    std::cerr << "RINGWAY_TEST_SEED=" << seed() << ' ' << what << '\n';
    return 1;
  }

  // Takes messages by poll or receive, holding some of them and letting go in any order. What was wrong, or nothing.
  static std::string take(ringway::Subscriber& subscriber, Checker& checker, Dice& dice, bool views) {
    std::string wrong;
    std::vector<ringway::Message> held;
    const auto check = [&](const ringway::Message& message) {
      std::uint64_t missed = 0;
      if (!wrong.empty()) return;
      wrong = checker.check(message.payload().data(), message.payload().size(), missed);
      if (wrong.empty() && missed != 0 && views) wrong = "missed " + std::to_string(missed);
      if (!wrong.empty()) wrong += " at " + std::to_string(message.position());
    };
    if (dice.one_in(2)) {
      const auto timeout = dice.one_in(3) ? 0ms : 5ms;
      if (dice.one_in(3)) {
        subscriber.poll([&](const ringway::Message& message) { return check(message), true; }, 1 + dice.up_to(20),
                        timeout);
      } else if (dice.one_in(3)) {  // stops before a message, which comes again
        subscriber.poll(
            [&, left = dice.up_to(3)](const ringway::Message& message) mutable {
              if (left-- == 0) return false;
              check(message);
              return true;
            },
            20, timeout);
      } else {
        subscriber.poll(check, 50, timeout);
      }
      return wrong;
    }
    for (std::uint64_t most = views ? 1 + dice.up_to(5) : 1; most > 0; --most) {
      auto message = subscriber.receive(held.empty() ? 5ms : 0ms);
      if (!message) break;
      check(message);
      held.push_back(std::move(message));
      if (dice.one_in(4)) held.erase(held.begin() + static_cast<std::ptrdiff_t>(dice.up_to(held.size() - 1)));
    }
    while (!held.empty()) {
      const auto which = held.begin() + static_cast<std::ptrdiff_t>(dice.up_to(held.size() - 1));
      if (dice.one_in(2)) which->release();
      held.erase(which);
    }
    return wrong;
  }

  int subscribe(Kind kind, std::uint32_t which, Wait wait, std::uint32_t publishers, std::uint64_t messages) const {
    ringway::SubscriptionOptions options{.wait = wait};
    if (kind == Kind::durable) options.name = "durable-" + std::to_string(which);
    if (kind == Kind::lossy) options.reliability = Reliability::lossy;
    auto subscriber = bus.subscriber("t", options);
    ++board->subscribed;
    Dice dice(100 + which);
    Checker checker;
    for (;;) {
      const bool last = board->done.load() == publishers;
      const std::uint64_t received = checker.received();
      if (kind == Kind::durable && dice.one_in(300)) {  // a new owner goes on where the old one left
        { auto gone = std::move(subscriber); }
        subscriber = bus.subscriber("t", options);
      }
      if (kind == Kind::lossy && dice.one_in(50)) ::usleep(2000);
      const std::string wrong = take(subscriber, checker, dice, kind != Kind::lossy);
      if (!wrong.empty()) return complain(wrong);
      const auto status = subscriber.status();
      if (!status && status != Code::would_block && status != Code::timeout) return complain("receive", status);
      if (last && checker.received() == received && subscriber.position() == visible_tail(topic.memory())) break;
    }
    const std::uint64_t lost = subscriber.lost();
    const std::uint64_t all = publishers * messages;
    if (checker.received() + lost != all)
      return complain("received " + std::to_string(checker.received()) + ", lost " + std::to_string(lost) + " of " +
                      std::to_string(all));
    if (kind != Kind::lossy && lost != 0) return complain("a reliable subscription lost " + std::to_string(lost));
    return 0;
  }

  RingTopic topic;
  Bus bus;
  Board* board;
};

void run_processes(const TopicSpec& given, std::uint32_t publishers, std::uint64_t messages) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(seed()));
  constexpr std::array kStrategies = {Wait::park, Wait::spin_then_park, Wait::spin};
  constexpr std::array kKinds = {Kind::reliable, Kind::durable, Kind::lossy};
  TopicSpec spec = given;
  spec.limits.max_subscriptions = 16;
  const Processes all(spec);
  std::vector<Child> children;
  for (std::uint32_t which = 0; which < 9; ++which)
    children.push_back(Child::fork(
        [&, which] { return all.subscribe(kKinds[which % 3], which, kStrategies[which / 3], publishers, messages); }));
  for (std::uint32_t which = 0; which < publishers; ++which)
    children.push_back(
        Child::fork([&, which] { return all.publish(which, kStrategies[which], publishers, 9, messages); }));
  for (auto& child : children) {
    EXPECT_EQ(child.wait(), 0);
    if (testing::Test::HasFailure()) return;  // the rest ends with its scope
  }
  const auto info = all.bus.topic("t");
  EXPECT_TRUE(spec.first_position == 0 || info.tail > kHalf) << "too few messages to come that far";
  for (const auto& publisher : info.publishers) {
    EXPECT_FALSE(publisher.alive);
    EXPECT_FALSE(publisher.open_claim);
  }
  ASSERT_EQ(info.subscriptions.size(), 3U);  // the durable ones stay, and have read everything
  for (const auto& subscription : info.subscriptions) {
    EXPECT_EQ(subscription.lag_bytes, 0U);
    EXPECT_EQ(subscription.received, publishers * messages);
    EXPECT_FALSE(subscription.attached);
  }
}

TEST(ProcessStressTest, SharedPublishersOnTheSmallestRing) { run_processes(small_spec(false), 2, times(2000)); }
TEST(ProcessStressTest, SharedPublishersOnTheSmallestPublicRing) {
  TopicSpec spec = small_spec(false);
  spec.limits.capacity_bytes = kMinCapacity;
  run_processes(spec, 2, times(3000));
}
TEST(ProcessStressTest, AnExclusivePublisher) { run_processes(small_spec(true), 1, times(3000)); }
// Row 72.
TEST(ProcessStressTest, PositionsThatPassTwoToTheSixtyThird) {
  run_processes(small_spec(false, kHalf - (1 << 14)), 2, times(1000));
  run_processes(small_spec(true, kHalf - (1 << 14)), 1, times(2000));
}

constexpr std::uint32_t kMembers = 4;
constexpr std::uint32_t kAttempts = 3;
constexpr std::uint64_t kMostJobs = 1U << 16;  // of a publisher

// The last that somebody has noted of a job, with its attempt.
enum class Fate : std::uint32_t {
  unseen,
  held,
  returned,
  left,
  acked,
  buried
};  // left: by one who is about to be killed

struct Note {
  Fate fate;
  std::uint32_t attempt;
};

// Memory that outlives those who write it; zeros are its first state.
struct Work {
  std::atomic<std::uint32_t> finished, redelivered;        // jobs
  std::array<std::atomic<std::uint32_t>, kMembers> waits;  // 1: this member waits to be killed, with jobs in hand
  std::array<std::array<std::atomic<std::uint32_t>, kMostJobs>, kMaxWriters> notes;
};

struct Crew : Processes {
  Crew(const TopicSpec& spec, std::uint32_t ahead, std::uint32_t jobs)
      : Processes(spec), prefetch(ahead), all_jobs(jobs) {
    work = static_cast<Work*>(
        ::mmap(nullptr, sizeof(Work), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    bus.create_group("t", "g", options());
    bus.create_subscription("t.dead", "undertaker");
  }
  ~Crew() { ::munmap(work, sizeof(Work)); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  ringway::GroupOptions options() const {
    return {.group = "g", .prefetch = prefetch, .max_attempts = kAttempts, .retry_delay = 1ms, .dead_letter = "t.dead"};
  }
  bool finished() const { return work->finished == all_jobs; }
  static bool never_done(const Head& head) { return head.number % 16 == 0; }

  Note note_of(const Head& head) const {
    const std::uint32_t word = work->notes[head.writer][head.number];
    return {static_cast<Fate>(word & 7), word >> 3};
  }
  void note(const Head& head, Fate fate, std::uint32_t attempt) const {
    work->notes[head.writer][head.number] = static_cast<std::uint32_t>(fate) | attempt << 3;
  }

  struct Held {
    ringway::Job job;
    Head head;
  };
  using Hands = std::vector<Held>;
  void note_all(const Hands& hands, Fate fate) const {
    for (const Held& held : hands) note(held.head, fate, held.job.attempt());
  }

  // A job comes. What is wrong with that, or nothing. `next`: where the first deliveries of this member go on.
  std::string take(ringway::Job&& job, Hands& hands, std::uint64_t& next) const {
    Held held{std::move(job), {}};
    if (std::string wrong = read_head(held.job.payload().data(), held.job.payload().size(), held.head); !wrong.empty())
      return wrong;
    const Note was = note_of(held.head);
    const std::string name = "job " + std::to_string(held.head.writer) + '/' + std::to_string(held.head.number) +
                             ", attempt " + std::to_string(held.job.attempt());
    if (was.fate == Fate::held) return name + " is in another's hands";
    if (was.fate == Fate::acked || was.fate == Fate::buried) return name + " comes again after its end";
    if (held.job.attempt() != was.attempt + 1 || held.job.attempt() > kAttempts)
      return name + " after attempt " + std::to_string(was.attempt);
    if (held.job.redelivered() != (was.fate != Fate::unseen)) return name + " is marked wrongly";
    if (held.job.redelivered()) {
      ++work->redelivered;
    } else if (prefetch == 1) {  // nobody has taken it ahead and given it back
      if (held.job.position() < next) return name + " is out of order";
      next = held.job.position() + 1;
    }
    note(held.head, Fate::held, held.job.attempt());
    hands.push_back(std::move(held));
    return {};
  }

  // One of those in hand is acknowledged, given back, or dropped.
  ringway::Status answer(Hands& hands, Dice& dice) const {
    const auto which = hands.begin() + static_cast<std::ptrdiff_t>(dice.up_to(hands.size() - 1));
    Held held = std::move(*which);
    hands.erase(which);
    const bool done = !never_done(held.head) && !dice.one_in(16);
    note(held.head, done ? Fate::acked : Fate::returned, held.job.attempt());
    if (!done) return dice.one_in(2) ? ringway::Status() : held.job.nack(std::chrono::microseconds(dice.up_to(2000)));
    const ringway::Status status = held.job.ack();
    ++work->finished;
    return status;
  }

  // Joins, works, leaves with jobs in hand, and joins again; now and then waits to be killed, the first ones soon.
  int member(std::uint32_t which, std::uint32_t start) const {
    Dice dice(200 + which + kMembers * start);
    while (!finished()) {
      auto member = bus.group_member("t", options());
      Hands hands;
      std::uint64_t next = 0;
      for (std::uint64_t left = 1 + dice.up_to(300); left > 0 && !finished(); --left) {
        if (hands.size() < prefetch) {
          auto job = dice.one_in(2) ? member.try_receive() : member.receive(std::chrono::milliseconds(dice.up_to(5)));
          if (!job && job.status() != Code::would_block && job.status() != Code::timeout)
            return complain("job", job.status());
          if (const std::string wrong = job ? take(std::move(job), hands, next) : ""; !wrong.empty())
            return complain(wrong);
        }
        if (hands.empty()) continue;
        if (dice.one_in(start == 0 ? 10 : 100)) {
          note_all(hands, Fate::left);
          work->waits[which] = 1;
          for (;;) ::pause();
        }
        if (hands.size() < prefetch && dice.one_in(2)) continue;
        if (const auto status = answer(hands, dice); !status) return complain("answer", status);
      }
      note_all(hands, Fate::returned);
    }
    return 0;
  }

  int bury() const {
    auto in = bus.subscriber("t.dead", {.name = "undertaker"});
    while (!finished()) {
      const auto message = in.receive(5ms);
      if (!message) continue;
      const auto letter = message.dead_letter();
      Head head{};
      const std::string wrong = read_head(message.payload().data(), message.payload().size(), head);
      if (!wrong.empty() || !letter) return complain("a dead letter is not whole: " + wrong);
      const Note was = note_of(head);
      if (letter->topic != "t" || letter->group != "g" || letter->attempts != kAttempts || was.attempt != kAttempts ||
          (was.fate != Fate::returned && was.fate != Fate::left))
        return complain("a dead letter of a job that had not had its last attempt, or is done");
      note(head, Fate::buried, was.attempt);
      ++work->finished;
    }
    return 0;
  }

  // Kills whoever waits for it, and starts another in its place, until all jobs are done. How many it killed.
  std::uint32_t oversee() const {
    std::uint32_t killed = 0;
    std::vector<Child> members;
    const auto start = [&](std::uint32_t which) { return Child::fork([&, which] { return member(which, killed); }); };
    for (std::uint32_t which = 0; which < kMembers; ++which) members.push_back(start(which));
    while (!finished()) {
      for (std::uint32_t which = 0; which < kMembers; ++which) {
        if (work->waits[which].exchange(0) == 1) {
          members[which].kill(SIGKILL);
          EXPECT_EQ(members[which].wait(), 128 + SIGKILL);
          ++killed;
          members[which] = start(which);
        }
        if (members[which].ended() && !finished()) {
          ADD_FAILURE() << "member " << which << " ended with status " << members[which].wait();
          return killed;
        }
      }
      ::usleep(500);
    }
    for (Child& one : members) EXPECT_EQ(one.wait(), 0);
    return killed;
  }

  std::uint32_t prefetch;
  std::uint32_t all_jobs;
  Work* work;
};

void run_members(std::uint32_t prefetch, std::uint64_t messages) {
  SCOPED_TRACE("RINGWAY_TEST_SEED=" + std::to_string(seed()));
  constexpr std::uint32_t kPublishers = 2;
  TopicSpec spec = small_spec();
  spec.limits.max_subscriptions = 8;
  spec.limits.max_members = kMembers;
  spec.limits.max_in_flight = 16;
  const Crew crew(spec, prefetch, static_cast<std::uint32_t>(kPublishers * messages));
  std::vector<Child> children;
  for (const Kind kind : {Kind::durable, Kind::lossy})
    children.push_back(Child::fork([&, kind] { return crew.subscribe(kind, 0, Wait::park, kPublishers, messages); }));
  for (std::uint32_t which = 0; which < kPublishers; ++which)
    children.push_back(
        Child::fork([&, which] { return crew.publish(which, Wait::spin_then_park, kPublishers, 2, messages); }));
  children.push_back(Child::fork([&] { return crew.bury(); }));
  const std::uint32_t killed = crew.oversee();
  if (testing::Test::HasFailure()) return;  // the rest ends with its scope
  for (auto& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_GT(killed, 0U);
  EXPECT_GT(crew.work->redelivered, 0U);
  for (std::uint64_t writer = 0; writer < kPublishers; ++writer)
    for (std::uint64_t number = 0; number < messages; ++number) {
      const Head head{writer, number, 0};
      const Fate fate = crew.note_of(head).fate;
      EXPECT_TRUE(fate == Fate::buried || (fate == Fate::acked && !Crew::never_done(head))) << writer << '/' << number;
    }
  for (const auto& one : crew.bus.topic("t").subscriptions) {
    EXPECT_EQ(one.lag_bytes, 0U);
    EXPECT_EQ(one.held + one.returned, 0U);
  }
}

// Row 4.
TEST(ProcessStressTest, MembersThatAreKilledWithAJobInHand) { run_members(1, times(3000)); }
// Row 4.
TEST(ProcessStressTest, MembersThatAreKilledWithSeveralJobsInHandAndOthersTakenAhead) { run_members(4, times(2000)); }

}  // namespace

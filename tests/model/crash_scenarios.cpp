// Publishers die at any step, and the others agree on what they left.
#include "scenario.hpp"

namespace model {
namespace {

using detail::Blocker;
using detail::Found;
using detail::Look;
using detail::SubscriptionState;
using detail::Verdict;

constexpr unsigned kClaimSteps = 16;  // more than a claim and its commit take

// look_at_claimer of lib/reader.cpp: true if the frame at the cursor was a dead one's, and is passed.
bool pass_the_dead(World& world, Reader& reader) {
  static const Site* const tail = site("claimer tail");
  // Also without the library's own look at tail, for the judge has one.
  if (choose(2) == 0 &&
      !detail::before(reader.next(), world.memory.tail().load(std::memory_order_acquire, Where(tail))))
    return false;
  detail::Ruling ruling;
  if (world.judge(reader.next(), ruling) != Verdict::resolved) return false;
  reader.go_on_at(ruling.end);
  return true;
}

// Two die at a claim of the same frame, with different ends; a third goes on; a reader judges.
struct Crash : rl::test_suite<Crash, 4>, World {
  static constexpr std::uint64_t kFirst = 0;  // the record of position 0 is not NONE
  Crash() : World(false, kFirst, 3) {}
  void before() {
    packs[1] = true;
    subscribe(0, kFirst, SubscriptionState::reliable);
    machine.start();
  }
  void thread(unsigned index) {
    Blocker blocker;
    if (index < 2)
      mortal(index, kClaimSteps, [&] { check(publish(index, index + 1, blocker), "there is space"); });
    else if (index == 2)
      for (unsigned i = 0; i < 2; ++i) check(publish(2, 1, blocker), "there is space");
    else
      read();
  }
  void read() {
    Reader reader;
    reader.attach(memory, kFirst);
    Found found;
    for (unsigned messages = 0; messages < 2;) {
      if (receive(0, reader, found)) {
        const Claim* claim = claim_at(detail::frame_start(found.position));
        check(claim != nullptr && (claim->end == found.next || detail::index_of(found.next) == 1),
              "what is read was claimed");
        if (detail::publisher_of(found.origin) == 2)
          check(detail::sequence_of(found.origin) == messages++, "none is passed");
      } else if (!pass_the_dead(*this, reader)) {
        yield();
      }
    }
  }
};

// The same from the moment when both are dead and neither says that it won: only what the third leaves tells where the frame
// ends, and that may end where the loser's would have.
struct Evidence : rl::test_suite<Evidence, 2>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Evidence() : World(false, kFirst, 3) {}
  void before() {
    leave_dead(1, 2, false);
    leave_dead(0, 1, true);
    machine.start();
  }
  void thread(unsigned index) {
    Blocker blocker;
    if (index == 0) {
      for (unsigned i = 0; i < 2; ++i) check(publish(2, 1, blocker), "there is space");
      return;
    }
    detail::Ruling ruling;
    check(judge(kFirst, ruling) == Verdict::resolved, "the dead are passed at the first look");
  }
};

// One dies with a claim; another laps the ring up to it, and makes it padding; a reader skips it, or reads the padding.
template <class Suite, bool kLossy>
struct Resolving : rl::test_suite<Suite, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  static constexpr unsigned kMessages = kLossy ? 5 : 3;
  Resolving() : World(false, kFirst, 2) {}
  void before() {
    if (kLossy) overtaken();
    subscribe(0, kFirst, kLossy ? SubscriptionState::lossy : SubscriptionState::reliable);
    if (kLossy) fill(1, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    Blocker blocker;
    if (index == 0) {
      mortal(0, kClaimSteps, [&] { publish(0, 2, blocker); });
    } else if (index == 1) {
      for (unsigned i = 0; i < kMessages;) {
        if (publish(1, 2, blocker))
          ++i;
        else if (!clear_away(blocker))
          yield();
      }
      finished[1] = true;
    } else if (kLossy) {
      observe();
    } else {
      read();
    }
  }
  // lib/publisher.cpp; the table lock is not needed for one.
  bool clear_away(const Blocker& blocker) {
    if ((blocker.slot & detail::kBlockedByPublisher) == 0 || !is_dead(blocker.slot & ~detail::kBlockedByPublisher))
      return false;
    return resolve_frame(blocker.position).verdict != Verdict::open;
  }
  void read() {
    Reader reader;
    reader.attach(memory, kFirst);
    Found found;
    for (unsigned messages = 0; messages < kMessages;) {
      if (receive(0, reader, found)) {
        if (detail::publisher_of(found.origin) == 1)
          check(detail::sequence_of(found.origin) == messages++, "none is passed");
        continue;
      }
      if (!pass_the_dead(*this, reader)) yield();
      if (topic.subscriptions[0].cursor.load(std::memory_order_relaxed) != reader.next()) release(0, reader.next());
    }
  }
  void observe() {
    static const Site* const gap_site = site("gap");
    Reader reader;
    reader.attach(memory, kFirst);
    alignas(8) std::byte buffer[128];
    Found found;
    for (unsigned idle = 0; idle < 4;) {
      switch (reader.copy(found, buffer)) {
        case Look::message: check_copy(found, buffer); break;
        case Look::gap: reader.go_on_at(memory.oldest().load(std::memory_order_acquire, Where(gap_site))); break;
        case Look::corrupt: fail("a header that cannot be true is overtaken");
        case Look::nothing:
          if (!pass_the_dead(*this, reader)) {
            if (finished[1]) ++idle;
            yield();
          }
      }
    }
  }
};
struct Resolve : Resolving<Resolve, false> {};
struct Passed : Resolving<Passed, true> {};

// An exclusive publisher dies; the next owner goes on at the end of its tags; a reader reads both.
struct NextOwner : rl::test_suite<NextOwner, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  NextOwner() : World(true, kFirst, 2) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    machine.start();
  }
  void thread(unsigned index) {
    Blocker blocker;
    if (index == 0) {
      mortal(0, 2 * kClaimSteps, [&] {
        for (unsigned i = 0; i < 2; ++i) check(publish(0, 2, blocker), "there is space");
      });
      if (!died[0]) topic.publishers[0].dead.store(1, std::memory_order_seq_cst, Where(&kOutside));  // it left
    } else if (index == 1) {
      while (!is_dead(0)) yield();
      writers[1].attach(memory, 1, settle_exclusive());
      check(publish(1, 2, blocker), "there is space");
    } else {
      Reader reader;
      reader.attach(memory, kFirst);
      std::array<std::uint64_t, 3> next{};
      Found found;
      while (next[1] == 0)
        if (receive(0, reader, found))
          check_sequence(found, next);
        else
          yield();
      check(!died[0] || next[0] == sequence_at_death, "what was committed is read");
    }
  }
  // lib/repair.cpp
  std::uint64_t settle_exclusive() {
    static const Site* const sites[] = {site("walk tail"), site("walk store")};
    const std::uint64_t tail = memory.tail().load(std::memory_order_acquire, Where(sites[0]));
    const std::uint64_t end =
        detail::walk(memory, tail, [](std::uint64_t, std::uint64_t, std::uint64_t) { return true; });
    sequence_at_death = (end - kFirst) / (2 * kLine);
    for (std::uint64_t eighth = 0; eighth < detail::kEighths; ++eighth)
      if (detail::before(end, memory.mark(eighth).load(std::memory_order_relaxed)))
        memory.mark(eighth).store(0, std::memory_order_relaxed);
    memory.tail().store(end, std::memory_order_release, Where(sites[1]));
    for (std::uint64_t position = kFirst; position != end; position += 2 * kLine)
      check(memory.frame(position).tag.latest() == (position ^ kEpoch), "the walk ends behind tags");
    check(memory.frame(end).tag.latest() != (end ^ kEpoch), "the walk ends where no tag is");
    return end;
  }
  std::uint64_t sequence_at_death = 0;
};

}  // namespace

Outcome run_crash(const Settings& settings) { return search<Crash>(settings); }
Outcome run_evidence(const Settings& settings) { return search<Evidence>(settings); }
Outcome run_resolve(const Settings& settings) { return search<Resolve>(settings); }
Outcome run_passed(const Settings& settings) { return search<Passed>(settings); }
Outcome run_next_owner(const Settings& settings) { return search<NextOwner>(settings); }

}  // namespace model

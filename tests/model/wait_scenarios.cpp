// Nobody sleeps through what he waits for, though no backstop wakes him.
#include "scenario.hpp"

namespace model {
namespace {

using detail::Found;
using detail::SubscriptionState;

// Two publishers commit while a reader parks.
struct Park : rl::test_suite<Park, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Park() : World(false, kFirst, 2) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < 2) {
      publish_all(index, 1, 1);
      finished[index] = true;
      return;
    }
    Reader reader;
    reader.attach(memory, kFirst);
    Found found;
    for (unsigned messages = 0; messages < 2;) {
      if (receive(0, reader, found)) {
        ++messages;
        continue;
      }
      const std::uint64_t next = reader.next();
      sleep(
          detail::parked_bed(memory, 0), [&] { return detail::tagged(memory, next); },
          [&] { return finished[0] && finished[1]; },
          [&] { return memory.frame(next).tag.latest() == (next ^ kEpoch); });
    }
  }
};

// A publisher sleeps for space; the reader that lets it go looks once more before it parks itself.
struct Wait : rl::test_suite<Wait, 2>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Wait() : World(false, kFirst, 1) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    fill(0, 4, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      for (unsigned i = 0; i < 2; ++i) publish_or_sleep(0, 2, [this] { return finished[1]; });
      return;
    }
    static const Site* const r5 = site("R5");
    Reader reader;
    reader.attach(memory, kFirst);
    Found found;
    for (unsigned i = 0; i < 2; ++i) {
      check(receive(0, reader, found), "what was filled in is there");
      Memory::full_fence(Where(r5));
      if (detail::anyone_waiting(memory))
        detail::wake_waiting(memory, 0, topic.subscriptions[0].cursor.load(std::memory_order_relaxed));
    }
    finished[1] = true;
  }
};

// A publisher sleeps for the end of another's claim.
struct WaitClaim : rl::test_suite<WaitClaim, 2>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  WaitClaim() : World(false, kFirst, 2) {}
  void before() {
    fill(1, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_all(0, 1, 2);
      finished[0] = true;
    } else {
      for (unsigned i = 0; i < 4; ++i) publish_or_sleep(1, 2, [this] { return finished[0]; });
    }
  }
};

}  // namespace

Outcome run_park(const Settings& settings) { return search<Park>(settings); }
Outcome run_wait(const Settings& settings) { return search<Wait>(settings); }
Outcome run_wait_claim(const Settings& settings) { return search<WaitClaim>(settings); }

}  // namespace model

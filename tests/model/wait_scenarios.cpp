// Nobody sleeps through what he waits for, though no backstop wakes him.
#include "scenario.hpp"

namespace model {
namespace {

using detail::Found;
using detail::SubscriptionState;

// Receives `messages`, asleep whenever there is none.
template <class Over>
void receive_asleep(World& world, std::uint32_t slot, std::uint64_t first, unsigned messages, Over over) {
  Reader reader;
  reader.attach(world.memory, first);
  Found found;
  for (unsigned received = 0; received < messages;) {
    if (world.receive(slot, reader, found)) {
      ++received;
      continue;
    }
    const std::uint64_t next = reader.next();
    world.sleep(
        detail::parked_bed(world.memory, slot), detail::Waker::commit,
        [&] { return detail::tagged(world.memory, next); }, over,
        [&] { return world.memory.frame(next).tag.latest() == (next ^ kEpoch); });
  }
}

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
    } else {
      receive_asleep(*this, 0, kFirst, 2, [this] { return finished[0] && finished[1]; });
    }
  }
};

// Two readers park: one makes the publisher pass a barrier, the other finds that done.
struct Arm : rl::test_suite<Arm, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Arm() : World(false, kFirst, 1) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    subscribe(1, kFirst, SubscriptionState::reliable);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_all(0, 2, 1);
      finished[0] = true;
    } else {
      receive_asleep(*this, index - 1, kFirst, 2, [this] { return finished[0]; });
    }
  }
};

// As Arm, but the first reader has yet to tell of a barrier that it made before the bias was last disarmed.
struct LateReady : rl::test_suite<LateReady, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  LateReady() : World(false, kFirst, 1) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    subscribe(1, kFirst, SubscriptionState::reliable);
    topic.bias.set(detail::kGeneration);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_all(0, 1, 1);
      finished[0] = true;
      return;
    }
    if (index == 1) detail::tell_ready(memory, detail::kArmed);
    receive_asleep(*this, index - 1, kFirst, 1, [this] { return finished[0]; });
  }
};

// Two publishers disarm the bias whenever a commit finds nobody, while a reader parks and parks again.
struct Disarm : rl::test_suite<Disarm, 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  Disarm() : World(false, kFirst, 2) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    topic.bias.set(detail::kArmed | detail::kReady);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < 2) {
      publish_all(index, 2, 1);
      finished[index] = true;
    } else {
      receive_asleep(*this, 0, kFirst, 4, [this] { return finished[0] && finished[1]; });
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
Outcome run_arm(const Settings& settings) { return search<Arm>(settings); }
Outcome run_late_ready(const Settings& settings) { return search<LateReady>(settings); }
Outcome run_disarm(const Settings& settings) { return search<Disarm>(settings); }
Outcome run_wait(const Settings& settings) { return search<Wait>(settings); }
Outcome run_wait_claim(const Settings& settings) { return search<WaitClaim>(settings); }

}  // namespace model

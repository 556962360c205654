// What the scenarios share: a topic, its publishers and readers doing what the library does around the ring, and what is true.
//
// The steps named after functions of lib/ are copies of their accesses, found there by site("..."), without system calls.
#pragma once

#include <array>
#include <cstdint>

#include "memory.hpp"

namespace model {

// What really happened to a frame: who claimed it, where it ends.
struct Claim {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  unsigned thread = 0;
};

class World {
 public:
  // A topic whose tail and oldest are at `first`, with `filled` committed frames of `lines` lines from there on.
  World(bool exclusive, std::uint64_t first, unsigned publishers);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Topic topic;
  Memory memory;
  std::array<Writer, 3> writers;

  // Before the threads start.
  void fill(unsigned slot, unsigned frames, unsigned lines);  // by that publisher
  void subscribe(std::uint32_t slot, std::uint64_t cursor, detail::SubscriptionState state);
  void overtaken() {  // some reader may be
    topic.plain = false;
    topic.copied = true;
  }
  std::array<bool, 3> packs{};  // this publisher's frames of two lines are packed, two messages each

  // Publisher::claim, commit. False: `blocker` is in the way.
  bool publish(unsigned slot, unsigned lines, detail::Blocker& blocker);
  void write_and_commit(unsigned slot);
  [[nodiscard]] bool packed(unsigned slot, unsigned lines) const { return packs[slot] && lines == 2; }
  void wake_sleepers(unsigned slot);
  void publish_all(unsigned slot, unsigned frames, unsigned lines);  // spins while there is no space

  // A message that a reader has, against what was published there.
  static void check_header(const detail::Found& found);
  void check_in_place(const detail::Found& found);
  void check_copy(const detail::Found& found, const std::byte* buffer);
  // One more of its publisher: no other message of it may be missing before it.
  void check_sequence(const detail::Found& found, std::array<std::uint64_t, 3>& next);
  void release(std::uint32_t slot, std::uint64_t cursor);
  // A reliable subscription: a message or nothing.
  bool receive(std::uint32_t slot, Reader& reader, detail::Found& found);
  // Spins. `first`: the first one's sequence, of each publisher.
  unsigned receive_all(std::uint32_t slot, std::uint64_t from, unsigned messages, std::uint64_t first = 0);

  // Asleep on a bell, without a backstop. `over()`: nobody is left to ring it; `there()`: what is slept for is there, in truth.
  template <class Bed, class Look, class Over, class There>
  void sleep(const Bed& bed, detail::Waker waker, Look look, Over over, There there) {
    const std::uint32_t seen = bed.announce(memory, waker);
    if (!look())
      while (bed.doorbell->latest() == seen) {
        check(!over() || !there(), "nobody sleeps while what he waits for is there and his bell is not rung");
        yield();
      }
    bed.leave();
    yield();  // who was not let sleep, because he saw an old bell, does not see it for ever
  }
  // lib/publisher.cpp
  bool in_the_way(const detail::Blocker& blocker);
  template <class Over>
  void publish_or_sleep(unsigned slot, unsigned lines, Over over) {
    for (detail::Blocker blocker; !publish(slot, lines, blocker);) {
      auto& row = topic.waiting_rows[slot];
      row.position.store(blocker.position, std::memory_order_relaxed);
      row.blocker.store(blocker.slot, std::memory_order_relaxed);
      sleep(
          detail::waiting_bed(memory, slot),
          (blocker.slot & detail::kBlockedByPublisher) != 0 ? detail::Waker::commit : detail::Waker::release,
          [&] { return !in_the_way(blocker); }, over, [&] { return !truly_in_the_way(blocker); });
    }
  }
  [[nodiscard]] bool truly_in_the_way(const detail::Blocker& blocker) const;

  // Before the threads start: `slot` died in a claim at tail, its record not marked won. `won`: tail has moved.
  void leave_dead(unsigned slot, unsigned lines, bool won);
  // What was claimed at a position by a compare_exchange of tail; null: nothing.
  [[nodiscard]] const Claim* claim_at(std::uint64_t start) const;

  // Runs `body` in this thread, which dies before one of its first `steps` steps, or not at all; then the kernel says so.
  template <class Body>
  void mortal(unsigned slot, unsigned steps, Body body) {
    mortal(topic.publishers[slot].dead, died[slot], steps, body);
  }
  template <class Body>
  static void mortal(Word<std::uint32_t>& dead, bool& died, unsigned steps, Body body) {
    std::jmp_buf grave;
    self().grave = &grave;
    self().steps_left = static_cast<int>(choose(steps));
    if (setjmp(grave) == 0) {
      body();
      self().steps_left = -1;
    } else {
      self().steps_left = -1;
      dead.store(1, std::memory_order_seq_cst, Where(&kOutside));
      died = true;
    }
  }
  // Asks the kernel.
  bool is_dead(std::uint32_t slot) {
    return topic.publishers[slot].dead.load(std::memory_order_seq_cst, Where(&kOutside)) != 0;
  }
  // The judgement of lib/resolve.hpp, checked against what is true. Resolved: `end`.
  detail::Verdict judge(std::uint64_t position, detail::Ruling& ruling);
  detail::Ruling resolve_frame(std::uint64_t position);
  bool settle_record(std::uint32_t slot);

  std::array<bool, 3> died{};
  std::array<bool, kThreads> finished{};

 private:
  static void on_exchange(void* world, std::uint64_t from, std::uint64_t to);
  std::array<unsigned, 3> lines_{};  // of each publisher's open claim
  std::array<Claim, 32> claims_;
  std::size_t claim_count_ = 0;
};

constexpr std::uint64_t bytes_for(unsigned lines) { return lines == 1 ? 8 : 40; }
constexpr std::uint64_t word_of(std::uint64_t position, unsigned line) { return position + line + 1; }

}  // namespace model

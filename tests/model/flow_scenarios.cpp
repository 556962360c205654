// Messages go through: publishers, reliable readers, and readers that are overtaken.
#include "scenario.hpp"

namespace model {
namespace {

using detail::Found;
using detail::Look;
using detail::SubscriptionState;

// Two publishers, two reliable readers, a ring of four frames that is half full; positions pass zero.
struct Shared : rl::test_suite<Shared, 4>, World {
  static constexpr std::uint64_t kFirst = 0 - 3 * kLine;
  Shared() : World(false, kFirst, 3) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    subscribe(1, kFirst, SubscriptionState::reliable);
    fill(2, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < 2)
      publish_all(index, 2, 2);
    else
      receive_all(index - 2, kFirst, 7);
  }
  void after() {
    check(topic.tail.latest() == kFirst + 14 * kLine, "tail is the end of the last frame");
    for (const PublisherRow& row : topic.publishers)
      check(row.record.latest() == detail::kNoRecord, "no record is left");
  }
};

// Three publishers lap the ring and each other; nobody reads, so only oldest and the records hold them back. One attaches late;
// one comes at any time, or when another has just moved oldest and has not claimed what that made free.
struct Laps : rl::test_suite<Laps, 3>, World {
  Laps() : World(false, kCapacity, 3) {}
  void before() {
    topic.publishers_used.set(2);
    machine.start();
  }
  void thread(unsigned index) {
    static const Site* const attach = site("attach");
    if (index == 2) topic.publishers_used.store(3, std::memory_order_release, Where(attach));
    if (index == 0 && choose(2) == 0)
      while (topic.oldest.latest() == kCapacity) yield();
    publish_all(index, index == 1 ? 4 : 1, 2);
  }
  void after() { check(topic.tail.latest() == kCapacity + 12 * kLine, "tail is the end of the last frame"); }
};

// An exclusive publisher and a reliable reader.
struct Exclusive : rl::test_suite<Exclusive, 2>, World {
  static constexpr std::uint64_t kFirst = 0 - 2 * kLine;
  Exclusive() : World(true, kFirst, 1) {}
  void before() {
    subscribe(0, kFirst, SubscriptionState::reliable);
    fill(0, 3, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0)
      publish_all(0, 3, 2);
    else
      receive_all(0, kFirst, 6);
  }
};

// An exclusive publisher of packed frames, two messages each, and two reliable readers; one of them begins in the middle.
struct Packed : rl::test_suite<Packed, 3>, World {
  static constexpr std::uint64_t kFirst = 0 - 2 * kLine;
  Packed() : World(true, kFirst, 1) {}
  void before() {
    packs[0] = true;
    subscribe(0, kFirst, SubscriptionState::reliable);
    subscribe(1, kFirst + 1, SubscriptionState::reliable);
    machine.start();
  }
  void thread(unsigned index) {
    if (index == 0) {
      publish_all(0, 5, 2);
      return;
    }
    if (index == 2 && choose(2) == 0)  // as one that seeks there; or as one that is told the place
      while (!detail::holds(memory, kFirst + 1)) yield();
    receive_all(index - 1, kFirst + index - 1, 11 - index, index - 1);
  }
};

// A reader that publishers overtake: whatever it gets is whole, and it sees every gap.
template <class Suite, int kReader, bool kPacked = false>
struct Overtaken : rl::test_suite<Suite, kReader + 1>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  static constexpr unsigned kEach = kPacked ? 2 : 1;  // messages a frame
  Overtaken(bool exclusive, unsigned all) : World(exclusive, kFirst, kReader), frames(all), messages(kEach * all) {}
  void before() {
    overtaken();
    packs.fill(kPacked);
    subscribe(0, kFirst, SubscriptionState::lossy);
    fill(0, 4, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < kReader) {
      publish_all(index, (frames - 4) / kReader, 2);
      finished[index] = true;
    } else {
      read();
    }
  }
  // account and account_idle of lib/reader.cpp
  void account(const Found& found) {
    const std::uint32_t publisher = detail::publisher_of(found.origin);
    lost += detail::sequence_of(found.origin) - expected[publisher];
    expected[publisher] = detail::sequence_of(found.origin) + 1;
  }
  void account_idle() {
    static const Site* const sites[] = {site("idle tail"), site("idle counter"), site("idle again")};
    const std::uint64_t tail = memory.tail().load(std::memory_order_acquire, Where(sites[0]));
    if (tail != reader.next()) return;
    const std::uint32_t used = memory.publishers_used();
    std::uint64_t missing = 0;
    for (std::uint32_t slot = 0; slot < used; ++slot) {
      const std::uint64_t counter = topic.publishers[slot].sequence.load(std::memory_order_acquire, Where(sites[1]));
      if (memory.tail().load(std::memory_order_acquire, Where(sites[2])) != tail || detail::tagged(memory, tail))
        return;
      if (counter < expected[slot]) continue;
      missing += counter - expected[slot];
      expected[slot] = counter;
    }
    gap = false;
    lost += missing;
  }
  void read() {
    static const Site* const gap_site = site("gap");
    reader.attach(memory, kFirst);
    alignas(8) std::byte buffer[128];
    Found found;
    const auto over = [&] {
      return std::all_of(finished.begin(), finished.begin() + kReader, [](bool is) { return is; });
    };
    for (unsigned idle = 0; received + lost < messages && idle < 8;) {
      switch (reader.copy(found, buffer)) {
        case Look::message:
          check_copy(found, buffer);
          account(found);
          ++received;
          break;
        case Look::gap:
          reader.go_on_at(memory.oldest().load(std::memory_order_acquire, Where(gap_site)));
          gap = true;
          break;
        case Look::corrupt: fail("a header that cannot be true is overtaken");
        case Look::nothing:
          if (gap) account_idle();
          if (over()) ++idle;
          yield();
      }
    }
    check(received + lost == messages, "what was published was received or counted as lost");
  }
  unsigned frames;
  unsigned messages;
  Reader reader;
  std::array<std::uint64_t, 3> expected{};
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  bool gap = false;
};

struct Lossy : Overtaken<Lossy, 1> {
  Lossy() : Overtaken(true, 6) {}
};
struct LossyPacked : Overtaken<LossyPacked, 1, true> {
  LossyPacked() : Overtaken(true, 6) {}
};
struct LossyShared : Overtaken<LossyShared, 2> {
  LossyShared() : Overtaken(false, 8) {}
};

// A subscription joins while publishers lap the ring: once it is active, it is never overtaken.
template <class Suite, bool kExclusive, bool kNewest>
struct Joining : rl::test_suite<Suite, kExclusive ? 2 : 3>, World {
  static constexpr std::uint64_t kFirst = kCapacity;
  static constexpr unsigned kJoiner = kExclusive ? 1 : 2;
  Joining() : World(kExclusive, kFirst, kJoiner) {}
  void before() {
    fill(0, 4, 2);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < kJoiner) {
      publish_all(index, 2, 2);
      finished[index] = true;
    } else {
      join();
    }
  }
  // write_row and place of lib/
  void join() {
    static const Site* const sites[] = {site("J1"),        site("J1 joining"), site("J1 oldest"),
                                        site("J1 cursor"), site("J2"),         site("J3")};
    auto& row = topic.subscriptions[0];
    topic.subscriptions_used.store(1, std::memory_order_seq_cst, Where(sites[0]));
    std::uint64_t cursor = 0;
    for (;;) {
      row.state.store(SubscriptionState::joining, std::memory_order_seq_cst, Where(sites[1]));
      cursor =
          kNewest ? detail::visible_tail(memory) : memory.oldest().load(std::memory_order_acquire, Where(sites[2]));
      row.cursor.store(cursor, std::memory_order_release, Where(sites[3]));
      row.state.store(SubscriptionState::reliable, std::memory_order_seq_cst, Where(sites[4]));
      if (!detail::before(cursor, memory.oldest().load(std::memory_order_seq_cst, Where(sites[5])))) break;
    }
    Reader reader;
    reader.attach(memory, cursor);
    Found found;
    const std::uint64_t end = kFirst + (4 + 2 * kJoiner) * 2 * kLine;
    while (reader.next() != end)
      if (!receive(0, reader, found)) yield();
  }
};
struct Join : Joining<Join, false, false> {};
struct JoinNew : Joining<JoinNew, true, true> {};

// An observer joins at the newest, without being overtaken: it counts nothing as lost.
template <class Suite, bool kExclusive, bool kPacked = false>
struct Observing : rl::test_suite<Suite, kExclusive ? 2 : 3>, World {
  static constexpr unsigned kLines = kPacked ? 2 : 1;                  // a frame
  static constexpr unsigned kEach = kPacked ? 1 : kExclusive ? 3 : 2;  // frames of a publisher
  static constexpr std::uint64_t kFirst = kCapacity;
  static constexpr unsigned kObserver = kExclusive ? 1 : 2;
  static constexpr std::uint64_t kEnd = kFirst + (1 + kObserver * kEach * kLines) * kLine;
  Observing() : World(kExclusive, kFirst, kObserver) {}
  void before() {
    overtaken();
    packs[0] = kPacked;  // the other one's frame is a message as large
    fill(0, 1, 1);
    machine.start();
  }
  void thread(unsigned index) {
    if (index < kObserver)
      publish_all(index, kEach, kLines);
    else
      observe();
  }
  // count_claim and expect of lib/join.cpp
  std::uint64_t count_claim(std::uint32_t slot, std::uint64_t next) {
    static const Site* const sites[] = {site("expect record"), site("expect counter")};
    const std::uint64_t record = topic.publishers[slot].record.load(std::memory_order_acquire, Where(sites[0]));
    const std::uint64_t claimed = topic.publishers[slot].record_extent.load(std::memory_order_relaxed);
    const std::uint64_t counter = topic.publishers[slot].sequence.load(std::memory_order_acquire, Where(sites[1]));
    const std::uint64_t position = detail::position_of(record);
    if (record == detail::kNoRecord || !detail::before(position, next)) return counter;
    if (!detail::tagged(memory, position)) return counter + std::max<std::uint64_t>(detail::index_of(claimed), 1);
    const std::uint64_t origin = memory.frame(position).origin.load(std::memory_order_relaxed);
    const std::uint64_t size = memory.frame(position).size.load(std::memory_order_relaxed);
    return detail::publisher_of(origin) == slot && detail::sequence_of(origin) == counter
               ? counter + detail::messages_of(size, origin)
               : counter;
  }
  void expect(std::uint64_t next) {
    static const Site* const sites[] = {site("expect tail"), site("expect exclusive")};
    const std::uint64_t tail = memory.tail().load(std::memory_order_acquire, Where(sites[0]));
    for (std::uint32_t slot = 0; slot < kObserver; ++slot)
      expected[slot] = kExclusive ? topic.publishers[slot].sequence.load(std::memory_order_acquire, Where(sites[1]))
                                  : count_claim(slot, next);
    if (kExclusive)
      detail::walk(memory, tail, [&](std::uint64_t position, std::uint64_t size, std::uint64_t origin) {
        if (!detail::before(position, next)) return false;
        expected[0] = detail::sequence_of(origin) + detail::messages_of(size, origin);
        return true;
      });
    std::array<bool, 3> met{};
    detail::walk(memory, next, [&](std::uint64_t, std::uint64_t, std::uint64_t origin) {
      const std::uint32_t publisher = detail::publisher_of(origin);
      if (!met[publisher]) expected[publisher] = detail::sequence_of(origin);
      met[publisher] = true;
      return true;
    });
  }
  void observe() {
    Reader reader;
    reader.attach(memory, detail::visible_tail(memory));
    expect(reader.next());
    alignas(8) std::byte buffer[128];
    Found found;
    while (reader.next() != kEnd) {
      const Look look = reader.copy(found, buffer);
      check(look == Look::message || look == Look::nothing, "this observer is not overtaken");
      if (look == Look::message) {
        check_copy(found, buffer);
        // A claim that was tried and lost may be expected too: then one loss would go uncounted, but none is made up.
        std::uint64_t& next = expected[detail::publisher_of(found.origin)];
        const std::uint64_t sequence = detail::sequence_of(found.origin);
        check(kExclusive ? sequence == next : sequence <= next, "nothing that was not lost is counted as lost");
        next = sequence + 1;
      } else {
        yield();
      }
    }
  }
  std::array<std::uint64_t, 3> expected{};
};
struct Observe : Observing<Observe, false> {};
struct ObserveExclusive : Observing<ObserveExclusive, true> {};
struct ObservePacked : Observing<ObservePacked, false, true> {};

}  // namespace

Outcome run_observe(const Settings& settings) { return search<Observe>(settings); }
Outcome run_observe_exclusive(const Settings& settings) { return search<ObserveExclusive>(settings); }
Outcome run_shared(const Settings& settings) { return search<Shared>(settings); }
Outcome run_laps(const Settings& settings) { return search<Laps>(settings); }
Outcome run_exclusive(const Settings& settings) { return search<Exclusive>(settings); }
Outcome run_lossy(const Settings& settings) { return search<Lossy>(settings); }
Outcome run_packed(const Settings& settings) { return search<Packed>(settings); }
Outcome run_lossy_packed(const Settings& settings) { return search<LossyPacked>(settings); }
Outcome run_observe_packed(const Settings& settings) { return search<ObservePacked>(settings); }
Outcome run_lossy_shared(const Settings& settings) { return search<LossyShared>(settings); }
Outcome run_join(const Settings& settings) { return search<Join>(settings); }
Outcome run_join_new(const Settings& settings) { return search<JoinNew>(settings); }

}  // namespace model

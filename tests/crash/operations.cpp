#include "crash/operations.hpp"

#include <utility>

#include "crash/image.hpp"
#include "support/numbered.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;
using namespace std::chrono_literals;
using ringway::Code;
using ringway::From;
using ringway::Reliability;
using ringway::Wait;

constexpr auto kShort = 60ms;  // a wait that ends without being served

// After five messages and one of the actor's, the next frame crosses 2^63, the ring's end, and an eighth.
constexpr std::uint64_t kFirst = (1ULL << 63) - 6 * 128 - 64;

void next_message(Actor& a) { fill(a.bytes.data(), a.writer, a.number++); }
std::span<const std::byte> payload(const Actor& a) { return {a.bytes.data(), kPayload}; }

void attach(Actor& a) {
  a.publisher.emplace(a.bus.publisher("t", {.name = "actor", .wait = Wait::park}));
  next_message(a);
}
// With a limit of its own, so that the operation needs no space.
void attach_and_publish(Actor& a) {
  attach(a);
  a.status = a.publisher->publish(payload(a), kPatience);
  if (!a.status) throw std::runtime_error("the actor's first message: " + std::string(a.status.text()));
  next_message(a);
}
void set_bits(Actor& a) {
  const auto segment = ringway_test::map_topic(a.directory, "t", Role::publish);
  const SegmentMemory& memory = segment->memory();
  memory.bias().fetch_or(kArmed);
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    const Bed bed = parked_bed(memory, slot);
    bed.word->fetch_or(bed.bit);
  }
  for (std::uint32_t slot = 1; slot < 3; ++slot) {
    memory.waiting_line(slot).blocker.store(slot == 1 ? 0 : 0 | kBlockedByPublisher);  // d, or the actor
    memory.waiting_line(slot).position.store(memory.oldest().load());
    const Bed bed = waiting_bed(memory, slot);
    bed.word->fetch_or(bed.bit);
  }
}
// The next commit is the last of so many that found nobody asleep.
void attach_and_find_nobody(Actor& a) {
  attach(a);
  ringway_test::map_topic(a.directory, "t", Role::publish)->memory().bias().fetch_or(kArmed | kReady);
  for (std::uint32_t commits = 1; commits < SegmentMemory::kQuietCommits; ++commits) {
    if (!a.publisher->try_publish(payload(a))) throw std::runtime_error("nobody holds the actor back");
    next_message(a);
  }
}
void publish(Actor& a) { a.status = a.publisher->publish(payload(a), kPatience); }
void try_publish(Actor& a) { a.status = a.publisher->try_publish(payload(a)); }
void publish_shortly(Actor& a) { a.status = a.publisher->publish(payload(a), kShort); }
void claim(Actor& a) {
  a.claim.emplace(a.publisher->claim(kPayload, kPatience));
  a.status = a.claim->status();
}
void commit(Actor& a) {
  claim(a);
  if (a.status) std::memcpy(a.claim->payload().data(), a.bytes.data(), kPayload);
  if (a.status) a.status = a.claim->commit();
}
void short_commit(Actor& a) {
  a.claim.emplace(a.publisher->claim(200, kPatience));
  a.status = a.claim->status();
  if (a.status) std::memcpy(a.claim->payload().data(), a.bytes.data(), kPayload);
  if (a.status) a.status = a.claim->commit(kPayload);
}
void abort(Actor& a) {
  claim(a);
  a.claim->abort();
}
void attach_with_three(Actor& a) {
  attach_and_publish(a);
  for (std::size_t i = 1; i < 3; ++i) fill(a.bytes.data() + i * kPayload, a.writer, a.number++);
}
void publish_all(Actor& a) { a.status = a.publisher->publish_all(a.bytes, kPayload, kPatience).status(); }
void claim_run(Actor& a) {
  a.run.emplace(a.publisher->claim_run(3, kPayload, kPatience));
  a.status = a.run->status();
  for (std::size_t i = 0; i < a.run->size(); ++i)
    std::memcpy((*a.run)[i].data(), a.bytes.data() + i * kPayload, kPayload);
}
void short_run(Actor& a) {
  claim_run(a);
  if (a.status) a.status = a.run->commit(2);
}
void abort_run(Actor& a) {
  claim_run(a);
  a.run->abort();
}
Outcome went_well(Actor& a) { return a.status ? Outcome::done : Outcome::wrong; }
Outcome disarmed(Actor& a) {
  const auto segment = ringway_test::map_topic(a.directory, "t", Role::publish);
  return (segment->memory().bias().load() & kArmed) == 0 ? went_well(a) : Outcome::wrong;
}
// It was stopped while others made room, or not.
Outcome perhaps(Actor& a) {
  if (a.status) return Outcome::done;
  return a.status == Code::timeout || a.status == Code::would_block ? Outcome::without : Outcome::wrong;
}
Outcome nothing(Actor&) { return Outcome::done; }

void subscribe(Actor& a) { a.subscriber.emplace(a.bus.subscriber("t", {.name = "d", .wait = Wait::park})); }
void subscribe_lossy(Actor& a) {
  a.subscriber.emplace(a.bus.subscriber("t", {.name = "l", .reliability = Reliability::lossy}));
}
void subscribe_ephemeral(Actor& a) { a.subscriber.emplace(a.bus.subscriber("t", {.from = From::oldest})); }
void subscribe_new(Actor& a) { a.subscriber.emplace(a.bus.subscriber("t", {.name = "n"})); }
void try_receive(Actor& a) { a.message.emplace(a.subscriber->try_receive()); }
void receive(Actor& a) { a.message.emplace(a.subscriber->receive(kPatience)); }
void receive_shortly(Actor& a) { a.message.emplace(a.subscriber->receive(kShort)); }
void subscribe_and_receive(Actor& a) {
  subscribe(a);
  try_receive(a);
}
void subscribe_and_receive_with_bits(Actor& a) {
  subscribe_and_receive(a);
  set_bits(a);
}
void attach_with_bits(Actor& a) {
  attach_and_publish(a);
  set_bits(a);
}
void release(Actor& a) { a.status = a.message->release(); }
void receive_and_release(Actor& a) {
  try_receive(a);
  release(a);
}
void poll(Actor& a) {
  a.count = a.subscriber->poll([](const ringway::Message&) {}, 3);
}
void seek(Actor& a) { a.status = a.subscriber->seek(From::newest); }
Outcome holds_a_message(Actor& a) {
  return *a.message && identify(a.message->payload().data(), a.message->payload().size()).whole ? Outcome::done
                                                                                                : Outcome::wrong;
}
Outcome has_three(Actor& a) { return a.count == 3 ? Outcome::done : Outcome::wrong; }
Outcome is_attached(Actor& a) { return a.publisher || a.subscriber ? Outcome::done : Outcome::wrong; }

void detach(Actor& a) {
  a.publisher.reset();
  a.subscriber.reset();
}
void join(Actor& a, std::uint32_t prefetch) {
  a.member.emplace(a.bus.group_member("t", {.group = "g", .name = "actor", .prefetch = prefetch}));
}
void join_one(Actor& a) { join(a, 1); }
void join_two(Actor& a) { join(a, 2); }
void take(Actor& a) { a.jobs.push_back(a.member->try_receive()); }
// Until it has looked at the claimer of what is in its way.
void take_at_last(Actor& a) {
  for (int tries = 0; tries < 130 && (a.jobs.empty() || !a.jobs.back()); ++tries) take(a);
}
void receive_job_shortly(Actor& a) { a.jobs.push_back(a.member->receive(kShort)); }
void join_and_take(Actor& a) {
  join_one(a);
  take(a);
}
void join_and_take_two(Actor& a) {
  join_two(a);
  take(a);
}
// A publisher waits for the group; another member sleeps.
void join_and_take_with_bits(Actor& a) {
  join_and_take(a);
  const auto segment = ringway_test::map_topic(a.directory, "t", Role::publish);
  const SegmentMemory& memory = segment->memory();
  memory.bias().fetch_or(kArmed);
  memory.waiting_line(1).blocker.store(kGroupRow);
  memory.waiting_line(1).position.store(memory.oldest().load());
  for (const auto& bed : {waiting_bed(memory, 1), member_bed(memory, 0, 1), parked_bed(memory, kGroupRow)})
    bed.word->fetch_or(bed.bit);
}
void ack(Actor& a) { a.status = a.jobs.back().ack(); }
// The gate stays at the first job; the second one's entry is kept.
void join_and_finish_the_second(Actor& a) {
  join_and_take_two(a);
  take(a);
  ack(a);
}
void nack(Actor& a) { a.status = a.jobs.back().nack(ringway::Timeout(0ms), "not now"); }
void leave(Actor& a) {
  a.jobs.clear();
  a.member.reset();
}
void make_group(Actor& a) { a.bus.create_group("t", "n"); }
void remove_group(Actor& a) { a.bus.remove_subscription("t", "g"); }
Outcome has_job(Actor& a) {
  const ringway::Job& job = a.jobs.back();
  if (!job) return job.status() == Code::would_block ? Outcome::without : Outcome::wrong;
  return identify(job.payload().data(), job.payload().size()).whole ? Outcome::done : Outcome::wrong;
}
Outcome is_member(Actor& a) { return a.member ? Outcome::done : Outcome::wrong; }

void make_subscription(Actor& a) { a.bus.create_subscription("t", "n"); }
void remove_subscription(Actor& a) { a.bus.remove_subscription("t", "l"); }

}  // namespace

void fill(std::byte* to, std::uint64_t writer, std::uint64_t number) {
  ringway_test::fill(to, kPayload, writer, number);
}

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"publish", Base::few, true, true, attach_and_publish, publish, went_well, 1},
      {"publish-first", Base::few, true, true, attach, publish, went_well, 1},
      {"publish-wakes", Base::few, true, true, attach_with_bits, publish, went_well, 1},
      {"disarm", Base::lossy, true, true, attach_and_find_nobody, publish, disarmed, 1},
      {"claim", Base::few, true, true, attach_and_publish, claim, went_well},
      {"commit", Base::few, true, true, attach_and_publish, commit, went_well, 1},
      {"short-commit", Base::few, true, true, attach_and_publish, short_commit, went_well, 1},
      {"abort", Base::few, true, true, attach_and_publish, abort, went_well},
      {"publish-all", Base::few, true, true, attach_with_three, publish_all, went_well, 3},
      {"short-run", Base::few, true, true, attach_with_three, short_run, went_well, 2},
      {"abort-run", Base::few, true, true, attach_with_three, abort_run, went_well},
      {"commit-among-lossy", Base::lossy, true, true, attach_and_publish, commit, went_well, 1},
      {"move-oldest", Base::full, true, true, attach, publish, went_well, 1},
      {"would-block", Base::blocked, true, true, attach, try_publish, perhaps, 1},
      {"wait-for-space", Base::blocked, true, true, attach, publish_shortly, perhaps, 1},
      {"free-dead-reader", Base::dead_reader, true, true, attach, try_publish, perhaps, 1, 0, true},
      {"resolve", Base::dead_holder, true, false, attach, try_publish, perhaps, 1, 0, true},
      {"receive", Base::few, true, true, subscribe, try_receive, holds_a_message},
      {"release", Base::few, true, true, subscribe_and_receive, release, went_well, 0, 1},
      {"receive-inside", Base::packed, true, true, subscribe, try_receive, holds_a_message},
      {"release-inside", Base::packed, true, true, subscribe_and_receive, release, went_well, 0, 1},
      {"poll-inside", Base::packed, true, true, subscribe, poll, has_three, 0, 3},
      {"lossy-packed", Base::packed, true, true, subscribe_lossy, receive_and_release, went_well},
      {"attach-inside", Base::packed, true, true, [](Actor&) {}, subscribe, is_attached, 0, 0, true},
      {"release-wakes", Base::few, true, true, subscribe_and_receive_with_bits, release, went_well, 0, 1},
      {"receive-padding", Base::padding, true, false, subscribe, receive_and_release, went_well, 0, 1},
      {"pass-padding", Base::padding_end, true, false, subscribe, try_receive, nothing},
      {"skip-dead-claim", Base::dead_claim, true, false, subscribe, receive, holds_a_message},
      {"receive-lossy", Base::few, true, true, subscribe_lossy, receive_and_release, went_well},
      {"receive-ephemeral", Base::few, true, true, subscribe_ephemeral, receive_and_release, went_well},
      {"poll", Base::few, true, true, subscribe, poll, has_three, 0, 3},
      {"wait-for-message", Base::empty, true, true, subscribe, receive_shortly, nothing},
      {"seek", Base::few, true, true, subscribe, seek, went_well, 0, 0, false, true},
      {"attach-publisher", Base::few, true, true, [](Actor&) {}, attach, is_attached, 0, 0, true},
      {"attach-resolves", Base::dead_claim, true, false, [](Actor&) {}, attach, is_attached, 0, 0, true},
      {"attach-durable", Base::few, true, true, [](Actor&) {}, subscribe, is_attached, 0, 0, true},
      {"attach-lossy", Base::few, true, true, [](Actor&) {}, subscribe_lossy, is_attached, 0, 0, true},
      {"attach-new", Base::few, true, true, [](Actor&) {}, subscribe_new, is_attached, 0, 0, true},
      {"attach-ephemeral", Base::few, true, true, [](Actor&) {}, subscribe_ephemeral, is_attached, 0, 0, true},
      {"make-subscription", Base::few, true, true, [](Actor&) {}, make_subscription, nothing, 0, 0, true},
      {"end-subscription", Base::few, true, true, [](Actor&) {}, remove_subscription, nothing, 0, 0, true},
      {"detach-publisher", Base::few, true, true, attach_and_publish, detach, nothing},
      {"detach-durable", Base::few, true, true, subscribe, detach, nothing},
      {"detach-ephemeral", Base::few, true, true, subscribe_ephemeral, detach, nothing},
      {"take", Base::jobs, true, false, join_one, take, has_job},
      {"take-next", Base::jobs, true, false, join_and_finish_the_second, take, has_job},  // into the same entry
      {"take-two", Base::jobs, true, false, join_two, take, has_job},
      {"hand-out", Base::jobs, true, false, join_and_take_two, take, has_job},
      {"ack", Base::jobs, true, true, join_and_take, ack, went_well, 0, 0, false, false, 1},
      {"ack-wakes", Base::jobs, true, false, join_and_take_with_bits, ack, went_well, 0, 0, false, false, 1},
      {"nack", Base::jobs, true, false, join_and_take_with_bits, nack, went_well},
      {"take-over", Base::jobs_held, true, false, join_one, take, has_job},
      {"take-torn", Base::jobs_torn, true, false, join_one, take, has_job},
      {"dead-letter", Base::jobs_last, true, false, join_one, take, has_job, 0, 0, false, false, 0, 1},
      {"pass-padding-of-jobs", Base::jobs_padding, true, false, join_one, take, nothing},
      {"skip-dead-claim-of-jobs", Base::jobs_claim, true, false, join_one, take_at_last, has_job},
      {"wait-for-job", Base::jobs_padding, true, false, join_one, receive_job_shortly, nothing},
      {"move-gate", Base::jobs_done, true, true, attach, try_publish, went_well, 1},
      {"join", Base::jobs, true, false, [](Actor&) {}, join_one, is_member, 0, 0, true},
      {"join-settles", Base::jobs_left, true, false, [](Actor&) {}, join_one, is_member, 0, 0, true},
      {"leave", Base::jobs, true, false, join_and_take_two, leave, nothing},
      {"make-group", Base::jobs, true, false, [](Actor&) {}, make_group, nothing, 0, 0, true},
      {"end-group", Base::jobs, true, false, [](Actor&) {}, remove_group, nothing, 0, 0, true},
  };
  return all;
}

void make_base(const std::string& directory, Base base, bool exclusive) {
  using namespace ringway_test;
  TopicSpec spec = small_spec(exclusive, kFirst);
  if (has_group(base)) spec.limits = {kMinTestCapacity, 4, 4, 2, 3, 4};
  make_topic(directory, "t", spec);
  const ringway::Bus bus = ringway::Bus::at(directory);
  bus.create_subscription("t", "d");
  bus.create_subscription("t", "l", {.reliability = Reliability::lossy});
  if (has_group(base)) {
    bus.create_group("t", "g", {.max_attempts = kAttempts, .retry_delay = 0ms, .dead_letter = "dead"});
    bus.remove_subscription("t", "d");
  }
  const auto segment = map_topic(directory, "t", Role::publish);
  const SegmentMemory& memory = segment->memory();
  std::uint64_t number = 0;
  const auto publish_some = [&](int messages) {
    auto publisher = bus.publisher("t", {.name = "prior"});
    for (std::array<std::byte, kPayload> bytes; messages > 0; --messages) {
      fill(bytes.data(), kPrior, number++);
      if (!publisher.try_publish(bytes)) throw std::runtime_error("the topic cannot be filled");
    }
  };
  const auto release_some = [&](int messages) {
    auto reader = bus.subscriber("t", {.name = "d"});
    for (int tries = 0; messages > 0 && tries < 1000; ++tries)
      if (const auto message = reader.try_receive()) --messages;
    if (messages > 0) throw std::runtime_error("the topic cannot be read");
  };
  // In the row behind the publisher's, without a life.
  const auto die_inside_a_claim = [&] {
    PublisherSlot& row = memory.publisher(1);
    memory.tail_line->publishers_used.store(2);
    row.incarnation.store(1);
    row.state.store(PublisherState::owned);
    Writer writer;
    writer.attach(memory, 1, memory.tail().load());
    if (!ringway_test::claim(writer, kPayload)) throw std::runtime_error("no claim to be had");
    return writer;
  };
  // A member without a life, in that slot; it has the first two jobs, and the first in hand.
  std::array<Taken, 2> taken;
  const auto die_with_jobs = [&](std::uint32_t slot) {
    publish_some(5);
    memory.member(0, slot).incarnation.store(1);
    memory.member(0, slot).owned.store(1);
    RingMember<SegmentMemory> member;
    member.attach(memory, kGroupRow, 0, slot, 1);
    std::uint32_t got = 0;
    if (member.take(taken.data(), 2, 1, got) != Took::job || got != 2) throw std::runtime_error("no jobs to be had");
    return member;
  };
  // All jobs, by somebody who does not move the gate.
  const auto finish_all = [&] {
    RingMember<SegmentMemory> member;
    member.attach(memory, kGroupRow, 0, 0, 1);
    for (std::uint32_t got = 0; member.take(taken.data(), 1, 1, got) == Took::job;) member.ack(taken[0]);
  };
  switch (base) {
    case Base::jobs: publish_some(5); break;
    case Base::jobs_held: die_with_jobs(2); break;
    case Base::jobs_left: die_with_jobs(0); break;
    case Base::jobs_last: die_with_jobs(2).hand_out(taken[0], 1); break;
    case Base::jobs_torn: {
      die_with_jobs(2);
      // The first job it has lost, and another has done it; the second it has perhaps taken.
      for (const Taken& job : taken)
        memory.entry(0, job.entry).word.store(pack_word({EntryState::trying, false, false, 2, 0, 1, 1}));
      memory.subscription(kGroupRow).cursor.store(taken[1].found.position);
      memory.group(0).entries_used.store(4);
      EntryState state = EntryState::kept;  // without a job; and one that would have the job at next
      for (std::uint32_t index = 0; index < 4; ++index) {
        if (index == taken[0].entry || index == taken[1].entry) continue;
        memory.entry(0, index).position.store(memory.group(0).next.load() - (state == EntryState::kept ? 64 : 0));
        memory.entry(0, index).word.store(
            pack_word({std::exchange(state, EntryState::trying), false, false, 2, 0, 1, 1}));
      }
      break;
    }
    case Base::jobs_done:
      publish_some(32);
      finish_all();
      break;
    case Base::jobs_padding:
    case Base::jobs_claim: {
      publish_some(3);
      finish_all();
      Writer writer = die_inside_a_claim();
      if (base == Base::jobs_padding) {
        static_cast<void>(writer.abort());
        memory.publisher(1).state.store(PublisherState::free);
      } else {
        publish_some(2);
      }
      break;
    }
    case Base::few:
      publish_some(5);
      release_some(1);
      break;
    case Base::lossy:
      publish_some(5);
      bus.remove_subscription("t", "d");
      break;
    case Base::empty:
      publish_some(5);
      release_some(5);
      break;
    case Base::full:
      publish_some(32);
      release_some(29);
      break;
    case Base::blocked: publish_some(32); break;
    case Base::dead_reader: {
      publish_some(32);
      release_some(32);
      SubscriptionSlot& row = memory.subscription(2);
      memory.control->subscriptions_used.store(3);
      row.cursor.store(memory.oldest().load());
      row.kind.store(SubscriptionKind::ephemeral);
      row.wanted.store(static_cast<std::uint32_t>(SubscriptionState::reliable));
      row.owned.store(1);
      row.state.store(SubscriptionState::reliable);
      break;
    }
    case Base::dead_claim:
      publish_some(3);
      release_some(3);
      static_cast<void>(die_inside_a_claim());
      publish_some(2);
      break;
    case Base::dead_holder:
      static_cast<void>(die_inside_a_claim());
      publish_some(31);
      release_some(31);
      break;
    case Base::packed: {
      std::array<std::byte, 5 * kPayload> bytes;
      for (std::size_t i = 0; i < 5; ++i) fill(bytes.data() + i * kPayload, kPrior, number++);
      if (!bus.publisher("t", {.name = "prior"}).try_publish_all(bytes, kPayload))
        throw std::runtime_error("the topic cannot be filled");
      release_some(2);
      break;
    }
    case Base::padding:
    case Base::padding_end: {
      publish_some(3);
      release_some(3);
      Writer writer = die_inside_a_claim();
      static_cast<void>(writer.abort());
      memory.publisher(1).state.store(PublisherState::free);
      if (base == Base::padding) publish_some(2);
      break;
    }
  }
}

}  // namespace ringway_crash

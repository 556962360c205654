// Sequences of operations of several members of one group, beside a model of its jobs. Every difference is a failure: a job
// that is missing, comes to two members, out of the ring's order, at another attempt or with another mark; one that is done and
// comes again; a dead letter too many or too few; a gate that passes a job; an entry that is not free in the end.
//
// The dead are made by hand: a member's row without a life, that stops at each stage of a take, or with jobs in hand.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <tuple>

#include "attachment.hpp"
#include "fuzz/feed.hpp"
#include "fuzz/topic_image.hpp"
#include "ringway/ringway.hpp"

namespace {

using namespace ringway_fuzz;
using ringway::Code;

enum Operation : std::uint8_t {
  kPublish,  // how many, in one frame or several
  kTake,     // which
  kAnswer,   // which, which of its jobs, how
  kJoin,     // which
  kLeave,    // which
  kDie,      // stage
  kGate,     // a publisher that is held back looks
  kLook,     // which: a backstop has gone by
  kOperations
};

constexpr std::uint32_t kMembers = 3;  // slots 0 to 2 at most; the dead one has the last
constexpr std::uint32_t kDead = 3;
constexpr std::uint32_t kRow = 0;
constexpr std::uint32_t kAttempts = 3;
constexpr std::uint32_t kInFlight = 6;

struct Known {
  enum class Where : std::uint8_t {
    ring,
    hand,
    ahead,
    back,
    dead,
    done
  };  // dead: with the dead member, as it was left
  std::uint64_t number = 0;
  Where where = Where::ring;
  std::uint32_t attempt = 0;
  bool again = false;  // somebody may have had it, though no attempt says so
  std::uint32_t who = 0;
};
using Where = Known::Where;

class Run {
 public:
  Run(const ringway::Bus& bus, const detail::Segment& segment) : bus_(bus), memory_(segment.memory()) {
    out_.emplace(bus_.publisher("t"));
    letters_.emplace(bus_.subscriber("dead", {.name = "reader"}));
  }

  void step(Feed& feed) {
    const std::uint8_t operation = feed.u8();
    const std::uint8_t a = feed.u8();
    switch (operation % kOperations) {
      case kPublish: publish(1 + a % 5U, a >= 128); break;
      case kTake: take(a % kMembers); break;
      case kAnswer: answer(a % kMembers, a / 4, feed.u8()); break;
      case kJoin: join(a % kMembers, 1 + a / 4 % 3); break;
      case kLeave: leave(a % kMembers); break;
      case kDie: die(a % 6, 1 + a / 8 % 2); break;
      case kGate: std::ignore = detail::move_gate(memory_, kRow, 0); break;
      default: look(a % kMembers); break;
    }
    check();
  }

  // Everything is done in the end.
  void drain() {
    for (std::uint32_t i = 0; i < kMembers; ++i) leave(i);
    attaches_ = 1;
    join(0, 1);
    for (int most = 1000; most > 0 && (most > 990 || !all_done()); --most) {  // also what has no job
      look(0);
      take(0);
      while (!members_[0].jobs.empty()) answer(0, 0, 0);
      read_letters();
    }
    check();
    if (!all_done()) fail(std::to_string(left()) + " jobs are left: " + members_[0].handle->status().text());
    if (usable_entries(0) != kInFlight) fail("an entry is not free");
    if (detail::move_gate(memory_, kRow, 0) != memory_.tail().load()) fail("the gate is not at the tail");
  }

 private:
  struct Member {
    std::optional<ringway::GroupMember> handle;
    std::vector<ringway::Job> jobs;
  };

  void publish(std::uint64_t count, bool packed) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = 0; i < count; ++i) numbers.push_back(next_number_ + i);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(numbers));
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t position = memory_.tail().load();
      const bool done = packed ? out_->try_publish_all(bytes, 8).count() == count
                               : static_cast<bool>(out_->try_publish(bytes.subspan(i * 8, 8)));
      if (!done) return;
      for (std::uint64_t at = 0; at < (packed ? count : 1); ++at) jobs_[position + at].number = next_number_++;
      if (packed) return;
    }
  }

  void join(std::uint32_t i, std::uint32_t prefetch) {
    Member& member = members_[i];
    if (member.handle || attaches_-- <= 0) return;
    Call call("join");
    member.handle.emplace(bus_.group_member("t", {.group = "g", .prefetch = prefetch}));
    if (member.handle->core_->ring.slot() == kDead)
      for (auto& [position, job] : jobs_)
        if (job.where == Where::dead) job.where = Where::back;  // settled
  }

  void leave(std::uint32_t i) {
    Member& member = members_[i];
    if (!member.handle) return;
    while (!member.jobs.empty()) answer(i, 0, 3);
    Call call("leave");
    member.handle.reset();
    for (auto& [position, job] : jobs_)
      if (job.where == Where::ahead && job.who == i) job.where = Where::back;
    make_due();
  }

  // A backstop has gone by: it asks who lives.
  void look(std::uint32_t i) {
    if (!members_[i].handle) return;
    members_[i].handle->core_->attachment->probe_at = 0;
    members_[i].handle->core_->look_at = 0;
  }

  void take(std::uint32_t i) {
    Member& member = members_[i];
    if (!member.handle) return;
    detail::MemberCore& core = *member.handle->core_;
    const detail::MemberAttachment& attachment = *core.attachment;
    const std::uint64_t next = memory_.group(0).next.load();
    const bool ahead = core.waiting_begin != core.waiting_end;
    const std::uint64_t probe_at = attachment.probe_at;
    const bool probes = probe_at == 0;
    const bool looks = memory_.group(0).returns.load() != core.returns_seen || probes;
    const std::uint32_t free = usable_entries(i);
    const bool full_hands = core.in_hand >= core.prefetch;
    Call call("take");
    auto job = member.handle->try_receive();
    read_letters();
    const bool due = looks && std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& one) {
                       return one.second.attempt < kAttempts &&
                              (one.second.where == Where::back || (one.second.where == Where::dead && probes));
                     });
    if (!job) {
      const Code code = member.handle->status().code();
      if (full_hands != (code == Code::busy)) fail("busy, or not: " + member.handle->status().text());
      if (full_hands) return;
      if (code != Code::would_block) fail("a take fails: " + member.handle->status().text());
      if (ahead || due) fail("nothing taken, though a job is there");
      if (free != 0 && next != memory_.tail().load()) fail("nothing taken, though a new job is there");
      return;
    }
    if (full_hands) fail("more than prefetch says");
    const auto found = jobs_.find(job.position());
    if (found == jobs_.end()) fail("a job at " + std::to_string(job.position()) + " that nobody has published");
    Known& known = found->second;
    const std::string name = "job " + std::to_string(known.number) + " at attempt " + std::to_string(job.attempt());
    std::uint64_t number = 0;
    if (job.payload().size() != 8) fail(name + " has another length");
    std::memcpy(&number, job.payload().data(), 8);
    if (number != known.number) fail(name + " has another payload");
    if (known.where == Where::done || known.where == Where::hand) fail(name + " comes, done or in hand");
    if (ahead != (known.where == Where::ahead)) fail(name + " before those taken ahead");
    if (known.where == Where::ahead && known.who != i) fail(name + " is another's");
    if (known.where == Where::ring && (job.position() != next || due)) fail(name + " is not the next");
    if (known.where == Where::dead && !probes &&
        static_cast<std::uint64_t>(detail::monotonic_ns()) < probe_at)  // on a slow machine a backstop goes by
      fail(name + " was taken from one that nobody knows to be dead");
    if (job.attempt() != known.attempt + 1) fail(name + " after " + std::to_string(known.attempt));
    if (job.redelivered() != (known.again || known.attempt > 0)) fail(name + " with the wrong mark");
    if (known.where == Where::ring) took_ahead(i, next);
    known.where = Where::hand;
    known.attempt = job.attempt();
    known.who = i;
    member.jobs.push_back(std::move(job));
  }

  // Those between the place of `next` then and now came with the first.
  void took_ahead(std::uint32_t i, std::uint64_t next) {
    for (auto at = jobs_.upper_bound(next); at != jobs_.end() && at->first < memory_.group(0).next.load(); ++at)
      at->second.where = Where::ahead, at->second.who = i;
  }

  void answer(std::uint32_t i, std::size_t which, std::uint8_t how) {
    Member& member = members_[i];
    if (member.jobs.empty()) return;
    const auto job = member.jobs.begin() + static_cast<std::ptrdiff_t>(which % member.jobs.size());
    Known& known = jobs_.at(job->position());
    Call call("answer");
    if (how % 4 < 2) {
      if (!job->ack()) fail("a job cannot be acknowledged");
      if (job->ack() != Code::closed) fail("a job can be acknowledged twice");
      known.where = Where::done;
    } else {
      if (how % 4 == 2 && !job->nack(std::chrono::nanoseconds(0), "not now")) fail("a job cannot be given back");
      known.where = Where::back;
    }
    member.jobs.erase(job);
    make_due();
  }

  // No clock decides: what came back is due.
  void make_due() {
    for (std::uint32_t index = 0; index < kInFlight; ++index)
      if (detail::state_of(memory_.entry(0, index).word.load()) == detail::EntryState::returned)
        memory_.entry(0, index).time_ns.store(0);
  }

  // Free, or kept by that member.
  std::uint32_t usable_entries(std::uint32_t i) const {
    const std::uint32_t slot = members_[i].handle->core_->ring.slot();
    const std::uint64_t incarnation = memory_.member(0, slot).incarnation.load() & detail::kIncarnationMask;
    std::uint32_t usable = 0;
    for (std::uint32_t index = 0; index < kInFlight; ++index) {
      const detail::JobWord word = detail::unpack_word(memory_.entry(0, index).word.load());
      const bool kept = word.state == detail::EntryState::kept && word.owner == slot && word.incarnation == incarnation;
      if (kept || word.state == detail::EntryState::free) ++usable;
    }
    return usable;
  }

  // 0, 1: it took some, and has the first in hand, perhaps again. 2: it was taking one, and others were not faster. 3: it had
  // taken one. 4: it kept an entry. 5: it has acknowledged one. 6: it was taking one, which another took and has done.
  void die(std::uint8_t stage, std::uint32_t most) {
    if (memory_.member(0, kDead).owned.load() != 0 && slot_is_taken()) return;
    memory_.member(0, kDead).owned.store(1);
    detail::RingMember<detail::SegmentMemory> ring;
    ring.attach(memory_, kRow, 0, kDead, memory_.member(0, kDead).incarnation.fetch_add(1) + 1);
    const std::uint64_t gate = memory_.subscription(kRow).cursor.load();
    // Where nothing was ever taken: beyond whatever is published in this input.
    if (stage == 2) return leave_entry(detail::EntryState::trying, memory_.tail().load() + (1ULL << 40));
    if (stage == 4) return leave_entry(detail::EntryState::kept, gate);
    if (stage == 6) return leave_entry(detail::EntryState::trying, gate - 64);
    std::array<detail::Taken, 2> taken;
    std::uint32_t got = 0;
    Call call("take");
    if (ring.take(taken.data(), most, 1, got) != detail::Took::job) return;
    for (std::uint32_t at = 0; at < got; ++at) {
      Known& known = jobs_.at(taken[at].found.position);
      known.where = Where::dead;
      known.attempt = at == 0 ? 1 : 0;
    }
    Known& first = jobs_.at(taken[0].found.position);
    detail::InFlightEntry& entry = memory_.entry(0, taken[0].entry);
    detail::JobWord word = detail::unpack_word(taken[0].word);
    if (stage == 1) {
      ring.hand_out(taken[0], 1);
      first.attempt = 2;
    } else if (stage == 3) {
      word.state = detail::EntryState::trying;
      word.attempt = 0;
      entry.word.store(detail::pack_word(word));
      first.attempt = 0;
      first.again = true;
    } else if (stage == 5) {
      ring.ack(taken[0]);
      first.where = Where::done;
    }
  }
  void leave_entry(detail::EntryState state, std::uint64_t position) {
    for (std::uint32_t index = 0; index < kInFlight; ++index) {
      detail::InFlightEntry& entry = memory_.entry(0, index);
      const detail::JobWord word = detail::unpack_word(entry.word.load());
      if (word.state != detail::EntryState::free) continue;
      auto& used = memory_.group(0).entries_used;
      used.store(std::max(used.load(), index + 1));
      entry.word.store(detail::pack_word({state, false, false, kDead, 0, 1, word.use + 1}));
      entry.position.store(position);
      return;
    }
  }
  bool slot_is_taken() const {
    return std::any_of(members_.begin(), members_.end(), [](const Member& member) {
      return member.handle && member.handle->core_->ring.slot() == kDead;
    });
  }

  void read_letters() {
    while (const auto message = letters_->try_receive()) {
      const auto letter = message.dead_letter();
      if (!letter || letter->topic != "t" || letter->group != "g") fail("a dead letter without its origin");
      const auto found = jobs_.find(letter->position);
      if (found == jobs_.end()) fail("a dead letter of no job");
      Known& known = found->second;
      if (letter->attempts != kAttempts || known.attempt != kAttempts) fail("a dead letter before its last attempt");
      if (known.where != Where::back && known.where != Where::dead)
        fail("a dead letter of a job that is done, or in hand");
      known.where = Where::done;
    }
  }

  std::size_t left() const {
    return static_cast<std::size_t>(
        std::count_if(jobs_.begin(), jobs_.end(), [](const auto& job) { return job.second.where != Where::done; }));
  }
  bool all_done() const { return left() == 0; }

  void check() {
    const std::uint64_t gate = memory_.subscription(kRow).cursor.load();
    for (const auto& [position, job] : jobs_)
      if (job.where != Where::done && position < gate) fail("the gate has passed job " + std::to_string(job.number));
    if (memory_.oldest().load() > detail::frame_start(gate)) fail("oldest has passed the gate");
    if (memory_.group(0).next.load() < gate) fail("the gate has passed next");
    while (!jobs_.empty() && jobs_.begin()->second.where == Where::done && jobs_.begin()->first < gate)  // forgotten
      jobs_.erase(jobs_.begin());
  }

  const ringway::Bus& bus_;
  const detail::SegmentMemory& memory_;
  std::optional<ringway::Publisher> out_;
  std::optional<ringway::Subscriber> letters_;
  std::array<Member, kMembers> members_;
  std::map<std::uint64_t, Known> jobs_;  // by position
  std::uint64_t next_number_ = 0;
  int attaches_ = 8;
};

}  // namespace

void ringway_fuzz::write_seeds(const WriteSeed& write) {
  for (const int prefetch : {0, 4, 8}) {
    Program p;
    for (int i = 0; i < 3; ++i) p.put(kJoin, i + prefetch);
    for (int round = 0; round < 40; ++round) {
      p.put(kPublish, round * 7 % 256);
      for (int i = 0; i < 3; ++i) p.put(kTake, i).put(kTake, i).put(kAnswer, i + 4 * (round % 3), round + i);
      if (round % 8 == 0) p.put(kLeave, round / 8 % 3).put(kGate, 0).put(kJoin, round / 8 % 3 + prefetch);
    }
    write("traffic-" + std::to_string(prefetch), p);
  }
  for (int stage = 0; stage < 6; ++stage) {
    Program p;
    p.put(kPublish, 4).put(kPublish, 130).put(kDie, stage + 8).put(kJoin, 4).put(kLook, 0).put(kTake, 0);
    p.put(kDie, (stage + 1) % 6).put(kAnswer, 0, 2).put(kLook, 0).put(kTake, 0).put(kAnswer, 0, 2).put(kTake, 0);
    for (int round = 0; round < 10; ++round) p.put(kPublish, round).put(kTake, 0).put(kAnswer, 0, round).put(kLook, 0);
    p.put(kJoin, 1).put(kJoin, 2).put(kDie, stage).put(kLook, 1).put(kTake, 1).put(kLeave, 0);
    write("death-" + std::to_string(stage), p);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  struct Topic {
    explicit Topic(const std::string& directory) {
      detail::TopicSpec spec = ringway_test::small_spec();
      spec.limits.max_members = kDead + 1;
      spec.limits.max_in_flight = kInFlight;
      std::filesystem::create_directory(directory);
      ringway_test::make_topic(directory, TopicImage::kName, spec);
      bus.emplace(ringway::Bus::at(directory));
      bus->create_group("t", "g",
                        {.max_attempts = kAttempts, .retry_delay = std::chrono::nanoseconds(0), .dead_letter = "dead"});
      bus->create_subscription("dead", "reader");
      segment = ringway_test::map_topic(directory, "t", detail::Role::publish);
    }
    std::optional<ringway::Bus> bus;
    std::unique_ptr<detail::Segment> segment;
  };
  static ringway_test::ScratchDir scratch;
  static Topic& topic = *new Topic(scratch.path() / "s");
  Feed feed(bytes, size);
  begin_input();
  {
    Run run(*topic.bus, *topic.segment);
    for (int steps = 0; steps < 200 && !feed.done(); ++steps) run.step(feed);
    run.drain();
  }
  end_input();
  return 0;
}

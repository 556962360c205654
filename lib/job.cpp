// Receiving jobs: what came back, whose owner died, what has had its last attempt; waiting.
#include <algorithm>
#include <cstring>
#include <utility>

#include "attachment.hpp"
#include "names.hpp"
#include "repair.hpp"

namespace ringway::detail {
namespace {

constexpr std::uint32_t kLookAfter = 64;  // tries that meet the same untagged frame before its claimer is looked at
constexpr std::uint32_t kSpinsPerLook = 1024;
constexpr std::uint64_t kLongestDelay = 60'000'000'000;
constexpr std::uint64_t kAgain = 100'000'000;  // ns: until a dead letter that found no room is tried again, at least
constexpr char kDied[] = "the member ended without an answer";

// How long a call may wait; the clock is read when somebody asks.
struct Waiting {
  std::int64_t timeout;
  std::int64_t deadline = -1;
  std::int64_t left() {
    if (timeout == 0) return 0;
    if (deadline < 0) deadline = deadline_after(timeout);
    return deadline == kForever ? kForever : std::max<std::int64_t>(deadline - monotonic_ns(), 0);
  }
};

void count(std::atomic<std::uint64_t>& counter) noexcept {  // own word
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// One more member is to look. The caller's own change comes before it.
void wake_another(const MemberCore& core) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  SegmentMemory::full_fence();  // pairs with the member's announce (B3)
  if (any_member_parked(memory, core.ring.group())) wake_member(memory, core.ring.row());
}

void return_job(MemberCore& core, const Taken& job, std::uint64_t not_before) noexcept {
  core.ring.give_back(job, not_before);
  wake_another(core);
}

// Makes the payload of a job that another may have had a copy, for as long as it is in hand. False: there is no memory now.
bool copy_payload(MemberCore& core, Taken& job) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  const std::byte* const start = memory.bytes_at(frame_start(job.found.position)) + memory.payload_offset;
  const std::uint64_t bytes = payload_bytes(memory, job.found.size, job.found.origin);
  try {
    AlignedBytes& copy = core.attachment->copies[job.entry];
    copy = aligned_bytes(bytes);
    SegmentMemory::racy_copy(copy.get(), start, bytes);
    job.found.payload = copy.get() + (job.found.payload - start);
    return true;
  } catch (...) {
    return false;
  }
}

std::uint64_t now_ns() noexcept { return static_cast<std::uint64_t>(monotonic_ns()); }

// Writes the job and where it comes from into the topic for dead letters.
Code publish_dead_letter(MemberCore& core, const Taken& job, std::int64_t timeout) {
  MemberAttachment& attachment = *core.attachment;
  if (attachment.dead_letters == nullptr) {
    const TopicSpec& spec = attachment.segment->geometry().spec;
    attachment.dead_letters =
        attach_publisher(attachment.bus, attachment.dead_letter, {.name = attachment.group, .wait = Wait::park},
                         {spec.type_size, spec.type_alignment, spec.type_fingerprint, spec.type_name});
  }
  PublisherCore& publisher = *attachment.dead_letters;
  const std::uint64_t at = trailer_offset(job.found.length);
  const Code code = claim(publisher, at + sizeof(DeadLetterTrailer), timeout);
  if (code != Code::ok) {
    core.cause = publisher.cause;
    return code;
  }
  const JobWord word = unpack_word(job.word);
  DeadLetterTrailer trailer{};
  trailer.position = job.found.position;
  trailer.attempts = word.attempt;
  const InFlightEntry& entry = core.ring.memory().entry(core.ring.group(), job.entry);
  for (std::size_t i = 0; i < kReasonWords; ++i) {
    const std::uint64_t value = entry.reason[i].load(std::memory_order_relaxed);  // its owner is this member
    std::memcpy(&trailer.reason[i * 8], &value, 8);
  }
  if (word.died) {
    trailer.reason = {};
    std::memcpy(trailer.reason.data(), kDied, sizeof kDied - 1);
  }
  std::copy_n(attachment.group.begin(), std::min(attachment.group.size(), trailer.group.size() - 1),
              trailer.group.begin());
  std::copy_n(attachment.topic.begin(), std::min(attachment.topic.size(), trailer.topic.size() - 1),
              trailer.topic.begin());
  std::memcpy(publisher.ring.payload(), job.found.payload, job.found.length);
  std::memcpy(publisher.ring.payload() + at, &trailer, sizeof trailer);
  const std::uint64_t stamp = publisher.ring.memory().stamped ? now_ns() : 0;
  if (publisher.ring.commit(job.found.length, stamp, FrameKind::dead_letter)) wake_sleepers(publisher);
  return Code::ok;
}

// A job after its last attempt. ok: it is dealt with; else the call ends so.
Code bury(MemberCore& core, const Taken& job, Waiting& waiting) noexcept {
  MemberAttachment& attachment = *core.attachment;
  const bool waits = attachment.waits_for_dead_letters;
  Code code = Code::system;
  try {
    code = publish_dead_letter(core, job, waits ? waiting.left() : 0);
  } catch (...) {  // it cannot be opened: as if it were full
    attachment.dead_letters.reset();
  }
  if (code == Code::ok) {
    // Death before it: it is published once more, with the same origin.
    core.ring.ack(job);
    count(core.slot().dead_lettered);
    after_ack(core);
    return Code::ok;
  }
  if (code == Code::topic_gone || code == Code::corrupt) attachment.dead_letters.reset();
  const bool full = code == Code::would_block || code == Code::timeout;
  if (waits && (full || code == Code::interrupted)) {
    return_job(core, job, 0);
    return code;
  }
  core.cause = {};
  core.ring.give_back(job, now_ns() + std::max(attachment.retry_delay_ns, kAgain));
  return Code::ok;
}

// Lets go of the copies whose jobs are answered.
void forget_copies(MemberCore& core) noexcept {
  std::erase_if(core.attachment->copies, [&core](const auto& copy) {
    const InFlightEntry& entry = core.ring.memory().entry(core.ring.group(), copy.first);
    const JobWord word = unpack_word(entry.word.load(std::memory_order_relaxed));  // own word, if it still is
    return word.state != EntryState::held || !word.again || word.owner != core.ring.slot();
  });
}

// A job that came back and is due, or a dead member's. True: the call ends with `code`. False: there is none.
bool take_returned(MemberCore& core, Taken& job, std::uint64_t now, Waiting& waiting, Code& code) noexcept {
  MemberAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  const auto& header = memory.group(core.ring.group());
  forget_copies(core);
  const std::uint32_t returns = header.returns.load(std::memory_order_acquire);  // pairs with T11
  const bool probes = now >= attachment.probe_at;
  // What the kernel said: 1, somebody lives there; 2 and more, the owner of that incarnation is dead. The next one, who may
  // come while this call waits, is asked for anew.
  std::array<std::uint32_t, kMaxMembers> asked{};
  const auto is_dead = [&](std::uint32_t slot, std::uint32_t incarnation) {
    if (!probes || slot >= memory.max_members || asked[slot] == 1) return false;
    if (asked[slot] == incarnation + 2) return true;
    const bool dead = attachment.subscribers.probe(member_byte(core.ring.group(), slot)) == Prober::Answer::dead;
    asked[slot] = dead ? incarnation + 2 : 1;
    return dead;
  };
  for (std::uint32_t buried = 0; buried <= memory.max_in_flight; ++buried) {
    std::uint64_t due = kNever;
    const Took took =
        core.ring.take_over(job, now, due, is_dead, [&core](Taken& it) { return copy_payload(core, it); });
    if (took == Took::corrupt) {
      code = corrupt_word(core.cause, "control file: the position of a job", job.found.position, core.ring.next());
      return true;
    }
    if (took == Took::nothing) {
      core.returns_seen = returns;
      if (probes) attachment.probe_at = now + kBackstop;
      attachment.due = due;
      core.look_at = std::min(due, attachment.probe_at);
      return false;
    }
    if (attachment.max_attempts == 0 || unpack_word(job.word).attempt < attachment.max_attempts) {
      core.ring.hand_out(job, now);
      if (unpack_word(job.word).attempt > 1) count(core.slot().redelivered);
      wake_another(core);  // there may be more; this member looks again at its next call
      code = Code::ok;
      return true;
    }
    code = bury(core, job, waiting);
    if (code != Code::ok) return true;
  }
  return false;
}

// A job if there is one, without waiting for it.
Code take_once(MemberCore& core, Taken& job, std::uint64_t now, Waiting& waiting) noexcept {
  MemberAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  if (core.ring.returns() != core.returns_seen || now >= core.look_at) [[unlikely]] {
    Code code = Code::ok;
    if (take_returned(core, job, now, waiting, code)) return code;
  }
  std::uint32_t got = 0;
  const std::uint32_t most = core.prefetch - core.in_hand;
  Taken* const jobs = most == 1 ? &job : core.waiting.get();  // in place: a copy of what was just stored stalls
  const Took took = core.ring.take(jobs, most, now, got);
  attachment.full = took == Took::table_full;
  switch (took) {
    case Took::job:
      if (most != 1) {
        job = jobs[0];
        core.waiting_begin = 1;
        core.waiting_end = got;
      }
      if (any_member_parked(memory, core.ring.group())) [[unlikely]]
        share(core);
      return Code::ok;
    case Took::corrupt:
      return corrupt_word(core.cause, "data file: size, extent and kind of a frame", jobs[0].found.size,
                          memory.max_extent);
    case Took::table_full:
      memory.group(core.ring.group())
          .full.store(1, std::memory_order_relaxed);  // a hint; the backstop stands behind it
      core.cause = {};
      core.cause.about = Cause::About::in_flight;
      core.cause.value = memory.max_in_flight;
      break;
    case Took::nothing: core.cause = {}; break;
  }
  return core.evicted() ? Code::evicted : Code::would_block;
}

bool something(const MemberCore& core) noexcept {
  const MemberAttachment& attachment = *core.attachment;
  const auto& header = core.ring.memory().group(core.ring.group());
  return header.returns.load(std::memory_order_acquire) != core.returns_seen ||  // pairs with T11
         (attachment.full ? core.ring.any_free() : core.ring.something()) || core.evicted();
}

// The frame at `next`, if it is below tail and has no tag: a dead publisher's is passed.
Code look_at_next(MemberCore& core) noexcept {
  if (core.attachment->full) return Code::would_block;
  const std::uint64_t next = core.ring.next();
  std::uint64_t end = next;
  const Code code = look_at_claimer(*core.attachment, frame_start(next), core.cause, end);
  if (code == Code::ok) core.ring.pass(next, end);
  if (code == Code::corrupt && core.ring.next() != next) return Code::ok;  // others have passed it
  return code;
}

Code count_stuck(MemberCore& core) noexcept {
  MemberAttachment& attachment = *core.attachment;
  const std::uint64_t next = core.ring.next();
  if (attachment.stuck_at != next) {
    attachment.stuck_at = next;
    attachment.stuck = 0;
  }
  return ++attachment.stuck % kLookAfter == 0 ? look_at_next(core) : Code::would_block;
}

void sleep_for_job(MemberCore& core, std::int64_t until) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  core.ring.let_go();
  const Bed bed = member_bed(memory, core.ring.group(), core.ring.slot());
  const std::uint32_t seen = announce_member(memory, core.ring.row(), core.ring.group(), core.ring.slot());
  const bool woken = something(core) || futex_wait(*bed.doorbell, seen, until);
  if ((bed.word->fetch_and(~bed.bit, std::memory_order_relaxed) & bed.bit) == 0) core.woken = true;  // own bit
  if (woken || !something(core)) return;
  auto& backstops = core.slot().backstops;  // own word, display only
  backstops.store(backstops.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// One wait: a spin the first time, then a sleep of at most a backstop. ok: look again.
Code wait_for_job(MemberCore& core, std::int64_t deadline, bool first) noexcept {
  MemberAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  SegmentMemory::full_fence();  // between the last answer and this look; pairs with the waiter's announce (B3)
  if (anyone_waiting(memory)) after_ack(core);
  const std::uint32_t all = first ? spins(attachment.wait) : 0;
  for (std::uint32_t spin = 1; spin <= all; ++spin) {
    if (something(core)) return Code::ok;
    SegmentMemory::pause();
    if (spin % kSpinsPerLook != 0) continue;
    const Code claimer = look_at_next(core);
    if (claimer != Code::would_block) return claimer;
    if (attachment.bus->interrupted() || monotonic_ns() >= deadline) break;
  }
  const std::int64_t now = monotonic_ns();
  // What seems to be there and cannot be had, which a faulty process may have written, ends like any wait.
  if (something(core) && (first || (now < deadline && !attachment.bus->interrupted()))) return Code::ok;
  if (attachment.bus->interrupted()) return Code::interrupted;
  const Code claimer = look_at_next(core);
  if (claimer != Code::would_block) return claimer;
  if (now >= deadline) return Code::timeout;
  if (!attachment.topic_stands(now)) return Code::topic_gone;
  std::int64_t until = std::min(deadline, now + longest_sleep(attachment.wait));
  if (attachment.due < static_cast<std::uint64_t>(until)) until = static_cast<std::int64_t>(attachment.due);
  if (attachment.due > static_cast<std::uint64_t>(now)) sleep_for_job(core, until);
  return Code::ok;
}

Code refuse(MemberCore& core, Code code) noexcept {
  core.cause = {};
  return core.code = code;
}

Code end(MemberCore& core, Code code) noexcept {
  core.code = code;
  // Whoever woke this one counts on it.
  if (std::exchange(core.woken, false) && code != Code::ok && something(core)) wake_another(core);
  return code;
}

}  // namespace

// relaxed: for display; an addition, since all members count here.
void record_latency(const MemberCore& core, const Taken& job) noexcept {
  if (unpack_word(job.word).attempt != 1) return;
  latency_count(core.ring.memory(), core.ring.row(), job.found.stamp).fetch_add(1, std::memory_order_relaxed);
}

void share(const MemberCore& core) noexcept {
  if (core.ring.something()) wake_member(core.ring.memory(), core.ring.row());
}

Code take_slowly(MemberCore& core, std::int64_t timeout, Taken& job) noexcept {
  if (core.forked()) return refuse(core, Code::forked);
  if (timeout != 0 && core.interrupted->load(std::memory_order_relaxed))
    return refuse(core, Code::interrupted);                // a flag
  if (core.gone()) return refuse(core, Code::topic_gone);  // what is left could not be acknowledged
  if (core.in_hand >= core.prefetch) return refuse(core, Code::busy);
  Waiting waiting{timeout};
  auto now = static_cast<std::uint64_t>(coarse_ns());
  for (bool first = true;; first = false) {
    Code code = take_once(core, job, now, waiting);
    if (code == Code::ok) {
      ++core.in_hand;
      if (core.timed) [[unlikely]]
        record_latency(core, job);
    }
    if (code != Code::would_block) return end(core, code);
    if (timeout == 0) {
      code = count_stuck(core);
      if (code == Code::ok) continue;
      if (code == Code::would_block && !core.attachment->topic_stands(coarse_ns())) code = Code::topic_gone;
      return end(core, code);
    }
    if (waiting.deadline < 0) waiting.deadline = deadline_after(timeout);
    code = wait_for_job(core, waiting.deadline, first);
    if (code != Code::ok) return end(core, code);
    now = now_ns();
  }
}

void after_ack(MemberCore& core) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  core.gate = move_gate(memory, core.ring.row(), core.ring.group());
  if (anyone_waiting(memory)) wake_waiting(memory, core.ring.row(), core.gate);
  auto& full = memory.group(core.ring.group()).full;
  if (full.load(std::memory_order_relaxed) == 0) return;
  full.store(0, std::memory_order_relaxed);  // a hint; the backstop stands behind it
  core.ring.let_go();
  wake_another(core);
}

void give_back(MemberCore& core, const Taken& job, std::int64_t delay, std::string_view reason) noexcept {
  InFlightEntry& entry = core.ring.memory().entry(core.ring.group(), job.entry);
  std::array<char, kReasonWords * 8> bytes{};
  std::copy_n(reason.begin(), std::min(reason.size(), bytes.size()), bytes.begin());
  for (std::size_t i = 0; i < kReasonWords; ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, &bytes[i * 8], 8);
    entry.reason[i].store(value, std::memory_order_relaxed);  // T8 orders it
  }
  std::uint64_t after = delay < 0 ? core.attachment->retry_delay_ns : static_cast<std::uint64_t>(delay);
  if (delay < 0) {
    for (std::uint32_t attempt = unpack_word(job.word).attempt; attempt > 1 && after < kLongestDelay; --attempt)
      after *= 2;
    after = std::min(after, kLongestDelay);
  }
  const std::uint32_t attempts = core.attachment->max_attempts;
  const bool last = attempts != 0 && unpack_word(job.word).attempt >= attempts;  // its next way is out, at once
  const std::uint64_t now = now_ns();
  return_job(core, job, last ? 0 : after > kNever - now ? kNever : now + after);
  if (anyone_waiting(core.ring.memory())) after_ack(core);
}

Status refuse_length(MemberCore& core, std::uint64_t length, std::uint64_t expected) noexcept {
  core.code = corrupt_word(core.cause, "data file: length of a typed message", length, expected);
  return {core.code, core.cause};
}

std::optional<DeadLetter> read_dead_letter(const Found& found) {
  if (!has_trailer(found.size) || found.payload == nullptr) return std::nullopt;
  DeadLetterTrailer trailer;  // within the frame: else whoever looked at it has found it corrupt
  std::memcpy(&trailer, found.payload + trailer_offset(found.length), sizeof trailer);
  const auto text = [](const auto& bytes) { return std::string(bytes.data(), ::strnlen(bytes.data(), bytes.size())); };
  DeadLetter letter{text(trailer.topic), trailer.position, text(trailer.group), trailer.attempts, text(trailer.reason)};
  try {
    check_topic_name(letter.topic);
    check_component("group", letter.group);
  } catch (const Error&) {
    return std::nullopt;
  }
  if (letter.attempts == 0 || letter.attempts > kMaxAttempts) return std::nullopt;
  return letter;
}

}  // namespace ringway::detail

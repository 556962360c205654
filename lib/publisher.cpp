// Publishing off the data path: making space, waiting for it, waking sleepers.
#include "ringway/publisher.hpp"

#include "ringway/detail/jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "attachment.hpp"
#include "inspect.hpp"
#include "repair.hpp"

namespace ringway::detail {
namespace {

constexpr std::int64_t kSameWait = 1'000'000'000;  // ns between two waits that count as one
constexpr std::uint32_t kProbeEvery = 64;          // blocked tries in a row between two probes of the blocker

void copy_name(Cause& cause, const std::array<std::atomic<std::uint64_t>, kNameWords>& words) noexcept {
  for (std::size_t word = 0; word < kNameWords; ++word) {
    const std::uint64_t value = words[word].load(std::memory_order_relaxed);  // display only
    std::memcpy(cause.name + word * 8, &value, 8);
  }
  cause.name[kNameWords * 8] = '\0';
}

// A group is in the way: who has the job that its gate stands at? All for display only.
void blame_group(const SegmentMemory& memory, const SubscriptionSlot& row, std::uint64_t gate, Cause& cause) noexcept {
  cause.about = Cause::About::group;
  copy_name(cause, row.name);
  const std::uint32_t group = row.group.load(std::memory_order_relaxed);
  if (group >= memory.max_groups) return;
  const std::uint32_t used = entries_used(memory, group);
  for (std::uint32_t index = 0; index < used; ++index) {
    const InFlightEntry& entry = memory.entry(group, index);
    const JobWord word = unpack_word(entry.word.load(std::memory_order_relaxed));
    if (word.state != EntryState::held || entry.position.load(std::memory_order_relaxed) != gate) continue;
    if (word.owner >= memory.max_members) return;
    cause.owned = true;
    cause.pid = static_cast<std::int32_t>(memory.member(group, word.owner).pid.load(std::memory_order_relaxed));
  }
}

// Names who is in the way; `probe`: ask the kernel whether its owner lives.
void blame(PublisherCore& core, const Blocker& blocker, bool probe) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  Cause& cause = core.cause;
  cause = {};
  cause.slot = blocker.slot & ~kBlockedByPublisher;
  if ((blocker.slot & kBlockedByPublisher) != 0) {
    const PublisherSlot& row = memory.publisher(cause.slot);
    const bool dead = probe && core.attachment->publishers.probe(kSlotBytes + cause.slot) == Prober::Answer::dead;
    cause.about = dead ? Cause::About::dead_claim : Cause::About::open_claim;
    cause.owned = !dead;
    cause.pid = static_cast<std::int32_t>(row.pid.load(std::memory_order_relaxed));  // display only
    cause.value = blocker.position;
    copy_name(cause, row.name);
    return;
  }
  const SubscriptionSlot& row = memory.subscription(cause.slot);
  const std::uint64_t cursor = row.cursor.load(std::memory_order_relaxed);   // display only
  const std::uint64_t tail = memory.tail().load(std::memory_order_relaxed);  // display only
  if (row.kind.load(std::memory_order_relaxed) == SubscriptionKind::group) {
    blame_group(memory, row, cursor, cause);
    cause.value = lag(cursor, tail);
    return;
  }
  const bool claimed = row.owned.load(std::memory_order_relaxed) == 1;  // display only
  cause.about = Cause::About::subscription;
  cause.owned =
      claimed && (!probe || core.attachment->subscribers.probe(kSlotBytes + cause.slot) != Prober::Answer::dead);
  cause.pid = static_cast<std::int32_t>(row.pid.load(std::memory_order_relaxed));  // display only
  cause.value = lag(cursor, tail);
  copy_name(cause, row.name);
}

Code corrupt(PublisherCore& core, std::uint64_t position) noexcept {
  core.cause = {};
  core.cause.about = Cause::About::word;
  static constexpr char kWhere[] = "data file: the tag of a frame below tail";
  std::copy_n(kWhere, sizeof kWhere, core.cause.name);
  core.cause.value = core.ring.memory().frame(position).tag.load(std::memory_order_relaxed) ^ core.ring.memory().epoch;
  core.cause.limit = position;
  return Code::corrupt;
}

// Is the blocker still in the way?
bool in_the_way(const SegmentMemory& memory, const Blocker& blocker) noexcept {
  if ((blocker.slot & kBlockedByPublisher) != 0) {
    const std::uint64_t record =  // acquire: pairs with W5
        memory.publisher(blocker.slot & ~kBlockedByPublisher).record.load(std::memory_order_acquire);
    return record != kNoRecord && position_of(record) == blocker.position &&
           ((record & kRecordWon) != 0 || !tagged(memory, blocker.position));
  }
  const SubscriptionSlot& row = memory.subscription(blocker.slot);
  // acquire: pair with R4 and with free_subscription.
  return row.state.load(std::memory_order_acquire) == SubscriptionState::reliable &&
         before(row.cursor.load(std::memory_order_acquire), blocker.position);
}

// A publisher that tries again and again, each time up to a timeout, waits since the first of them: nothing was published since.
void say_since(PublisherCore& core, WaitingLine& line, std::int64_t now) noexcept {
  PublisherAttachment& attachment = *core.attachment;
  // relaxed: the own counter, and display only
  const std::uint64_t published =
      core.ring.memory().publisher(core.ring.slot()).sequence.load(std::memory_order_relaxed);
  const bool again = published == attachment.waited_with && now - attachment.waited_ns < kSameWait;
  attachment.waited_with = published;
  if (!again) line.since_ns.store(static_cast<std::uint64_t>(now), std::memory_order_relaxed);  // display only
}

// Spins until the blocker has moved; false: it has not, or the time is over.
bool spin_for(const PublisherCore& core, const Blocker& blocker, std::int64_t deadline) noexcept {
  const PublisherAttachment& attachment = *core.attachment;
  for (std::uint32_t spin = spins(attachment.wait); spin > 0; --spin) {
    if (!in_the_way(core.ring.memory(), blocker)) return true;
    SegmentMemory::pause();
    if (spin % 1024 == 0 && (attachment.bus->interrupted() || monotonic_ns() >= deadline)) break;
  }
  return false;
}

// One wait for the blocker to move: a spin, unless there was one, then a sleep of at most a backstop. ok: look again.
Code wait_for(PublisherCore& core, const Blocker& blocker, std::int64_t deadline, bool spun) noexcept {
  PublisherAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = core.ring.memory();
  if (!spun && spin_for(core, blocker, deadline)) return Code::ok;
  const std::int64_t now = monotonic_ns();
  if (attachment.bus->interrupted()) return Code::interrupted;
  if (now >= deadline) return Code::timeout;
  if (!attachment.topic_stands(now)) return Code::topic_gone;

  WaitingLine& line = memory.waiting_line(core.ring.slot());
  line.position.store(blocker.position, std::memory_order_relaxed);  // B3 orders these three
  line.blocker.store(blocker.slot, std::memory_order_relaxed);
  if (line.waiting.exchange(1, std::memory_order_relaxed) == 0) say_since(core, line, now);
  const Bed bed = waiting_bed(memory, core.ring.slot());
  const std::uint32_t seen =
      bed.announce(memory, (blocker.slot & kBlockedByPublisher) != 0 ? Waker::commit : Waker::release);
  if (in_the_way(memory, blocker))
    futex_wait(*bed.doorbell, seen, std::min(deadline, now + longest_sleep(attachment.wait)));
  bed.leave();
  attachment.waited_ns = monotonic_ns();
  return Code::ok;
}

// A blocker that is an ephemeral subscription of the dead, or has an impossible cursor, goes; a dead publisher's claim
// becomes padding. ok: it is out of the way; would_block: it is not, and `blocker` may name another by now; corrupt.
Code clear_away(PublisherCore& core, Blocker& blocker) noexcept {
  PublisherAttachment& attachment = *core.attachment;
  const Segment& segment = *attachment.segment;
  const std::uint32_t slot = blocker.slot & ~kBlockedByPublisher;
  if ((blocker.slot & kBlockedByPublisher) == 0)
    return free_dead_ephemeral(segment, attachment.subscribers, slot) || evict_impossible(segment, slot)
               ? Code::ok
               : Code::would_block;
  if (attachment.publishers.probe(kSlotBytes + slot) != Prober::Answer::dead) return Code::would_block;
  const Ruling ruling = resolve_dead_claim(segment, attachment.publishers, blocker.position);
  if (ruling.verdict == Verdict::corrupt) return corrupt(core, blocker.position);
  if (ruling.verdict != Verdict::open) return Code::ok;
  if (ruling.slot != kNoBlocker) blocker.slot = ruling.slot | kBlockedByPublisher;
  return Code::would_block;
}

// A group's gate follows its jobs when somebody needs it to. True: it has moved out of the way.
bool pass_gate(const SegmentMemory& memory, const Blocker& blocker) noexcept {
  if ((blocker.slot & kBlockedByPublisher) != 0) return false;
  const SubscriptionSlot& row = memory.subscription(blocker.slot);
  const std::uint32_t group = row.group.load(std::memory_order_relaxed);  // there before the row was reliable (S4)
  return row.kind.load(std::memory_order_relaxed) == SubscriptionKind::group && group < memory.max_groups &&
         !before(frame_start(move_gate(memory, blocker.slot, group)), blocker.position);
}

// At each step of an eighth: is the topic removed, and, if the last look was a while ago, do the names still mean these files?
bool step(PublisherCore& core) noexcept {
  PublisherAttachment& attachment = *core.attachment;
  const std::uint64_t limit = core.ring.limit();
  if (limit - attachment.stepped_at < core.ring.memory().capacity / kEighths) return true;
  attachment.stepped_at = limit;
  return attachment.topic_stands(coarse_ns());
}

Code wait_and_claim(PublisherCore& core, std::uint64_t bytes, std::int64_t timeout, std::uint32_t count) noexcept {
  PublisherAttachment& attachment = *core.attachment;
  std::int64_t deadline = -1;
  std::uint32_t faults = 0;
  for (;;) {
    switch (core.ring.claim(bytes, count)) {
      case Claimed::ok: attachment.blocked = 0; return Code::ok;
      case Claimed::busy: return Code::busy;
      case Claimed::too_large: core.cause.limit = core.ring.max_payload(); return Code::too_large;
      case Claimed::needs_space: break;
    }
    Blocker blocker;
    if (core.ring.make_space(bytes, blocker)) {
      if (!step(core)) return Code::topic_gone;
      continue;
    }
    if (blocker.slot == kNoBlocker) {
      if (++faults < 3) continue;
      return corrupt(core, blocker.position);
    }
    if (pass_gate(core.ring.memory(), blocker)) continue;
    if (timeout != 0 && deadline < 0) {
      deadline = deadline_after(timeout);
      // display only, and the owner's own counter
      auto& waits = core.ring.memory().publisher(core.ring.slot()).waits;
      waits.store(waits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    // Who was in the way before and has moved since is given the spin first: a look at its lock costs more than many a wait.
    const bool spun = timeout != 0 && blocker.slot == attachment.blocker && attachment.blocked == 0;
    if (spun && spin_for(core, blocker, deadline)) continue;
    if (blocker.slot != attachment.blocker) attachment.blocked = 0;  // another than before: looked at at once
    attachment.blocker = blocker.slot;
    const bool probe = attachment.blocked++ % kProbeEvery == 0 || deadline >= 0;
    const Code cleared = probe ? clear_away(core, blocker) : Code::would_block;
    if (cleared == Code::corrupt) return Code::corrupt;
    if (cleared == Code::ok) continue;
    blame(core, blocker, probe);
    if (timeout == 0 && attachment.topic_stands(coarse_ns())) return Code::would_block;
    const Code code = timeout == 0 ? Code::topic_gone : wait_for(core, blocker, deadline, spun);
    if (code == Code::topic_gone) core.cause = {};  // no longer of interest
    if (code != Code::ok) return code;
  }
}

}  // namespace

std::uint32_t spins(Wait strategy) noexcept {
  static const bool alone = ::sysconf(_SC_NPROCESSORS_ONLN) == 1;  // whom we wait for could not run meanwhile
  if (alone || strategy == Wait::park) return 0;
  return strategy == Wait::spin ? 1U << 16 : 2000;
}

std::int64_t longest_sleep(Wait strategy) noexcept { return strategy == Wait::spin ? 50'000 : kBackstop; }

Code claim_slowly(PublisherCore& core, std::uint64_t bytes, std::int64_t timeout, std::uint32_t count) noexcept {
  if (core.inside) return Code::busy;  // a signal handler's call inside another: it leaves that one's cause alone
  core.cause = {};
  if (core.forked()) return Code::forked;
  if (core.stopped(timeout)) return Code::interrupted;
  const int saved = errno;
  core.inside = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const Code code = wait_and_claim(core, bytes, timeout, count);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  core.inside = false;
  errno = saved;
  // display only
  core.ring.memory().waiting_line(core.ring.slot()).waiting.store(0, std::memory_order_relaxed);
  return code;
}

void wake_sleepers(const PublisherCore& core) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  wake_parked(memory);
  if (!memory.exclusive && anyone_waiting(memory))
    wake_waiting(memory, core.ring.slot() | kBlockedByPublisher, memory.tail().load(std::memory_order_relaxed));
}

void abort_claim(PublisherCore& core) noexcept {
  if (!core.forked() && core.ring.open() && core.ring.abort()) wake_sleepers(core);
}

}  // namespace ringway::detail

namespace ringway {
namespace detail {
namespace {

// The last message first, as fill ends with the frame's first line.
void fill_packed(PublisherCore& core, const std::byte* messages, std::size_t count, std::size_t bytes_each) noexcept {
  const std::size_t stride = stride_of(bytes_each, core.ring.memory().payload_alignment);
  if (stride == bytes_each) {
    fill(core, messages, count * bytes_each);
    return;
  }
  for (std::size_t i = count; i-- > 0;)
    std::memcpy(core.ring.payload() + i * stride, messages + i * bytes_each, bytes_each);
}

Published publish_all(PublisherCore& core, const void* messages, std::size_t count, std::size_t bytes_each,
                      std::int64_t timeout) noexcept {
  const std::size_t most = most_packed(core, bytes_each);
  if (most == 0) return {0, Status(Code::too_large, {.limit = core.ring.max_payload()})};
  const std::size_t stride = stride_of(bytes_each, core.ring.memory().payload_alignment);
  const bool until = timeout != 0 && timeout != Timeout::never().nanoseconds() && count > most;
  const std::int64_t deadline = until ? deadline_after(timeout) : 0;
  const auto* from = static_cast<const std::byte*>(messages);
  for (std::size_t done = 0; done < count;) {
    const std::size_t some = std::min(most, count - done);
    const Code code = claim(core, some * stride, timeout, static_cast<std::uint32_t>(some));
    if (code != Code::ok) return {done, Status(code, core.cause)};
    fill_packed(core, from + done * bytes_each, some, bytes_each);
    commit_packed(core, static_cast<std::uint32_t>(some), static_cast<std::uint32_t>(bytes_each));
    done += some;
    if (until)
      timeout = std::max<std::int64_t>(deadline - monotonic_ns(), 1);  // 0 would not wait, and not say `timeout`
  }
  return {count, {}};
}

}  // namespace
}  // namespace detail

Status Run::commit(std::size_t count) noexcept {
  detail::PublisherCore* const core = claim_.core_;
  if (core == nullptr || core->forked()) return claim_.commit();  // which says so
  if (count > count_) return {Code::too_large, {.about = detail::Cause::About::run, .limit = count_}};
  if (count == 0) {
    abort();
    return {};
  }
  detail::commit_packed(*core, static_cast<std::uint32_t>(count), static_cast<std::uint32_t>(bytes_each_));
  claim_.drop();
  return {};
}

Run Publisher::reserve_run(std::size_t count, std::size_t bytes_each, std::int64_t timeout) noexcept {
  if (core_ == nullptr) return Run(Code::closed);
  constexpr auto kRun = detail::Cause::About::run;
  if (count == 0) return Run({Code::invalid_argument, {.about = kRun}});
  const std::size_t most = detail::most_packed(*core_, bytes_each);
  if (most == 0) return Run({Code::too_large, {.limit = core_->ring.max_payload()}});
  if (count > most) return Run({Code::too_large, {.about = kRun, .limit = most}});
  const std::size_t stride = detail::stride_of(bytes_each, core_->ring.memory().payload_alignment);
  const Code code = detail::claim(*core_, count * stride, timeout, static_cast<std::uint32_t>(count));
  if (code != Code::ok) return Run({code, core_->cause});
  return {core_, count, bytes_each, stride};
}

Published Publisher::put_all(Bytes messages, std::size_t bytes_each, std::int64_t timeout) noexcept {
  if (core_ == nullptr) return {0, Code::closed};
  if (messages.size() == 0) return {0, {}};
  if (bytes_each == 0 || messages.size() % bytes_each != 0)
    return {0, Status(Code::invalid_argument, {.about = detail::Cause::About::run})};
  return detail::publish_all(*core_, messages.data(), messages.size() / bytes_each, bytes_each, timeout);
}

}  // namespace ringway

// Work shared by a group: each message goes to one member, and stays in the ring until it was acknowledged.
//
// Thread safety: a GroupMember and its Jobs belong to one thread at a time; open one member per thread, each takes a slot.
// Progress: try_receive is lock-free, ack and nack are wait-free; they call the kernel only to wake somebody, and to ask
// whether other members live, at most every 50 ms. The waiting forms spin shortly, then sleep, and look at least every 50 ms.
// Crash: what a dead member had in hand goes to another at once, or to the next that comes, as another attempt. A member that
// is only stopped keeps what it has; a job in hand keeps the ring from its position on.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "ringway/detail/export.hpp"
#include "ringway/detail/jobs.hpp"
#include "ringway/error.hpp"
#include "ringway/message.hpp"
#include "ringway/options.hpp"
#include "ringway/types.hpp"

namespace ringway {

class Job;

namespace detail {

class MemberAttachment;  // the cold part: lib/attachment.hpp

struct MemberCore {
  RingMember<SegmentMemory> ring;
  const std::atomic<std::uint32_t>* process = nullptr;  // 0 in a forked child
  const std::atomic<bool>* interrupted = nullptr;       // Bus::interrupt()
  Code code = Code::ok;                                 // why the last call gave nothing
  bool woken = false;                                   // by somebody, and nothing taken since
  bool timed = false;                                   // jobs are counted in the group's row by their latency
  std::uint32_t references = 0;                         // the handle and its jobs; one thread
  std::uint32_t prefetch = 1;
  std::uint32_t in_hand = 0;        // jobs that the user has
  std::uint32_t waiting_begin = 0;  // jobs taken ahead
  std::uint32_t waiting_end = 0;
  std::uint32_t returns_seen = 0;  // at the last look at all entries
  std::uint64_t look_at = 0;       // ns: then a job that came back is due, or others' owners are looked at again
  std::uint64_t gate = 0;          // as last seen
  std::unique_ptr<Taken[]> waiting;
  Cause cause;
  std::unique_ptr<MemberAttachment> attachment;

  MemberCore();
  ~MemberCore();
  MemberCore(const MemberCore&) = delete;
  MemberCore& operator=(const MemberCore&) = delete;
  [[nodiscard]] bool forked() const noexcept { return process->load(std::memory_order_relaxed) == 0; }
  // relaxed, these and below: flags, and own words.
  [[nodiscard]] bool evicted() const noexcept {
    return ring.memory().subscription(ring.row()).state.load(std::memory_order_relaxed) == SubscriptionState::free;
  }
  [[nodiscard]] bool gone() const noexcept {
    return ring.memory().control->removed.load(std::memory_order_relaxed) != 0;
  }
  [[nodiscard]] MemberSlot& slot() const noexcept { return ring.memory().member(ring.group(), ring.slot()); }
};

// The next job, waiting up to `timeout` ns. If not ok, core.code and core.cause say why.
RINGWAY_EXPORT Code take_slowly(MemberCore& core, std::int64_t timeout, Taken& job) noexcept;
// Counts the job in the group's histogram, if somebody has it for the first time.
RINGWAY_EXPORT void record_latency(const MemberCore& core, const Taken& job) noexcept;
// Another member sleeps, perhaps for the job behind the one taken.
RINGWAY_EXPORT void share(const MemberCore& core) noexcept;
// After an acknowledgment: moves the gate, wakes who waits for that.
RINGWAY_EXPORT void after_ack(MemberCore& core) noexcept;
// `delay` in ns; below 0: as the group has it.
RINGWAY_EXPORT void give_back(MemberCore& core, const Taken& job, std::int64_t delay, std::string_view reason) noexcept;
RINGWAY_EXPORT void leave(MemberCore* core) noexcept;
RINGWAY_EXPORT void close(MemberCore* core) noexcept;
RINGWAY_EXPORT Status refuse_length(MemberCore& core, std::uint64_t length, std::uint64_t expected) noexcept;

// As take_slowly, where one job is wanted and nothing stands in the way. Death in it: see jobs.hpp.
[[gnu::always_inline]] inline Code take(MemberCore& core, std::int64_t timeout, Taken& job) noexcept {
  const auto wanted = core.prefetch - core.in_hand;
  if (core.forked() || core.gone() || wanted == 0 ||
      (timeout != 0 && core.interrupted->load(std::memory_order_relaxed)))
    return take_slowly(core, timeout, job);
  const auto now = static_cast<std::uint64_t>(coarse_ns());
  if (core.waiting_begin != core.waiting_end) {
    job = core.waiting[core.waiting_begin++];
    core.ring.hand_out(job, now);
  } else {
    if (wanted != 1 || now >= core.look_at || core.ring.returns() != core.returns_seen ||
        !core.ring.take_next(job, now))
      return take_slowly(core, timeout, job);
    if (any_member_parked(core.ring.memory(), core.ring.group())) [[unlikely]]
      share(core);
  }
  ++core.in_hand;
  core.woken = false;
  if (core.timed) [[unlikely]]
    record_latency(core, job);
  return core.code = Code::ok;
}

inline void acknowledge(MemberCore& core, const Taken& job) noexcept {
  const SegmentMemory& memory = core.ring.memory();
  core.ring.ack(job);
  auto& acked = core.slot().acked;
  acked.store(acked.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  // relaxed: as after a release of a cursor: the one race that is left costs a backstop. The gate need not follow each job.
  if (anyone_waiting(memory) || memory.group(core.ring.group()).full.load(std::memory_order_relaxed) != 0 ||
      job.found.position - core.gate > memory.capacity / kEighths) [[unlikely]]
    after_ack(core);
}

}  // namespace detail

// A job, or the reason why there is none. A view into the ring until it is answered; a copy, if a member that died in taking
// it may have lost it to another. A handle that goes without an answer is a nack. Keeps its attachment alive.
class RINGWAY_EXPORT Job {
 public:
  Job(Job&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)),
        job_(std::exchange(other.job_, {})),
        code_(std::exchange(other.code_, Code::closed)) {}
  Job& operator=(Job&& other) noexcept {
    if (this == &other) return *this;
    this->~Job();
    return *std::construct_at(this, std::move(other));
  }
  ~Job() {
    if (core_ == nullptr) return;
    if (code_ == Code::ok && !core_->forked()) answer(-1, "dropped without an answer");
    drop();
  }

  // True if there is a job and it is not answered.
  explicit operator bool() const noexcept { return code_ == Code::ok; }
  [[nodiscard]] Status status() const noexcept {
    return code_ == Code::ok || core_ == nullptr ? Status(code_) : Status(code_, core_->cause);
  }

  [[nodiscard]] std::span<const std::byte> payload() const& noexcept { return {job_.found.payload, job_.found.length}; }
  [[nodiscard]] std::string_view text() const& noexcept {
    return {reinterpret_cast<const char*>(job_.found.payload), job_.found.length};
  }
  std::span<const std::byte> payload() && = delete;  // the bytes would go with the job
  std::string_view text() && = delete;

  [[nodiscard]] std::uint64_t position() const noexcept { return job_.found.position; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return detail::sequence_of(job_.found.origin); }
  [[nodiscard]] std::uint32_t publisher() const noexcept { return detail::publisher_of(job_.found.origin); }  // slot
  [[nodiscard]] std::chrono::nanoseconds stamp() const noexcept {  // CLOCK_MONOTONIC at commit; 0: not stamped
    return std::chrono::nanoseconds(static_cast<std::int64_t>(job_.found.stamp));
  }
  // Where it comes from, if the topic is one for dead letters.
  [[nodiscard]] std::optional<DeadLetter> dead_letter() const {
    return code_ == Code::ok ? detail::read_dead_letter(job_.found) : std::nullopt;
  }
  // Which attempt this is: 1 for the first. Stays at 16383.
  [[nodiscard]] std::uint32_t attempt() const noexcept { return detail::unpack_word(job_.word).attempt; }
  // Perhaps somebody had it in hand before.
  [[nodiscard]] bool redelivered() const noexcept { return attempt() > 1 || detail::unpack_word(job_.word).again; }

  // Done: nobody gets it again; its bytes may change from here on. Status: ok; closed (no job, or answered already);
  // topic_gone, evicted (a fault), forked: it is of no use any more.
  Status ack() noexcept {
    if (const Code code = answerable(); code != Code::ok) return code;
    detail::acknowledge(*core_, job_);
    return answered();
  }
  // Not done: again after the group's retry_delay, doubled with each attempt up to 60 s; or after `delay`. `reason`, its first
  // 40 bytes, goes into the dead letter after the last attempt. Status: as ack.
  Status nack(std::string_view reason = {}) noexcept { return give_back(-1, reason); }
  Status nack(Timeout delay, std::string_view reason = {}) noexcept { return give_back(delay.nanoseconds(), reason); }

 private:
  friend class GroupMember;
  template <Payload T>
  friend class TypedJob;
  explicit Job(Code code) noexcept : code_(code) {}
  Job(detail::MemberCore* core, std::int64_t timeout) noexcept
      : core_(core), code_(detail::take(*core, timeout, job_)) {
    ++core->references;
  }
  [[nodiscard]] Code answerable() const noexcept {
    if (core_ == nullptr || code_ != Code::ok) return Code::closed;
    if (core_->forked()) return Code::forked;
    return core_->gone() ? Code::topic_gone : core_->evicted() ? Code::evicted : Code::ok;
  }
  Status give_back(std::int64_t delay, std::string_view reason) noexcept {
    if (const Code code = answerable(); code != Code::ok) return code;
    detail::give_back(*core_, job_, delay, reason);
    return answered();
  }
  Status answered() noexcept {
    --core_->in_hand;
    code_ = Code::closed;
    job_.found = {};
    drop();
    return {};
  }
  void answer(std::int64_t delay, std::string_view reason) noexcept {
    --core_->in_hand;
    if (!core_->evicted()) detail::give_back(*core_, job_, delay, reason);
  }
  void drop() noexcept {
    detail::MemberCore* core = std::exchange(core_, nullptr);
    if (--core->references == 0) detail::close(core);
  }

  detail::MemberCore* core_ = nullptr;
  detail::Taken job_;  // before the code: taking fills it in
  Code code_ = Code::ok;
};

// A member of a group. Opened by Bus::group_member. Move-only; moved from, it answers `closed`.
class RINGWAY_EXPORT GroupMember {
 public:
  GroupMember(GroupMember&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  GroupMember& operator=(GroupMember&& other) noexcept {
    GroupMember old(std::move(*this));
    core_ = std::exchange(other.core_, nullptr);
    return *this;
  }
  // What was taken ahead goes back, without an attempt.
  ~GroupMember() {
    if (core_ != nullptr) detail::leave(core_);
  }

  // The next job: one that came back and is due, or the next of the ring. New ones are taken in the ring's order. An empty one
  // says why in its status(), as does status(): timeout, would_block, interrupted, busy (`prefetch` jobs are held);
  // topic_gone, evicted, corrupt, forked, closed.
  [[nodiscard]] Job receive(Timeout timeout = Timeout::never()) noexcept { return next(timeout.nanoseconds()); }
  [[nodiscard]] Job try_receive() noexcept { return next(0); }
  [[nodiscard]] Job receive_until(std::chrono::steady_clock::time_point deadline) noexcept {
    const auto now = std::chrono::steady_clock::now();
    return next(deadline <= now ? 0 : Timeout(deadline - now).nanoseconds());  // also of time_point::min()
  }

  // Why the last receive gave nothing; ok if it did not.
  [[nodiscard]] Status status() const noexcept {
    if (core_ == nullptr) return Code::closed;
    return core_->code == Code::ok ? Status() : Status(core_->code, core_->cause);
  }

 private:
  friend class Bus;
  explicit GroupMember(detail::MemberCore* core) noexcept : core_(core) {}
  [[nodiscard]] Job next(std::int64_t timeout) noexcept {
    return core_ == nullptr ? Job(Code::closed) : Job(core_, timeout);
  }
  detail::MemberCore* core_;
};

// A job of one type.
template <Payload T>
class TypedJob {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(job_); }
  // REQUIRES: there is a job.
  [[nodiscard]] const T& operator*() const& noexcept { return *reinterpret_cast<const T*>(job_.payload().data()); }
  [[nodiscard]] const T* operator->() const& noexcept { return &**this; }
  const T& operator*() && = delete;  // the bytes would go with the job
  const T* operator->() && = delete;
  [[nodiscard]] Status status() const noexcept { return job_.status(); }
  [[nodiscard]] std::uint64_t position() const noexcept { return job_.position(); }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return job_.sequence(); }
  [[nodiscard]] std::uint32_t publisher() const noexcept { return job_.publisher(); }
  [[nodiscard]] std::chrono::nanoseconds stamp() const noexcept { return job_.stamp(); }
  [[nodiscard]] std::optional<DeadLetter> dead_letter() const { return job_.dead_letter(); }
  [[nodiscard]] std::uint32_t attempt() const noexcept { return job_.attempt(); }
  [[nodiscard]] bool redelivered() const noexcept { return job_.redelivered(); }
  Status ack() noexcept { return job_.ack(); }
  Status nack(std::string_view reason = {}) noexcept { return job_.nack(reason); }
  Status nack(Timeout delay, std::string_view reason = {}) noexcept { return job_.nack(delay, reason); }

 private:
  template <Payload>
  friend class TypedGroupMember;
  explicit TypedJob(Job&& job) noexcept : job_(std::move(job)) {
    if (!job_ || job_.payload().size() == sizeof(T)) return;
    detail::refuse_length(*job_.core_, job_.payload().size(), sizeof(T));
    const Status status = job_.nack("its length is not the type's");  // it stays: nothing is dropped silently
    job_ = Job(status ? Code::corrupt : status.code());
  }
  Job job_;
};

// A GroupMember of one type. Opened by Bus::group_member<T>.
template <Payload T>
class TypedGroupMember {
 public:
  [[nodiscard]] TypedJob<T> receive(Timeout timeout = Timeout::never()) noexcept {
    return TypedJob<T>(member_.receive(timeout));
  }
  [[nodiscard]] TypedJob<T> try_receive() noexcept { return TypedJob<T>(member_.try_receive()); }
  [[nodiscard]] TypedJob<T> receive_until(std::chrono::steady_clock::time_point deadline) noexcept {
    return TypedJob<T>(member_.receive_until(deadline));
  }
  [[nodiscard]] Status status() const noexcept { return member_.status(); }

 private:
  friend class Bus;
  explicit TypedGroupMember(GroupMember&& member) noexcept : member_(std::move(member)) {}
  GroupMember member_;
};

}  // namespace ringway

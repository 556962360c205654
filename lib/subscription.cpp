// Subscriptions: taking and leaving their rows; observers, who have none.
#include <unistd.h>

#include <ctime>
#include <new>

#include "attachment.hpp"
#include "inspect.hpp"
#include "reboot.hpp"
#include "repair.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

SubscriptionState state_for(const SubscriptionOptions& options) {
  if (options.reliability == Reliability::lossy) return SubscriptionState::lossy;
  return options.max_lag_bytes == 0 ? SubscriptionState::reliable : SubscriptionState::limited;
}

std::string describe(SubscriptionState state, std::uint64_t max_lag_bytes) {
  if (state == SubscriptionState::lossy) return "lossy";
  return state == SubscriptionState::limited ? "limited to a lag of " + human_bytes(max_lag_bytes) : "reliable";
}

// Throws Error mismatch unless the durable subscription is of the kind that is asked for.
void check_subscription_fit(const SubscriptionSlot& row, const SubscriptionOptions& options, const std::string& topic) {
  const auto wanted = static_cast<SubscriptionState>(row.wanted.load(std::memory_order_relaxed));  // the table lock
  const std::uint64_t max_lag = row.max_lag_bytes.load(std::memory_order_relaxed);                 // as above
  if (wanted != state_for(options) || max_lag != options.max_lag_bytes)
    throw Error(Code::mismatch, topic,
                "subscription " + options.name + " exists and is " + describe(wanted, max_lag) + ", " +
                    describe(state_for(options), options.max_lag_bytes) +
                    " was asked for; use what exists, or remove the subscription");
}

bool is_named(SubscriptionKind kind) { return kind == SubscriptionKind::durable || kind == SubscriptionKind::group; }

// Its slot, or kNoBlocker.
std::uint32_t find_name(const SegmentMemory& memory, const std::string& name) {
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    const SubscriptionSlot& row = memory.subscription(slot);
    if (is_named(row.kind.load(std::memory_order_acquire)) && read_name(row.name) == name)
      return slot;  // the table lock
  }
  return kNoBlocker;
}

// A row that nobody has; with `life`, its life lock is taken too.
Row take_free_row(const Segment& segment, Prober& prober, Life* life, const std::string& topic) {
  const SegmentMemory& memory = segment.memory();
  bool blocked = false;
  for (std::uint32_t slot = 0; slot < memory.max_subscriptions; ++slot) {
    SubscriptionSlot& row = memory.subscription(slot);
    const SubscriptionKind kind = row.kind.load(std::memory_order_acquire);  // the table lock
    const bool owned = row.owned.load(std::memory_order_acquire) == 1;       // pairs with free_subscription
    if (is_named(kind)) continue;
    // Without a life lock of ours to try, a row that was taken away from a live owner is told by its owner's.
    if ((owned || life == nullptr) && prober.probe(kSlotBytes + slot) != Prober::Answer::dead) continue;
    if (life != nullptr && !life->begin(segment.control_file(), kSlotBytes + slot)) {
      blocked = true;
      continue;
    }
    free_subscription(memory, slot);  // whatever a dead one left
    return {slot, false};
  }
  throw table_full(topic, "subscription", memory.max_subscriptions, false, blocked);
}

// A row to own; a durable one is found by its name. With `life`, its life lock is taken too.
Row take_subscription_row(const Segment& segment, Prober& prober, Life* life, const SubscriptionOptions& options,
                          const std::string& topic) {
  const SegmentMemory& memory = segment.memory();
  if (!options.name.empty()) {
    const Row found = find_named(memory, options.name, SubscriptionKind::durable, topic);
    if (found.existing) {
      SubscriptionSlot& row = memory.subscription(found.slot);
      check_subscription_fit(row, options, topic);
      const bool alive = row.owned.load(std::memory_order_acquire) == 1 &&  // the table lock
                         prober.probe(kSlotBytes + found.slot) != Prober::Answer::dead;
      if (life == nullptr) return found;
      if (alive || !begin_after_leave(*life, segment.control_file(), kSlotBytes + found.slot))
        throw Error(Code::taken, topic,
                    "subscription " + options.name + " has a live owner (pid " +
                        std::to_string(row.pid.load(std::memory_order_relaxed)) +
                        "); close it there, or choose another name");
      return found;
    }
  }
  return take_free_row(segment, prober, life, topic);
}

SubscriptionKind kind_for(const SubscriptionOptions& options) {
  return options.name.empty() ? SubscriptionKind::ephemeral : SubscriptionKind::durable;
}

}  // namespace

Row find_named(const SegmentMemory& memory, const std::string& name, SubscriptionKind kind, const std::string& topic) {
  const std::uint32_t slot = find_name(memory, name);
  if (slot == kNoBlocker) return {};
  if (memory.subscription(slot).kind.load(std::memory_order_relaxed) != kind)  // the table lock
    throw Error(
        Code::mismatch, topic,
        kind == SubscriptionKind::group
            ? name + " is a durable subscription with one reader, not a group; choose another name for the group"
            : name + " is a group, whose members share the work; open it with group_member (`ringway sub " + topic +
                  " --group " + name + "`), or choose another name");
  return {slot, true};
}

Row take_group_row(const Segment& segment, Prober& prober, const std::string& name, const std::string& topic) {
  const Row found = find_named(segment.memory(), name, SubscriptionKind::group, topic);
  return found.existing ? found : take_free_row(segment, prober, nullptr, topic);
}

bool begin_after_leave(Life& life, const File& file, std::uint64_t byte) {
  for (int tries = 0; tries < 100; ++tries) {
    if (life.begin(file, byte)) return true;
    const timespec pause{0, 100'000};
    ::nanosleep(&pause, nullptr);
  }
  return false;
}

// It does not hold anybody back until it joins.
void write_row(const SegmentMemory& memory, std::uint32_t slot, const SubscriptionOptions& options,
               SubscriptionKind kind) {
  SubscriptionSlot& row = memory.subscription(slot);
  const bool durable = kind != SubscriptionKind::ephemeral;
  write_name(row.name, options.name);
  row.max_lag_bytes.store(options.max_lag_bytes, std::memory_order_relaxed);  // the table lock orders all of these
  row.wanted.store(static_cast<std::uint32_t>(state_for(options)), std::memory_order_relaxed);
  row.received.store(0, std::memory_order_relaxed);
  row.lost.store(0, std::memory_order_relaxed);
  row.discarded_from.store(0, std::memory_order_relaxed);
  row.discarded_to.store(0, std::memory_order_relaxed);
  row.backstops.store(0, std::memory_order_relaxed);
  row.base.store(kUnknown, std::memory_order_relaxed);
  for (auto& bucket : row.histogram) bucket.store(0, std::memory_order_relaxed);
  if (memory.control->subscriptions_used.load(std::memory_order_relaxed) <= slot)
    memory.control->subscriptions_used.store(slot + 1, std::memory_order_seq_cst);  // J1: pairs with N1
  if (durable) memory.control->had_durable.store(1, std::memory_order_relaxed);
  // Death after it: a row that never joined; a durable one joins when it is next opened.
  row.kind.store(kind, std::memory_order_release);
}

void refuse_place(const SegmentMemory& memory, From from, const std::string& topic) {
  throw Error(Code::invalid_argument, topic,
              "no message starts at position " + std::to_string(from.position()) + "; the oldest is at " +
                  std::to_string(memory.oldest().load()) + ", the next will be at " +
                  std::to_string(visible_tail(memory)));
}

bool has_joined(const SubscriptionSlot& row) {
  const SubscriptionState state = row.state.load(std::memory_order_acquire);  // the table lock
  return state != SubscriptionState::free && state != SubscriptionState::joining;
}

namespace {

void check_subscription(const SubscriptionOptions& options, const std::string& topic) {
  if (!options.name.empty()) check_component("subscription", options.name, topic);
  if (options.max_lag_bytes != 0 && options.reliability == Reliability::lossy)
    throw Error(Code::invalid_argument, topic,
                "max_lag_bytes is " + std::to_string(options.max_lag_bytes) +
                    " for a lossy subscription, which publishers overtake anyway; leave it 0, or choose reliable");
}

void check_lag(const SubscriptionOptions& options, const TopicSpec& spec, const std::string& topic) {
  const std::uint64_t most = spec.limits.capacity_bytes / 2;
  if (options.max_lag_bytes > most)
    throw Error(Code::invalid_argument, topic,
                "max_lag_bytes is " + std::to_string(options.max_lag_bytes) + ", at most half of the capacity, " +
                    std::to_string(most) + ", can be kept; choose less, or a larger topic");
}

// A durable subscription's cursor. One that cannot be true is a fault, not a gap.
std::uint64_t check_cursor(const Segment& segment, std::uint32_t slot, const std::string& name,
                           const std::string& topic) {
  const SegmentMemory& memory = segment.memory();
  const std::uint64_t cursor = memory.subscription(slot).cursor.load(std::memory_order_acquire);  // the table lock
  const std::uint64_t tail = visible_tail(memory);
  const bool below = !before(tail, cursor);
  if (below && tail - cursor <= memory.capacity && holds(memory, cursor)) return cursor;
  const bool may_be_overtaken =
      memory.subscription(slot).state.load(std::memory_order_relaxed) != SubscriptionState::reliable;
  // Overtaken while it was away, or just now. acquire: pairs with S3.
  if (below && may_be_overtaken &&
      (index_of(cursor) == 0 || before(cursor, memory.oldest().load(std::memory_order_acquire))))
    return cursor;
  throw Error(Code::corrupt, topic,
              segment.control_file().path + ": the cursor of subscription " + name + " is " + std::to_string(cursor) +
                  ", the topic's tail is " + std::to_string(tail) + " and its capacity " +
                  std::to_string(memory.capacity) + "; remove the subscription and create it anew");
}

void prepare_copies(ReaderCore& core) {
  const SegmentMemory& memory = core.ring.memory();
  core.attachment->buffer = aligned_bytes(memory.max_extent);
  core.attachment->expected.assign(memory.max_publishers, kUnknown);
}

void take_subscription(ReaderCore& core, const Segment& segment, const SubscriptionOptions& options) {
  ReaderAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = segment.memory();
  const Row taken = take_subscription_row(segment, attachment.subscribers, &attachment.life, options, attachment.topic);
  SubscriptionSlot& row = memory.subscription(taken.slot);
  const bool resumes = taken.existing && has_joined(row);
  const std::uint64_t cursor = resumes ? check_cursor(segment, taken.slot, options.name, attachment.topic) : 0;
  if (!taken.existing) write_row(memory, taken.slot, options, kind_for(options));
  row.incarnation.fetch_add(1, std::memory_order_relaxed);                           // the table lock
  row.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);  // display only
  row.owned.store(1, std::memory_order_release);  // Death after it: an owned, dead row
  mark_attached(segment);
  core.slot = taken.slot;
  core.received = row.received.load(std::memory_order_relaxed);  // the table lock
  if (resumes) {
    resume(core, cursor);
    return;
  }
  From from = options.from;
  if (from.place() == From::Place::automatic) from = options.name.empty() ? From::newest : From::oldest;
  if (join(core, from)) {
    note_base(core);
    return;
  }
  free_subscription(memory, taken.slot);
  attachment.life.end();
  mark_left(segment, attachment.publishers, attachment.subscribers);
  refuse_place(memory, from, attachment.topic);
}

std::unique_ptr<ReaderCore> attach_once(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                        const SubscriptionOptions& options, const TypeInfo& type) {
  check_subscription(options, topic);
  std::unique_ptr<ReaderCore> core;
  with_topic(
      *bus, topic, {Role::subscribe, options.topic, type, options.attach_timeout, options.if_missing},
      [&](const OpenFiles& files) -> const Segment& {
        check_lag(options, files.geometry.spec, topic);
        core = new_core<ReaderCore>(*bus);
        core->in_place = state_for(options) == SubscriptionState::reliable;
        core->attachment = std::make_unique<ReaderAttachment>(
            bus, topic, std::make_unique<Segment>(files, Role::subscribe, topic, options.memory.huge_pages),
            options.wait);
        ReaderAttachment& attachment = *core->attachment;
        const Segment& segment = *attachment.segment;
        attachment.memory = obtain_memory(segment, options.memory, Role::subscribe, topic);
        core->ring.attach(segment.memory(), 0);
        attachment.timed = files.geometry.spec.latency;
        core->direct = core->in_place && !attachment.timed;
        if (!core->in_place) prepare_copies(*core);
        return segment;
      },
      [&](const Segment& segment) { take_subscription(*core, segment, options); });
  return core;
}

}  // namespace

std::unique_ptr<ReaderCore> attach_subscriber(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                              const SubscriptionOptions& options, const TypeInfo& type) {
  Patience takeover(*bus, topic, Timeout::never());
  for (;;) {
    try {
      return attach_once(bus, topic, options, type);
    } catch (const Error& error) {
      if (error.code() != Code::taken || options.if_taken != IfTaken::wait) throw;
    }
    takeover.wait("the subscription is taken");
  }
}

std::unique_ptr<ReaderCore> attach_observer(std::shared_ptr<BusState> bus, const std::string& topic,
                                            const ObserverOptions& options, const TypeInfo& type) {
  if (options.if_missing == IfMissing::create)
    throw Error(Code::invalid_argument, topic,
                "an observer writes nothing, so it cannot create a topic; choose wait or fail");
  Patience arrival(*bus, topic, options.if_missing == IfMissing::wait ? Timeout::never() : options.attach_timeout);
  const OpenFiles files =
      open_topic(*bus, topic, Role::observe, nullptr, options.if_missing == IfMissing::wait, arrival);
  check_type(files.geometry.spec, type, false, topic);
  auto core = new_core<ReaderCore>(*bus);
  core->attachment = std::make_unique<ReaderAttachment>(
      std::move(bus), topic, std::make_unique<Segment>(files, Role::observe, topic), Wait::park);
  core->ring.attach(core->attachment->segment->memory(), 0);
  prepare_copies(*core);
  const From from = options.from.place() == From::Place::automatic ? From::newest : options.from;
  if (!join(*core, from))
    throw Error(Code::invalid_argument, topic,
                "no message starts at position " + std::to_string(from.position()) +
                    "; choose From::oldest, From::newest or the position() of a message");
  return core;
}

namespace {

// Throws Error taken if the durable subscription or group has a live owner or member. REQUIRES: the table lock.
void refuse_if_attached(const SegmentMemory& memory, Prober& prober, std::uint32_t slot, const std::string& topic) {
  const SubscriptionSlot& row = memory.subscription(slot);
  if (row.kind.load(std::memory_order_relaxed) != SubscriptionKind::group) {  // the table lock, and below
    if (row.owned.load(std::memory_order_acquire) == 1 && prober.probe(kSlotBytes + slot) != Prober::Answer::dead)
      throw Error(Code::taken, topic,
                  "subscription " + read_name(row.name) + " has a live owner (pid " +
                      std::to_string(row.pid.load(std::memory_order_relaxed)) + "); close it first");
    return;
  }
  const std::uint32_t group = row.group.load(std::memory_order_relaxed);
  for (std::uint32_t member = 0; group < memory.max_groups && member < memory.max_members; ++member)
    if (member_lives(memory, prober, group, member))
      throw Error(Code::taken, topic,
                  "group " + read_name(row.name) + " has a live member (pid " +
                      std::to_string(memory.member(group, member).pid.load(std::memory_order_relaxed)) +
                      "); close its members first");
}

}  // namespace

bool create_subscription(const std::shared_ptr<BusState>& bus, const std::string& topic,
                         const SubscriptionOptions& options) {
  check_subscription(options, topic);
  std::unique_ptr<Segment> mapped;
  bool created = false;
  with_topic(
      *bus, topic, {Role::subscribe, options.topic, {}, options.attach_timeout, options.if_missing},
      [&](const OpenFiles& files) -> const Segment& {
        check_lag(options, files.geometry.spec, topic);
        mapped = std::make_unique<Segment>(files, Role::subscribe, topic);
        return *mapped;
      },
      [&](const Segment& segment) {
        const SegmentMemory& memory = segment.memory();
        Prober prober(segment.control_file());
        const Row taken = take_subscription_row(segment, prober, nullptr, options, topic);
        if (taken.existing && has_joined(memory.subscription(taken.slot))) return;
        if (!taken.existing) write_row(memory, taken.slot, options, kind_for(options));
        const From from = options.from.place() == From::Place::automatic ? From::oldest : options.from;
        created = join_row(memory, taken.slot, from);
        if (created) return;
        free_subscription(memory, taken.slot);
        refuse_place(memory, from, topic);
      });
  return created;
}

void remove_subscription(const BusState& bus, const std::string& topic, const std::string& name) {
  check_component("subscription", name, topic);
  std::unique_ptr<Segment> mapped;
  with_topic(
      bus, topic, {Role::subscribe, TopicOptions{}, {}, std::chrono::seconds(1), IfMissing::fail},
      [&](const OpenFiles& files) -> const Segment& {
        mapped = std::make_unique<Segment>(files, Role::subscribe, topic);
        return *mapped;
      },
      [&](const Segment& segment) {
        const SegmentMemory& memory = segment.memory();
        Prober prober(segment.control_file());
        const std::uint32_t slot = find_name(memory, name);
        if (slot == kNoBlocker)
          throw Error(Code::not_found, topic,
                      "there is no durable subscription " + name + "; `ringway subscription ls " + topic +
                          "` lists what there is");
        refuse_if_attached(memory, prober, slot, topic);
        free_subscription(memory, slot);
      });
}

void close(ReaderCore* core) noexcept {
  const std::unique_ptr<ReaderCore> owned(core);
  if (core->forked() || core->slot == kNoBlocker) return;
  ReaderAttachment& attachment = *core->attachment;
  const SegmentMemory& memory = core->ring.memory();
  SubscriptionSlot& row = memory.subscription(core->slot);
  if (row.kind.load(std::memory_order_relaxed) == SubscriptionKind::ephemeral)  // own row
    free_subscription(memory, core->slot);
  else
    row.owned.store(0, std::memory_order_release);  // pairs with the next attach
  attachment.life.end();
  mark_left(*attachment.segment, attachment.publishers, attachment.subscribers);
  if (attachment.segment->geometry().spec.temporary)
    remove_if_unkept(*attachment.bus, attachment.topic, *attachment.segment);
}

}  // namespace ringway::detail

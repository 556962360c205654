// Groups: creating them, and their members' slots.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "attachment.hpp"
#include "inspect.hpp"
#include "reboot.hpp"
#include "repair.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

constexpr std::int64_t kLongestDelay = 60'000'000'000;
constexpr std::int64_t kUsualDelay = 100'000'000;

// Throws Error invalid_argument.
void check_options(const GroupOptions& options, const std::string& topic) {
  check_component("group", options.group, topic);
  if (!options.name.empty()) check_component("member", options.name, topic);
  const auto refuse = [&topic](const std::string& text) { throw Error(Code::invalid_argument, topic, text); };
  if (options.max_attempts.value_or(0) > kMaxAttempts)
    refuse("max_attempts is " + std::to_string(*options.max_attempts) + ", at most " + std::to_string(kMaxAttempts) +
           " are counted; choose less, or 0 for no end");
  const std::int64_t delay = options.retry_delay.value_or(std::chrono::nanoseconds(kUsualDelay)).count();
  if (delay < 0 || delay > kLongestDelay)
    refuse("retry_delay is " + (delay < 0 ? "below 0" : human_time(static_cast<std::uint64_t>(delay))) +
           ", from 0 to 60 s are possible");
  if (options.dead_letter && !options.dead_letter->empty()) {
    check_topic_name(*options.dead_letter);
    if (*options.dead_letter == topic) refuse("dead_letter is the topic itself; choose another one");
  }
}

void check_prefetch(const GroupOptions& options, const TopicSpec& spec, const std::string& topic) {
  if (options.prefetch == 0 || options.prefetch > spec.limits.max_in_flight)
    throw Error(Code::invalid_argument, topic,
                "prefetch is " + std::to_string(options.prefetch) + ", from 1 to the topic's max_in_flight, " +
                    std::to_string(spec.limits.max_in_flight) + ", are possible");
}

// The table lock orders what is stored and loaded here, up to join_row.
std::uint32_t free_group(const SegmentMemory& memory, Prober& prober, const std::string& topic) {
  std::array<bool, kMaxGroups> used{};
  for (std::uint32_t slot = 0; slot < memory.subscriptions_used(); ++slot) {
    const SubscriptionSlot& row = memory.subscription(slot);
    const std::uint32_t group = row.group.load(std::memory_order_relaxed);
    if (row.kind.load(std::memory_order_relaxed) == SubscriptionKind::group && group < used.size()) used[group] = true;
  }
  for (std::uint32_t group = 0; group < memory.max_groups; ++group) {
    bool kept = used[group];  // or by members of one that was evicted
    for (std::uint32_t member = 0; !kept && member < memory.max_members; ++member)
      kept = member_lives(memory, prober, group, member);
    if (!kept) return group;
  }
  throw table_full(topic, "group", memory.max_groups, false, false);
}

void prepare_group(const SegmentMemory& memory, std::uint32_t group, const GroupOptions& options,
                   const std::string& topic) {
  const std::uint32_t attempts = options.max_attempts.value_or(0);
  const std::string dead_letter = options.dead_letter.value_or("");
  if ((attempts != 0) != !dead_letter.empty())
    throw Error(Code::invalid_argument, topic,
                "max_attempts is " + std::to_string(attempts) + " and dead_letter " +
                    (dead_letter.empty() ? "is empty" : "is " + dead_letter) +
                    "; a limit needs a topic for what has reached it, and that topic a limit: set both, or neither");
  GroupHeader& header = memory.group(group);
  header.returns.store(0, std::memory_order_relaxed);
  header.entries_used.store(0, std::memory_order_relaxed);
  header.full.store(0, std::memory_order_relaxed);
  header.max_attempts.store(attempts, std::memory_order_relaxed);
  const bool waits = options.dead_letter_full.value_or(DeadLetterFull::keep) == DeadLetterFull::wait;
  header.dead_letter_full.store(waits ? 1 : 0, std::memory_order_relaxed);
  const auto delay = options.retry_delay.value_or(std::chrono::nanoseconds(kUsualDelay));
  header.retry_delay_ns.store(static_cast<std::uint64_t>(delay.count()), std::memory_order_relaxed);
  write_name(header.dead_letter, dead_letter);
  for (std::uint32_t index = 0; index < memory.max_in_flight; ++index) {
    InFlightEntry& entry = memory.entry(group, index);
    entry.word.store(0, std::memory_order_relaxed);
    entry.position.store(0, std::memory_order_relaxed);
  }
  for (std::uint32_t slot = 0; slot < memory.max_members; ++slot) {
    MemberSlot& member = memory.member(group, slot);
    member.owned.store(0, std::memory_order_relaxed);
    for (auto* counter : {&member.acked, &member.redelivered, &member.dead_lettered})
      counter->store(0, std::memory_order_relaxed);
    member.backstops.store(0, std::memory_order_relaxed);
  }
  for (std::uint32_t word = 0; word * 64 < memory.max_members; ++word)
    memory.member_bits(group)[word].store(0, std::memory_order_relaxed);
}

// Throws Error mismatch unless the group has what is asked for.
void check_group_fit(const GroupHeader& header, const GroupOptions& options, const std::string& topic) {
  const auto fits = [&](bool set, const std::string& asked, const std::string& has, const char* what) {
    if (set && asked != has)
      throw Error(
          Code::mismatch, topic,
          "group " + options.group + " has " + what + " " + (has.empty() ? "(none)" : has) + ", " +
              (asked.empty() ? "(none)" : asked) +
              " was asked for; leave it unset to use what exists, or remove the group (`ringway subscription rm " +
              topic + ' ' + options.group + "`)");
  };
  fits(options.max_attempts.has_value(), std::to_string(options.max_attempts.value_or(0)),
       std::to_string(header.max_attempts.load(std::memory_order_relaxed)), "max_attempts");
  const auto delay = options.retry_delay.value_or(std::chrono::nanoseconds(0));
  fits(options.retry_delay.has_value(), human_time(static_cast<std::uint64_t>(delay.count())),
       human_time(header.retry_delay_ns.load(std::memory_order_relaxed)), "retry_delay");
  fits(options.dead_letter.has_value(), options.dead_letter.value_or(""), read_name(header.dead_letter), "dead_letter");
  const auto policy = [](bool waits) { return std::string(waits ? "wait" : "keep"); };
  fits(options.dead_letter_full.has_value(),
       policy(options.dead_letter_full.value_or(DeadLetterFull::keep) == DeadLetterFull::wait),
       policy(header.dead_letter_full.load(std::memory_order_relaxed) != 0), "dead_letter_full");
}

// The group of that row, read once and checked.
std::uint32_t group_of(const Segment& segment, std::uint32_t row, const std::string& topic) {
  const std::uint32_t group =
      segment.memory().subscription(row).group.load(std::memory_order_relaxed);  // the table lock
  if (group < segment.memory().max_groups) return group;
  throw Error(Code::corrupt, topic,
              segment.control_file().path + ": row " + std::to_string(row) + " of a group names group " +
                  std::to_string(group) + " of " + std::to_string(segment.memory().max_groups) + "; remove the group");
}

// The group's row: found and fitting, or made. REQUIRES: the table lock. `made`: it is new.
std::uint32_t find_or_make(const Segment& segment, Prober& prober, const GroupOptions& options,
                           const std::string& topic, bool& made) {
  const SegmentMemory& memory = segment.memory();
  const Row taken = take_group_row(segment, prober, options.group, topic);
  SubscriptionSlot& row = memory.subscription(taken.slot);
  made = !taken.existing || !has_joined(row);
  if (!made) {
    check_group_fit(memory.group(group_of(segment, taken.slot, topic)), options, topic);
    return taken.slot;
  }
  const std::uint32_t group = taken.existing ? group_of(segment, taken.slot, topic) : free_group(memory, prober, topic);
  // Death before write_row: nothing but words that nobody looks at. Death after it: a group that has not joined, which is made
  // anew by whoever opens it next.
  prepare_group(memory, group, options, topic);
  row.group.store(group, std::memory_order_relaxed);
  if (!taken.existing) write_row(memory, taken.slot, {.name = options.group}, SubscriptionKind::group);
  const From from = options.from.place() == From::Place::automatic ? From::oldest : options.from;
  if (!join_row(memory, taken.slot, from)) {
    free_subscription(memory, taken.slot);
    refuse_place(memory, from, topic);
  }
  return taken.slot;
}

void take_member_slot(MemberCore& core, const Segment& segment, std::uint32_t row, const GroupOptions& options) {
  MemberAttachment& attachment = *core.attachment;
  const SegmentMemory& memory = segment.memory();
  const std::uint32_t group = group_of(segment, row, attachment.topic);
  std::uint32_t chosen = kNoBlocker;
  std::uint32_t leaving = kNoBlocker;
  for (std::uint32_t slot = 0; slot < memory.max_members && chosen == kNoBlocker; ++slot) {
    if (member_lives(memory, attachment.subscribers, group, slot)) continue;
    if (attachment.life.begin(segment.control_file(), member_byte(group, slot)))
      chosen = slot;
    else
      leaving = slot;
  }
  if (chosen == kNoBlocker && leaving != kNoBlocker &&
      begin_after_leave(attachment.life, segment.control_file(), member_byte(group, leaving)))
    chosen = leaving;
  if (chosen == kNoBlocker)
    throw table_full(attachment.topic, "member", memory.max_members, false, leaving != kNoBlocker);
  MemberSlot& member = memory.member(group, chosen);
  const std::uint64_t incarnation = member.incarnation.load(std::memory_order_relaxed) + 1;
  member.incarnation.store(incarnation, std::memory_order_relaxed);
  member.pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_relaxed);  // display only
  write_name(member.name, options.name);
  const Bed bed = member_bed(memory, group, chosen);
  bed.word->fetch_and(~bed.bit, std::memory_order_relaxed);  // a dead one's
  core.ring.attach(memory, row, group, chosen, incarnation);
  core.ring.settle();  // Death after it: done again
  member.owned.store(1, std::memory_order_release);
  mark_attached(segment);
  if (any_member_parked(memory, group)) wake_member(memory, row);  // for what came back
}

void read_settings(MemberAttachment& attachment, const GroupHeader& header) {
  attachment.max_attempts = header.max_attempts.load(std::memory_order_relaxed);
  attachment.retry_delay_ns = header.retry_delay_ns.load(std::memory_order_relaxed);
  attachment.waits_for_dead_letters = header.dead_letter_full.load(std::memory_order_relaxed) != 0;
  attachment.dead_letter = read_name(header.dead_letter);
  if (attachment.dead_letter.empty()) {
    attachment.max_attempts = 0;
    return;
  }
  check_topic_name(attachment.dead_letter);
}

// Makes the topic for dead letters, with twice the capacity, or checks that they fit into what exists.
void prepare_dead_letters(const BusState& bus, const std::string& name, const Geometry& from,
                          const std::string& topic) {
  TopicSpec spec = from.spec;
  spec.limits.capacity_bytes = std::min(spec.limits.capacity_bytes * 2, kMaxCapacity);
  spec.limits.max_publishers = std::max(spec.limits.max_publishers, spec.limits.max_members);
  spec.exclusive = false;
  spec.temporary = false;
  spec.first_position = 0;
  Patience patience(bus, name, std::chrono::seconds(1));
  const OpenFiles files = open_topic(bus, name, Role::publish, &spec, false, patience);
  check_type(files.geometry.spec, {spec.type_size, spec.type_alignment, spec.type_fingerprint, spec.type_name}, true,
             name);
  const std::uint64_t room = files.geometry.spec.max_extent() - files.geometry.spec.payload_offset();
  const std::uint64_t need =
      align_up(from.spec.max_extent() - from.spec.payload_offset(), 8) + sizeof(DeadLetterTrailer);
  if (room < need && spec.limits.capacity_bytes < kMaxCapacity)
    throw Error(Code::mismatch, name,
                "its largest message has " + std::to_string(room) + " bytes, a dead letter of topic " + topic +
                    " up to " + std::to_string(need) + "; remove it, or choose another dead_letter topic");
}

// As with_topic; `with_row(segment, row, made)` with the group's row, and makes its topic for dead letters.
template <class Map, class WithRow>
void open_group(const BusState& bus, const std::string& topic, const GroupOptions& options, const TypeInfo& type,
                Map map, WithRow with_row) {
  check_options(options, topic);
  Geometry geometry;
  std::string dead_letter;
  with_topic(
      bus, topic, {Role::subscribe, options.topic, type, options.attach_timeout, options.if_missing},
      [&](const OpenFiles& files) -> const Segment& {
        geometry = files.geometry;
        check_prefetch(options, geometry.spec, topic);
        return map(files);
      },
      [&](const Segment& segment) {
        Prober prober(segment.control_file());
        bool made = false;
        const std::uint32_t row = find_or_make(segment, prober, options, topic, made);
        dead_letter = read_name(segment.memory().group(group_of(segment, row, topic)).dead_letter);
        with_row(segment, row, made);
      });
  if (!dead_letter.empty()) prepare_dead_letters(bus, dead_letter, geometry, topic);
}

}  // namespace

std::unique_ptr<MemberCore> attach_member(const std::shared_ptr<BusState>& bus, const std::string& topic,
                                          const GroupOptions& options, const TypeInfo& type) {
  std::unique_ptr<MemberCore> core;
  open_group(
      *bus, topic, options, type,
      [&](const OpenFiles& files) -> const Segment& {
        core = new_core<MemberCore>(*bus);
        core->prefetch = options.prefetch;
        core->waiting = std::make_unique<Taken[]>(options.prefetch);
        core->attachment = std::make_unique<MemberAttachment>(
            bus, topic, std::make_unique<Segment>(files, Role::subscribe, topic), Wait::spin_then_park);
        core->attachment->group = options.group;
        core->timed = files.geometry.spec.latency;
        return *core->attachment->segment;
      },
      [&](const Segment& segment, std::uint32_t row, bool) {
        take_member_slot(*core, segment, row, options);
        read_settings(*core->attachment, segment.memory().group(core->ring.group()));
      });
  return core;
}

bool create_group(const std::shared_ptr<BusState>& bus, const std::string& topic, const GroupOptions& options) {
  std::unique_ptr<Segment> segment;
  bool created = false;
  open_group(
      *bus, topic, options, {},
      [&](const OpenFiles& files) -> const Segment& {
        segment = std::make_unique<Segment>(files, Role::subscribe, topic);
        return *segment;
      },
      [&](const Segment&, std::uint32_t, bool made) { created = made; });
  return created;
}

void leave(MemberCore* core) noexcept {
  if (!core->forked() && core->waiting_begin != core->waiting_end && !core->evicted()) {
    for (; core->waiting_begin != core->waiting_end; ++core->waiting_begin)
      core->ring.give_back(core->waiting[core->waiting_begin], 0);
    SegmentMemory::full_fence();  // pairs with the members' announces (B3)
    if (any_member_parked(core->ring.memory(), core->ring.group())) wake_member(core->ring.memory(), core->ring.row());
  }
  if (--core->references == 0) close(core);
}

void close(MemberCore* core) noexcept {
  const std::unique_ptr<MemberCore> owned(core);
  if (core->forked()) return;  // the slot is the parent's
  MemberAttachment& attachment = *core->attachment;
  core->ring.let_go();
  core->slot().owned.store(0, std::memory_order_release);  // nothing is in its hands; pairs with the next attach
  attachment.life.end();
  mark_left(*attachment.segment, attachment.publishers, attachment.subscribers);
  attachment.dead_letters.reset();
  if (attachment.segment->geometry().spec.temporary)
    remove_if_unkept(*attachment.bus, attachment.topic, *attachment.segment);
}

}  // namespace ringway::detail

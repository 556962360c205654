#include "crash/harness.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crash/crew.hpp"
#include "crash/reporter.hpp"
#include "crash/survivor.hpp"
#include "crash/traced.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;
using ringway_test::ScratchDir;

// A place in the operation: so many system calls made, and so many instructions since.
struct Point {
  std::uint64_t calls = 0;
  std::uint64_t steps = 0;
  std::uint64_t number = 0;  // instructions from the mark
  std::uintptr_t at = 0;     // the instruction that was the last to run
};

// Does the instruction at this address call the kernel? The traced process runs the same code at the same addresses.
bool is_system_call(std::uintptr_t at) {
  if (at == 0) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(at);  // NOLINT(performance-no-int-to-ptr)
#if defined(__x86_64__)
  return bytes[0] == 0x0F && bytes[1] == 0x05;
#else
  return bytes[0] == 0x01 && bytes[1] == 0x00 && bytes[2] == 0x00 && bytes[3] == 0xD4;
#endif
}

struct Shot {
  Image image;
  Point point;
};

// The process that runs an operation.
int act(const Operation& operation, const std::string& directory, std::uint64_t writer) {
  Actor actor(directory, writer);
  operation.prepare(actor);
  mark();
  try {
    operation.act(actor);
  } catch (const ringway::Error& error) {  // others were there first
    if (error.code() == ringway::Code::taken) return static_cast<int>(Outcome::without);
    throw;
  }
  mark();
  return static_cast<int>(operation.check(actor));
}

// Repairs whatever the dead left, as those do who attach and those who are held back.
int repair(const std::string& directory) {
  const auto segment = ringway_test::map_topic(directory, "t", Role::publish);
  const SegmentMemory& memory = segment->memory();
  Prober publishers(segment->data_file());
  Prober subscribers(segment->control_file());
  KernelLocks locks;
  if (locks.try_lock(segment->data_file(), kTableByte) != KernelLocks::Answer::taken ||
      locks.try_lock(segment->control_file(), kTableByte) != KernelLocks::Answer::taken)
    return 1;
  static_cast<void>(publishers.probe(kSlotBytes));  // opens its descriptor
  static_cast<void>(subscribers.probe(kSlotBytes));
  mark();
  if (memory.exclusive) settle_exclusive(memory);
  for (std::uint32_t slot = 0; slot < memory.max_publishers; ++slot) {
    const std::uint64_t record = memory.publisher(slot).record.load();
    if (!settle_record(memory, slot)) {
      resolve_frame(memory, position_of(record), publishers);
      settle_record(memory, slot);
    }
  }
  for (std::uint32_t slot = 0; slot < memory.max_subscriptions; ++slot) {
    const SubscriptionSlot& row = memory.subscription(slot);
    if (row.kind.load() == SubscriptionKind::ephemeral && row.owned.load() == 1 &&
        subscribers.probe(kSlotBytes + slot) == Prober::Answer::dead)
      free_subscription(memory, slot);
    if (row.kind.load() != SubscriptionKind::group) continue;
    const std::uint32_t group = row.group.load();
    for (std::uint32_t member = 0; member < memory.max_members; ++member) {
      RingMember<SegmentMemory> ring;
      ring.attach(memory, slot, group, member, memory.member(group, member).incarnation.load() + 1);
      ring.settle();
    }
    move_gate(memory, slot, group);
  }
  mark();
  return 0;
}

class Run {
 public:
  Run(const Operation& operation, bool exclusive, const Options& options)
      : operation_(operation), options_(options), dice_(options.seed) {
    row_.name = std::string(operation.name) + (exclusive ? " (exclusive)" : "");
    reporter_.emplace(row_, options);
    make_base(path(base_), operation.base, exclusive);
    start_ = read_image(path(base_));
  }

  Row run() {
    images();
    const auto each = [this](const auto& all, auto step) {
      for (const auto& one : all)
        if (row_.bad < kEnough) (this->*step)(one);
    };
    each(shots_, &Run::doubles);
    const std::vector<Point> chosen = choose();
    each(chosen, &Run::kill);
    each(chosen, &Run::stop);
    return row_;
  }

 private:
  static std::string path(const ScratchDir& scratch) { return scratch.path().string(); }

  // Single-steps the operation once, and looks at every state of the files.
  void images() {
    write_image(start_, path(base_));
    Traced traced([this] { return act(operation_, path(base_), kActor); });
    Watch watch(path(base_));
    rules_ = {watch.image(),           operation_.adds, operation_.releases,
              operation_.moves_cursor, operation_.acks, operation_.buries};
    shots_.push_back({watch.image(), {}});
    seen_.insert(watch.image().hash());
    Point point;
    for (bool on = true; on;) {
      point.at = traced.at();
      if (Traced::own_code(point.at)) ++row_.instructions;
      const bool call = is_system_call(point.at);
      on = traced.step();
      ++point.number;
      ++point.steps;
      if (call) {
        ++point.calls;
        point.steps = 0;
      }
      if (!watch.changed()) {
        if (call) quiet_.push_back(point);
        continue;
      }
      changes_.push_back(point);
      if (seen_.insert(watch.image().hash()).second) shots_.push_back({watch.image(), point});
    }
    last_ = point;
    reporter_->guard("image", point.number, point.at, &watch.image(),
                     [&] { check_image(watch.image(), rules_, certain()); });
    int status = -1;
    traced.let_go();
    for (int tries = 0; tries < 10'000 && status < 0; ++tries) {
      status = traced.ended().value_or(-1);
      if (status < 0) ::usleep(1000);
    }
    if (status != static_cast<int>(Outcome::done) && (certain() || status != static_cast<int>(Outcome::without)))
      reporter_->bad("image", point.number, point.at, "the operation itself ended with " + std::to_string(status),
                     nullptr);
    for (const Shot& shot : shots_) look(shot.image, "image", shot.point);
    row_.images = shots_.size();
  }

  // Does the operation publish whatever happens?
  [[nodiscard]] bool certain() const { return operation_.base != Base::blocked; }

  void look(const Image& image, const char* mode, const Point& point) {
    reporter_->guard(mode, point.number, point.at, &image, [&] {
      check_image(image, rules_, false);
      for (const bool readers_first : {true, false}) {
        write_image(image, path(other_));
        survive(path(other_), readers_first);
      }
    });
  }

  // Single-steps the repair of an image.
  void doubles(const Shot& shot) {
    write_image(shot.image, path(base_));
    Traced traced([this] { return repair(path(base_)); });
    Watch watch(path(base_));
    std::uintptr_t at = traced.at();
    for (std::uint64_t number = 1; traced.step(); ++number, at = traced.at()) {
      if (!watch.changed() || !seen_.insert(watch.image().hash()).second) continue;
      ++row_.doubles;
      look(watch.image(), "double", {0, 0, number, at});
    }
  }

  std::vector<Point> choose() {
    std::vector<Point> all = changes_;
    for (Point point : changes_)  // just before it, too
      if (point.steps > 0) {
        --point.steps;
        --point.number;
        all.push_back(point);
      }
    const std::size_t most = options_.full ? 1200 : 8;
    std::vector<Point> every;
    walk_points(every);
    if (options_.full && every.size() <= most) return every;
    all.insert(all.end(), quiet_.begin(), quiet_.end());
    std::shuffle(all.begin(), all.end(), dice_);
    if (all.size() > most) all.resize(most);
    std::shuffle(every.begin(), every.end(), dice_);  // and some anywhere
    every.resize(std::min(every.size(), most / 4));
    all.insert(all.end(), every.begin(), every.end());
    return all;
  }

  // Every single step.
  void walk_points(std::vector<Point>& all) const {
    std::vector<Point> calls = quiet_;
    for (const Point& point : changes_)
      if (point.steps == 0) calls.push_back(point);
    std::sort(calls.begin(), calls.end(), [](const Point& a, const Point& b) { return a.number < b.number; });
    Point point;
    std::size_t call = 0;
    for (std::uint64_t number = 0; number < last_.number; ++number) {
      point.number = number;
      if (call < calls.size() && calls[call].number == number) {
        point.calls = calls[call++].calls;
        point.steps = 0;
      }
      all.push_back(point);
      ++point.steps;
    }
  }

  static bool go_to(Traced& traced, const Point& point) {
    for (std::uint64_t call = 0; call < 2 * point.calls; ++call)
      if (!traced.system_call()) return false;
    for (std::uint64_t step = 0; step < point.steps; ++step)
      if (!traced.step()) return false;
    return true;
  }

  void kill(const Point& point) {
    write_image(start_, path(base_));
    Traced traced([this] { return act(operation_, path(base_), kActor); });
    const Image at_mark = read_image(path(base_));
    go_to(traced, point);
    const std::uintptr_t at = traced.at();
    traced.kill();
    ++row_.kills;
    const Image left = read_image(path(base_));
    reporter_->guard("kill", point.number, at, &left, [&] {
      Rules rules = rules_;
      rules.base = at_mark;
      check_image(left, rules, false);
      survive(path(base_), point.number % 2 == 0);
    });
  }

  void stop(const Point& point);
  const Operation& operation_;
  const Options& options_;
  std::mt19937_64 dice_;
  Row row_;
  std::optional<Reporter> reporter_;
  ScratchDir base_;
  ScratchDir other_;
  Image start_;  // what the operation's process finds
  Rules rules_;
  std::vector<Shot> shots_;
  std::vector<Point> changes_;  // after which the files differ
  std::vector<Point> quiet_;    // after a system call that changed neither
  Point last_;
  std::unordered_set<std::uint64_t> seen_;
};

// What must stay as it is while its owner is stopped.
struct Untouched {
  explicit Untouched(const Image& image) : image_(image) {}
  void check(const Image& now) const {
    const Limits limits = image_.limits();
    for (std::uint32_t slot = 0; slot < limits.max_publishers; ++slot) {
      const PublisherSlot& then = image_.publisher(slot);
      const PublisherSlot& row = now.publisher(slot);
      if (std::string_view(reinterpret_cast<const char*>(then.name.data()), 5) != "actor") continue;
      if (then.state.load() != PublisherState::owned) continue;
      if (row.record.load() != then.record.load() || row.record_extent.load() != then.record_extent.load() ||
          row.incarnation.load() != then.incarnation.load() || row.state.load() != then.state.load() ||
          row.sequence.load() != then.sequence.load())
        throw Bad("the row of the stopped publisher was changed");
      frame(now, then);
    }
    for (std::uint32_t slot = 0; slot < limits.max_members; ++slot) {
      const MemberSlot& then = image_.member(0, slot);
      if (std::string_view(reinterpret_cast<const char*>(then.name.data()), 5) != "actor" || then.owned.load() == 0)
        continue;
      const MemberSlot& row = now.member(0, slot);
      if (row.incarnation.load() != then.incarnation.load() || row.owned.load() != then.owned.load())
        throw Bad("the row of the stopped member was changed");
      for (std::uint32_t index = 0; index < limits.max_in_flight; ++index) job(now, slot, index);
    }
  }

 private:
  void job(const Image& now, std::uint32_t slot, std::uint32_t index) const {
    const InFlightEntry& then = image_.entry(0, index);
    const JobWord word = unpack_word(then.word.load());
    if (word.owner != slot || word.state == EntryState::free || word.state == EntryState::returned) return;
    if (now.entry(0, index).word.load() != then.word.load() ||
        now.entry(0, index).position.load() != then.position.load())
      throw Bad("a job of the stopped member was changed");
  }
  void frame(const Image& now, const PublisherSlot& row) const {
    const std::uint64_t record = row.record.load();
    for (const Frame& frame : image_.frames())
      if (frame.position == position_of(record)) return;  // committed
    if ((record & kRecordWon) == 0) return;
    const std::uint64_t capacity = image_.header().capacity_bytes;
    for (std::uint64_t i = 0; i < frame_start(row.record_extent.load()); ++i) {
      const std::uint64_t at = ring_offset(image_.limits()) + ((position_of(record) + i) & (capacity - 1));
      if (now.data[at] != image_.data[at]) throw Bad("the frame of the stopped publisher was changed");
    }
  }
  Image image_;
};

template <class Open>
auto unless_busy(bool may_be_busy, Open open) -> std::optional<decltype(open())> {
  try {
    return open();
  } catch (const ringway::Error& error) {
    if (may_be_busy && (error.code() == ringway::Code::busy || error.code() == ringway::Code::taken))
      return std::nullopt;
    throw;
  }
}

// Those who live beside the stopped one.
class Beside {
 public:
  Beside(const std::string& directory, const Operation& operation, bool exclusive) : bus_(ringway::Bus::at(directory)) {
    using namespace std::chrono_literals;
    const bool busy = operation.table_lock;
    lossy_ = unless_busy(true, [&] {
      return bus_.subscriber("t", {.name = "l", .reliability = ringway::Reliability::lossy, .attach_timeout = 1ms});
    });
    if (read_image(directory).subscription(0).kind.load() == SubscriptionKind::durable)  // taken: the stopped one's
      durable_ = unless_busy(true, [&] { return bus_.subscriber("t", {.name = "d", .attach_timeout = 1ms}); });
    publisher_ = unless_busy(busy || exclusive, [&] { return bus_.publisher("t", {.attach_timeout = 1ms}); });
    if (is_group(read_image(directory), kGroupRow))
      member_ = unless_busy(busy, [&] { return bus_.group_member("t", {.group = "g", .attach_timeout = 1ms}); });
  }

  void read() {
    read(durable_, got_);
    std::vector<Id> unused;
    read(lossy_, unused);
    while (member_) {
      auto job = member_->try_receive();
      if (!job && job.status() != ringway::Code::would_block) throw Bad("cannot work: " + job.status().text());
      if (!job) break;
      const Id id = identify(job.payload().data(), job.payload().size());
      if (!jobs_.insert({id.writer, id.number}).second && !job.redelivered())
        throw Bad("job " + to_string(id) + " came twice, unmarked");
      if (!job.ack()) throw Bad("job " + to_string(id) + " cannot be acknowledged");
    }
  }
  // So many jobs, and what was published beside the stopped one, came here or are dead letters.
  void check_jobs(std::size_t others) {
    const auto done = [&] {
      std::set<std::uint64_t> letters;
      for (const Frame& frame : read_image(bus_.directory()).dead_letters().frames()) letters.insert(frame.origin);
      return jobs_.size() + letters.size();
    };
    for (int tries = 0; member_ && tries < 2000 && done() < others + number_; ++tries) {
      read();
      ::usleep(1000);  // one that was given back is due a little later
    }
    if (member_ && done() != others + number_)
      throw Bad(std::to_string(done()) + " jobs are done, due are " + std::to_string(others + number_));
  }
  void publish(int messages) {
    std::array<std::byte, kPayload> bytes{};
    for (int held = 0; publisher_ && messages > 0 && held < 70;) {
      fill(bytes.data(), kSurvivor, number_);
      if (publisher_->try_publish(bytes)) {
        ++number_;
        --messages;
        held = 0;
      } else {
        ++held;
        read();
      }
    }
  }
  // All that was published, each once and in order.
  void check(bool stopped_ones_message) const {
    if (!durable_) return;
    std::array<std::uint64_t, 4> next{};
    std::array<bool, 4> any{};
    for (const Id& id : got_) {
      if (!id.whole || id.writer > 3) throw Bad("received " + to_string(id));
      if (any[id.writer] && id.number != next[id.writer])
        throw Bad("received " + to_string(id) + ", due was number " + std::to_string(next[id.writer]));
      any[id.writer] = true;
      next[id.writer] = id.number + 1;
    }
    if (number_ != next[kSurvivor]) throw Bad("received not all of what was published beside the stopped one");
    const auto last = static_cast<std::uint64_t>(
        std::count_if(got_.begin(), got_.end(), [](const Id& id) { return id.writer == kActor; }));
    if (last != (stopped_ones_message ? expected_of_actor_ : expected_of_actor_ - 1))
      throw Bad("received " + std::to_string(last) + " messages of the stopped one");
  }
  void expect_of_actor(std::uint64_t messages) { expected_of_actor_ = messages; }

 private:
  static void read(std::optional<ringway::Subscriber>& reader, std::vector<Id>& got) {
    while (reader) {
      const auto message = reader->try_receive();
      if (!message) {
        if (message.status() != ringway::Code::would_block) throw Bad("cannot read: " + message.status().text());
        return;
      }
      got.push_back(identify(message.payload().data(), message.payload().size()));
    }
  }
  ringway::Bus bus_;
  std::optional<ringway::Subscriber> durable_;
  std::optional<ringway::Subscriber> lossy_;
  std::optional<ringway::Publisher> publisher_;
  std::optional<ringway::GroupMember> member_;
  std::vector<Id> got_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> jobs_;
  std::uint64_t number_ = 0;
  std::uint64_t expected_of_actor_ = 1;
};

void Run::stop(const Point& point) {
  write_image(start_, path(base_));
  Traced traced([this] { return act(operation_, path(base_), kActor); });
  // What the actor published before, and what it publishes.
  std::uint64_t of_actor = operation_.adds;
  for (const Frame& frame : read_image(path(base_)).frames())
    if (frame.message && frame.id.writer == kActor) ++of_actor;
  go_to(traced, point);
  const std::uintptr_t at = traced.at();
  ++row_.stops;
  const Image stopped = read_image(path(base_));
  reporter_->guard("stop", point.number, at, &stopped, [&] {
    {
      Beside beside(path(base_), operation_, stopped.header().exclusive == 1);
      beside.expect_of_actor(of_actor);
      beside.publish(40);
      for (int tries = 0; tries < 130; ++tries) beside.read();
      Untouched(stopped).check(read_image(path(base_)));
      traced.let_go();
      int status = -1;
      for (int tries = 0; tries < 20'000 && status < 0; ++tries) {
        status = traced.ended().value_or(-1);
        beside.read();
        if (status < 0) ::usleep(500);
      }
      if (status != static_cast<int>(Outcome::done) && status != static_cast<int>(Outcome::without))
        throw Bad("gone on, it ended with " + std::to_string(status));
      for (int tries = 0; tries < 130; ++tries) beside.read();
      const bool done = status == static_cast<int>(Outcome::done);
      beside.check(operation_.adds == 0 || done);
      if (has_group(operation_.base) && is_group(read_image(path(base_)), kGroupRow))
        beside.check_jobs(due_jobs(rules_.base, kGroupRow).size() - operation_.acks + (done ? operation_.adds : 0));
    }
    survive(path(base_), point.number % 2 == 0);
  });
}

}  // namespace

Row run_operation(const Operation& operation, bool exclusive, const Options& options) {
  return Run(operation, exclusive, options).run();
}

}  // namespace ringway_crash

// Segment images: a topic whose words are changed between calls, and between two loads of one call, under everybody who
// is attached to it. Row 55: whatever stands in the two files, the answer is an error or a wrong payload; never undefined
// behaviour, a fault, or a loop that does not end (rows 56, 57, 59).
//
// An input is a program; its instructions are those of the switch in `step`.
#include <tuple>

#include "fuzz/image.hpp"
#include "inspect.hpp"
#include "repair.hpp"

namespace {

using namespace ringway_fuzz;
using ringway::From;
using std::chrono::nanoseconds;

enum Operation : std::uint8_t {
  kDeadPublish,  // slot, length
  kDeadRecord,   // slot, stage, extent
  kDeadReader,   // slot, state and kind, cursor
  kChange,       // where, index, how, by or value
  kChangeLater,  // after so many loads; as kChange
  kOpenPublisher,
  kOpenReader,
  kPublish,
  kClaim,
  kFinishClaim,
  kReceive,
  kRelease,
  kPoll,
  kSeek,
  kInspect,
  kRepair,
  kCold,        // what attaches anew, creates or removes
  kPublishAll,  // which, count, length
  kRun,         // which, count, length, how many are committed
  kOpenMember,
  kTake,     // which
  kAnswer,   // which member, which job, how
  kDeadJob,  // which entry, its word's fields, its position
  kOperations
};

constexpr std::uint8_t kWords = 15;  // kinds of words that may be changed

class Stage {
 public:
  Stage(const std::string& directory, bool exclusive)
      : image_(directory, spec(exclusive)), kept_(image_), bus_(ringway::Bus::at(directory)) {}

  // `cold`: with calls that attach anew; they cost a hundred system calls each, so most inputs do without.
  void run(Feed& feed, bool cold) {
    image_.reset();
    place_first(feed.u8());
    kept_.reset();
    cold_allowed_ = cold_left_ = cold ? 2 : 0;
    snapshots_left_ = 2;
    try {
      for (int steps = 0; steps < 100 && !feed.done(); ++steps) step(feed);
      leave();
    } catch (...) {
      leave();
      throw;
    }
  }

 private:
  static detail::TopicSpec spec(bool exclusive) {
    detail::TopicSpec spec = ringway_test::small_spec(exclusive);
    spec.limits.max_subscriptions = kGroupRow + 1;
    spec.limits.max_members = kMembers + 1;
    spec.limits.max_in_flight = 6;
    spec.stamped = exclusive;
    return spec;
  }
  const detail::SegmentMemory& memory() const { return kept_.memory(); }

  // Where the topic began: also where positions pass 2^63, or 2^64.
  void place_first(std::uint8_t which) {
    static constexpr std::array<std::uint64_t, 4> kFirst = {0, (1ULL << 63) - 2048, ~0ULL - 2047, 1ULL << 40};
    memory_tail().store(kFirst[which % 4]);
    *reinterpret_cast<std::uint64_t*>(image_.data().at(detail::kOldestOffset)) = kFirst[which % 4];
  }
  std::atomic<std::uint64_t>& memory_tail() { return kept_.memory().tail(); }

  void leave() {
    claims_[0].reset();
    claims_[1].reset();
    for (auto& views : views_) views.clear();
    for (auto& jobs : jobs_) jobs.clear();
    cold_publisher_.reset();
    cold_subscriber_.reset();
    cold_member_.reset();
    forget_schedule();
    if (cold_left_ < cold_allowed_) image_.restore();
  }

  static void look_at(const ringway::Message& message) {
    std::uint64_t sum = 0;
    for (const std::byte byte : message.payload()) sum += static_cast<std::uint64_t>(byte);
    sum += message.sequence() + message.publisher() + message.lost() + message.position();
    asm volatile("" : : "r"(sum));  // every byte is read
    if (!message && message.status().text().empty()) fail("a status without a text");
  }
  static void look_at(const ringway::Status& status) {
    if (!status && status.text().empty()) fail("a status without a text");
  }

  // A word of the two files that means something; each is 8 bytes wide.
  std::uint64_t* word(Feed& feed) {
    const std::uint8_t where = feed.u8();
    const std::uint8_t index = feed.u8();
    const auto in_data = [&](std::uint64_t offset) {
      return reinterpret_cast<std::uint64_t*>(image_.data().at(offset & ~7ULL));
    };
    const auto in_control = [&](std::uint64_t offset) {
      return reinterpret_cast<std::uint64_t*>(image_.control().at(offset & ~7ULL));
    };
    const auto& limits = image_.limits();
    const std::uint64_t ring = detail::ring_offset(limits);
    const std::uint64_t group = detail::groups_offset(limits);
    const std::uint64_t entries = group + sizeof(detail::GroupHeader) + limits.max_members * sizeof(detail::MemberSlot);
    switch (where % kWords) {
      case 0: return in_data(detail::kTailOffset);
      case 1: return in_data(detail::kOldestOffset);
      case 2: return in_data(detail::kMarksOffset + index % 8 * 8U);
      case 3: return in_data(detail::kPublishersOffset + index % 4U * 256 + index / 4 % 10U * 8);
      case 4: return in_data(detail::kTailOffset + 64);
      case 5: return in_control(detail::subscriptions_offset(limits) + index % 4U * 768 + index / 4 % 25U * 8);
      case 6:
        return in_control(index % 2 == 0 ? offsetof(detail::ControlHeader, removed)
                                         : offsetof(detail::ControlHeader, subscriptions_used));
      case 7: return in_control(index % 2 == 0 ? detail::kParkedOffset : detail::waiting_offset(limits));
      case 8: return in_control(detail::waiting_lines_offset(limits) + index % 4U * 64 + index / 4 % 4U * 8);
      case 9: return in_data(ring + ((memory().tail().load() + index / 4 * 64U) & 4095) + index % 4U * 8);
      case 10: {  // of the frame that a reader meets next
        ringway::Reader* const reader = kept_.reader(index / 4);
        return in_data(ring + ((reader == nullptr ? 0 : reader->position()) & 4032) + index % 4U * 8);
      }
      case 11: return in_control(index % 4 == 0 ? group : group + 64 + index / 4 % 10U * 8);
      case 12: return in_control(entries + index % 6U * detail::kLine + index / 6 % 3U * 8);
      case 13: return in_data(feed.u8() * 256U + index);
      default: return in_control(feed.u8() * 256U + index);
    }
  }

  std::uint64_t value(Feed& feed, std::uint64_t now) {
    const std::uint64_t tail = memory().tail().load();
    const std::uint8_t how = feed.u8();
    const auto by = static_cast<std::uint64_t>(feed.i8());
    switch (how % 15) {
      case 0: return feed.u64();
      case 1: return by;
      case 2: return tail + by * 64;
      case 3: return memory().oldest().load() + by * 64;
      case 4: return tail + by;
      case 5: return now ^ 1ULL << 63;
      case 6: return (1ULL << 63) + by;
      case 7: return (tail + by * 64) ^ memory().epoch;
      case 8: {
        const std::uint16_t length = feed.u16();
        return detail::pack_size(length, (by & 0xFF) * 64, static_cast<detail::FrameKind>(feed.u8() % 5));
      }
      case 9: return (tail + by * 64) | (feed.u8() & 63);
      case 10: return now + by;
      case 11: return now + by * 4096;
      case 12: return now ^ 1ULL << (by & 63);
      case 13: return job_word(feed);
      default: return tail + (1ULL << 63) + by * 64;
    }
  }

  // Of a live member, of the dead one, of one that cannot be.
  static std::uint64_t job_word(Feed& feed) {
    const std::uint8_t how = feed.u8();
    const std::uint8_t owner = feed.u8();
    return detail::pack_word({static_cast<detail::EntryState>(how % 8), (how & 8) != 0, (how & 16) != 0,
                              owner % 8U == 7 ? 1000U : owner % 4U, how / 64U, owner / 64U, how / 16U});
  }

  ringway_test::Writer dead_writer(std::uint32_t slot) {
    auto& row = memory().publisher(slot);
    auto& used = memory().tail_line->publishers_used;
    if (used.load() <= slot) used.store(slot + 1);
    row.state.store(detail::PublisherState::owned);
    ringway_test::Writer writer;
    Call call("settle_exclusive");
    writer.attach(memory(), slot, memory().exclusive ? detail::settle_exclusive(memory()) : memory().tail().load());
    return writer;
  }

  void dead_publish(std::uint32_t slot, std::uint64_t length) {
    ringway_test::Writer writer = dead_writer(slot);
    detail::Blocker blocker;
    Call call("make_space");
    if (writer.claim(length) == detail::Claimed::ok ||
        (writer.make_space(length, blocker) && writer.claim(length) == detail::Claimed::ok))
      std::ignore = writer.commit(static_cast<std::uint32_t>(length), 0);
  }

  // What a publisher leaves that dies in a claim: after W1, W2, W3 or W4.
  void dead_record(std::uint32_t slot, std::uint8_t stage, std::uint64_t extent, std::uint32_t count) {
    dead_writer(slot);
    auto& row = memory().publisher(slot);
    const std::uint64_t tail = memory().tail().load();
    row.record_extent.store(extent | count);
    row.record.store(tail | detail::kRecordStanding | (stage % 4 >= 2 ? detail::kRecordWon : 0));
    if (stage % 4 >= 1) memory().tail().store(tail + extent);
    if (stage % 4 == 3)
      detail::write_frame(
          memory(), tail,
          detail::pack_size(1, extent, count == 0 ? detail::FrameKind::message : detail::FrameKind::packed),
          detail::pack_origin(slot, row.sequence.load(), count), 0);
  }

  void dead_reader(std::uint32_t slot, std::uint8_t how, std::uint64_t cursor) {
    auto& row = memory().subscription(slot);
    auto& used = memory().control->subscriptions_used;
    if (used.load() <= slot) used.store(slot + 1);
    row.cursor.store(cursor);
    row.kind.store(static_cast<detail::SubscriptionKind>(how % 4));
    row.wanted.store(2U + how / 4 % 2);
    row.owned.store(how / 8 % 2);
    row.state.store(static_cast<detail::SubscriptionState>(how / 16 % 8));
    detail::write_name(row.name, how >= 128 ? "e" : "d");
  }

  void take(std::uint32_t number, nanoseconds timeout) {
    ringway::GroupMember* const member = kept_.member(number);
    if (member == nullptr) return;
    member->core_->attachment->probe_at = 0;  // a backstop has gone by
    member->core_->look_at = 0;
    Call call("take");
    auto job = timeout.count() == 0 ? member->try_receive() : member->receive(timeout);
    std::uint64_t sum = job.attempt() + job.sequence() + job.publisher() + (job.redelivered() ? 1 : 0);
    for (const std::byte byte : job.payload()) sum += static_cast<std::uint64_t>(byte);
    sum += job.dead_letter() ? 1 : 0;
    asm volatile("" : : "r"(sum));  // every byte is read
    look_at(member->status());
    if (job) jobs_[number % kMembers].push_back(std::move(job));
  }

  void answer(std::uint32_t number, std::size_t which, std::uint8_t how) {
    auto& jobs = jobs_[number % kMembers];
    if (jobs.empty()) return;
    const auto job = jobs.begin() + static_cast<std::ptrdiff_t>(which % jobs.size());
    Call call("answer");
    if (how % 4 < 2)
      look_at(job->ack());
    else if (how % 4 == 2)
      look_at(job->nack(nanoseconds(how / 4), "not now"));
    jobs.erase(job);
  }

  void dead_job(std::uint32_t entry, std::uint64_t job, std::uint64_t position) {
    auto& used = memory().group(0).entries_used;
    used.store(std::max(used.load(), entry + 1));
    memory().entry(0, entry).word.store(job);
    memory().entry(0, entry).position.store(position);
  }

  From place(Feed& feed) {
    const std::uint8_t how = feed.u8();
    if (how % 4 == 0) return From::oldest;
    if (how % 4 == 1) return From::newest;
    return From::at(value(feed, memory().oldest().load()));
  }

  static nanoseconds patience(std::uint8_t how) { return nanoseconds(how % 4 == 3 ? 3000 : how % 4 == 2 ? 1 : 0); }

  void claim(std::uint32_t slot, std::uint64_t bytes, nanoseconds timeout) {
    if (!kept_.is_open(slot) || claims_[slot]) return;
    Call call("claim");
    claims_[slot].emplace(kept_.publishers()[slot].claim(bytes, timeout));
    look_at(claims_[slot]->status());
    for (std::byte& byte : claims_[slot]->payload()) byte = std::byte{0x55};
    if (!*claims_[slot]) claims_[slot].reset();
  }

  void publish_all(std::uint32_t slot, std::size_t count, std::size_t bytes, nanoseconds timeout) {
    if (!kept_.is_open(slot)) return;
    const std::vector<std::byte> messages(count * bytes, std::byte{0x66});
    Call call("publish_all");
    look_at(kept_.publishers()[slot].publish_all(messages, bytes, timeout).status());
  }

  void run_of(std::uint32_t slot, std::size_t count, std::size_t bytes, std::size_t committed, nanoseconds timeout) {
    if (!kept_.is_open(slot)) return;
    Call call("claim_run");
    auto run = kept_.publishers()[slot].claim_run(count, bytes, timeout);
    look_at(run.status());
    for (std::size_t i = 0; i < run.size(); ++i)
      for (std::byte& byte : run[i]) byte = std::byte{0x77};
    if (run) look_at(run.commit(committed));
  }

  void finish_claim(std::uint32_t slot, std::uint64_t bytes) {
    if (!claims_[slot]) return;
    Call call("commit");
    if (bytes < 2000) look_at(claims_[slot]->commit(bytes));
    claims_[slot].reset();
  }

  void receive(std::uint32_t number, nanoseconds timeout) {
    ringway::Reader* const reader = kept_.reader(number);
    auto& views = views_[number % views_.size()];
    if (reader == nullptr || views.size() >= 70) return;
    Call call("receive");
    views.push_back(timeout.count() == 0 ? reader->try_receive() : reader->receive(timeout));
    look_at(views.back());
    if (!views.back()) views.pop_back();
  }

  void poll(std::uint32_t number, std::size_t most, nanoseconds timeout) {
    ringway::Reader* const reader = kept_.reader(number);
    if (reader == nullptr) return;
    Call call("poll");
    std::size_t left = most / 2;
    reader->poll(
        [&](const ringway::Message& message) {
          look_at(message);
          return most % 2 == 0 || left-- > 0;
        },
        most, timeout);
    look_at(reader->status());
  }

  void seek(std::uint32_t number, From from) {
    ringway::Reader* const reader = kept_.reader(number);
    if (reader == nullptr) return;
    Call call("seek");
    look_at(reader->seek(from));
  }

  void inspect() {
    if (snapshots_left_-- <= 0) return;
    Call call("inspect");
    const ringway::TopicInfo info = detail::inspect(kept_.segment(), "t");
    if (info.publishers.size() > 4 || info.subscriptions.size() > kGroupRow + 1) fail("more rows than there are");
  }

  void repair(std::uint32_t slot) {
    Call call("repair");
    detail::free_dead_ephemeral(kept_.segment(), subscriber_prober(), slot);
    detail::resolve_dead_claim(kept_.segment(), kept_.prober(),
                               detail::position_of(memory().publisher(slot % 4).record.load()));
  }
  detail::Prober& subscriber_prober() { return subscribers_; }

  void cold(std::uint8_t what, std::uint8_t how) {
    if (cold_left_ == 0) return;
    --cold_left_;
    const nanoseconds now{0};
    const auto reliability = how % 2 == 0 ? ringway::Reliability::reliable : ringway::Reliability::lossy;
    const char* const name = how / 2 % 4 == 0 ? "" : how / 2 % 4 == 1 ? "e" : "d";
    const From from = how / 8 % 2 == 0 ? From::oldest : From::newest;
    try {
      Call call("attach");
      switch (what % 12) {
        case 0: cold_publisher_.emplace(bus_.publisher("t", {.attach_timeout = now})); break;
        case 1:
          cold_subscriber_.emplace(
              bus_.subscriber("t", {.name = name, .from = from, .reliability = reliability, .attach_timeout = now}));
          look_at(cold_subscriber_->try_receive());
          break;
        case 2: look_at(bus_.observer("t", {.from = from, .attach_timeout = now}).try_receive()); break;
        case 3:
          bus_.create_subscription("t", "e", {.from = from, .reliability = reliability, .attach_timeout = now});
          break;
        case 4: bus_.remove_subscription("t", how % 2 == 0 ? "d" : "e"); break;
        case 5: bus_.remove_topic("t", how % 2 == 0 ? ringway::Remove::always : ringway::Remove::if_unused); break;
        case 6: std::ignore = bus_.topics(); break;
        case 7: std::ignore = bus_.topic("t"); break;
        case 8:
          cold_member_.emplace(bus_.group_member("t", {.group = how % 4 == 0 ? "h" : "g", .attach_timeout = now}));
          std::ignore = cold_member_->try_receive();
          break;
        case 9: bus_.create_group("t", how % 2 == 0 ? "g" : "h", {.max_attempts = 2, .dead_letter = "dead"}); break;
        case 10: bus_.remove_subscription("t", "g"); break;
        default: detail::remove_if_unkept(*bus_.state_, "t", kept_.segment()); break;
      }
    } catch (const ringway::Error& error) {
      if (error.what()[0] == '\0') fail("an error without a text");
    }
  }

  void step(Feed& feed) {
    const std::uint8_t operation = feed.u8();
    const std::uint8_t a = feed.u8();
    switch (operation % kOperations) {
      case kDeadPublish: return dead_publish(a % 4U, feed.u8() * 4U);
      case kDeadRecord: return dead_record(a % 4U, a / 4, feed.u8() % 16 * 64U, a / 16U);
      case kDeadReader: return dead_reader(a % 4U, feed.u8(), value(feed, 0));
      case kChange: {
        std::uint64_t* const at = word(feed);
        *at = value(feed, *at);
        return;
      }
      case kChangeLater: {
        std::uint64_t* const at = word(feed);
        return schedule({a, at, value(feed, *at)});
      }
      case kOpenPublisher: return kept_.open_publisher(a % kPublishers);
      case kOpenReader:
        if (a % 4U == kSubscribers) return kept_.open_observer(place(feed));
        return kept_.open_subscriber(a % 4, place(feed), a >= 128);
      case kPublish: {
        claim(a % kPublishers, feed.u8() * 4U, patience(a / 16));
        return finish_claim(a % kPublishers, a / 64 == 3 ? 8 : 0);
      }
      case kClaim: return claim(a % kPublishers, feed.u16() % 2048, patience(a / 16));
      case kFinishClaim: return finish_claim(a % kPublishers, feed.u8() * 8U);
      case kReceive: return receive(a % 4, patience(a / 16));
      case kRelease: {
        auto& views = views_[a % 4];
        if (views.empty()) return;
        const auto which = views.begin() + static_cast<std::ptrdiff_t>(a / 4 % views.size());
        Call call("release");
        look_at(which->release());
        views.erase(which);
        return;
      }
      case kPoll: return poll(a % 4, feed.u8() % 128, patience(a / 16));
      case kSeek: return seek(a % 4, place(feed));
      case kInspect: return inspect();
      case kRepair: return repair(a);
      case kCold: return cold(a, feed.u8());
      case kPublishAll: {
        const std::uint8_t count = feed.u8();
        return publish_all(a % kPublishers, count, feed.u8(), patience(a / 16));
      }
      case kRun: {
        const std::uint8_t count = feed.u8();
        const std::uint8_t bytes = feed.u8();
        return run_of(a % kPublishers, count % 80U, bytes, feed.u8(), patience(a / 16));
      }
      case kOpenMember: return kept_.open_member(a % kMembers);
      case kTake: return take(a % kMembers, patience(a / 16));
      case kAnswer: return answer(a % kMembers, a / 4, feed.u8());
      case kDeadJob: {
        const std::uint64_t job = job_word(feed);
        return dead_job(a % 6U, job, value(feed, 0) + a / 64 % 2);
      }
    }
  }

  TopicImage image_;
  Kept kept_;
  ringway::Bus bus_;
  detail::Prober subscribers_{kept_.segment().control_file()};
  std::array<std::optional<ringway::Claim>, kPublishers> claims_;
  std::array<std::vector<ringway::Message>, kSubscribers + 1> views_;
  std::optional<ringway::Publisher> cold_publisher_;
  std::optional<ringway::Subscriber> cold_subscriber_;
  std::array<std::vector<ringway::Job>, kMembers> jobs_;
  std::optional<ringway::GroupMember> cold_member_;
  int cold_allowed_ = 0;
  int cold_left_ = 0;
  int snapshots_left_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static ringway_test::ScratchDir scratch;
  // Never destroyed: to leave in order is not what is tested here.
  static Stage& shared = *new Stage(scratch.path() / "s", false);
  static Stage& exclusive = *new Stage(scratch.path() / "x", true);
  Feed feed(bytes, size);
  begin_input();
  const std::uint8_t mode = feed.u8();
  (mode % 4 == 3 ? exclusive : shared).run(feed, mode >= 192);
  end_input();
  static bool checked = false;
  if (!checked && size > 64) {
    check_watch();
    checked = true;
  }
  return 0;
}

// A seed per half-finished state, so that the first mutations start where something stands.
void ringway_fuzz::write_seeds(const WriteSeed& write) {
  const auto readers = [](Program& p) {
    p.put(kOpenReader, 0, 0).put(kOpenReader, 1, 0).put(kOpenReader, 2, 0).put(kOpenReader, 3, 0);
  };
  const auto read = [](Program& p) {
    for (const int how : {0, 32, 48})
      for (const int reader : {0, 1, 2, 3}) p.put(kReceive, how + reader).put(kPoll, how + reader, 5);
    for (const int reader : {0, 1, 2, 3}) p.put(kRelease, reader).put(kSeek, reader, reader % 2);
  };
  for (const int mode : {0, 3})
    for (const int first : {0, 1, 2}) {
      Program p;
      p.put(mode, first);
      readers(p);
      p.put(kOpenPublisher, 0).put(kOpenPublisher, 1);
      for (int i = 0; i < 8; ++i) p.put(kPublish, i % 2, 10 * i).put(kReceive, i % 4);
      p.put(kClaim, 0).u16(700).put(kClaim, 33).u16(900).put(kFinishClaim, 0, 5).put(kFinishClaim, 1, 255);
      read(p);
      p.put(kInspect, 0).put(kRepair, 0);
      write("all-calls-" + std::to_string(mode) + std::to_string(first), p);
    }
  for (const int stage : {0, 1, 2, 3}) {
    Program p;
    p.put(192, 1).put(kDeadPublish, 2, 9);
    readers(p);
    p.put(kDeadRecord, 2 + 4 * stage, 3).put(kDeadRecord, 3 + 4 * ((stage + 1) % 4), 2).put(kOpenPublisher, 0);
    p.put(kPublish, 0, 20);
    read(p);
    for (int i = 0; i < 8; ++i) p.put(kPublish, 48, 200);
    p.put(kRepair, 2).put(kCold, 0, 0);
    write("dead-claim-" + std::to_string(stage), p);
  }
  for (const int kind : {1, 2})
    for (const int state : {1, 2, 3}) {
      Program p;
      p.put(192, 0).put(kOpenPublisher, 0).put(kDeadReader, 3, kind + 8 + 16 * state, 2, 0);
      for (int i = 0; i < 6; ++i) p.put(kPublish, 0, 200);
      p.put(kPublish, 48, 200).put(kCold, 1, 2 * kind).put(kCold, 3, 0);
      write("dead-reader-" + std::to_string(kind) + std::to_string(state), p);
    }
  for (const int mode : {0, 3})
    for (const int word : {1, 2}) {
      Program p;  // packed frames, whose size or origin changes while readers are inside them
      p.put(mode, 0).put(kOpenPublisher, 0);
      readers(p);
      for (int i = 0; i < 3; ++i) p.put(kPublishAll, 0, 20 + i, 12).put(kRun, 0, 9, 16, 4 + i);
      p.put(kReceive, 0).put(kReceive, 2).put(kRelease, 0).put(kRelease, 2);
      p.put(kChange, 10, word, 12, 16).put(kReceive, 0).put(kReceive, 2).put(kSeek, 1, 2, 4, 5).put(kSeek, 2, 2, 3, 1);
      read(p);
      p.put(kDeadRecord, 2 + 4 * 3 + 16 * 5, 3);
      for (int i = 0; i < 30; ++i) p.put(kPublishAll, 48, 40, 16);
      read(p);
      write("packed-" + std::to_string(mode) + std::to_string(word), p);
    }
  for (const int reader : {0, 2}) {
    Program p;  // a message that says it is longer than its frame, than the ring, than the largest frame
    p.put(0, 0).put(kOpenPublisher, 0).put(kOpenReader, reader, 0);
    for (const int length : {33, 1000, 5000, 65535}) {
      p.put(kPublish, 0, 5).put(kChange, 0, 10, 4 * reader + 1, 8, 1).u16(static_cast<std::uint16_t>(length));
      p.put(1).put(kReceive, reader).put(kRelease, reader);
    }
    write("too-long-" + std::to_string(reader), p);
  }
  {
    Program p;  // oldest beyond the tail: a join that is never early enough
    p.put(0, 0).put(kOpenReader, 2, 0).put(kOpenReader, 0, 0).put(kChange, 0, 1, 0, 2, 100);
    p.put(kSeek, 2, 1).put(kSeek, 0, 1).put(kOpenReader, 3, 1).put(kReceive, 2).put(kReceive, 3);
    write("oldest-beyond-tail", p);
  }
  for (const int mode : {0, 3, 192}) {
    Program p;  // two members take, answer in all ways, take over from a dead one; then words of their group change
    p.put(mode, 0).put(kOpenPublisher, 0).put(kOpenMember, 0).put(kOpenMember, 1);
    for (int i = 0; i < 6; ++i) p.put(kPublish, 0, 10 + i).put(kRun, 0, 3, 16, 3);
    for (int i = 0; i < 6; ++i) p.put(kTake, i % 2 + 48 * (i / 4)).put(kAnswer, i % 2, i);
    for (int state = 0; state < 5; ++state) p.put(kDeadJob, state, state + 64, 2, 3, 0).put(kTake, state % 2);
    p.put(kChange, 0, 12, 1, 14, 1, 2).put(kTake, 0).put(kChange, 0, 11, 0, 2, 5).put(kTake, 1).put(kInspect, 0);
    p.put(kChangeLater, 4, 12, 6, 13, 7, 7).put(kTake, 48).put(kCold, 8, 1).put(kCold, 9, 0).put(kRepair, 0);
    write("members-" + std::to_string(mode), p);
  }
  for (int state = 0; state < 5; ++state) {
    Program p;  // what a dead member leaves, with nobody but the next one about
    p.put(0, state).put(kOpenPublisher, 0).put(kOpenMember, 0);
    for (int i = 0; i < 4; ++i) p.put(kPublish, 0, 10 + i);
    p.put(kDeadJob, 3, state + 128, 2, 3, 0).put(kDeadJob, 4, state + 8, 2, 1, 0).put(kTake, 0).put(kAnswer, 0, 2);
    for (int i = 0; i < 8; ++i) p.put(kTake, 0).put(kAnswer, 0, i % 4).put(kPublish, 48, 200);
    write("dead-member-" + std::to_string(state), p);
  }
  for (int where = 0; where < kWords; ++where) {
    Program p;
    p.put(where % 4 + 192 * (where % 2), where % 3);
    readers(p);
    p.put(kOpenPublisher, 0).put(kPublish, 0, 20).put(kPublish, 0, 90);
    p.put(kChange, 0, where, 1, 13, 2).put(kChangeLater, 9, where, 2, 0, 0).u64(~0ULL);
    read(p);
    for (int i = 0; i < 5; ++i) p.put(kPublish, 32, 200);
    p.put(kChangeLater, 3, where, 0, 4, 3).put(kInspect, 0).put(kCold, where, 1).put(kCold, where + 5, 0);
    write("change-" + std::to_string(where), p);
  }
}

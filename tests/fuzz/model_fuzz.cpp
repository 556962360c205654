// Sequences of operations on one topic, beside a model that knows what each reader must see. Every difference is a
// failure: a message that is missing, twice, changed or out of order; space refused that is there, or given that is not; a
// cursor or `oldest` anywhere but where it must be; a dead publisher's frame that does not end where it did.
//
// The dead are made by hand: a row that is owned, whose life nobody holds, with a record left at each stage (W1 to W4).
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <variant>

#include "attachment.hpp"
#include "fuzz/feed.hpp"
#include "fuzz/model.hpp"
#include "fuzz/topic_image.hpp"
#include "inspect.hpp"
#include "ringway/ringway.hpp"

namespace {

using namespace ringway_fuzz;
using detail::before;
using ringway::Code;
using ringway::From;
using What = Frame::What;

enum Operation : std::uint8_t {
  kPublish,      // which, length; `how` says for how long it tries
  kClaim,        // which, length
  kFinish,       // which, commit of a length, or abort
  kReceive,      // which
  kRelease,      // which reader, which view
  kPoll,         // which, most, stop after
  kSeek,         // which, where
  kOpenWriter,   // which
  kCloseWriter,  // which
  kOpenReader,   // which, where
  kCloseReader,  // which
  kKillReader,   // which
  kDie,          // stage, length: a publisher that dies in a claim
  kRun,          // which, count, length, how many are committed
  kPublishAll,   // which, count, length
  kOperations
};

constexpr std::uint32_t kReaders = 5;  // ephemeral, durable; the same lossy; observer
constexpr std::array<const char*, kReaders> kNames = {"", "d", "", "l", ""};
constexpr std::uint32_t kObserver = 4;
bool is_lossy(std::uint32_t reader) { return reader >= 2; }

struct Reader {
  std::variant<std::monostate, ringway::Subscriber, ringway::Observer> handle;
  ringway::Reader* all = nullptr;  // null: closed
  std::uint64_t next = 0;          // as the handle says, checked at each step
  struct View {
    std::uint64_t position;
    bool released;
    ringway::Message message;
  };
  std::deque<View> views;
  bool copied = false;        // it has a copy of the packed frame that it is inside of
  std::uint64_t skipped = 0;  // messages that publishers have overtaken, since it was opened
  bool exact = true;          // nothing happened that makes `lost` a lower bound
};

// A payload that says which message it is: a piece of a table that repeats nothing.
std::string_view payload(std::uint64_t seed, std::size_t bytes) {
  static const std::string table = ringway_test::pattern(1, 4096);
  return std::string_view(table).substr(seed * 13 % 3000, bytes);
}

struct Writer {
  std::optional<ringway::Publisher> handle;
  std::optional<ringway::Claim> claim;
  std::uint64_t position = 0;  // of the claim
  std::uint64_t bytes = 0;
};

class Run {
 public:
  Run(TopicImage& image, const ringway::Bus& bus, const detail::Segment& segment, std::uint64_t first)
      : bus_(bus), memory_(segment.memory()), model_(segment.memory(), first) {
    std::ignore = image;
  }

  void step(Feed& feed) {
    const std::uint8_t operation = feed.u8();
    const std::uint8_t a = feed.u8();
    switch (operation % kOperations) {
      case kPublish: publish(a % 2, length(feed), a / 64); break;
      case kClaim: claim(a % 2, length(feed)); break;
      case kFinish: finish(a % 2, feed.u8()); break;
      case kReceive: receive(a % kReaders, a >= 128); break;
      case kRelease: release(a % kReaders, a / kReaders); break;
      case kPoll: poll(a % kReaders, 1 + a / 16, feed.u8()); break;
      case kSeek: seek(a % kReaders, feed.u8()); break;
      case kOpenWriter: open_writer(a % 2); break;
      case kCloseWriter: close_writer(a % 2); break;
      case kOpenReader: open_reader(a % kReaders, feed.u8()); break;
      case kCloseReader: close_reader(a % kReaders); break;
      case kKillReader: kill_reader(a % kReaders); break;
      case kDie: die(a % 5, length(feed), a >= 128); break;
      case kRun: run(a % 2, 1 + feed.u8() % 70U, length(feed), feed.u8()); break;
      default: publish_all(a % 2, 1 + feed.u8() % 150U, length(feed)); break;
    }
    model_.look_around();
    for (std::uint32_t i = 0; i < kReaders; ++i) check_reader(i);
  }

  // Everything that was promised arrives.
  void drain() {
    for (std::uint32_t i = 0; i < 2; ++i) finish(i, 0);
    for (std::uint32_t i = 0; i < kReaders; ++i)
      for (int most = 200; readers_[i].all != nullptr && most > 0 && receive(i, true); --most)
        while (!readers_[i].views.empty()) release(i, 0);
    model_.look_around();
    for (std::uint32_t i = 0; i < kReaders; ++i) check_reader(i);
  }

  void leave() noexcept {
    for (auto& writer : writers_) {
      writer.claim.reset();
      writer.handle.reset();
    }
    for (auto& reader : readers_) {
      reader.views.clear();
      reader.handle = std::monostate();
      reader.all = nullptr;
    }
  }

 private:
  static std::uint64_t length(Feed& feed) {
    const std::uint8_t value = feed.u8();
    return value < 128 ? value : (value - 128U) * 8;  // up to beyond the largest, which is 992
  }
  std::uint64_t new_seed() { return ++last_seed_; }

  // The positions that a claim up to `need` must not pass: for good, and until somebody clears them away.
  struct Room {
    bool now = true;    // nothing at all is in the way
    bool later = true;  // nothing but the dead is
  };
  Room room(std::uint64_t bytes) {
    Room room;
    const std::uint64_t extent = (detail::kFrameHeader + bytes + detail::kLine - 1) / detail::kLine * detail::kLine;
    const std::uint64_t need = model_.end() + extent - memory_.capacity;
    for (const Frame& frame : model_.standing()) {
      if (!before(frame.position, need)) break;
      if (frame.what == What::open) room.later = false;
      if (frame.what == What::dead) room.now = false;
    }
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      const auto& row = memory_.subscription(slot);
      if (row.state.load() != detail::SubscriptionState::reliable || !before(row.cursor.load(), need)) continue;
      const bool dead_one = row.kind.load() == detail::SubscriptionKind::ephemeral && slot != slot_of(0);
      (dead_one ? room.now : room.later) = false;
    }
    room.now = room.now && room.later;
    return room;
  }
  // A dead one's claim that has won, whose message nobody has counted yet: it holds the space until a publisher with the
  // table lock settles it. A bare RingWriter, as `die` uses it, does not.
  bool anyone_unsettled() const {
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      const bool ours = slot_of_writer(0) == slot || slot_of_writer(1) == slot;
      const std::uint64_t record = memory_.publisher(slot).record.load();
      if (!ours && record != detail::kNoRecord && (record & detail::kRecordWon) != 0) return true;
    }
    return false;
  }
  std::uint32_t slot_of_writer(std::uint32_t writer) const {
    return writers_[writer].handle ? writers_[writer].handle->core_->ring.slot() : detail::kNoBlocker;
  }
  std::uint32_t slot_of(std::uint32_t reader) const {
    return readers_[reader].all == nullptr ? detail::kNoBlocker : readers_[reader].all->core_->slot;
  }

  // True: claimed. Whether it may fail is the model's to say.
  bool reserve(Writer& writer, std::uint64_t bytes, bool insist) {
    const Room expected = room(bytes);
    const bool too_large = bytes > writer.handle->max_payload_bytes();
    for (int tries = insist && expected.later ? 1000 : 1; tries > 0; --tries) {
      Call call("claim");
      auto claim = writer.handle->try_claim(bytes);
      if (claim) {
        if (too_large || !expected.later) fail("space was given that is not there");
        writer.claim.emplace(std::move(claim));
        writer.bytes = bytes;
        writer.position = writer.handle->core_->ring.position();
        return true;
      }
      const Code code = claim.status().code();
      if (too_large != (code == Code::too_large)) fail("not told too_large, or told so wrongly");
      if (too_large) return false;
      if (code != Code::would_block) fail("a claim fails: " + claim.status().text());
      if (expected.now) fail("no space, though nothing is in the way: " + claim.status().text());
    }
    if (insist && expected.later) fail("no space, though only the dead are in the way");
    return false;
  }

  void publish(std::uint32_t i, std::uint64_t bytes, int how) {
    claim(i, bytes, how != 0);
    finish(i, 0);
  }

  void claim(std::uint32_t i, std::uint64_t bytes, bool insist = false) {
    Writer& writer = writers_[i];
    if (!writer.handle || writer.claim || !reserve(writer, bytes, insist)) return;
    if (!memory_.exclusive) model_.claim(writer.handle->core_->ring.slot(), writer.position, bytes);
  }

  // how 255: abort; else 255 is left out of the length.
  void finish(std::uint32_t i, std::uint8_t how) {
    Writer& writer = writers_[i];
    if (!writer.claim) return;
    const std::uint32_t slot = writer.handle->core_->ring.slot();
    if (how == 255) {
      Call call("abort");
      writer.claim->abort();
      if (!memory_.exclusive) model_.find(writer.position)->what = What::padding;
    } else {
      const std::uint64_t length = writer.bytes - std::min<std::uint64_t>(how, writer.bytes);
      const std::uint64_t seed = new_seed();
      const std::string_view text = payload(seed, length);
      std::memcpy(writer.claim->payload().data(), text.data(), length);
      if (memory_.exclusive) model_.claim(slot, writer.position, writer.bytes);
      model_.commit(*model_.find(writer.position), seed, static_cast<std::uint32_t>(length));
      Call call("commit");
      if (!writer.claim->commit(length)) fail("a commit fails");
    }
    writer.claim.reset();
  }

  void run(std::uint32_t i, std::size_t count, std::uint64_t bytes, std::size_t how) {
    Writer& writer = writers_[i];
    if (!writer.handle || writer.claim) return;
    const std::size_t most = detail::most_packed(*writer.handle->core_, bytes);
    const std::uint64_t all = count * detail::stride_of(bytes, memory_.payload_alignment);
    const Room expected = count <= most ? room(all) : Room();
    Call call("claim_run");
    auto run = writer.handle->try_claim_run(count, bytes);
    if (count > most || !run) {
      const Code code = run.status().code();
      if ((count > most) != (code == Code::too_large)) fail("a run is refused, or not: " + run.status().text());
      if (count <= most && expected.now) fail("no space for a run, though nothing is in the way");
      return;
    }
    if (!expected.later) fail("space for a run was given that is not there");
    const std::size_t committed = how % (count + 1);
    const std::uint64_t position = writer.handle->core_->ring.position();
    if (!memory_.exclusive || committed != 0) model_.claim(writer.handle->core_->ring.slot(), position, all);
    for (std::size_t at = 0; at < committed; ++at)
      std::memcpy(run[at].data(), payload(last_seed_ + 1 + at, bytes).data(), bytes);
    if (!run.commit(committed)) fail("a run is not committed");
    if (committed != 0)
      commit_packed(position, committed, bytes);
    else if (!memory_.exclusive)
      model_.find(position)->what = What::padding;
  }
  void commit_packed(std::uint64_t position, std::size_t count, std::uint64_t bytes) {
    model_.commit_packed(position, static_cast<std::uint32_t>(count), last_seed_ + 1,
                         static_cast<std::uint32_t>(bytes));
    last_seed_ += count;
  }

  void publish_all(std::uint32_t i, std::size_t count, std::uint64_t bytes) {
    Writer& writer = writers_[i];
    if (!writer.handle || writer.claim || bytes == 0) return;
    std::string text;
    for (std::size_t at = 0; at < count; ++at) text += payload(last_seed_ + 1 + at, bytes);
    const std::size_t most = detail::most_packed(*writer.handle->core_, bytes);
    const auto space = [&](std::size_t messages) {
      return room(messages * detail::stride_of(bytes, memory_.payload_alignment));
    };
    Call call("publish_all");
    const auto done = writer.handle->try_publish_all(text, bytes);
    std::size_t at = 0;
    while (at < done.count()) {
      const std::size_t some = std::min(most, count - at);
      if (!space(some).later) fail("space for a batch was given that is not there");
      const std::uint64_t position = model_.end();
      model_.claim(writer.handle->core_->ring.slot(), position,
                   some * detail::stride_of(bytes, memory_.payload_alignment));
      commit_packed(position, some, bytes);
      at += some;
    }
    if (at != done.count()) fail("a part of a frame is published");
    if (done.count() == count) return;
    if (done.status() != (most == 0 ? Code::too_large : Code::would_block))
      fail("a batch fails: " + done.status().text());
    if (most != 0 && space(std::min(most, count - at)).now) fail("no space for a batch, though nothing is in the way");
  }

  // Publishers have overtaken it: it goes on at the oldest.
  void overtake(Reader& reader, std::uint32_t i) {
    const std::uint64_t oldest = memory_.oldest().load();
    if (!is_lossy(i) || reader.copied || !before(reader.next, oldest)) return;
    reader.skipped += model_.messages(reader.next, oldest);
    reader.next = oldest;
  }

  const Frame& check_message(const Reader& reader, const ringway::Message& message) {
    const Frame* const expected = model_.next(reader.next, true);
    if (expected == nullptr || expected->what != What::message)
      fail("a message at " + std::to_string(message.position()) + " that nobody has published");
    if (message.position() != expected->position)
      fail("a message at " + std::to_string(message.position()) + ", the next is at " +
           std::to_string(expected->position));
    if (message.publisher() != expected->slot) fail("a message of another publisher's");
    if (message.sequence() != expected->sequence)
      fail("sequence " + std::to_string(message.sequence()) + ", expected " + std::to_string(expected->sequence) +
           " of slot " + std::to_string(expected->slot));
    if (message.text() != payload(expected->seed, expected->length)) fail("a message has another payload");
    return *expected;
  }

  // Nothing was received. `waited`: with a deadline, so that dead publishers' frames are passed.
  void check_nothing(std::uint32_t i, Code code, bool waited) {
    Reader& reader = readers_[i];
    if (code != Code::would_block && code != Code::timeout) fail("a receive fails: " + reader.all->status().text());
    const Frame* const there = model_.next(reader.next, waited);
    if (there != nullptr && there->what == What::message) fail("nothing received, though a message is there");
    if (reader.exact && is_lossy(i) && there == nullptr && reader.all->lost() != reader.skipped)
      fail("reader " + std::to_string(i) + " says that it lost " + std::to_string(reader.all->lost()) +
           " messages, and was overtaken by " + std::to_string(reader.skipped));
  }

  static void move(Reader& reader, std::uint64_t next) {
    reader.next = next;
    reader.copied = detail::index_of(next) != 0;
  }

  bool receive(std::uint32_t i, bool waits) {
    Reader& reader = readers_[i];
    if (reader.all == nullptr || reader.views.size() >= 8) return false;
    overtake(reader, i);
    Call call("receive");
    auto message = waits ? reader.all->receive(std::chrono::nanoseconds(1)) : reader.all->try_receive();
    if (!message) {
      check_nothing(i, message.status().code(), waits);
      reader.next = reader.all->position();
      return false;
    }
    const Frame& frame = check_message(reader, message);
    if (reader.all->position() != frame.end) fail("a reader is not behind the message that it has read");
    move(reader, frame.end);
    reader.views.push_back({frame.position, false, std::move(message)});
    return true;
  }

  void release(std::uint32_t i, std::size_t which) {
    Reader& reader = readers_[i];
    if (reader.views.empty()) return;
    auto& view = reader.views[which % reader.views.size()];
    if (!view.released) {
      // Until now nobody may have overwritten it, if the reader is one whom publishers wait for.
      const Frame& frame = *model_.find(view.position);
      if (!is_lossy(i) && view.message.text() != payload(frame.seed, frame.length))
        fail("a message has changed while it was held");
      Call call("release");
      if (!view.message.release()) fail("a release fails");
      view.released = true;
    }
    while (!reader.views.empty() && reader.views.front().released) reader.views.pop_front();
  }

  void poll(std::uint32_t i, std::size_t most, std::size_t stop) {
    Reader& reader = readers_[i];
    if (reader.all == nullptr) return;
    overtake(reader, i);
    const bool held = !reader.views.empty();
    bool stopped = false;
    Call call("poll");
    const std::size_t count = reader.all->poll(
        [&](const ringway::Message& message) {
          overtake(reader, i);
          const Frame& frame = check_message(reader, message);
          if (stop-- == 0) {
            stopped = true;
            reader.copied = false;
            return false;
          }
          move(reader, frame.end);
          return true;
        },
        most);
    if (!stopped) overtake(reader, i);
    if (!stopped && count < most) check_nothing(i, reader.all->status().code(), false);
    if (held && count > 0) return;  // one more view, released; the cursor says the rest
    if (stopped && reader.all->position() != model_.next(reader.next, true)->position)
      fail("a message that the handler refused is not the next one");
  }

  // A place to start at, and whether a message, or the next one, starts there.
  std::pair<From, bool> place(std::uint8_t how) {
    if (how % 4 == 0) return {From::oldest, true};
    if (how % 4 == 1 || model_.frames().empty()) return {From::newest, true};
    const Frame& frame = model_.frames()[how / 4 % model_.frames().size()];
    const bool there = (frame.what == What::message || frame.what == What::padding) &&
                       !before(frame.position, memory_.oldest().load());
    if (how % 4 == 2) return {From::at(frame.position), there};
    return {From::at(frame.position + 64), model_.is_boundary(frame.position + 64) && starts(frame.position + 64)};
  }
  bool starts(std::uint64_t position) {
    const Frame* const frame = model_.find(position);
    const bool committed = frame == nullptr || frame->what == What::message || frame->what == What::padding;
    return committed && !before(position, memory_.oldest().load());
  }
  // Where a reader is that was asked to start there.
  void check_place(const Reader& reader, From from) {
    const std::uint64_t expected = from.place() == From::Place::oldest   ? memory_.oldest().load()
                                   : from.place() == From::Place::newest ? model_.end()
                                                                         : from.position();
    if (reader.all->position() != expected) fail("a reader starts at another place than asked");
  }

  void seek(std::uint32_t i, std::uint8_t how) {
    Reader& reader = readers_[i];
    if (reader.all == nullptr) return;
    const auto [from, there] = place(how);
    Call call("seek");
    const ringway::Status status = reader.all->seek(from);
    if (!reader.views.empty() || held_in_core(reader)) {
      if (status.code() != Code::busy) fail("a seek with views held");
      return;
    }
    if (static_cast<bool>(status) != there) fail("a seek: " + status.text());
    if (!there) return;
    check_place(reader, from);
    reader.next = reader.all->position();
    reader.copied = false;
    reader.skipped = reader.all->lost();  // it starts anew
    reader.exact = reader.exact && !anyone_claims();
  }
  static bool held_in_core(const Reader& reader) {
    return reader.all->core_->views_begin != reader.all->core_->views_end;
  }
  bool anyone_claims() const { return writers_[0].claim || writers_[1].claim; }

  void open_writer(std::uint32_t i) {
    Writer& writer = writers_[i];
    if (writer.handle || attaches_ == 0) return;
    --attaches_;
    const bool other = writers_[1 - i].handle.has_value();
    try {
      Call call("attach a publisher");
      writer.handle.emplace(bus_.publisher(TopicImage::kName, {.wait = ringway::Wait::park}));
      if (other && memory_.exclusive) fail("two publishers on an exclusive topic");
    } catch (const ringway::Error& error) {
      if (other && memory_.exclusive && error.code() == Code::taken) return;
      // The dead may all have died where a living one claims, and cannot be told from losers before it commits.
      if (error.code() == Code::table_full && anyone_claims()) return;
      fail(std::string("a publisher cannot attach: ") + error.what());
    }
  }

  void close_writer(std::uint32_t i) {
    finish(i, 255);
    Call call("close a publisher");
    writers_[i].handle.reset();
  }

  std::size_t free_rows() const {
    std::size_t count = 0;
    for (std::uint32_t slot = 0; slot < 4; ++slot) {
      const auto kind = memory_.subscription(slot).kind.load();
      bool live = false;
      for (std::uint32_t i = 0; i < kObserver; ++i) live = live || slot_of(i) == slot;
      if (!live && kind != detail::SubscriptionKind::durable) ++count;
    }
    return count;
  }

  void open_reader(std::uint32_t i, std::uint8_t how) {
    Reader& reader = readers_[i];
    if (reader.all != nullptr || attaches_ == 0) return;
    --attaches_;
    const std::string name = kNames[i];
    const auto [from, there] = place(how);
    const auto durable = cursors_.find(name);
    const bool resumes = !name.empty() && durable != cursors_.end();
    try {
      Call call("attach a reader");
      if (i == kObserver) {
        reader.handle.emplace<ringway::Observer>(bus_.observer(TopicImage::kName, {.from = from}));
        reader.all = &std::get<ringway::Observer>(reader.handle);
      } else {
        reader.handle.emplace<ringway::Subscriber>(
            bus_.subscriber(TopicImage::kName,
                            {.name = name,
                             .from = from,
                             .reliability = is_lossy(i) ? ringway::Reliability::lossy : ringway::Reliability::reliable,
                             .wait = ringway::Wait::park}));
        reader.all = &std::get<ringway::Subscriber>(reader.handle);
      }
      if (!there && !resumes) fail("a reader was opened where no message starts");
    } catch (const ringway::Error& error) {
      if (error.code() == Code::table_full && !resumes && free_rows() == 0) return;
      if (error.code() == Code::invalid_argument && !there && !resumes) return;
      fail(std::string("a reader cannot attach: ") + error.what());
    }
    reader.skipped = 0;
    reader.copied = false;
    reader.exact = !anyone_claims() && !anyone_died_;
    if (resumes && is_lossy(i)) {
      reader.next = durable->second;
      reader.exact = false;
      overtake(reader, i);
    }
    if (!resumes)
      check_place(reader, from);
    else if (!is_lossy(i) && reader.all->position() != durable->second)
      fail("a durable subscription goes on elsewhere");
    reader.next = reader.all->position();
  }

  // What a reader leaves: the place of its oldest unreleased message, as its row says. It was checked.
  void close_reader(std::uint32_t i) {
    Reader& reader = readers_[i];
    if (reader.all == nullptr) return;
    while (!reader.views.empty()) release(i, 0);
    Call call("close a reader");
    const std::uint32_t slot = slot_of(i);
    reader.all = nullptr;
    reader.handle = std::monostate();
    if (kNames[i][0] != '\0') cursors_[kNames[i]] = memory_.subscription(slot).cursor.load();
  }

  // As close, but the row stays as it was, and owned.
  void kill_reader(std::uint32_t i) {
    Reader& reader = readers_[i];
    if (reader.all == nullptr) return;
    if (i == kObserver) return close_reader(i);
    auto& row = memory_.subscription(slot_of(i));
    const std::uint64_t cursor = row.cursor.load();
    const auto state = row.state.load();
    const auto kind = row.kind.load();
    close_reader(i);
    row.cursor.store(cursor);
    row.kind.store(kind);
    row.state.store(state);
    row.owned.store(1);
    if (kNames[i][0] != '\0') cursors_[kNames[i]] = cursor;
  }

  // A publisher dies: after W1, W2, W3 or W4; 4: with nothing under way.
  // `packed`: it was about to publish two messages in one frame.
  void die(int stage, std::uint64_t bytes, bool packed) {
    const std::uint64_t each = bytes / 16 * 8;
    const std::uint32_t count = packed && each != 0 ? 2 : 0;
    std::uint32_t slot = 0;
    while (slot < 4 && (memory_.publisher(slot).state.load() != detail::PublisherState::free ||
                        memory_.publisher(slot).record.load() != detail::kNoRecord))
      ++slot;
    const bool alone = !writers_[0].handle && !writers_[1].handle;
    if (slot == 4 || bytes > 992 || (memory_.exclusive && !alone)) return;
    anyone_died_ = true;
    for (Reader& reader : readers_) reader.exact = false;
    auto& row = memory_.publisher(slot);
    auto& used = memory_.tail_line->publishers_used;
    used.store(std::max(used.load(), slot + 1));
    row.incarnation.fetch_add(1);
    row.state.store(detail::PublisherState::owned);
    ringway_test::Writer writer;
    writer.attach(memory_, slot, memory_.exclusive ? detail::settle_exclusive(memory_) : memory_.tail().load());
    if (stage == 0 && !memory_.exclusive) {
      row.record_extent.store((detail::kFrameHeader + bytes + 63) / 64 * 64 | count);
      row.record.store(model_.end() | detail::kRecordStanding);
      return;
    }
    Call call("make_space");
    const Room expected = room(bytes);
    const bool unsettled = anyone_unsettled();
    if (!ringway_test::claim(writer, bytes)) {
      if (expected.now && !unsettled) fail("no space for a claim, though nothing is in the way");
      return;
    }
    if (!expected.later) fail("space was given that is not there");
    Frame& frame = model_.claim(slot, writer.position(), bytes);
    if (!memory_.exclusive) row.record_extent.fetch_or(count);
    if (stage == 1) row.record.store(writer.position() | detail::kRecordStanding);
    if (stage <= 2) frame.what = What::dead;
    if (stage <= 2 && memory_.exclusive) model_.drop_last();
    if (stage <= 2) return;
    if (count != 0) {
      for (std::uint32_t i = 0; i < count; ++i)
        std::memcpy(writer.payload() + i * each, payload(last_seed_ + 1 + i, each).data(), each);
      const std::uint64_t extent = frame.end - frame.position;
      const auto length = static_cast<std::uint32_t>(each);
      commit_packed(writer.position(), count, each);
      if (stage == 4)
        std::ignore = writer.commit_packed(count, length, 0);
      else
        detail::write_frame(memory_, writer.position(), detail::pack_size(length, extent, detail::FrameKind::packed),
                            detail::pack_origin(slot, row.sequence.load(), count), 0);
      return;
    }
    const std::uint64_t seed = new_seed();
    const std::string_view text = payload(seed, bytes);
    std::memcpy(writer.payload(), text.data(), bytes);
    model_.commit(frame, seed, static_cast<std::uint32_t>(bytes));
    if (stage == 4)
      std::ignore = writer.commit(static_cast<std::uint32_t>(bytes), 0);
    else
      detail::write_frame(
          memory_, writer.position(),
          detail::pack_size(static_cast<std::uint32_t>(bytes), frame.end - frame.position, detail::FrameKind::message),
          detail::pack_origin(slot, row.sequence.load()), 0);
  }

  // The cursor is at a frame start, not past what is held, and nothing that was released stands behind it.
  void check_reader(std::uint32_t i) {
    const Reader& reader = readers_[i];
    if (reader.all == nullptr) return;
    if (reader.exact && reader.all->lost() > reader.skipped + model_.messages(reader.next, memory_.oldest().load()))
      fail("a reader says that it lost more messages than it can have");
    if (i == kObserver) return;
    const std::uint64_t cursor = memory_.subscription(slot_of(i)).cursor.load();
    if (!model_.is_boundary(cursor)) fail("a cursor is at no frame start");
    const std::uint64_t first = reader.views.empty() ? reader.all->position() : reader.views.front().position;
    if (before(first, cursor)) fail("a cursor is past a message that is held");
    if (is_lossy(i)) return;
    if (model_.messages(cursor, first) != 0) fail("a cursor is before messages that were released");
    if (before(cursor, memory_.oldest().load())) fail("oldest has passed a reliable cursor");
  }

  const ringway::Bus& bus_;
  const detail::SegmentMemory& memory_;
  Model model_;
  std::array<Writer, 2> writers_;
  std::array<Reader, kReaders> readers_;
  std::map<std::string, std::uint64_t> cursors_;  // of durable subscriptions that nobody has open
  std::uint64_t last_seed_ = 0;
  int attaches_ = 7;
  bool anyone_died_ = false;
};

void run(TopicImage& image, const ringway::Bus& bus, const detail::Segment& segment, Feed& feed) {
  // Positions never pass 2^64: a lap mark of 0 there would be one that was never stored.
  static constexpr std::array<std::uint64_t, 4> kFirst = {0, (1ULL << 63) - 2048, (1ULL << 63) + 4096, 1ULL << 40};
  const std::uint64_t first = kFirst[feed.u8() % 4];
  image.reset();
  reinterpret_cast<detail::TopicHeader*>(image.data().at(0))->first_position = first;
  segment.memory().tail().store(first);
  segment.memory().oldest().store(first);
  Run run(image, bus, segment, first);
  for (int steps = 0; steps < 200 && !feed.done(); ++steps) run.step(feed);
  run.drain();
  run.leave();
}

}  // namespace

void ringway_fuzz::write_seeds(const WriteSeed& write) {
  for (const int mode : {0, 3})
    for (const int first : {0, 1, 2}) {
      Program p;
      p.put(mode, first).put(kOpenWriter, 0).put(kOpenWriter, 1);
      for (int reader = 0; reader < 5; ++reader) p.put(kOpenReader, reader, 0);
      for (int round = 0; round < 40; ++round) {
        p.put(kPublish, round % 2 + 64, 17 * round % 256).put(kClaim, 0, 150);
        for (int reader = 0; reader < 5; ++reader)
          p.put(round % 3 == 0 ? kPoll : kReceive, reader + 20, 3).put(kRelease, reader + 5 * (round % 2));
        p.put(kFinish, 0, round % 2 == 0 ? 255 : 9)
            .put(kRun, 1, round, 24, round * 7)
            .put(kPublishAll, 0, 60 + round, 8);
      }
      write("traffic-" + std::to_string(mode) + std::to_string(first), p);
    }
  for (const int mode : {0, 3})
    for (int stage = 0; stage < 5; ++stage) {
      Program p;
      p.put(mode, 0)
          .put(kOpenReader, 1, 0)
          .put(kOpenReader, 2, 0)
          .put(kDie, stage, 30)
          .put(kDie, (stage + 1) % 5 + 130, 200);
      p.put(kOpenWriter, 0);
      for (int round = 0; round < 30; ++round)
        p.put(kPublish, 64, 200).put(kReceive, 131).put(kRelease, 1).put(kReceive, 2).put(kRelease, 2);
      p.put(kCloseWriter, 0).put(kOpenWriter, 0).put(kPublish, 0, 5).put(kSeek, 1, 0).put(kReceive, 1);
      write("death-" + std::to_string(mode) + std::to_string(stage), p);
    }
  for (int reader = 0; reader < 5; ++reader) {
    Program p;
    p.put(0, 0).put(kOpenWriter, 0).put(kOpenReader, reader, 1).put(kPublish, 0, 100).put(kReceive, reader);
    p.put(kPublish, 0, 200).put(kReceive, reader).put(kKillReader, reader);
    for (int round = 0; round < 20; ++round) p.put(kPublish, 64, 200);
    p.put(kOpenReader, reader, 2).put(kReceive, reader).put(kCloseReader, reader).put(kOpenReader, reader, 0);
    write("reader-" + std::to_string(reader), p);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static ringway_test::ScratchDir scratch;
  struct Topic {
    Topic(const std::string& directory, bool exclusive)
        : image(directory, ringway_test::small_spec(exclusive)),
          bus(ringway::Bus::at(directory)),
          segment(ringway_test::map_topic(directory, TopicImage::kName, detail::Role::publish)) {}
    TopicImage image;
    ringway::Bus bus;
    std::unique_ptr<detail::Segment> segment;
  };
  static Topic& shared = *new Topic(scratch.path() / "s", false);
  static Topic& exclusive = *new Topic(scratch.path() / "x", true);
  Feed feed(bytes, size);
  begin_input();
  Topic& topic = feed.u8() % 4 == 3 ? exclusive : shared;
  run(topic.image, topic.bus, *topic.segment, feed);
  end_input();
  return 0;
}

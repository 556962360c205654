#include "crash/survivor.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "crash/crew.hpp"
#include "crash/operations.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;
using ringway::From;
using ringway::Reliability;

constexpr int kTries = 130;      // twice as many as until a claimer is looked at
constexpr int kMessages = 96;    // three capacities
constexpr int kHeldBack = 1000;  // tries in a row without a message

bool below(std::uint64_t a, std::uint64_t b) { return static_cast<std::int64_t>(a - b) < 0; }

std::string name_of(const SubscriptionSlot& row) {
  std::array<char, kNameWords * 8 + 1> name{};
  for (std::size_t word = 0; word < kNameWords; ++word) {
    const std::uint64_t value = row.name[word].load();
    std::memcpy(name.data() + word * 8, &value, 8);
  }
  return name.data();
}

// Somebody who reads, and what it must see.
struct Reading {
  std::string name;
  std::optional<ringway::Subscriber> subscriber = {};
  std::optional<ringway::Observer> observer = {};
  bool exact = true;         // every message; else it may be overtaken, or start later
  bool counts = false;       // what it lost
  std::vector<Id> expected;  // from its place on
  std::size_t next = 0;      // index of what it must see next
  std::uint64_t received = 0;
  std::uint64_t in_hand = 0;  // counted by a dead owner as received; it comes again, or is lost untold
  std::map<std::uint32_t, std::uint64_t> sequences = {};

  bool read() {
    const auto message = subscriber ? subscriber->try_receive() : observer->try_receive();
    if (!message) {
      if (message.status() == ringway::Code::would_block) return false;
      throw Bad(name + " cannot read: " + message.status().text());
    }
    const Id id = identify(message.payload().data(), message.payload().size());
    std::size_t at = next;
    while (!exact && at < expected.size() && expected[at] != id) ++at;
    if (at >= expected.size() || expected[at] != id)
      throw Bad(name + " received " + to_string(id) + ", due was " +
                (next < expected.size() ? to_string(expected[next]) : "nothing"));
    next = at + 1;
    ++received;
    const auto known = sequences.find(message.publisher());
    if (exact && known != sequences.end() && message.sequence() != known->second + 1)
      throw Bad(name + ": slot " + std::to_string(message.publisher()) + " counts " +
                std::to_string(message.sequence()) + " after " + std::to_string(known->second));
    sequences[message.publisher()] = message.sequence();
    return true;
  }
  void read_all() {
    for (int tries = 0; tries < kTries; ++tries)
      if (read()) tries = 0;
    if (next != expected.size()) throw Bad(name + " did not receive " + to_string(expected[next]));
  }
};

class Survivors {
 public:
  explicit Survivors(const std::string& directory)
      : bus_(ringway::Bus::at(directory)), image_(read_image(directory)), exclusive_(image_.header().exclusive == 1) {}

  void run(bool readers_first) {
    readers_first_ = readers_first;
    if (readers_first) {
      attach_readers();
      for (auto& reading : readings_) reading->read_all();
      for (auto& crew : crews_) crew->work();
    }
    publishers_.push_back(bus_.publisher("t"));
    if (readers_first) take_every_slot();
    for (int i = 0; i < kMessages && publish(publishers_[0]); ++i) {
    }
    if (!readers_first) attach_readers();
    while (number_ < kMessages)
      if (!publish(publishers_[0])) throw Bad("a publisher is held back: " + held_back_);
    for (auto& reading : readings_) reading->read_all();
    if (!readers_first) take_every_slot();
    for (auto& crew : crews_) crew->finish();
    for (auto& reading : readings_) {
      reading->read_all();
      if (!reading->counts) continue;
      const std::uint64_t told = reading->received + reading->subscriber->lost();
      const std::uint64_t doubt = readers_first_ ? 0 : reading->in_hand;
      if (told > reading->expected.size() + doubt || told + doubt < reading->expected.size())
        throw Bad(reading->name + " received " + std::to_string(reading->received) + " and lost " +
                  std::to_string(reading->subscriber->lost()) + " of " + std::to_string(reading->expected.size()));
    }
  }

 private:
  void attach_readers() {
    const Limits limits = image_.limits();
    for (std::uint32_t slot = 0; slot < limits.max_subscriptions; ++slot) {
      const SubscriptionSlot& row = image_.subscription(slot);
      if (row.kind.load() == SubscriptionKind::group) {
        ++durable_;
        if (!is_group(image_, slot)) {  // whoever joins it next makes it anew
          static_cast<void>(bus_.group_member("t", {.group = name_of(row)}));
          if (!is_group(read_image(bus_.directory()), slot)) throw Bad("a group that has not joined stays so");
          bus_.remove_subscription("t", name_of(row));
          --durable_;
          continue;
        }
        crews_.push_back(std::make_unique<Crew>(bus_, image_, slot));
        for (const Id& id : published_) crews_.back()->expect(id);
      }
      if (row.kind.load() != SubscriptionKind::durable) continue;
      ++durable_;
      auto reading = std::make_unique<Reading>();
      reading->name = name_of(row);
      const auto wanted = static_cast<SubscriptionState>(row.wanted.load());
      const SubscriptionState state = row.state.load();
      const bool lossy = wanted == SubscriptionState::lossy;
      const bool joined = state == SubscriptionState::reliable || state == SubscriptionState::lossy;
      reading->exact = joined && !lossy;  // one that never joined starts wherever it joins now
      reading->counts = joined && lossy && !below(row.cursor.load(), image_.oldest());
      reading->in_hand = std::min<std::uint64_t>(row.received.load(), 1);
      expect_from(*reading, joined ? row.cursor.load() : image_.oldest());
      reading->subscriber.emplace(bus_.subscriber(
          "t", {.name = reading->name, .reliability = lossy ? Reliability::lossy : Reliability::reliable}));
      readings_.push_back(std::move(reading));
    }
    auto reading = std::make_unique<Reading>();
    reading->name = "an observer";
    reading->exact = false;
    expect_from(*reading, image_.oldest());
    reading->observer.emplace(bus_.observer("t", {.from = From::oldest}));
    readings_.push_back(std::move(reading));
  }

  void expect_from(Reading& reading, std::uint64_t cursor) const {
    for (const Frame& frame : image_.frames())
      if (frame.message && !below(frame.position, cursor)) reading.expected.push_back(frame.id);
    for (const Id& id : published_) reading.expected.push_back(id);
  }
  // False: it is held back by somebody whom nobody reads for yet.
  bool publish(ringway::Publisher& publisher) {
    std::array<std::byte, kPayload> bytes{};
    fill(bytes.data(), kSurvivor, number_);
    for (int tries = 0; tries < kHeldBack; ++tries) {
      auto claim = publisher.try_claim(bytes.size());
      if (claim) {
        std::memcpy(claim.payload().data(), bytes.data(), bytes.size());
        if (!claim.commit()) throw Bad("an open claim cannot be committed");
        const Id id{kSurvivor, number_++, true};
        published_.push_back(id);
        for (auto& reading : readings_) reading->expected.push_back(id);
        for (auto& crew : crews_) crew->expect(id);
        return true;
      }
      if (claim.status() != ringway::Code::would_block) throw Bad("cannot publish: " + claim.status().text());
      held_back_ = claim.status().text();
      for (auto& reading : readings_)
        while (reading->read()) {
        }
      for (auto& crew : crews_) crew->work();
      if (!crews_.empty()) ::usleep(20);  // a job that was given back is due a little later
    }
    return false;
  }

  void take_every_slot() {
    const Limits limits = image_.limits();
    // All of them before anybody publishes: a record may stand where nobody has claimed yet.
    for (std::uint32_t slot = 1; !exclusive_ && slot < limits.max_publishers; ++slot)
      publishers_.push_back(bus_.publisher("t"));
    for (ringway::Publisher& publisher : publishers_)
      if (!publish(publisher)) throw Bad("a new publisher is held back: " + held_back_);
    std::vector<ringway::Subscriber> others;
    for (std::uint32_t slot = durable_; slot < limits.max_subscriptions; ++slot) others.push_back(bus_.subscriber("t"));
    const Image after = read_image(bus_.directory());
    for (std::uint32_t slot = 0; !exclusive_ && slot < limits.max_publishers; ++slot)
      if (after.publisher(slot).record.load() != kNoRecord)
        throw Bad("a record stands in slot " + std::to_string(slot));
  }

  ringway::Bus bus_;
  Image image_;  // as it was found
  bool exclusive_;
  bool readers_first_ = false;
  std::vector<ringway::Publisher> publishers_;
  std::vector<std::unique_ptr<Reading>> readings_;
  std::vector<std::unique_ptr<Crew>> crews_;
  std::vector<Id> published_;
  std::uint64_t number_ = 0;
  std::uint32_t durable_ = 0;
  std::string held_back_;
};

}  // namespace

void check_image(const Image& now, const Rules& rules, bool finished) {
  const Image& base = rules.base;
  const std::vector<Frame> frames = now.frames();
  if (below(now.oldest(), base.oldest())) throw Bad("oldest went back");
  if (below(now.tail(), base.tail())) throw Bad("tail went back");
  for (std::size_t i = 1; i < frames.size(); ++i)
    if (below(frames[i].position, frames[i - 1].end))
      throw Bad("the frames at " + std::to_string(frames[i - 1].position) + " and " +
                std::to_string(frames[i].position) + " overlap");
  const auto at = [](const std::vector<Frame>& in, std::uint64_t position) {
    return std::find_if(in.begin(), in.end(), [&](const Frame& frame) { return frame.position == position; });
  };
  const std::vector<Frame> before_it = base.frames();
  for (const Frame& frame : before_it) {
    if (below(frame.position, now.oldest())) continue;
    const auto found = at(frames, frame.position);
    if (found == frames.end() || found->end != frame.end || found->message != frame.message || found->id != frame.id)
      throw Bad("the frame at " + std::to_string(frame.position) + " was damaged");
  }
  std::size_t added = 0;
  for (const Frame& frame : frames) {
    if (!frame.message) continue;
    if (!frame.id.whole) throw Bad("torn: the frame at " + std::to_string(frame.position));
    if (at(before_it, frame.position) == before_it.end()) ++added;
  }
  if (added > rules.adds || (finished && added != rules.adds))
    throw Bad(std::to_string(added) + " new messages, due are " + std::to_string(rules.adds));
  for (std::uint32_t slot = 0; slot < now.limits().max_subscriptions; ++slot) {
    const SubscriptionSlot& then = base.subscription(slot);
    const SubscriptionSlot& row = now.subscription(slot);
    if (then.kind.load() != SubscriptionKind::durable || then.state.load() != SubscriptionState::reliable ||
        rules.moves_cursor)
      continue;
    if (row.kind.load() != SubscriptionKind::durable || row.state.load() != SubscriptionState::reliable)
      throw Bad("a durable subscription changed its state");
    const std::uint64_t cursor = row.cursor.load();
    if (below(cursor, now.oldest())) throw Bad("oldest passed a reliable cursor");
    std::size_t released = 0;
    bool possible = cursor == then.cursor.load();
    for (const Frame& frame : before_it) {
      if (possible || below(frame.position, then.cursor.load())) continue;
      if (frame.message) ++released;
      possible = cursor == frame.end;
    }
    if (!possible || released > rules.releases) throw Bad("a reliable cursor moved to " + std::to_string(cursor));
  }
  check_jobs(now, rules, finished);
}

void survive(const std::string& directory, bool readers_first) { Survivors(directory).run(readers_first); }

}  // namespace ringway_crash

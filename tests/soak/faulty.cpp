// Those who are at fault, or short of something. What they do must harm nobody but themselves, and hide nothing.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <utility>

#include "ringway/ringway.hpp"
#include "soak/workers.hpp"
#include "support/child.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"

namespace ringway_soak {
namespace {

using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::From;
using ringway_test::Child;

constexpr const char* kWrecked = "wrecked";
constexpr auto kPatience = 30s;  // it may be stopped for a while

enum class Wreck : std::uint8_t {
  lie,    // a claim whose end nothing confirms, and that comes and goes
  zeros,  // the ring and its lap marks are zeros
};

// In a process of its own.
int wreck(const std::string& directory, Wreck how) {
  using namespace ringway::detail;
  const auto segment = ringway_test::map_topic(directory, kWrecked, Role::publish);
  const SegmentMemory& memory = segment->memory();
  std::uint32_t slot = 0;
  {
    const auto out = Bus::at(directory).publisher(kWrecked);
    while (memory.publisher(slot).pid != static_cast<std::uint32_t>(::getpid())) ++slot;
  }
  if (how == Wreck::lie) {
    PublisherSlot& row = memory.publisher(slot);  // nobody's any more: as if it were dead
    const std::uint64_t position = memory.tail();
    row.record_extent = kLine;
    row.record = position | kRecordStanding;
    memory.tail() = position + 2 * kLine;
    for (int i = 0; i < 1'000'000; ++i) row.record = i % 2 == 0 ? kNoRecord : position | kRecordStanding;
  } else {
    for (std::uint64_t at = 0; at < memory.capacity; at += kLine) memory.frame(at).tag = 0;
    for (std::uint64_t eighth = 0; eighth < kEighths; ++eighth) memory.mark(eighth) = 0;
  }
  ::raise(SIGKILL);
  return 1;
}

// One topic, up to its end: the messages before what is wrong come in order and whole, and then everybody says so.
class Wrecked {
 public:
  Wrecked(const Place& place, std::mt19937_64& random)
      : place_(place),
        random_(random),
        bus_(Bus::at(place.directory)),
        in_(bus_.subscriber(kWrecked, {.topic = {.capacity_bytes = 32 << 10,
                                                 .max_publishers = 66,  // more than fit into a word of bits
                                                 .max_subscriptions = 66}})),
        out_(bus_.publisher(kWrecked)),
        look_(bus_.observer(kWrecked, {.from = From::oldest})) {}

  // What it did that it should not have done; empty: nothing.
  std::string run() {
    static_cast<void>(in_.receive(1ms));  // commits look for sleepers from here on
    if (random_() % 8 == 0)               // until many in a row have found none
      while (published_ < 5000)
        if (!publish() || !take(in_, received_, 1)) return "cannot pass on messages";
    const std::uint64_t before = published_;
    // So many that the last one, which is not taken before the zeros, is not what a publisher needs first.
    for (std::uint64_t left = 5 + random_() % 40; left > 0; --left)
      if (!publish()) return "cannot publish";
    const Wreck how = random_() % 2 == 0 ? Wreck::lie : Wreck::zeros;
    if (how == Wreck::zeros && !take(in_, received_, published_ - before - 1)) return "lost a message before its end";
    Child wrecker = Child::fork([&] { return wreck(place_.directory, how); });
    if (how == Wreck::zeros) wrecker.wait();  // the other way of doing it is watched
    while (look_.receive(kPatience)) {
    }
    if (look_.status() != Code::corrupt) return "has an observer that says " + look_.status().text();
    if (wrecker.wait() != 128 + SIGKILL) return "was not wrecked";
    if (how == Wreck::lie && !take(in_, received_, published_ - received_)) return "lost a message";
    if (!ends_corrupt(in_)) return "has a subscriber that says " + in_.status().text();
    ringway::Status status;
    for (int most = 0; most < 1000 && status; ++most) status = put();
    if (status != Code::corrupt) return "has a publisher that says " + status.text();
    return {};
  }

 private:
  ringway::Status put() {
    std::byte bytes[sizeof(Head) + 100];
    Head head{0, static_cast<std::uint32_t>(random_() % 100), static_cast<std::uint32_t>(published_), 0, 0};
    head.checksum = checksum_of(head);
    fill(head, bytes);
    return out_.publish(std::span<const std::byte>(bytes, sizeof head + head.bytes), kPatience);
  }
  bool publish() {
    if (!put()) return false;
    ++published_;
    return true;
  }

  // The next `count` messages.
  static bool take(ringway::Subscriber& in, std::uint64_t& received, std::uint64_t count) {
    for (; count > 0; --count) {
      const auto message = in.receive(kPatience);
      Head head{};
      if (!message || !read_head(message.payload(), head) || head.number != received) return false;
      ++received;
    }
    return true;
  }
  static bool ends_corrupt(ringway::Subscriber& in) { return !in.receive(kPatience) && in.status() == Code::corrupt; }

  const Place& place_;
  std::mt19937_64& random_;
  Bus bus_;
  ringway::Subscriber in_;
  ringway::Publisher out_;
  ringway::Observer look_;
  std::uint64_t published_ = 0;
  std::uint64_t received_ = 0;
};

// A topic that is there, because this process was killed before it came to its end, goes.
void remove_wrecked(const Bus& bus) {
  try {
    bus.remove_topic(kWrecked);
  } catch (const ringway::Error& error) {
    if (error.code() != Code::not_found) throw;
  }
}

}  // namespace

void Shortage::allow(bool any) {
  if (ringway_test::kAddressSanitizer) return;  // what goes with it asks a pipe whether an object is what it seems
  if (any == std::exchange(allowed_, any)) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = any ? limit.rlim_max : 0;  // what is open stays open
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run_spoilt(const Place& place, std::uint32_t topic) try {
  using namespace ringway::detail;
  auto in = Bus::at(place.directory).subscriber(kTopicNames[topic]);
  const auto segment = ringway_test::map_topic(place.directory, kTopicNames[topic], Role::subscribe);
  const SegmentMemory& memory = segment->memory();
  std::uint32_t slot = 0;
  while (memory.subscription(slot).pid != static_cast<std::uint32_t>(::getpid()) ||
         memory.subscription(slot).owned != 1)
    ++slot;
  SubscriptionSlot& row = memory.subscription(slot);
  const std::uint64_t cursor = frame_start(memory.oldest()) - 2 * memory.capacity;
  // It changes all the time, so that who looks twice may see two. The row is nobody else's before `in` is closed.
  while (row.state != SubscriptionState::free) {
    for (std::uint64_t i = 0; i < 1'000'000 && row.state != SubscriptionState::free; ++i)
      row.cursor = cursor + i % 2 * kLine;
    ::usleep(1000);
    if (told_to_end != 0 || place.ledger->draining != 0) return 0;
  }
  ++place.ledger->evicted;
  for (;;) {
    auto message = in.receive(20ms);
    const ringway::Status status = message ? message.release() : in.status();
    if (status == Code::evicted || told_to_end != 0) return 0;
    if (!status && status != Code::timeout) return complain("spoilt", status.text());
  }
} catch (const ringway::Error& error) {
  return give_up("spoilt", error);
}

int run_wrecked(const Place& place) try {
  std::mt19937_64 random(place.seed);
  const Bus bus = Bus::at(place.directory);
  for (int rounds = 0; rounds < 5 && told_to_end == 0 && place.ledger->draining == 0; ++rounds) {
    remove_wrecked(bus);
    const std::string wrong = Wrecked(place, random).run();
    if (!wrong.empty()) return complain("wrecked", "a topic that was to be wrecked " + wrong);
    ++place.ledger->wrecked;
  }
  remove_wrecked(bus);
  return 0;
} catch (const ringway::Error& error) {
  return give_up("wrecked", error);
}

}  // namespace ringway_soak

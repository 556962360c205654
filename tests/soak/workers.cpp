#include "soak/workers.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/ring_fixture.hpp"

namespace ringway_soak {
namespace {

using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::From;
using ringway::Message;
using ringway::Reliability;

constexpr std::size_t kMaxBytes = 3000;

// The serial numbers of a run's messages.
class Serials {
 public:
  Serials(Ledger& ledger, std::uint32_t run) : ledger_(ledger), run_(run) {}
  // The head of the run's message `number`.
  Head head(std::uint32_t number, std::uint32_t bytes) {
    while (blocks_.size() <= number / kSerialBlock) {
      blocks_.push_back(ledger_.serials.fetch_add(kSerialBlock));
      ledger_.run_of[blocks_.back() / kSerialBlock] = run_;
    }
    Head head{run_, bytes, number, blocks_[number / kSerialBlock] + number % kSerialBlock, 0};
    head.checksum = checksum_of(head);
    return head;
  }

 private:
  Ledger& ledger_;
  std::uint32_t run_;
  std::vector<std::uint32_t> blocks_;
};

// One message more, in one of the ways there are. `pause` now and then inside a claim, to be killed there.
ringway::Status publish_one(ringway::Publisher& out, Run& run, Head head, std::mt19937_64& random) {
  std::byte bytes[sizeof(Head) + kMaxBytes];
  fill(head, bytes);
  const std::size_t size = sizeof head + head.bytes;
  const unsigned way = static_cast<unsigned>(random() % 8);
  if (way < 3) {
    run.started = head.number + 1;
    const ringway::Status status = out.publish(std::span<const std::byte>(bytes, size), 20ms);
    if (!status) run.started = head.number;
    return status;
  }
  auto claim = out.claim(size + random() % 200, 20ms);
  if (!claim) return claim.status();
  run.in_claim = 1;
  std::memcpy(claim.payload().data(), bytes, size / 2);
  if (way == 3) ::usleep(static_cast<unsigned>(random() % 3000));
  std::memcpy(claim.payload().data() + size / 2, bytes + size / 2, size - size / 2);
  ringway::Status status = Code::would_block;  // aborted: the number comes again
  if (way != 4) {
    run.started = head.number + 1;
    status = claim.commit(size);
  }
  claim.abort();
  run.in_claim = 0;
  return status;
}

// Several of one size in a packed frame; `messages` says how many.
ringway::Status publish_run(ringway::Publisher& out, Run& run, Head head, Serials& serials, std::mt19937_64& random,
                            std::uint32_t& messages) {
  const std::size_t size = sizeof head + head.bytes;
  messages = static_cast<std::uint32_t>(1 + random() % 8);
  const auto write = [&](std::byte* to) {
    fill(serials.head(head.number, head.bytes), to);
    ++head.number;
  };
  if (random() % 2 == 0) {
    std::vector<std::byte> bytes(messages * size);
    for (std::size_t i = 0; i < messages; ++i) write(bytes.data() + i * size);
    run.started = head.number;
    const auto done = out.publish_all(bytes, size, 20ms);
    if (!done) run.started = head.number - messages;
    return done.status();
  }
  auto claim = out.claim_run(messages + random() % 3, size, 20ms);
  if (!claim) return claim.status();
  run.in_claim = 1;
  for (std::size_t i = 0; i < messages; ++i) write(claim[i].data());
  if (random() % 4 == 0) ::usleep(static_cast<unsigned>(random() % 3000));
  ringway::Status status = Code::would_block;  // aborted: the numbers come again
  if (random() % 4 != 0) {
    run.started = head.number;
    status = claim.commit(messages);
  }
  claim.abort();
  run.in_claim = 0;
  return status;
}

// Checks one reader's messages: each whole, in order per run; `next` is a run's next number.
class Checker {
 public:
  Checker(Ledger& ledger, const char* who) : ledger_(ledger), who_(who) {}

  // Numbers may be skipped (a reader that is overtaken, or that came later).
  bool in_order(const Message& message, bool may_skip) {
    Head head{};
    if (!read_head(message.payload(), head))
      return bad("a message is not whole at position " + std::to_string(message.position()));
    const auto [found, first] = next_.try_emplace(head.run, head.number);
    if (head.number < found->second) return bad(name_of(head) + " comes again");
    if (!first && head.number > found->second && !may_skip)
      return bad(name_of(head) + " instead of " + std::to_string(found->second));
    found->second = head.number + 1;
    ++ledger_.received;
    return true;
  }

  bool bad(const std::string& what) {
    ++ledger_.bad;
    complain(who_, what);
    return false;
  }

 private:
  Ledger& ledger_;
  const char* who_;
  std::map<std::uint32_t, std::uint64_t> next_;
};

}  // namespace

volatile sig_atomic_t told_to_end = 0;

void tell_to_end(int) { told_to_end = 1; }

int give_up(const char* who, const ringway::Error& error) {
  return error.code() == Code::busy ? kTurnedAway : complain(who, error.what());
}

int complain(const char* who, const std::string& what) {
  std::fprintf(stderr, "soak: %s (pid %d): %s\n", who, ::getpid(), what.c_str());
  return 1;
}

bool over(const ringway::Status& status) {
  return status.code() == Code::corrupt || status.code() == Code::topic_gone || status.code() == Code::evicted;
}

void fill(const Head& head, std::byte* to) {
  std::memcpy(to, &head, sizeof head);
  for (std::size_t i = 0; i < head.bytes; ++i) to[sizeof head + i] = byte_at(head, i);
}

bool read_head(std::span<const std::byte> payload, Head& head) {
  if (payload.size() < sizeof head) return false;
  std::memcpy(&head, payload.data(), sizeof head);
  if (payload.size() != sizeof head + head.bytes || head.run >= kMaxRuns || head.serial >= kMaxJobs ||
      head.checksum != checksum_of(head))
    return false;
  for (std::size_t i = 0; i < head.bytes; ++i)
    if (payload[sizeof head + i] != byte_at(head, i)) return false;
  return true;
}

std::string name_of(const Head& head) {
  return "run " + std::to_string(head.run) + " message " + std::to_string(head.number);
}

int run_publisher(const Place& place, std::uint32_t number) try {
  Run& run = place.ledger->run[number];
  std::mt19937_64 random(place.seed);
  auto out = Bus::at(place.directory).publisher(kTopicNames[run.topic], {.name = "run" + std::to_string(number)});
  Serials serials(*place.ledger, number);
  Shortage shortage;
  std::uint32_t next = 0;
  while (told_to_end == 0) {
    shortage.comes_and_goes(random);
    const Head head =
        serials.head(next, static_cast<std::uint32_t>(random() % 10 == 0 ? random() % kMaxBytes : random() % 100));
    std::uint32_t messages = 1;
    const ringway::Status status = head.bytes < 100 && random() % 3 == 0
                                       ? publish_run(out, run, head, serials, random, messages)
                                       : publish_one(out, run, head, random);
    if (over(status)) return complain("publisher", status.text());
    if (status == Code::timeout) shortage.ends();
    if (!status) continue;
    run.committed = next += messages;
    if (random() % 64 == 0) ::usleep(static_cast<unsigned>(random() % 500));
  }
  return 0;
} catch (const ringway::Error& error) {
  return error.code() == Code::taken ? 0 : give_up("publisher", error);  // an exclusive topic has one
}

int run_torn(const Place& place, std::uint32_t number) try {
  using namespace ringway::detail;
  Run& run = place.ledger->run[number];
  std::mt19937_64 random(place.seed);
  const char* const topic = kTopicNames[run.topic];
  const auto out = Bus::at(place.directory).publisher(topic, {.name = "torn" + std::to_string(number)});
  const auto segment = ringway_test::map_topic(place.directory, topic, Role::publish);
  const SegmentMemory& memory = segment->memory();
  std::uint32_t slot = 0;
  while (memory.publisher(slot).pid != static_cast<std::uint32_t>(::getpid()) ||
         memory.publisher(slot).state != PublisherState::owned)
    ++slot;
  PublisherSlot& row = memory.publisher(slot);
  const std::uint64_t stage = random() % 4;
  const std::uint64_t extent = kLine * (1 + random() % 8);
  const auto count = static_cast<std::uint32_t>(extent > kLine ? random() % 3 : 0);  // packed: two Heads fit two lines
  std::uint64_t position = memory.tail();
  do {
    const std::uint64_t oldest = memory.oldest();
    const SlowestCursor slowest = slowest_cursor(memory);
    const std::uint64_t floor = slowest.any && before(slowest.position, oldest) ? slowest.position : oldest;
    if (before(floor + memory.capacity, position + extent)) return 0;  // making space is not the matter here
    if (memory.exclusive) break;
    row.record_extent = extent | count;
    row.record = position | kRecordStanding;
    if (stage == 0) ::raise(SIGKILL);
  } while (!memory.tail().compare_exchange_strong(position, position + extent));
  run.in_claim = 1;
  if (stage == 1) ::raise(SIGKILL);
  if (!memory.exclusive) row.record = position | kRecordStanding | kRecordWon;
  if (stage == 2) ::raise(SIGKILL);
  run.started = std::max(count, 1U);
  Serials serials(*place.ledger, number);
  for (std::uint32_t i = 0; i < run.started; ++i)
    fill(serials.head(i, 0), memory.bytes_at(position) + memory.payload_offset + i * sizeof(Head));
  write_frame(memory, position, pack_size(sizeof(Head), extent, count == 0 ? FrameKind::message : FrameKind::packed),
              pack_origin(slot, row.sequence, count), 0);
  ::raise(SIGKILL);  // nothing after the tag: neither the counter, nor tail or the record
  return 1;
} catch (const ringway::Error& error) {
  return error.code() == Code::taken ? 0 : give_up("torn", error);
}

int run_durable(const Place& place, std::uint32_t topic, std::uint32_t which) try {
  Ledger& ledger = *place.ledger;
  Checker checker(ledger, "durable");
  std::mt19937_64 random(place.seed);
  auto in = Bus::at(place.directory).subscriber(kTopicNames[topic], {.name = "durable" + std::to_string(which)});
  bool fresh = false;  // what the last owner had noted and not released comes first
  const auto handle = [&](const Message& message) {
    Head head{};
    if (!read_head(message.payload(), head)) return checker.bad("a message is not whole");
    auto& next = ledger.next[topic][which][head.run];
    if (head.number == next) {
      fresh = true;
      next = head.number + 1;
      ++ledger.received;
      if (random() % 256 == 0) ::usleep(1000);  // noted and not released: to be killed there
      return true;
    }
    if (head.number > next || fresh) return checker.bad(name_of(head) + " instead of " + std::to_string(next.load()));
    ++ledger.redelivered;
    return true;
  };
  Shortage shortage;
  while (told_to_end == 0) {
    shortage.comes_and_goes(random);
    if (random() % 4 == 0) {
      if (in.poll([&](const Message& message) { return handle(message); }, 16, 50ms) != 0) continue;
    } else if (const auto message = in.receive(50ms)) {
      if (!handle(message)) return 1;
      continue;
    }
    if (over(in.status())) return complain("durable", in.status().text());
    if (ledger.draining == 1 && in.lag_bytes() == 0) break;
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("durable", error);
}

int run_ephemeral(const Place& place, std::uint32_t topic) try {
  std::mt19937_64 random(place.seed);
  if (random() % 4 == 0) return run_spoilt(place, topic);
  const Bus bus = Bus::at(place.directory);
  while (told_to_end == 0 && place.ledger->draining == 0) {
    Checker checker(*place.ledger, "ephemeral");
    auto in = bus.subscriber(kTopicNames[topic], {.from = random() % 2 == 0 ? From::oldest : From::newest});
    std::vector<Message> held;
    for (std::uint64_t left = random() % 2000; left > 0 && told_to_end == 0; --left) {
      auto message = in.receive(5ms);
      if (!message) {
        if (over(in.status())) return complain("ephemeral", in.status().text());
        held.clear();
        if (place.ledger->draining == 1) break;
        continue;
      }
      if (!checker.in_order(message, false)) return 1;
      if (random() % 8 == 0) held.push_back(std::move(message));
      if (held.size() > 8) held.erase(held.begin() + static_cast<std::ptrdiff_t>(random() % held.size()));
    }
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("ephemeral", error);
}

int run_overtaken(const Place& place, std::uint32_t topic, bool limited) try {
  std::mt19937_64 random(place.seed);
  const Bus bus = Bus::at(place.directory);
  while (told_to_end == 0 && place.ledger->draining == 0) {
    Checker checker(*place.ledger, "overtaken");
    auto in = bus.subscriber(kTopicNames[topic], {.from = From::oldest,
                                                  .reliability = limited ? Reliability::reliable : Reliability::lossy,
                                                  .max_lag_bytes = limited ? 4096U : 0U});
    for (std::uint64_t left = random() % 2000; left > 0 && told_to_end == 0; --left) {
      const auto message = in.receive(5ms);
      if (message && !checker.in_order(message, true)) return 1;
      if (!message && over(in.status())) return complain("overtaken", in.status().text());
      if (random() % 200 == 0) ::usleep(static_cast<unsigned>(random() % 5000));
    }
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("overtaken", error);
}

int run_accountant(const Place& place, std::uint32_t topic) try {
  Ledger& ledger = *place.ledger;
  Checker checker(ledger, "accountant");
  std::mt19937_64 random(place.seed);
  auto in = Bus::at(place.directory)
                .subscriber(kTopicNames[topic], {.from = From::oldest, .reliability = Reliability::lossy});
  std::uint64_t received = 0;
  for (int idle = 0; idle < 3;) {  // at the end once more, so that the publishers' counters are read
    const auto message = in.receive(20ms);
    if (message) {
      ++received;
      if (!checker.in_order(message, true)) return 1;
      if (random() % 500 == 0) ::usleep(20'000);  // is overtaken
    } else {
      if (over(in.status())) return complain("accountant", in.status().text());
      if (ledger.draining == 1) ++idle;
    }
    ledger.accountant_received[topic] = received;
    ledger.accountant_lost[topic] = in.lost();
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("accountant", error);
}

int run_observer(const Place& place, std::uint32_t topic) try {
  Checker checker(*place.ledger, "observer");
  const Bus bus = Bus::at(place.directory);
  auto in = bus.observer(kTopicNames[topic], {.from = From::oldest});
  while (told_to_end == 0 && place.ledger->draining == 0) {
    const auto message = in.receive(20ms);
    if (message && !checker.in_order(message, true)) return 1;
    if (!message && over(in.status())) return complain("observer", in.status().text());
    if (!message) static_cast<void>(bus.topics());
  }
  return 0;
} catch (const ringway::Error& error) {
  return give_up("observer", error);
}

}  // namespace ringway_soak

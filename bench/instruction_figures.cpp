// Instructions of a publish and a receive, counted by callgrind: the same on every machine, and so a growth that can be told
// from noise. All in one process: instructions do not know on which core they run.

#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <ringway/ringway.hpp>
#include <sstream>

#include "figures.hpp"
#include "process.hpp"

// What callgrind counts. extern "C": its name is the same for every compiler.
extern "C" __attribute__((noinline)) void ringway_counted(void (*work)(void*), void* context) { work(context); }

namespace bench {
namespace {

using namespace ringway::literals;

struct Message {
  std::uint64_t words[8];
};
constexpr std::uint64_t kFrame = 128;  // of a Message

enum class Count : std::uint8_t { publish, with_steps, receive, poll };

struct Setup {
  Count count = Count::publish;
  bool exclusive = false;
  std::uint32_t subscriptions = 1;
  std::uint64_t capacity = 64_KiB;
  std::uint32_t topics = 1;

  [[nodiscard]] std::string text() const {
    return fmt::format("{} {} {} {} {}", static_cast<int>(count), exclusive ? 1 : 0, subscriptions, capacity, topics);
  }
  static Setup of(const std::string& text) {
    std::istringstream in(text);
    int count = 0;
    Setup setup;
    in >> count >> setup.exclusive >> setup.subscriptions >> setup.capacity >> setup.topics;
    setup.count = static_cast<Count>(count);
    return setup;
  }
};

template <class Work>
void counted(Work work) {
  ringway_counted([](void* context) { (*static_cast<Work*>(context))(); }, &work);
}

struct Topics {
  std::vector<ringway::TypedPublisher<Message>> publishers;
  std::vector<ringway::TypedSubscriber<Message>> subscribers;
  Message message{};

  Topics(const std::string& directory, const Setup& setup) {
    const ringway::Bus bus = ringway::Bus::at(directory);
    // Tables as small as they may be where there are many topics: all of them are in memory.
    const bool many = setup.topics > 1;
    const ringway::TopicOptions options = {
        .capacity_bytes = setup.capacity,
        .publishers = setup.exclusive ? ringway::Publishers::exclusive : ringway::Publishers::shared,
        .max_groups = many ? std::optional<std::uint32_t>(1) : std::nullopt,
        .max_members = many ? std::optional<std::uint32_t>(1) : std::nullopt,
        .max_in_flight = many ? std::optional<std::uint32_t>(16) : std::nullopt};
    for (std::uint32_t topic = 0; topic < setup.topics; ++topic) {
      const std::string name = fmt::format("counted-{}", topic);
      publishers.push_back(bus.publisher<Message>(name, {.topic = options}));
      for (std::uint32_t i = 0; i < setup.subscriptions; ++i)
        subscribers.push_back(bus.subscriber<Message>(name, {.topic = options}));
    }
    publish(publishers.size());  // the first step: from here on a whole lap without one
    drain();
  }
  void publish(std::uint64_t count) {
    for (std::uint64_t i = 0, at = 0; i < count; ++i) {
      if (!publishers[at].publish(message)) fail("publishing failed");
      if (++at == publishers.size()) at = 0;
    }
  }
  void drain() {
    for (auto& subscriber : subscribers) subscriber.poll([](const Message&) {}, ~std::size_t{0});
  }
};

// Instructions of one message, or why they cannot be told.
std::optional<double> count(const Options& options, const Setup& setup, std::uint64_t messages, std::string& note) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string log = options.directory + "/callgrind";
  const std::string bus = options.bus("counted");
  Process::spawn({"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + log,
                  "--toggle-collect=ringway_counted", self, "--counted", setup.text(), "--counted-in", bus})
      .join("valgrind");
  std::filesystem::remove_all(bus);
  const std::string text = read_file(log);
  static constexpr std::string_view kKey = "Collected : ";
  const auto at = text.find(kKey);
  std::uint64_t collected = 0;
  if (at != std::string::npos) std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), collected);
  if (collected == 0) {
    note = "FAILED: callgrind collected nothing";
    return {};
  }
  return static_cast<double>(collected) / static_cast<double>(messages);
}

std::uint64_t messages_of(const Setup& setup) {
  if (setup.count == Count::with_steps) return 3 * setup.capacity / kFrame;
  return std::max<std::uint64_t>(128, setup.topics);
}

std::string sizes_text(std::uint64_t bytes) {
  return bytes >= 1_MiB ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10);
}

}  // namespace

void counted_run(const std::string& directory, const std::string& what) {
  const Setup setup = Setup::of(what);
  const std::uint64_t messages = messages_of(setup);
  Topics topics(directory, setup);
  switch (setup.count) {
    case Count::publish: return counted([&] { topics.publish(messages); });
    case Count::with_steps: {
      const std::uint64_t batch = setup.capacity / kFrame / 16;
      for (std::uint64_t done = 0; done < messages; done += batch) {
        counted([&] { topics.publish(batch); });
        topics.drain();
      }
      return;
    }
    case Count::receive:
      topics.publish(messages);
      return counted([&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
          if (!topics.subscribers.front().try_receive()) fail("receiving failed");
        }
      });
    case Count::poll: topics.publish(messages); return counted([&] { topics.drain(); });
  }
}

std::vector<Row> instruction_figures(const Options& options) {
  if (!installed("valgrind"))
    return {{.group = "instructions", .figure = "instructions", .note = "skipped: valgrind is not installed"}};
  std::vector<Row> rows;
  const auto add = [&](const std::string& figure, const Setup& setup) -> double {
    Row row = {.group = "instructions", .figure = figure};
    if (const auto number = count(options, setup, messages_of(setup), row.note))
      row.value = Value{*number, "instructions"};
    rows.push_back(row);
    return row.value ? row.value->number : 0;
  };
  // Beside `base`, at most `limit` times it.
  const auto compare = [&](const char* name, double base, double limit) {
    const double times = base == 0 || !rows.back().value ? 0 : rows.back().value->number / base;
    rows.back().yardstick = Yardstick{name, {base, "instructions"}};
    rows.back().ratio = Spread{times, times, times};
    rows.back().target = Target{Target::Kind::at_most, limit};
  };
  for (const bool exclusive : {true, false}) {
    const char* kind = exclusive ? "exclusive" : "shared";
    add(fmt::format("a receive, {}", kind), {.count = Count::receive, .exclusive = exclusive});
    add(fmt::format("a message of a poll, {}", kind), {.count = Count::poll, .exclusive = exclusive});
    double one = 0;
    for (std::uint32_t subscriptions = 1; subscriptions <= 64; subscriptions *= options.quick ? 64 : 2) {
      const double number = add(fmt::format("a publish between steps, {}, subscriptions: {}", kind, subscriptions),
                                {.exclusive = exclusive, .subscriptions = subscriptions});
      rows.back().spot =
          Spot{"growth", std::string(kind) + ", between steps", static_cast<double>(subscriptions), number};
      if (subscriptions == 1) one = number;
      if (subscriptions == 64) compare("1 subscription", one, 1);
    }
  }
  for (const std::uint64_t capacity : {64_KiB, 1_MiB}) {
    double one = 0;
    for (const std::uint32_t subscriptions : {1U, 8U, 64U}) {
      if (options.quick && (subscriptions == 8 || capacity > 64_KiB)) continue;
      const double number = add(
          fmt::format("a publish with its steps, shared, {}, subscriptions: {}", sizes_text(capacity), subscriptions),
          {.count = Count::with_steps, .subscriptions = subscriptions, .capacity = capacity});
      rows.back().spot =
          Spot{"growth", "with steps, " + sizes_text(capacity), static_cast<double>(subscriptions), number};
      if (subscriptions == 1) one = number;
      if (subscriptions == 64) {
        compare("1 subscription", one, 1.05);
        if (capacity != 1_MiB) rows.back().target.reset();
      }
    }
  }
  for (const std::uint64_t capacity : {64_KiB, 1_MiB, 256_MiB})
    add(fmt::format("a publish between steps, shared, a ring of {}", sizes_text(capacity)), {.capacity = capacity});
  double one = 0;
  for (std::uint32_t topics = 1; topics <= 1000; topics *= options.quick ? 1000 : 10) {
    const double number =
        add(fmt::format("a publish, shared, topics: {}", topics), {.capacity = 32_KiB, .topics = topics});
    if (topics == 1) one = number;
    if (topics == 1000) compare("1 topic", one, 1.1);
  }
  return rows;
}

}  // namespace bench

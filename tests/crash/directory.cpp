// Creating, removing and leaving a topic. What a death leaves is names in a directory, so the points are the system calls;
// each is a kill for real, since a nameless file dies with its process.
#include <dlfcn.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "crash/harness.hpp"
#include "crash/reporter.hpp"
#include "crash/survivor.hpp"
#include "crash/traced.hpp"
#include "reboot.hpp"
#include "support/ring_fixture.hpp"
#include "support/scratch.hpp"

// The library is linked into this program, and is told that it is on a disk: what is done for a reboot is stepped through too.
extern "C" int fstatfs(int file, struct statfs* status) noexcept {
  static auto* const next = reinterpret_cast<decltype(&fstatfs)>(::dlsym(RTLD_NEXT, "fstatfs"));
  const int result = next(file, status);
  status->f_type = EXT4_SUPER_MAGIC;
  return result;
}

namespace ringway_crash {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::TopicOptions;

constexpr const char* kTopic = "deep/er/t";
const TopicOptions kSmall{.capacity_bytes = 32 << 10, .max_publishers = 4, .max_subscriptions = 4};
const TopicOptions kTemporary{
    .capacity_bytes = 32 << 10, .max_publishers = 4, .max_subscriptions = 4, .temporary = true};

struct DirectoryOperation {
  const char* name;
  void (*prepare)(const Bus&);
  void (*before)(const Bus&);  // in the process that is killed
  void (*act)(const Bus&);
  bool removes = true;
  void (*check)(const Bus&) = nullptr;  // of a topic that is used again
};

// Half a topic, as a death between the two links leaves it.
void make_half(const Bus& bus, const char* without) {
  bus.create_topic(kTopic, kSmall);
  fs::remove(bus.directory() + "/" + kTopic + without);
}

// Three messages from another boot, and nobody has said since that all have left.
void make_old(const Bus& bus) {
  bus.create_subscription(kTopic, "s", {.topic = kSmall});
  for (int i = 0; i < 3; ++i)
    if (!bus.publisher(kTopic).try_publish("old")) throw Bad("cannot publish");
  ringway_test::map_topic(bus.directory(), kTopic, ringway::detail::Role::publish)->memory().control->boot = 4097;
}
void check_discarded(const Bus& bus) {
  const auto info = bus.topic(kTopic);
  if (info.discarded != 3 || info.subscriptions.at(0).lost != 3) throw Bad("what was discarded was not counted");
}

std::optional<ringway::Publisher> leaver;

const std::vector<DirectoryOperation> kOperations = {
    {"create", [](const Bus&) {}, [](const Bus&) {}, [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, false},
    {"create-over-control", [](const Bus& bus) { make_half(bus, ".data"); }, [](const Bus&) {},
     [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, false},
    {"create-over-data", [](const Bus& bus) { make_half(bus, ".control"); }, [](const Bus&) {},
     [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, false},
    {"remove", [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, [](const Bus&) {},
     [](const Bus& bus) { bus.remove_topic(kTopic); }},
    {"remove-if-unused", [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, [](const Bus&) {},
     [](const Bus& bus) { bus.remove_topic(kTopic, ringway::Remove::if_unused); }},
    {"remove-bus", [](const Bus& bus) { bus.create_topic(kTopic, kSmall); }, [](const Bus&) {},
     [](const Bus& bus) { bus.remove(); }},
    {"last-leave", [](const Bus&) {},
     [](const Bus& bus) { leaver.emplace(bus.publisher(kTopic, {.topic = kTemporary})); },
     [](const Bus&) { leaver.reset(); }},
    {"discard", make_old, [](const Bus&) {}, [](const Bus& bus) { std::ignore = bus.publisher(kTopic); }, false,
     check_discarded},
};

// The system calls of the traced process are made in libc, where none is stepped into: two stops each.
bool go_to(Traced& traced, std::uint64_t calls) {
  for (std::uint64_t call = 0; call < 2 * calls; ++call)
    if (!traced.system_call()) return false;
  return true;
}

class DirectoryRun {
 public:
  DirectoryRun(const DirectoryOperation& operation, const Options& options)
      : operation_(operation), row_{.name = operation.name}, reporter_(row_, options) {}

  Row run() {
    for (std::uint64_t calls = 0; row_.bad < kEnough && kill(calls); ++calls) {
    }
    for (std::uint64_t calls = 0; row_.bad < kEnough && stop(calls); ++calls) {
    }
    return row_;
  }

 private:
  // A bus of its own, with what the operation finds in it.
  struct Place {
    explicit Place(const DirectoryOperation& operation) : path((scratch.path() / "bus").string()) {
      operation.prepare(Bus::at(path));
    }
    ringway_test::ScratchDir scratch;
    std::string path;
  };

  int act(const std::string& path) const {
    const Bus bus = Bus::at(path);
    operation_.before(bus);
    mark();
    try {
      operation_.act(bus);
    } catch (const ringway::Error& error) {  // what the others did meanwhile
      const Code code = error.code();
      return code == Code::busy || code == Code::not_found || code == Code::taken ? 10 : 98;
    }
    mark();
    return 0;
  }

  static std::set<std::string> names(const std::string& path) {
    std::set<std::string> found;
    std::error_code gone;
    for (const auto& entry : fs::recursive_directory_iterator(path, gone))
      if (!entry.is_directory() && entry.path().filename() != ".t.data")
        found.insert(entry.path().lexically_relative(path).string());
    return found;
  }

  // The topic is whole, or not there; in either case it can be used now, and removed without a trace.
  void survive(const std::string& path, bool use) const {
    const Bus bus = Bus::at(path);
    const auto all = names(path);
    if (all.size() > 2) throw Bad("more than a topic's two files lie there");
    bool there = true;
    try {
      const auto info = bus.topic(kTopic);
      if (!info.problem.empty()) throw Bad("the topic cannot be read: " + info.problem);
    } catch (const ringway::Error& error) {
      if (error.code() != Code::not_found) throw;
      there = false;
    }
    if (there && all.size() != 2) throw Bad("half a topic can be opened");
    if (use) {
      for (int round = 0; round < 2; ++round) {
        auto subscriber = bus.subscriber(kTopic, {.topic = kSmall});
        auto publisher = bus.publisher(kTopic);
        if (!publisher.try_publish("works")) throw Bad("cannot publish");
        const auto message = subscriber.try_receive();
        if (message.text() != "works") throw Bad("cannot receive");
      }
      if (names(path).size() > 2 || fs::exists(ringway::detail::next_data_path(path, kTopic)))
        throw Bad("more than a topic's two files lie there after using it");
      if (operation_.check != nullptr) operation_.check(bus);
    }
    bus.remove();
    if (fs::exists(path)) throw Bad("something is left after Bus::remove");
  }

  // False: there are not so many system calls.
  bool kill(std::uint64_t calls) {
    bool on = false;
    for (const bool use : {true, false}) {
      const Place place(operation_);
      Traced traced([&] { return act(place.path); });
      on = go_to(traced, calls);
      const std::uintptr_t at = traced.at();
      traced.kill();
      ++row_.kills;
      reporter_.guard("kill", calls, at, nullptr, [&] { survive(place.path, use); });
    }
    return on;
  }

  bool stop(std::uint64_t calls) {
    const Place place(operation_);
    Traced traced([&] { return act(place.path); });
    const bool on = go_to(traced, calls);
    const std::uintptr_t at = traced.at();
    ++row_.stops;
    reporter_.guard("stop", calls, at, nullptr, [&] {
      {
        const Bus bus = Bus::at(place.path);
        std::optional<ringway::Publisher> publisher;
        std::optional<ringway::Subscriber> subscriber;
        const auto unless_busy = [](auto open) {
          try {
            open();
          } catch (const ringway::Error& error) {
            if (error.code() != Code::busy && error.code() != Code::not_found) throw;
          }
        };
        unless_busy([&] { publisher.emplace(bus.publisher(kTopic, {.attach_timeout = 1ms, .topic = kSmall})); });
        unless_busy([&] {
          subscriber.emplace(bus.subscriber(kTopic, {.if_missing = ringway::IfMissing::fail, .attach_timeout = 1ms}));
        });
        const bool both = publisher && subscriber && publisher->try_publish("works");
        if (both && subscriber->poll([](const ringway::Message&) {}, 1) != 1)
          throw Bad("cannot receive beside the stopped one");
        traced.let_go();
        int status = -1;
        for (int tries = 0; tries < 20'000 && status < 0; ++tries) {
          status = traced.ended().value_or(-1);
          if (status < 0) ::usleep(500);
        }
        if (status != 0 && status != 10) throw Bad("gone on, it ended with " + std::to_string(status));
        if (both && !operation_.removes &&
            (!publisher->try_publish("more") || subscriber->poll([](const ringway::Message&) {}, 1) != 1 ||
             subscriber->receive(100ms).status() != Code::timeout))
          throw Bad("what it did when it went on has hurt those who came meanwhile");
      }
      survive(place.path, true);
    });
    return on;
  }

  const DirectoryOperation& operation_;
  Row row_;
  Reporter reporter_;
};

}  // namespace

std::size_t directory_operations() { return kOperations.size(); }
const char* directory_operation(std::size_t index) { return kOperations[index].name; }
Row run_directory_operation(std::size_t index, const Options& options) {
  return DirectoryRun(kOperations[index], options).run();
}

}  // namespace ringway_crash

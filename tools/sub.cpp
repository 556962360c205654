// `ringway sub`: a topic's messages on standard output.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli.hpp"
#include "flags.hpp"
#include "output.hpp"
#include "stop.hpp"
#include "sub_group.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max();

struct SubOptions {
  std::string topic;
  std::string name;
  GroupOptions group;
  bool ack_after_output = false;
  From from;
  bool lossy = false;
  Framing framing;
  std::uint64_t count = kNoEnd;
  std::optional<std::chrono::nanoseconds> timeout;
  IfMissing if_missing = IfMissing::create;
};

int timed_out(const SubOptions& options, std::uint64_t printed) {
  const std::string wanted = options.count == kNoEnd ? "" : fmt::format(" of {}", options.count);
  complain(fmt::format("--timeout has passed after {}{} from topic {}", count_text(printed, "message"), wanted,
                       options.topic));
  return kTimedOut;
}

// Receives until the count is reached, the reader of our output goes, or somebody stops it.
class Receiver {
 public:
  Receiver(Subscriber subscriber, const SubOptions& options)
      : subscriber_(std::move(subscriber)), options_(options), output_(options.framing, !options.name.empty()) {}

  int run() {
    while (output_.written() < options_.count && !stopping()) {
      Message first = subscriber_.receive(kLook);
      if (!first) {
        const Status status = first.status();
        if (status == Code::interrupted) continue;  // somebody stops us
        if (status == Code::timeout && Output::closed()) return kDone;
        if (status == Code::timeout) continue;
        complain(fmt::format("topic {}: {}; {} printed before", options_.topic, status.text(),
                             count_text(output_.written(), "message")));
        return kFailed;
      }
      output_.add(std::move(first));
      gather();
      if (output_.flush() == Output::Result::closed) return kDone;
    }
    return end();
  }

  // Messages lost, for whoever asks at the end.
  [[nodiscard]] std::uint64_t lost() const { return subscriber_.lost(); }

 private:
  static constexpr auto kLook = 200ms;  // how often a wait looks whether the output's reader is still there

  // What is there already goes out with the first one.
  void gather() {
    std::uint64_t room = std::min<std::uint64_t>(options_.count - output_.written(), detail::kMaxViews) - 1;
    for (; room > 0 && !output_.full(); --room) {
      Message message = subscriber_.try_receive();
      if (!message) return;
      output_.add(std::move(message));
    }
  }

  int end() const {
    if (output_.written() >= options_.count || stop_reason() != StopReason::timeout) return kDone;
    return timed_out(options_, output_.written());
  }

  Subscriber subscriber_;
  const SubOptions& options_;
  Output output_;  // its messages go before the subscriber
};

// To a person at a terminal, who may wonder why nothing comes.
void say_it_waits(const Bus& bus, const SubOptions& options) {
  if (!options.name.empty() || options.from.place() != From::Place::automatic || ::isatty(STDERR_FILENO) == 0) return;
  constexpr std::uint64_t kMany = 10'000;  // counting stops where more would not say more
  Observer look = bus.observer(options.topic, {.from = From::oldest});
  const std::uint64_t count = look.poll([](const Message&) {}, kMany);
  const std::string kept = (count == kMany ? "more than " : "") + count_text(count, "message");
  complain(fmt::format("waiting for new messages on topic {}{}", options.topic,
                       count == 0
                           ? ""
                           : fmt::format("; kept from before: {} (`ringway sub {} --from oldest` prints them too)",
                                         kept, options.topic)));
}

void say_it_stays(const SubOptions& options) {
  const bool group = !options.group.group.empty();
  const std::string& name = group ? options.group.group : options.name;
  if (name.empty() || ::isatty(STDERR_FILENO) == 0) return;
  complain(
      fmt::format("{3} {0} of topic {1} stays where it is{2}; remove it with `ringway subscription rm {1} "
                  "{0}`",
                  name, options.topic, options.lossy ? "" : ", and publishers wait for it once the ring is full",
                  group ? "group" : "subscription"));
}

Subscriber open(const Bus& bus, const SubOptions& options) {
  SubscriptionOptions wanted{.name = options.name, .from = options.from, .if_missing = options.if_missing};
  if (options.lossy) wanted.reliability = Reliability::lossy;
  if (options.if_missing == IfMissing::wait) wanted.attach_timeout = Timeout::never();  // --timeout interrupts it
  return bus.subscriber(options.topic, wanted);
}

int sub_group(const Place& place, const SubOptions& options) {
  const Bus bus = place.open();
  const Stopper stopper(bus, options.timeout);
  GroupOptions wanted = options.group;
  wanted.from = options.from;
  wanted.if_missing = options.if_missing;
  if (options.if_missing == IfMissing::wait) wanted.attach_timeout = Timeout::never();  // --timeout interrupts it
  GroupMember member = bus.group_member(options.topic, wanted);
  const std::uint64_t printed =
      print_jobs(member, options.topic, {options.framing, options.count, options.ack_after_output});
  say_it_stays(options);
  return printed >= options.count || stop_reason() != StopReason::timeout ? kDone : timed_out(options, printed);
}

int sub(const Place& place, const SubOptions& options) {
  if (!options.group.group.empty()) return sub_group(place, options);
  const Bus bus = place.open();
  const Stopper stopper(bus, options.timeout);
  Receiver receiver(open(bus, options), options);
  say_it_waits(bus, options);
  const int code = receiver.run();
  if (receiver.lost() != 0)
    complain(fmt::format("topic {}: {} lost, overtaken by the publishers", options.topic,
                         count_text(receiver.lost(), "message")));
  say_it_stays(options);
  return code;
}

}  // namespace

void add_sub(CLI::App& app, Action& action) {
  auto options = std::make_shared<SubOptions>();
  auto* command = app.add_subcommand("sub", "Print messages to standard output, each with a newline behind it");
  command->add_option("TOPIC", options->topic, "The topic")->required();
  auto* name = command->add_option("--name", options->name, "A durable subscription: goes on where it stopped");
  auto* group =
      command->add_option("--group", options->group.group, "A member of this group: each message goes to one of them");
  group->type_name("GROUP")->excludes(name);
  command
      ->add_flag("--ack-after-output", options->ack_after_output,
                 "With --group: acknowledge once a message is written, not before; a crash may print it twice")
      ->needs(group);
  command
      ->add_option("--prefetch", options->group.prefetch,
                   "With --group: take so many jobs at a time, which others then do not get (1)")
      ->type_name("N")
      ->check(at_least_one())
      ->needs(group);
  add_group_settings(*command, options->group, group);
  add_parsed(*command, "--from", options->from, parse_from,
             "Where a new subscription or group starts: oldest (default if named), newest (if not), or a position")
      ->type_name("WHERE");
  command->add_flag("--lossy", options->lossy, "Publishers do not wait for it; what it loses is counted")
      ->excludes(group);
  add_framing(*command, options->framing);
  add_count(*command, options->count, "End after N messages");
  add_parsed(*command, "--timeout", options->timeout, parse_duration, "Give up after TIME, with exit code 3")
      ->type_name("TIME");
  add_parsed(*command, "--if-missing", options->if_missing, parse_if_missing, "The topic: create (default), wait, fail")
      ->type_name("WHAT");
  command->callback([options, &action] { action = [options](const Place& place) { return sub(place, *options); }; });
}

}  // namespace ringway::tool

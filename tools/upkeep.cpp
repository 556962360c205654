// `ringway drain`, `check` and `gc`: for operators and their scripts.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli.hpp"
#include "flags.hpp"
#include "look/json.hpp"
#include "look/leftovers.hpp"
#include "look/view.hpp"
#include "stop.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

// Those that publishers wait for, and that have not read up to `tail`.
std::vector<SubscriptionInfo> behind(const TopicInfo& topic, std::uint64_t tail) {
  std::vector<SubscriptionInfo> some;
  for (const auto& subscription : topic.subscriptions) {
    const bool waited_for = subscription.reliability == Reliability::reliable && subscription.max_lag_bytes == 0;
    if (waited_for && subscription.cursor < tail) some.push_back(subscription);
  }
  return some;
}

int drain(const Place& place, const std::string& name, std::optional<std::chrono::nanoseconds> timeout) {
  const Bus bus = place.open();
  const std::uint64_t tail = topic_on(bus, name).tail;
  const Stopper stopper(bus, timeout);
  Watch watch = bus.watch(name);
  for (;;) {
    const auto seen = watch.look();
    if (seen.empty()) throw Error(Code::not_found, name, "it was removed meanwhile");
    const auto some = behind(seen[0], tail);
    if (some.empty()) {
      print(fmt::format("topic {}: everything up to position {} has been read\n", name, tail));
      return kDone;
    }
    if (sleep_unless_stopped(20ms)) continue;
    for (const auto& subscription : some)
      complain(fmt::format("topic {}: {} has {} to read, owner: {}", name, name_of(subscription),
                           bytes_text(tail - subscription.cursor), owner_text(subscription)));
    return stop_reason() == StopReason::timeout ? kTimedOut : kFailed;
  }
}

struct Bounds {
  std::optional<std::uint64_t> lag;
  std::optional<std::chrono::nanoseconds> blocked;
  bool json = false;
};

// What is beyond the limits, as findings of their own, and what is wrong under any limit.
std::vector<Finding> beyond(const TopicInfo& topic, const Bounds& limits) {
  std::vector<Finding> found;
  for (Finding& finding : findings_of(topic)) {
    // How long is too long is for the caller to say; else as the finding has it.
    if (finding.id == "held-back" && limits.blocked)
      finding.severity = since(finding.since_ns, topic.seen_ns) > *limits.blocked ? Severity::problem : Severity::note;
    if (finding.severity == Severity::problem) found.push_back(std::move(finding));
  }
  for (const auto& subscription : topic.subscriptions) {
    if (!limits.lag || subscription.lag_bytes <= *limits.lag) continue;
    found.push_back(
        {.id = "lag",
         .severity = Severity::problem,
         .topic = topic.name,
         .about = subscription.name,
         .text = fmt::format("{} is {} behind, more than {}; owner: {}", name_of(subscription),
                             bytes_text(subscription.lag_bytes), bytes_text(*limits.lag), owner_text(subscription)),
         .next = fmt::format("`ringway info {}` says more", topic.name),
         .since_ns = topic.seen_ns});
  }
  return found;
}

int check(const Place& place, const Bounds& limits) {
  const Bus bus = place.open();
  const auto topics = bus.watch().look();
  std::vector<Finding> found;
  for (Finding& finding : findings_of_place(bus.directory()))
    if (finding.severity == Severity::problem) found.push_back(std::move(finding));
  for (const TopicInfo& topic : topics)
    for (Finding& finding : beyond(topic, limits)) found.push_back(std::move(finding));
  sort(found);
  if (limits.json) {
    Json array = Json::array();
    for (const Finding& finding : found) array.push_back(json_of(finding));
    print(array.dump(2) + '\n');
  } else {
    for (const Finding& finding : found)
      print(fmt::format("{}{}\n", finding.topic.empty() ? "" : "topic " + finding.topic + ": ", finding.text));
    if (found.empty()) print(fmt::format("ok: {} in {}\n", count_text(topics.size(), "topic"), bus.directory()));
  }
  return found.empty() ? kDone : kFailed;
}

int gc(const Place& place, bool apply, bool json) {
  const Bus bus = place.open();
  Json array = Json::array();
  bool failed = false;
  for (const Leftover& leftover : leftovers_of(bus)) {
    std::string outcome = apply ? "removed" : "found";
    if (apply) {
      try {
        remove_leftover(bus, leftover);
      } catch (const std::exception& error) {
        outcome = error.what();
        failed = true;
      }
    }
    array.push_back({{"id", leftover.id}, {"topic", leftover.topic}, {"text", leftover.text}, {"outcome", outcome}});
    if (!json) print(fmt::format("{} {}: {}\n", leftover.topic, outcome, leftover.text));
  }
  if (json)
    print(array.dump(2) + '\n');
  else if (array.empty())
    complain(fmt::format("nothing is left over in {}", bus.directory()));
  else if (!apply)
    complain("nothing was touched; `ringway gc --apply` removes these");
  return failed ? kFailed : kDone;
}

}  // namespace

void add_upkeep(CLI::App& app, Action& action) {
  struct Options {
    std::string topic;
    std::optional<std::chrono::nanoseconds> timeout;
    Bounds limits;
    bool apply = false;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  auto* drain_command =
      app.add_subcommand("drain", "Wait until every reliable subscription has read what is in the topic now");
  drain_command->add_option("TOPIC", options->topic, "The topic")->required();
  add_parsed(*drain_command, "--timeout", options->timeout, parse_duration, "Give up after TIME, with exit code 3")
      ->type_name("TIME");
  drain_command->callback([options, &action] {
    action = [options](const Place& place) { return drain(place, options->topic, options->timeout); };
  });

  auto* check_command = app.add_subcommand("check", "Is the bus in order? For scripts: exit code 0 or 1, a line each");
  add_parsed(*check_command, "--max-lag", options->limits.lag, parse_bytes, "No subscription may be further behind")
      ->type_name("BYTES");
  add_parsed(*check_command, "--max-blocked", options->limits.blocked, parse_duration,
             "No publisher may have been held back for longer (10s)")
      ->type_name("TIME");
  check_command->add_flag("--json", options->limits.json, "As JSON");
  check_command->callback(
      [options, &action] { action = [options](const Place& place) { return check(place, options->limits); }; });

  auto* gc_command =
      app.add_subcommand("gc", "List what belongs to nobody: halves, temporary topics, slots of the dead");
  gc_command->add_flag("--apply", options->apply, "Remove it, too");
  gc_command->add_flag("--json", options->json, "As JSON");
  gc_command->callback([options, &action] {
    action = [options](const Place& place) { return gc(place, options->apply, options->json); };
  });
}

}  // namespace ringway::tool

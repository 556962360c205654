// `ringway subscription`: durable subscriptions ahead of their first reader, and without one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli.hpp"
#include "flags.hpp"
#include "look/findings.hpp"
#include "look/json.hpp"
#include "look/words.hpp"

namespace ringway::tool {
namespace {

struct Options {
  std::string topic;
  std::string name;
  From from;
  bool lossy = false;
  bool json = false;
  bool group = false;
  GroupOptions settings;
  IfMissing if_missing = IfMissing::create;
};

int create_group(const Place& place, const Options& options) {
  GroupOptions wanted = options.settings;
  wanted.from = options.from;
  wanted.if_missing = options.if_missing;
  const bool created = place.open().create_group(options.topic, options.name, wanted);
  print(fmt::format("group {} of topic {} {}\n", options.name, options.topic, created ? "created" : "exists and fits"));
  return kDone;
}

int create(const Place& place, const Options& options) {
  if (options.group) return create_group(place, options);
  SubscriptionOptions wanted{.from = options.from, .if_missing = options.if_missing};
  if (options.lossy) wanted.reliability = Reliability::lossy;
  const bool created = place.open().create_subscription(options.topic, options.name, wanted);
  print(fmt::format("subscription {} of topic {} {}\n", options.name, options.topic,
                    created ? "created" : "exists and fits"));
  return kDone;
}

int remove(const Place& place, const Options& options) {
  place.open().remove_subscription(options.topic, options.name);
  print(fmt::format("subscription {} of topic {} removed\n", options.name, options.topic));
  return kDone;
}

SubscriptionInfo find_subscription(const Bus& bus, const Options& options) {
  for (auto& subscription : topic_on(bus, options.topic).subscriptions)
    if (subscription.durable && subscription.name == options.name) return subscription;
  throw Error(Code::not_found, options.topic,
              fmt::format("there is no durable subscription {0}; `ringway subscription ls {1}` lists what there is",
                          options.name, options.topic));
}

int show_one(const Place& place, const Options& options) {
  const Bus bus = place.open();
  const TopicInfo topic = topic_on(bus, options.topic);
  const SubscriptionInfo one = find_subscription(bus, options);
  if (options.json) {
    Json object = {{"topic", topic.name}};
    object.update(json_of(one));
    print(object.dump(2) + '\n');
    return kDone;
  }
  print(
      fmt::format("{:13} {} of topic {}, {}\nowner         {}\ncursor        {}; {} behind the tail at {}\n"
                  "received      {}, lost {}, found by a backstop {}\n",
                  one.group ? "group" : "subscription", one.name, topic.name, reliability_text(one), owner_text(one),
                  one.cursor, bytes_text(one.lag_bytes), topic.tail, one.received, one.lost, one.backstops));
  if (one.group)
    print(fmt::format("each job      {}\njobs          {} held, {} to be retried, {} redelivered, {} dead-lettered\n",
                      attempts_text(one), one.held, one.returned, one.redelivered, one.dead_lettered));
  for (const std::string& member : one.members) print(fmt::format("member        {}\n", member));
  if (one.latency.total() != 0) print(fmt::format("latency       {}\n", percentiles_text(one.latency)));
  for (const auto& publisher : topic.publishers)
    if (publisher.waiting_for_subscription == one.slot)
      print(fmt::format("holds back    {}\n", blocked_text(topic, publisher)));
  return kDone;
}

// By taking the subscription for a moment, as its reader would: whoever reads it must be gone.
int move_one(const Place& place, const Options& options) {
  const Bus bus = place.open();
  const SubscriptionInfo one = find_subscription(bus, options);
  if (one.group)
    throw Error(
        Code::invalid_argument, options.topic,
        fmt::format("{1} is a group, whose place follows its jobs; to let go of what it has not done, remove it "
                    "(`ringway subscription rm {0} {1}`), and make it anew where it is to start (`ringway "
                    "subscription create {0} {1} --group --from WHERE`, with the options that it had)",
                    options.topic, options.name));
  Subscriber in = bus.subscriber(options.topic, {.name = options.name,
                                                 .reliability = one.reliability,
                                                 .max_lag_bytes = one.max_lag_bytes,
                                                 .if_missing = IfMissing::fail});
  if (const Status status = in.seek(options.from); !status)
    throw Error(
        status.code(), options.topic,
        fmt::format("{}: `oldest`, `newest` or the position of a message that is still in the ring", status.text()));
  print(
      fmt::format("subscription {} of topic {} goes on at position {}\n", options.name, options.topic, in.position()));
  return kDone;
}

// Of one topic, or of all in the order of their names.
std::vector<TopicInfo> topics_of(const Bus& bus, const std::string& topic) {
  if (!topic.empty()) return {topic_on(bus, topic)};
  auto topics = bus.topics();
  std::sort(topics.begin(), topics.end(), [](const TopicInfo& a, const TopicInfo& b) { return a.name < b.name; });
  return topics;
}

int list(const Place& place, const Options& options) {
  const Bus bus = place.open();
  Table table({"topic", "subscription", "kind", "", "owner", ">lag", ">received", ">lost", ">held", ">redelivered",
               ">dead-lettered", ">oldest held"});
  const std::uint64_t now = monotonic_now();
  Json array = Json::array();
  for (const auto& topic : topics_of(bus, options.topic)) {
    for (const auto& subscription : topic.subscriptions) {
      Json object = {{"topic", topic.name}};
      object.update(json_of(subscription));
      array.push_back(std::move(object));
      const auto of_a_group = [&](std::uint64_t number) {
        return subscription.group ? fmt::to_string(number) : std::string("-");
      };
      table.add({topic.name, subscription.name.empty() ? "-" : subscription.name, kind_text(subscription),
                 reliability_text(subscription), owner_text(subscription), bytes_text(subscription.lag_bytes),
                 fmt::to_string(subscription.received), fmt::to_string(subscription.lost),
                 of_a_group(subscription.held), of_a_group(subscription.redelivered),
                 of_a_group(subscription.dead_lettered), oldest_held_text(subscription, now)});
    }
  }
  if (options.json)
    print(array.dump(2) + '\n');
  else if (array.empty())
    complain(fmt::format("no subscriptions in {}", bus.directory()));
  else
    print(table.text());
  return kDone;
}

}  // namespace

void add_subscriptions(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  auto* group = app.add_subcommand("subscription", "Durable subscriptions: create, info, seek, rm, ls");
  group->require_subcommand(1);
  const auto named = [&](const std::string& name, const std::string& help, int (*run)(const Place&, const Options&)) {
    auto* command = group->add_subcommand(name, help);
    command->add_option("TOPIC", options->topic, "The topic")->required();
    command->add_option("NAME", options->name, "The subscription")->required();
    command->callback(
        [options, &action, run] { action = [options, run](const Place& place) { return run(place, *options); }; });
    return command;
  };
  auto* add = named("create", "Create it ahead of its first reader: from then on, publishers wait for it", create);
  add->alias("add");
  auto* work = add->add_flag("--group", options->group, "A group, whose members share the messages");
  add_group_settings(*add, options->settings, work);
  add_parsed(*add, "--from", options->from, parse_from, "oldest (default), newest, or a position")->type_name("WHERE");
  add->add_flag("--lossy", options->lossy, "Publishers do not wait for it; what it loses is counted")->excludes(work);
  add_parsed(*add, "--if-missing", options->if_missing, parse_if_missing, "The topic: create (default), wait, fail")
      ->type_name("WHAT");
  auto* info = named("info", "Everything about one", show_one);
  info->add_flag("--json", options->json, "As JSON");
  auto* seek = named("seek", "Move it elsewhere while nobody reads it: what is passed is not delivered", move_one);
  seek->add_option_function<std::string>(
          "WHERE", [options](const std::string& text) { options->from = parse_from(text); },
          "oldest, newest, or a position")
      ->required();
  named("rm", "Remove it; its unread messages are no longer kept for it", remove);

  auto* ls = group->add_subcommand("ls", "List them, of one topic or of all");
  ls->add_option("TOPIC", options->topic, "The topic (default: all)");
  ls->add_flag("--json", options->json, "As JSON");
  ls->callback([options, &action] { action = [options](const Place& place) { return list(place, *options); }; });
}

}  // namespace ringway::tool

// `ringway ls` and `ringway info`: what is there, and how it is.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli.hpp"
#include "describe.hpp"
#include "look/json.hpp"
#include "look/view.hpp"
#include "stop.hpp"
#include "text.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

std::string topic_table(const std::vector<TopicInfo>& topics) {
  Table table({"topic", ">capacity", ">publishers", ">subscriptions", ">messages", ">largest lag", "blocked"});
  for (const auto& topic : topics) {
    if (!topic.problem.empty()) {
      table.add({topic.name, "?", "?", "?", "?", "?", topic.problem});
      continue;
    }
    const auto alive = std::count_if(topic.publishers.begin(), topic.publishers.end(),
                                     [](const PublisherInfo& publisher) { return publisher.alive; });
    std::uint64_t lag = 0;
    for (const auto& subscription : topic.subscriptions) lag = std::max(lag, subscription.lag_bytes);
    std::string blocked;
    for (const auto& publisher : topic.publishers) {
      if (!publisher.waiting_ns) continue;
      blocked += fmt::format("{}{} by {}", blocked.empty() ? "" : "; ", name_of(publisher), publisher.waiting_for);
    }
    table.add({topic.name, bytes_text(topic.options.capacity_bytes.value_or(0)), fmt::to_string(alive),
               fmt::to_string(topic.subscriptions.size()), fmt::to_string(messages_of(topic)), bytes_text(lag),
               blocked});
  }
  return table.text();
}

std::vector<TopicInfo> sorted_topics(const Bus& bus) {
  auto topics = bus.topics();
  std::sort(topics.begin(), topics.end(), [](const TopicInfo& a, const TopicInfo& b) { return a.name < b.name; });
  return topics;
}

int list(const Place& place, bool json) {
  const Bus bus = place.open();
  const auto topics = sorted_topics(bus);
  if (json) {
    Json array = Json::array();
    for (const auto& topic : topics) array.push_back(json_of(topic));
    print(array.dump(2) + '\n');
  } else if (topics.empty()) {
    complain(fmt::format("no topics in {}", bus.directory()));
  } else {
    print(topic_table(topics));
  }
  return kDone;
}

int show(const Place& place, const std::string& name, bool json) {
  const Bus bus = place.open();
  const auto seen = bus.watch(name).look();  // of any layout
  const TopicInfo topic = seen.empty() ? topic_on(bus, name) : seen[0];
  print(json ? json_of(topic).dump(2) + '\n' : describe(topic));
  return kDone;
}

// On a terminal over and over in place, else one after the other; JSON: a line each.
int watch(const Place& place, const std::string& name, bool json) {
  const Bus bus = place.open();
  const Stopper stopper(bus);
  const std::string clear = paints_in_place() && !json ? "\x1b[H\x1b[2J" : "";
  const std::string gap = clear.empty() && !json ? "\n" : "";
  View view(bus, name);
  do {
    view.refresh();
    const TopicInfo topic = view.topics().empty() ? topic_on(bus, name) : view.topics()[0];
    print(clear + (json ? json_of(topic).dump() + '\n' : describe(topic)) + gap);
  } while (sleep_unless_stopped(1s));
  return kDone;
}

}  // namespace

void add_inspection(CLI::App& app, Action& action) {
  struct Options {
    std::string topic;
    bool json = false;
    bool watch = false;
  };
  auto options = std::make_shared<Options>();
  auto* ls = app.add_subcommand("ls", "List the topics");
  ls->add_flag("--json", options->json, "Everything about each, as JSON");
  ls->callback([options, &action] { action = [options](const Place& place) { return list(place, options->json); }; });

  auto* info = app.add_subcommand("info", "Everything about one topic: who publishes, who reads, who waits for whom");
  info->add_option("TOPIC", options->topic, "The topic")->required();
  info->add_flag("--watch", options->watch, "Again every second, until SIGINT");
  info->add_flag("--json", options->json, "As JSON");
  info->callback([options, &action] {
    action = [options](const Place& place) {
      return (options->watch ? watch : show)(place, options->topic, options->json);
    };
  });
}

}  // namespace ringway::tool

// `ringway create`, `rm` and `where`: topics as an operator sees them.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <set>
#include <system_error>

#include "cli.hpp"
#include "flags.hpp"
#include "look/json.hpp"
#include "ringway/detail/layout.hpp"

namespace ringway::tool {
namespace {

Who parse_who(const std::string& text) {
  if (text == "owner") return Who::owner;
  if (text == "group") return Who::unix_group;
  if (text == "everyone") return Who::everyone;
  throw CLI::ValidationError(fmt::format("`{}` is none of owner, group, everyone", text));
}

// "publish=owner,subscribe=group"; who is not named stays with the owner.
Access parse_access(const std::string& text) {
  Access access;
  for (const auto& part : CLI::detail::split(text, ',')) {
    const auto equals = part.find('=');
    const std::string role = part.substr(0, equals);
    const std::string who = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (role == "publish")
      access.publish = parse_who(who);
    else if (role == "subscribe")
      access.subscribe = parse_who(who);
    else if (role == "observe")
      access.observe = parse_who(who);
    else
      throw CLI::ValidationError(fmt::format("`{}` is none of publish=WHO, subscribe=WHO, observe=WHO", part));
  }
  return access;
}

void add_create(CLI::App& app, Action& action) {
  struct Wanted {
    std::string topic;
    std::string unix_group;
    bool exclusive = false;
    bool stamped = false;
    bool temporary = false;
    bool latency = false;
    TopicOptions wanted;
  };
  auto options = std::make_shared<Wanted>();
  auto* create = app.add_subcommand("create", "Create a topic ahead of its first use");
  TopicOptions& wanted = options->wanted;
  create->add_option("TOPIC", options->topic, "The topic")->required();
  add_parsed(*create, "--capacity", wanted.capacity_bytes, parse_bytes,
             "Of the ring, rounded up to a power of two (1MiB)")
      ->type_name("SIZE");
  create->add_flag("--exclusive", options->exclusive, "One publisher at a time, without any lock or retry");
  create->add_option("--max-publishers", wanted.max_publishers, "At one time (64)")->type_name("N");
  create->add_option("--max-subscriptions", wanted.max_subscriptions, "Durable and ephemeral (64)")->type_name("N");
  create->add_option("--align", wanted.payload_alignment, "Of payloads, in bytes (8)")->type_name("N");
  create->add_flag("--stamped", options->stamped, "Messages carry the time of their commit");
  create->add_flag("--latency", options->latency, "Stamped, and subscriptions count the times from commit to receive");
  create->add_flag("--temporary", options->temporary, "Removed with its last publisher or unnamed subscriber");
  add_parsed(*create, "--access", wanted.access, parse_access,
             "publish=WHO,subscribe=WHO,observe=WHO: owner, group, everyone")
      ->type_name("RIGHTS");
  create->add_option("--unix-group", options->unix_group, "The group that --access means")->type_name("NAME");
  create->callback([options, &action] {
    action = [options](const Place& place) {
      TopicOptions all = options->wanted;
      if (options->exclusive) all.publishers = Publishers::exclusive;
      if (options->stamped) all.stamped = true;
      if (options->temporary) all.temporary = true;
      if (options->latency) all.latency = true;
      if (!options->unix_group.empty()) {
        if (!all.access) all.access.emplace();
        all.access->unix_group = options->unix_group;
      }
      const bool created = place.open().create_topic(options->topic, all);
      print(fmt::format("topic {} {}\n", options->topic, created ? "created" : "exists and fits"));
      return kDone;
    };
  });
}

void add_rm(CLI::App& app, Action& action) {
  struct Doomed {
    std::string topic;
    bool force = false;
  };
  auto options = std::make_shared<Doomed>();
  auto* rm = app.add_subcommand("rm", "Remove a topic; refuses while somebody is attached or messages are unread");
  rm->add_option("TOPIC", options->topic, "The topic")->required();
  rm->add_flag("--force", options->force, "In any case; those attached are told that it is gone");
  rm->callback([options, &action] {
    action = [options](const Place& place) {
      place.open().remove_topic(options->topic, options->force ? Remove::always : Remove::if_unused);
      print(fmt::format("topic {} removed\n", options->topic));
      return kDone;
    };
  });
}

int where(const Place& place, bool json) {
  const Bus bus = place.open();
  struct stat status {};
  if (::stat(bus.directory().c_str(), &status) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot look at " + bus.directory());
  std::optional<std::size_t> count;
  std::set<std::uint32_t> layouts;
  try {
    const auto topics = bus.topics();
    count = topics.size();
    for (const auto& topic : topics) layouts.insert(topic.layout_version);
  } catch (const Error& error) {  // where it is can be told all the same
    if (error.code() != Code::no_permission) throw;
  }
  if (json) {
    const Json object = {{"path", bus.directory()},
                         {"device", status.st_dev},
                         {"inode", status.st_ino},
                         {"topics", count ? Json(*count) : Json()},
                         {"layout_versions", layouts},
                         {"version", RINGWAY_VERSION},
                         {"layout_version", detail::kLayoutVersion}};
    print(object.dump(2) + '\n');
    return kDone;
  }
  print(fmt::format("path      {}\ndevice    {}\ninode     {}\ntopics    {}\nlayouts   {}{}this program: {}\n",
                    bus.directory(), status.st_dev, status.st_ino,
                    count ? fmt::to_string(*count) : "you may not list them", fmt::join(layouts, ", "),
                    layouts.empty() ? "" : "; ", detail::kLayoutVersion));
  return kDone;
}

}  // namespace

void add_topics(CLI::App& app, Action& action) {
  add_create(app, action);
  add_rm(app, action);
  auto* command = app.add_subcommand("where", "Where the bus is: path, device and inode, layout versions");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As JSON");
  command->callback([json, &action] { action = [json](const Place& place) { return where(place, *json); }; });
}

}  // namespace ringway::tool

// The bus: checks what is asked, and hands it on.
#include "ringway/bus.hpp"

#include <unistd.h>

#include <cstdlib>

#include "attachment.hpp"
#include "inspect.hpp"
#include "repair.hpp"

namespace ringway {
namespace {

std::shared_ptr<detail::BusState> open_at(std::string_view directory) {
  std::string path = detail::absolute_directory(directory);
  const uid_t owner = detail::check_directory(path, false);
  return std::make_shared<detail::BusState>(std::move(path), owner, false);
}

std::shared_ptr<detail::BusState> open_named(std::string_view name) {
  std::string path = detail::user_directory(name);
  const uid_t owner = detail::check_directory(path, true);
  return std::make_shared<detail::BusState>(std::move(path), owner, false);
}

std::shared_ptr<detail::BusState> open_default() {
  const char* directory = ::secure_getenv("RINGWAY_DIR");
  return directory != nullptr && *directory != '\0' ? open_at(directory) : open_named("default");
}

std::string checked(std::string_view topic) {
  detail::check_topic_name(topic);
  return std::string(topic);
}

}  // namespace

Bus::Bus() : state_(open_default()) {}
Bus::Bus(std::string_view name) : state_(open_named(name)) {}
Bus Bus::at(std::string_view directory) { return Bus(open_at(directory)); }
Bus Bus::temporary() {
  std::string path = detail::temporary_directory();
  return Bus(std::make_shared<detail::BusState>(std::move(path), ::geteuid(), true));
}

Publisher Bus::publisher(std::string_view topic, const PublisherOptions& options) const {
  return open_publisher(topic, options, {});
}
Subscriber Bus::subscriber(std::string_view topic, const SubscriptionOptions& options) const {
  return open_subscriber(topic, options, {});
}
Observer Bus::observer(std::string_view topic, const ObserverOptions& options) const {
  return open_observer(topic, options, {});
}

Publisher Bus::open_publisher(std::string_view topic, const PublisherOptions& options,
                              const detail::TypeInfo& type) const {
  return Publisher(detail::attach_publisher(state_, checked(topic), options, type).release());
}
Subscriber Bus::open_subscriber(std::string_view topic, const SubscriptionOptions& options,
                                const detail::TypeInfo& type) const {
  return Subscriber(detail::attach_subscriber(state_, checked(topic), options, type).release());
}
Observer Bus::open_observer(std::string_view topic, const ObserverOptions& options,
                            const detail::TypeInfo& type) const {
  return Observer(detail::attach_observer(state_, checked(topic), options, type).release());
}

GroupMember Bus::group_member(std::string_view topic, const GroupOptions& options) const {
  return open_member(topic, options, {});
}
GroupMember Bus::open_member(std::string_view topic, const GroupOptions& options, const detail::TypeInfo& type) const {
  return GroupMember(detail::attach_member(state_, checked(topic), options, type).release());
}

bool Bus::create_topic(std::string_view topic, const TopicOptions& options) const {
  return make_topic(topic, options, {});
}

bool Bus::make_topic(std::string_view topic, const TopicOptions& options, const detail::TypeInfo& type) const {
  const std::string name = checked(topic);
  const detail::TopicSpec spec = detail::resolve(options, type, name);
  detail::Patience patience(*state_, name, std::chrono::seconds(1));
  bool created = false;
  const detail::OpenFiles files =
      detail::open_topic(*state_, name, detail::Role::publish, &spec, false, patience, &created);
  if (created) return true;
  detail::check_fit(files.geometry.spec, options, name);
  detail::check_type(files.geometry.spec, type, true, name);
  return false;
}

bool Bus::create_subscription(std::string_view topic, std::string_view name, const SubscriptionOptions& options) const {
  SubscriptionOptions named = options;
  named.name = name;
  detail::check_component("subscription", name, topic);
  return detail::create_subscription(state_, checked(topic), named);
}

bool Bus::create_group(std::string_view topic, std::string_view name, const GroupOptions& options) const {
  GroupOptions named = options;
  named.group = name;
  return detail::create_group(state_, checked(topic), named);
}

void Bus::remove_topic(std::string_view topic, Remove how) const {
  const std::string name = checked(topic);
  detail::Patience patience(*state_, name, std::chrono::seconds(1));
  detail::remove_topic(*state_, name, how, patience);
}

void Bus::remove_subscription(std::string_view topic, std::string_view name) const {
  detail::remove_subscription(*state_, checked(topic), std::string(name));
}

void Bus::remove() const {
  for (const std::string& name : detail::topic_names(*state_, true)) {
    try {
      remove_topic(name);
    } catch (const Error& error) {
      if (error.code() != Code::not_found) throw;  // removed by somebody else just now
    }
  }
  detail::remove_empty_directories(*state_);
  if (::rmdir(state_->directory().c_str()) != 0 && errno != ENOENT)
    throw Error(Code::busy, {}, state_->directory() + " is not empty: it holds files that are not ours", errno);
}

std::uint32_t Bus::repair(std::string_view name) const {
  using detail::Role;
  const std::string topic = checked(name);
  detail::Patience patience(*state_, topic, std::chrono::seconds(1));
  const detail::Segment segment(detail::open_topic(*state_, topic, Role::publish, nullptr, false, patience),
                                Role::publish, topic);
  const detail::SegmentMemory& memory = segment.memory();
  detail::Prober publishers(segment.data_file());
  detail::Prober subscribers(segment.control_file());
  std::uint32_t repaired = 0;
  for (std::uint32_t slot = 0; slot < memory.subscriptions_used(); ++slot)
    if (detail::free_dead_ephemeral(segment, subscribers, slot)) ++repaired;
  for (std::uint32_t slot = 0; slot < memory.publishers_used(); ++slot) {
    const std::uint64_t record = memory.publisher(slot).record.load(std::memory_order_acquire);  // pairs with W1
    if (record == detail::kNoRecord || publishers.probe(detail::kSlotBytes + slot) != detail::Prober::Answer::dead)
      continue;
    if (detail::resolve_dead_claim(segment, publishers, detail::position_of(record)).verdict ==
        detail::Verdict::resolved)
      ++repaired;
  }
  return repaired;
}

TopicInfo Bus::topic(std::string_view name) const {
  const std::string topic = checked(name);
  detail::Patience patience(*state_, topic, std::chrono::nanoseconds(0));
  const detail::OpenFiles files = detail::open_topic(*state_, topic, detail::Role::observe, nullptr, false, patience);
  return detail::inspect(detail::Segment(files, detail::Role::observe, topic), topic);
}

std::vector<TopicInfo> Bus::topics() const {
  std::vector<TopicInfo> all;
  for (const std::string& name : detail::topic_names(*state_)) {
    try {
      all.push_back(topic(name));
    } catch (const Error& error) {
      if (error.code() == Code::not_found) continue;  // removed just now
      all.push_back(detail::unreadable(directory(), name, error.what()));
    }
  }
  return all;
}

const std::string& Bus::directory() const noexcept { return state_->directory(); }
void Bus::interrupt() const noexcept { state_->interrupt(true); }
void Bus::resume() const noexcept { state_->interrupt(false); }

}  // namespace ringway

// A bus: a directory of topics. Opens publishers, subscribers, members and observers; creates, removes and lists.
//
// Thread safety: any call from any thread; a copy is the same bus. Progress: opening, creating and removing take kernel
// locks, within their timeout; interrupt() is async-signal-safe. Crash: whatever a dead process had under way is undone
// or finished by the next one that comes by.
//
// Opening, creating and removing throw Error: invalid_argument (a name, option or size), not_found, exists, taken,
// mismatch, no_space, no_permission, table_full, unsupported, busy, timeout, interrupted, corrupt, system.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ringway/detail/export.hpp"
#include "ringway/group.hpp"
#include "ringway/info.hpp"
#include "ringway/observer.hpp"
#include "ringway/options.hpp"
#include "ringway/publisher.hpp"
#include "ringway/subscriber.hpp"
#include "ringway/watch.hpp"

namespace ringway {

namespace detail {
class BusState;
}

// What remove_topic does with a topic that is in use.
enum class Remove : std::uint8_t {
  always,     // those attached are told `topic_gone`
  if_unused,  // Error `busy` names who is attached, or which durable subscription has unread messages
};

class RINGWAY_EXPORT Bus {
 public:
  // The directory that RINGWAY_DIR names, else this user's bus `default` in /dev/shm. Created (0700) if missing.
  Bus();
  // This user's bus of that name. Error no_permission if the directory belongs to somebody else.
  explicit Bus(std::string_view name);
  // The bus in `directory`, whose last component is created with 0700 if missing; trusts the directory's owner.
  static Bus at(std::string_view directory);
  // A private bus in /dev/shm, removed with its last handle; for tests.
  static Bus temporary();

  // Opens a publisher; creates the topic on first use. A byte publisher on a typed topic is a `mismatch`.
  [[nodiscard]] Publisher publisher(std::string_view topic, const PublisherOptions& options = {}) const;
  template <Payload T>
  [[nodiscard]] TypedPublisher<T> publisher(std::string_view topic, const PublisherOptions& options = {}) const {
    return TypedPublisher<T>(open_publisher(topic, options, detail::type_info<T>()));
  }

  // Opens a subscription: durable if named, else ephemeral. Creates the topic on first use, unless told otherwise.
  [[nodiscard]] Subscriber subscriber(std::string_view topic, const SubscriptionOptions& options = {}) const;
  template <Payload T>
  [[nodiscard]] TypedSubscriber<T> subscriber(std::string_view topic, const SubscriptionOptions& options = {}) const {
    return TypedSubscriber<T>(open_subscriber(topic, options, detail::type_info<T>()));
  }

  // Opens an observer.
  [[nodiscard]] Observer observer(std::string_view topic, const ObserverOptions& options = {}) const;
  template <Payload T>
  [[nodiscard]] TypedObserver<T> observer(std::string_view topic, const ObserverOptions& options = {}) const {
    return TypedObserver<T>(open_observer(topic, options, detail::type_info<T>()));
  }

  // Opens a member of a group, and creates the group, and its topic unless told otherwise, on first use: from the oldest
  // message on, or from `options.from`. Further errors: mismatch if that name is a plain subscription's, or the group has
  // other options; invalid_argument if no message starts where it is told to start.
  [[nodiscard]] GroupMember group_member(std::string_view topic, const GroupOptions& options) const;
  template <Payload T>
  [[nodiscard]] TypedGroupMember<T> group_member(std::string_view topic, const GroupOptions& options) const {
    return TypedGroupMember<T>(open_member(topic, options, detail::type_info<T>()));
  }

  // Ahead of time. False: it exists and fits.
  bool create_topic(std::string_view topic, const TopicOptions& options = {}) const;
  template <Payload T>
  bool create_topic(std::string_view topic, const TopicOptions& options = {}) const {
    return make_topic(topic, options, detail::type_info<T>());
  }
  // A durable subscription ahead of its first consumer; the topic is created too if `options.if_missing` says so.
  bool create_subscription(std::string_view topic, std::string_view name,
                           const SubscriptionOptions& options = {}) const;
  // A group ahead of its first member; `options.name` and `prefetch` do not matter.
  bool create_group(std::string_view topic, std::string_view name, const GroupOptions& options = {}) const;

  // Removes both files. Error not_found.
  void remove_topic(std::string_view topic, Remove how = Remove::always) const;
  // Removes a durable subscription, or a group, that nobody is attached to; what is unread is no longer kept for it. Error
  // not_found, taken.
  void remove_subscription(std::string_view topic, std::string_view name) const;
  // Sets right what the topic's dead have left, as others do when they come by: frees the slots of ephemeral subscriptions,
  // makes open claims padding. Returns how many. Error not_found, busy.
  std::uint32_t repair(std::string_view topic) const;
  // Removes every topic and the directory.
  void remove() const;

  // Snapshots.
  [[nodiscard]] std::vector<TopicInfo> topics() const;
  [[nodiscard]] TopicInfo topic(std::string_view name) const;
  // The same again and again, cheaply: of all topics, or of one.
  [[nodiscard]] Watch watch(std::string_view topic = {}) const;
  [[nodiscard]] const std::string& directory() const noexcept;

  // Every call of a waiting form (x(...), x(..., timeout)) on a handle of this bus, under way or later, returns
  // `interrupted`, at the latest after 50 ms, until resume(); also where it would not have had to wait, so that a loop
  // ends under traffic. try_x and poll without a timeout go on. Async-signal-safe.
  void interrupt() const noexcept;
  void resume() const noexcept;

 private:
  explicit Bus(std::shared_ptr<detail::BusState> state) : state_(std::move(state)) {}
  [[nodiscard]] Publisher open_publisher(std::string_view topic, const PublisherOptions& options,
                                         const detail::TypeInfo& type) const;
  [[nodiscard]] Subscriber open_subscriber(std::string_view topic, const SubscriptionOptions& options,
                                           const detail::TypeInfo& type) const;
  [[nodiscard]] Observer open_observer(std::string_view topic, const ObserverOptions& options,
                                       const detail::TypeInfo& type) const;
  [[nodiscard]] GroupMember open_member(std::string_view topic, const GroupOptions& options,
                                        const detail::TypeInfo& type) const;
  bool make_topic(std::string_view topic, const TopicOptions& options, const detail::TypeInfo& type) const;

  std::shared_ptr<detail::BusState> state_;
};

}  // namespace ringway

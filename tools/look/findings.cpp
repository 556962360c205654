#include "look/findings.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "look/words.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

// Shorter than this, a wait is how a slow reader holds a fast publisher to its pace.
constexpr auto kLong = 1s;
constexpr auto kVeryLong = 10s;

std::string with_pid(const PublisherInfo& publisher) {
  return fmt::format("{} (pid {}{})", name_of(publisher), publisher.pid, publisher.stopped ? ", stopped" : "");
}

std::string owner_state(const SubscriptionInfo& subscription) {
  if (!subscription.attached) return "nobody attached";
  if (subscription.group) return owner_text(subscription);
  return fmt::format("owner {} (pid {})", subscription.stopped ? "stopped" : "alive", subscription.pid);
}

Severity by_age(std::chrono::nanoseconds age) {
  if (age < kLong) return Severity::note;
  return age < kVeryLong ? Severity::warning : Severity::problem;
}

// Collects what there is to say about one topic.
class Inspection {
 public:
  Inspection(const TopicInfo& topic, const TopicInfo* before) : topic_(topic), before_(before) {
    if (before_ != nullptr && (before_->inode != topic_.inode || !before_->problem.empty())) before_ = nullptr;
  }

  std::vector<Finding> all() {
    if (!topic_.problem.empty()) {
      add("unreadable", Severity::problem, "", topic_.problem,
          fmt::format("if nobody needs it: `ringway rm {} --force`", topic_.name));
      return std::move(found_);
    }
    held_back();
    for (const auto& publisher : topic_.publishers) claim(publisher);
    for (const auto& subscription : topic_.subscriptions) reader(subscription);
    growth();
    tables();
    if (topic_.lock_blocked)
      add("locked", Severity::note, "", "somebody holds the table lock: whoever attaches or repairs waits",
          "if it stays, a process is stopped while it attaches: `grep OFD /proc/locks` shows the file's inode");
    return std::move(found_);
  }

 private:
  Finding& add(std::string id, Severity severity, std::string about, std::string text, std::string next) {
    found_.push_back(
        {std::move(id), severity, topic_.name, std::move(about), std::move(text), std::move(next), topic_.seen_ns});
    return found_.back();
  }

  // Who waits, by who is in the way: of many publishers that wait for one subscription, one sentence.
  void held_back() {
    struct Waiters {
      std::size_t count = 0;
      std::string first;
      std::uint64_t since_ns = std::numeric_limits<std::uint64_t>::max();
    };
    std::map<std::uint32_t, Waiters> by_subscription;
    std::map<std::uint32_t, Waiters> by_publisher;
    for (const auto& publisher : topic_.publishers) {
      if (!publisher.waiting_ns) continue;
      if (!publisher.waiting_for_subscription && !publisher.waiting_for_publisher) continue;
      Waiters& waiters = publisher.waiting_for_subscription ? by_subscription[*publisher.waiting_for_subscription]
                                                            : by_publisher[*publisher.waiting_for_publisher];
      if (waiters.count++ == 0) waiters.first = name_of(publisher);
      waiters.since_ns = std::min(waiters.since_ns, *publisher.waiting_ns);
    }
    const auto whom = [](const Waiters& waiters) {
      return waiters.count == 1 ? waiters.first : count_text(waiters.count, "publisher");
    };
    for (const auto& [slot, waiters] : by_subscription) {
      const SubscriptionInfo* subscription = in_slot(topic_.subscriptions, slot);
      if (subscription == nullptr) continue;
      const auto age = since(waiters.since_ns, topic_.seen_ns);
      add("held-back", by_age(age), label(*subscription),
          fmt::format("{} holds {} back since {}: {} behind, {}", name_of(*subscription), whom(waiters),
                      duration_text(age), bytes_text(subscription->lag_bytes), owner_state(*subscription)),
          next_step(*subscription))
          .since_ns = waiters.since_ns;
    }
    for (const auto& [slot, waiters] : by_publisher) {
      const PublisherInfo* publisher = in_slot(topic_.publishers, slot);
      if (publisher == nullptr || !publisher->open_claim) continue;
      const auto age = since(waiters.since_ns, topic_.seen_ns);
      add("held-back", by_age(age), label(*publisher),
          fmt::format("the open claim of {} holds {} back since {}", with_pid(*publisher), whom(waiters),
                      duration_text(age)),
          "it must commit or abort its claim; an exclusive topic has no claims of others to wait for")
          .since_ns = waiters.since_ns;
    }
  }

  std::string next_step(const SubscriptionInfo& subscription) const {
    if (subscription.group && subscription.attached) {
      for (const std::string& member : subscription.members)
        if (is_stopped(member))
          return fmt::format("member {} keeps what it has: let it go on (`kill -CONT`), or end it", member);
      return "its members are slower than is published: start more, or make the topic's capacity larger";
    }
    if (subscription.stopped) return fmt::format("`kill -CONT {}` lets its owner go on", subscription.pid);
    if (!subscription.attached && subscription.durable)
      return fmt::format("start {}, or give its messages up: `ringway subscription rm {} {}`",
                         subscription.group ? "a member" : "its reader", topic_.name, subscription.name);
    return "it reads more slowly than is published: make it faster, or lossy, or the topic's capacity larger";
  }

  void claim(const PublisherInfo& publisher) {
    if (!publisher.open_claim) return;
    if (!publisher.alive) {
      add("dead-claim", Severity::warning, label(publisher),
          fmt::format("{} died with an open claim of {} at position {}", with_pid(publisher),
                      bytes_text(publisher.open_claim_bytes), *publisher.open_claim),
          "nothing: readers pass it, and the next publisher that needs the slot or the space makes it padding");
      return;
    }
    const std::uint64_t seen = publisher.open_claim_seen_ns.value_or(topic_.seen_ns);
    const auto age = since(seen, topic_.seen_ns);
    if (age < kLong) return;
    add("open-claim", by_age(age), label(publisher),
        fmt::format("{} has a claim open at position {} for at least {}: readers wait there", with_pid(publisher),
                    *publisher.open_claim, duration_text(age)),
        publisher.stopped ? fmt::format("`kill -CONT {}` lets it go on", publisher.pid)
                          : "it must commit or abort: a claim that takes long belongs on an exclusive topic")
        .since_ns = seen;
  }

  void reader(const SubscriptionInfo& subscription) {
    const std::uint64_t capacity = topic_.options.capacity_bytes.value_or(0);
    const bool waited_for = subscription.reliability == Reliability::reliable && subscription.max_lag_bytes == 0;
    const bool held = std::any_of(found_.begin(), found_.end(), [&](const Finding& finding) {
      return finding.id == "held-back" && finding.about == label(subscription);
    });
    if (waited_for && !held && subscription.lag_bytes >= capacity / 10 * 9) {
      add("nearly-full", Severity::warning, label(subscription),
          fmt::format("{} is {} behind, {} % of the ring: soon publishers wait for it; {}", name_of(subscription),
                      bytes_text(subscription.lag_bytes),
                      subscription.lag_bytes * 100 / std::max<std::uint64_t>(capacity, 1), owner_state(subscription)),
          next_step(subscription));
    } else if (!held && subscription.stopped && subscription.lag_bytes != 0) {
      add("stopped-reader", Severity::warning, label(subscription),
          subscription.group ? fmt::format("{} is {} behind: {}", name_of(subscription),
                                           bytes_text(subscription.lag_bytes), owner_text(subscription))
                             : fmt::format("the owner of {} (pid {}) is stopped, {} behind", name_of(subscription),
                                           subscription.pid, bytes_text(subscription.lag_bytes)),
          next_step(subscription));
    }
    const SubscriptionInfo* then = before_ == nullptr ? nullptr : in_slot(before_->subscriptions, subscription.slot);
    if (then == nullptr || then->name != subscription.name) return;
    const auto span = duration_text(since(before_->seen_ns, topic_.seen_ns));
    if (!held && waited_for && !subscription.attached && subscription.lag_bytes > then->lag_bytes)
      add("falls-behind", Severity::warning, label(subscription),
          fmt::format("{} falls behind, {} more in {}: nobody is attached", name_of(subscription),
                      bytes_text(subscription.lag_bytes - then->lag_bytes), span),
          next_step(subscription));
    if (subscription.lost > then->lost)
      add("loses", Severity::note, label(subscription),
          fmt::format("{} lost {} in {}", name_of(subscription), count_text(subscription.lost - then->lost, "message"),
                      span),
          "it asked for that (lossy, or with a lag limit); a larger capacity lets it be slow for longer");
  }

  // Messages that nobody takes: of a topic of dead letters, the news.
  void growth() {
    if (before_ == nullptr || topic_.tail <= before_->tail) return;
    const bool read = std::any_of(topic_.subscriptions.begin(), topic_.subscriptions.end(), [this](const auto& one) {
      const SubscriptionInfo* then = in_slot(before_->subscriptions, one.slot);
      return one.attached || (then != nullptr && then->received != one.received);
    });
    if (read) return;
    const std::uint64_t now = messages_of(topic_);
    const std::uint64_t then = messages_of(*before_);
    if (now <= then) return;
    const bool dead_letters = topic_.name.ends_with(".dead");
    add("grows", dead_letters ? Severity::warning : Severity::note, "",
        fmt::format("it grows, {} in {}, and nobody reads it", count_text(now - then, "message"),
                    duration_text(since(before_->seen_ns, topic_.seen_ns))),
        dead_letters ? fmt::format("look at them: `ringway observe {} --last 10 --verbose`", topic_.name)
                     : "nothing, if only observers look at it; else start a reader");
  }

  void tables() {
    const auto alive = static_cast<std::uint32_t>(
        std::count_if(topic_.publishers.begin(), topic_.publishers.end(), [](const auto& one) { return one.alive; }));
    if (alive >= topic_.options.max_publishers.value_or(alive + 1))
      add("table-full", Severity::warning, "publishers", fmt::format("all {} publisher slots are in use", alive),
          "close some, or create the topic anew with a larger --max-publishers");
    const auto used = static_cast<std::uint32_t>(topic_.subscriptions.size());
    if (used >= topic_.options.max_subscriptions.value_or(used + 1))
      add("table-full", Severity::warning, "subscriptions", fmt::format("all {} subscription slots are in use", used),
          "remove some (`ringway subscription ls`), or create the topic anew with a larger --max-subscriptions");
  }

  static std::string label(const SubscriptionInfo& subscription) {
    return subscription.name.empty() ? fmt::format("slot {}", subscription.slot) : subscription.name;
  }
  static std::string label(const PublisherInfo& publisher) {
    return publisher.name.empty() ? fmt::format("slot {}", publisher.slot) : publisher.name;
  }

  const TopicInfo& topic_;
  const TopicInfo* before_;
  std::vector<Finding> found_;
};

}  // namespace

std::string_view text_of(Severity severity) {
  if (severity == Severity::note) return "note";
  return severity == Severity::warning ? "warning" : "problem";
}

std::vector<Finding> findings_of(const TopicInfo& topic, const TopicInfo* before) {
  return Inspection(topic, before).all();
}

std::vector<Finding> findings_of_place(const std::string& directory) {
  struct statvfs room {};
  if (::statvfs(directory.c_str(), &room) != 0 || room.f_blocks == 0) return {};
  const std::uint64_t total = std::uint64_t{room.f_blocks} * room.f_frsize;
  const std::uint64_t left = std::uint64_t{room.f_bavail} * room.f_frsize;
  const std::uint64_t percent =
      100 - static_cast<std::uint64_t>(static_cast<double>(left) * 100 / static_cast<double>(total));
  if (percent < 80) return {};
  const std::string place = directory.starts_with("/dev/shm/") ? "/dev/shm" : "the file system of " + directory;
  return {
      {"space", percent < 95 ? Severity::warning : Severity::problem, "", place,
       fmt::format("{} is {} % full, {} of {} left", place, percent, bytes_text(left), bytes_text(total)),
       "remove topics that nobody needs (`ringway ls`, `ringway gc`), or make it larger: `mount -o remount,size=...`",
       monotonic_now()}};
}

void sort(std::vector<Finding>& findings) {
  std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(b.severity, a.topic, a.id, a.about) < std::tie(a.severity, b.topic, b.id, b.about);
  });
}

std::string blocked_text(const TopicInfo& topic, const PublisherInfo& waiting) {
  std::string whom = waiting.waiting_for.empty() ? "somebody who has just left" : waiting.waiting_for;
  if (const auto* subscription = in_slot(topic.subscriptions, waiting.waiting_for_subscription))
    whom += fmt::format(", {} behind, {}", bytes_text(subscription->lag_bytes), owner_state(*subscription));
  if (const auto* publisher = in_slot(topic.publishers, waiting.waiting_for_publisher);
      publisher != nullptr && publisher->open_claim)
    whom = "the open claim of " + with_pid(*publisher);
  return fmt::format("{} for {} by {}", with_pid(waiting),
                     duration_text(since(waiting.waiting_ns.value_or(topic.seen_ns), topic.seen_ns)), whom);
}

}  // namespace ringway::tool

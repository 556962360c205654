// Looking again and again: what is mapped stays mapped while its names mean the same files.
#include "ringway/watch.hpp"

#include <sys/resource.h>

#include <map>
#include <optional>

#include "inspect.hpp"
#include "topic.hpp"

namespace ringway {

using detail::Prober;
using detail::Segment;

class Watch::State {
 public:
  State(std::shared_ptr<detail::BusState> bus, std::string only) : bus_(std::move(bus)), only_(std::move(only)) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) most_probers_ = std::min<rlim_t>(files.rlim_cur, 1U << 20) / 2;
  }

  std::vector<TopicInfo> look() {
    std::vector<std::string> names;
    if (only_.empty())
      names = detail::topic_names(*bus_);
    else
      names.push_back(only_);
    std::vector<TopicInfo> all;
    all.reserve(names.size());
    detail::Processes processes;
    std::size_t probers = 0;
    auto known = topics_.begin();
    for (const std::string& name : names) {  // both are sorted
      while (known != topics_.end() && known->first < name) known = topics_.erase(known);
      if (known == topics_.end() || known->first != name) known = topics_.try_emplace(known, name);
      if (!look_at(name, known->second, processes, all)) {
        known = topics_.erase(known);
        continue;
      }
      probers += 2;
      if (probers > most_probers_) known->second.let_probers_go();
      ++known;
    }
    topics_.erase(known, topics_.end());
    return all;
  }

 private:
  struct Watched {
    std::unique_ptr<Segment> segment;
    std::optional<Prober> publishers;
    std::optional<Prober> subscribers;
    std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> claims;  // slot: position, first seen

    void let_probers_go() {
      publishers.reset();
      subscribers.reset();
    }
  };

  // False: there is nothing to keep.
  bool look_at(const std::string& name, Watched& topic, detail::Processes& processes, std::vector<TopicInfo>& all) {
    if (topic.segment && !topic.segment->standing()) {
      topic.let_probers_go();
      topic.segment.reset();
      topic.claims.clear();
    }
    try {
      if (!topic.segment) {
        detail::Patience at_once(*bus_, name, std::chrono::nanoseconds(0));
        topic.segment =
            std::make_unique<Segment>(detail::open_topic(*bus_, name, detail::Role::observe, nullptr, false, at_once),
                                      detail::Role::observe, name);
      }
      if (!topic.publishers) topic.publishers.emplace(topic.segment->data_file());
      if (!topic.subscribers) topic.subscribers.emplace(topic.segment->control_file());
      all.push_back(detail::inspect(*topic.segment, name, *topic.publishers, *topic.subscribers, processes));
      date_claims(topic, all.back());
      return true;
    } catch (const Error& error) {
      if (error.code() != Code::not_found) all.push_back(detail::unreadable(bus_->directory(), name, error.what()));
      return false;
    }
  }

  // A claim's age is not written anywhere: that would cost every claim a look at the clock.
  static void date_claims(Watched& topic, TopicInfo& info) {
    decltype(topic.claims) standing;
    for (PublisherInfo& publisher : info.publishers) {
      if (!publisher.open_claim) continue;
      const auto before = topic.claims.find(publisher.slot);
      const bool same = before != topic.claims.end() && before->second.first == *publisher.open_claim;
      publisher.open_claim_seen_ns = same ? before->second.second : info.seen_ns;
      standing[publisher.slot] = {*publisher.open_claim, *publisher.open_claim_seen_ns};
    }
    topic.claims = std::move(standing);
  }

  std::shared_ptr<detail::BusState> bus_;
  std::string only_;  // empty: all
  std::size_t most_probers_ = 512;
  std::map<std::string, Watched> topics_;
};

Watch::Watch(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;
Watch::~Watch() = default;
std::vector<TopicInfo> Watch::look() { return state_->look(); }

Watch Bus::watch(std::string_view topic) const {
  if (!topic.empty()) detail::check_topic_name(topic);
  return Watch(std::make_unique<Watch::State>(state_, std::string(topic)));
}

}  // namespace ringway

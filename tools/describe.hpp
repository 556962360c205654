// A topic's snapshot as text and as JSON.
//
// Plain functions of their arguments.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ringway/info.hpp"

namespace ringway::tool {

using Json = nlohmann::ordered_json;

// Every field; optional ones are null where unset.
Json json_of(const TopicInfo& topic);
Json json_of(const SubscriptionInfo& subscription);

// What needs somebody's attention, a sentence each: who waits for whom, dead owners of open claims. `now_ns` is
// CLOCK_MONOTONIC.
std::vector<std::string> findings(const TopicInfo& topic, std::uint64_t now_ns);

// Everything about one topic, for people.
std::string describe(const TopicInfo& topic, std::uint64_t now_ns);

std::string name_of(const PublisherInfo& publisher);                 // "publisher feed", "publisher in slot 3"
std::string name_of(const SubscriptionInfo& subscription);           // "subscription billing", likewise
std::string owner_text(const SubscriptionInfo& subscription);        // "pid 12", "pid 12 stopped", "nobody"
std::string reliability_text(const SubscriptionInfo& subscription);  // "reliable", "lossy", "lag of 64.0 KiB"
std::uint64_t messages_of(const TopicInfo& topic);                   // published since its creation
std::uint64_t monotonic_now();

}  // namespace ringway::tool

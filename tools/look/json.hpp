// What was seen, as JSON: the field names are stable; docs/command-line.md lists them.
//
// Plain functions of their arguments.
#pragma once

#include <nlohmann/json.hpp>

#include "look/findings.hpp"
#include "ringway/info.hpp"

namespace ringway::tool {

using Json = nlohmann::ordered_json;

// Every field; optional ones are null where unset.
Json json_of(const TopicInfo& topic);
Json json_of(const SubscriptionInfo& subscription);
Json json_of(const Finding& finding);

}  // namespace ringway::tool

// A topic's snapshot as text.
#pragma once

#include <string>

#include "ringway/info.hpp"

namespace ringway::tool {

// Everything about one topic, for people.
std::string describe(const TopicInfo& topic);

}  // namespace ringway::tool

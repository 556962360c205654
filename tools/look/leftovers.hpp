// What belongs to nobody: halves of topics, temporary topics without users, what the dead have left in a topic.
//
// Never a topic with a durable subscription, nor unread messages of one that is not temporary.
#pragma once

#include <string>
#include <vector>

#include "ringway/bus.hpp"

namespace ringway::tool {

struct Leftover {
  std::string id;     // half, temporary, dead: stable
  std::string topic;  // its name
  std::string text;   // what it is
};

// Looks only. Throws Error if the directory cannot be listed.
std::vector<Leftover> leftovers_of(const Bus& bus);

// Removes it, after another look under the locks that its users hold. Throws Error: somebody uses it by now.
void remove_leftover(const Bus& bus, const Leftover& leftover);

}  // namespace ringway::tool

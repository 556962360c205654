// The allow-list for names: whatever is not on it never reaches the file system.
//
// Thread safety: pure functions. Progress: linear in the name. Crash: nothing is shared.
#pragma once

#include <string>
#include <string_view>

namespace ringway::detail {

// Throws Error invalid_argument, quoting the name and the rule, unless it is up to 8 components joined by '/'.
void check_topic_name(std::string_view name);

// The same for one component: what = "bus", "subscription".
void check_component(std::string_view what, std::string_view name, std::string_view topic = {});

// The name with unprintable bytes as \xNN, shortened: safe to print.
std::string quoted(std::string_view name);

}  // namespace ringway::detail

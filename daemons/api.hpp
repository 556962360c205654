// What was seen, as the page and programs take it. docs/monitor.md lists the fields; those of topics, publishers, subscriptions and
// findings are the ones of `ringway --json`.
//
// Plain functions of their arguments.
#pragma once

#include <optional>
#include <string>

#include "look/json.hpp"
#include "monitor.hpp"

namespace ringway::daemon {

tool::Json buses_json(const Seen& seen);
tool::Json topics_json(const Seen& seen);
tool::Json findings_json(const Seen& seen);
// A few figures of each topic: what the page asks for every second. `recent`: also the rates of the last minute.
tool::Json summary_json(const Seen& seen, const Monitor* recent);
// Everything about one topic; empty if it is not among those seen.
std::optional<tool::Json> topic_json(const Seen& seen, const Monitor& monitor, const std::string& bus,
                                     const std::string& topic);

}  // namespace ringway::daemon

// What every command shares: where the bus is, how a command ends, how it prints.
//
// One thread. A command is parsed first and run afterwards, so that wrong use touches no bus.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ringway/ringway.hpp"

namespace CLI {
class App;
}

namespace ringway::tool {

enum Exit : int {
  kDone = 0,
  kFailed = 1,
  kWrongUse = 2,
  kTimedOut = 3,  // --timeout passed before --count
};

// Where the user says the bus is.
struct Place {
  std::string bus;  // --bus
  std::string dir;  // --dir; neither: what Bus() takes
  [[nodiscard]] Bus open() const;
};

// As Bus::topic, for a command that only looks: the Error says where to look for the name.
TopicInfo topic_on(const Bus& bus, const std::string& name);

// What the command line asks for; gives the exit code. May throw.
using Action = std::function<int(const Place&)>;

// Each adds its commands to `app`; the one that the user names stores itself in `action`.
void add_pub(CLI::App& app, Action& action);
void add_sub(CLI::App& app, Action& action);
void add_inspection(CLI::App& app, Action& action);     // ls, info
void add_topics(CLI::App& app, Action& action);         // create, rm, where
void add_subscriptions(CLI::App& app, Action& action);  // subscription create, rm, ls, info, seek
void add_observe(CLI::App& app, Action& action);
void add_top(CLI::App& app, Action& action);
void add_upkeep(CLI::App& app, Action& action);  // drain, check, gc
void add_doctor(CLI::App& app, Action& action);
void add_demo(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);   // not with sanitizers: what they slow down is not worth measuring
void add_manual(CLI::App& app, Action& action);  // hidden: man page and shell completion, for the installation

// The reader of standard output has gone: nothing left to do.
struct OutputClosed : std::runtime_error {
  OutputClosed() : std::runtime_error("standard output is closed at its other end") {}
};

// Writes all of it to standard output. Throws OutputClosed, std::system_error.
void print(std::string_view text);
// Standard output is a terminal whose cursor can be moved: what changes is painted in place there.
bool paints_in_place() noexcept;
// A line on standard error: `ringway: <text>`. Never fails.
void complain(std::string_view text) noexcept;

}  // namespace ringway::tool

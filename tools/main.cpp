// `ringway`: the command line. Parses, runs, and turns whatever goes wrong into one line and an exit code.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "cli.hpp"
#include "ringway/detail/layout.hpp"
#include "stop.hpp"

namespace ringway::tool {

Bus Place::open() const {
  if (!dir.empty()) return Bus::at(dir);
  if (!bus.empty()) return Bus(bus);
  return {};
}

TopicInfo topic_on(const Bus& bus, const std::string& name) {
  try {
    return bus.topic(name);
  } catch (const Error& error) {
    if (error.code() != Code::not_found) throw;
    throw Error(Code::not_found, name,
                fmt::format("there is no such topic in {}; `ringway ls` lists what there is", bus.directory()));
  }
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EPIPE) {
      throw OutputClosed();
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot write to standard output");
    }
  }
}

bool paints_in_place() noexcept {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && terminal != nullptr && *terminal != '\0' &&
         std::string_view(terminal) != "dumb";
}

void complain(std::string_view text) noexcept {
  try {
    const std::string line = fmt::format("ringway: {}\n", text);
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // nobody to tell
  } catch (const std::exception&) {                                    // out of memory: the exit code still tells
    return;
  }
}

namespace {

std::string version() { return fmt::format("ringway {} (layout version {})", RINGWAY_VERSION, detail::kLayoutVersion); }

struct Example {
  std::string_view command;
  const char* text;
};
constexpr Example kExamples[] = {
    {"pub", "Examples:\n  seq 1000 | ringway pub numbers\n  ringway pub frames --frame 4096 < video.raw"},
    {"sub",
     "Examples:\n  ringway sub numbers --name adder --count 1000\n  ringway sub numbers --from oldest --timeout 5s\n"
     "  ringway sub jobs --group workers --ack-after-output --max-attempts 5 --dead-letter jobs.dead"},
    {"ls", "Examples:\n  ringway ls\n  ringway ls --json | jq '.[].name'"},
    {"info", "Examples:\n  ringway info numbers\n  ringway info numbers --watch"},
    {"top", "Examples:\n  ringway top\n  ringway --bus trading top quotes --interval 500ms"},
    {"observe",
     "Examples:\n  ringway observe numbers --last 10\n  cp -r /dev/shm/ringway-$UID/default copy; ringway --dir copy "
     "observe numbers --last 10 --hex"},
    {"create",
     "Examples:\n  ringway create quotes --capacity 64MiB --exclusive --latency\n  ringway create quotes --access "
     "publish=owner,subscribe=group --unix-group trading"},
    {"rm", "Examples:\n  ringway rm numbers\n  ringway rm numbers --force"},
    {"where", "Example:\n  ringway --bus trading where"},
    {"demo", "Example:\n  ringway demo --seconds 10"},
    {"subscription create",
     "Examples:\n  ringway subscription create orders billing\n  ringway subscription create quotes ticker --lossy "
     "--from newest\n  ringway subscription create jobs workers --group --max-attempts 5 --dead-letter jobs.dead"},
    {"subscription info", "Example:\n  ringway subscription info orders billing"},
    {"subscription seek",
     "Examples:\n  ringway subscription seek orders billing oldest\n  ringway subscription seek orders billing 4096"},
    {"subscription rm", "Example:\n  ringway subscription rm orders billing"},
    {"subscription ls", "Examples:\n  ringway subscription ls\n  ringway subscription ls orders --json"},
    {"drain", "Example:\n  ringway drain jobs --timeout 30s && ringway rm jobs"},
    {"check", "Example:\n  ringway check --max-lag 64MiB --max-blocked 10s || alert"},
    {"gc", "Examples:\n  ringway gc\n  ringway gc --apply"},
    {"doctor", "Examples:\n  ringway doctor\n  ringway --dir /srv/bus doctor --json"},
};

void add_everything(CLI::App& app, Place& place, Action& action) {
  app.fallthrough();  // --bus and --dir may also stand after the command
  app.require_subcommand(1);
  app.set_version_flag("--version", version, "Print the program's version and the layout version of its topics");
  app.set_help_all_flag("--help-all", "Print the help of every command");
  auto* dir = app.add_option("--dir", place.dir, "The bus in this directory (default: $RINGWAY_DIR)");
  auto* bus = app.add_option("--bus", place.bus, "This user's bus of that name (default: `default`)");
  dir->excludes(bus)->type_name("PATH");
  bus->type_name("NAME");
  for (auto* option : {dir, bus}) {
    option->check([](const std::string& text) { return text.empty() ? "must not be empty" : ""; });
  }
  add_pub(app, action);
  add_sub(app, action);
  add_inspection(app, action);
  add_topics(app, action);
  add_subscriptions(app, action);
  add_observe(app, action);
  add_top(app, action);
  add_upkeep(app, action);
  add_doctor(app, action);
  add_demo(app, action);
#ifdef RINGWAY_TOOL_BENCH
  add_bench(app, action);
#endif
  add_manual(app, action);
  for (const Example& example : kExamples) {
    CLI::App* command = &app;
    for (const std::string& word : CLI::detail::split(std::string(example.command), ' '))
      command = command->get_subcommand(word);
    command->footer(example.text);
  }
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong use, 3 --timeout passed before --count.\n"
      "Sizes are bytes or 4KiB, 64MiB, 1GiB; times are 500ms, 2s, 1min.");
}

// What a thrown error means for whoever called us.
int exit_code(const Error& error) {
  if (error.code() == Code::interrupted && stop_reason() == StopReason::signal) return kDone;
  complain(error.what());
  if (error.code() == Code::invalid_argument) return kWrongUse;
  const bool timed_out = error.code() == Code::timeout || error.code() == Code::interrupted;
  return timed_out && stop_reason() == StopReason::timeout ? kTimedOut : kFailed;
}

int run(const Action& action, const Place& place) {
  try {
    return action(place);
  } catch (const OutputClosed&) {
    return kDone;
  } catch (const Error& error) {
    return exit_code(error);
  } catch (const std::exception& error) {
    complain(error.what());
    return kFailed;
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Ringway: a shared-memory message bus for processes on one Linux machine.", "ringway");
  Place place;
  Action action;
  add_everything(app, place, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {  // --help, --version
    std::ostringstream text;
    app.exit(help, text, text);
    return run([&text](const Place&) { return print(text.str()), kDone; }, place);
  } catch (const CLI::ParseError& error) {
    complain(fmt::format("{}\nSee `ringway --help`, or --help after the command.", error.what()));
    return kWrongUse;
  }
  return run(action, place);
}

}  // namespace
}  // namespace ringway::tool

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is seen by write(2), at a known place
  try {
    return ringway::tool::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    ringway::tool::complain(error.what());
    return ringway::tool::kFailed;
  }
}

#include "run.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <thread>

#include "collector.hpp"
#include "config.hpp"
#include "look/words.hpp"
#include "man_page.hpp"
#include "metrics.hpp"
#include "monitor.hpp"
#include "site.hpp"

namespace ringway::daemon {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

void say(const std::string& text) { std::cerr << fmt::format("ringwayd: {}\n", text) << std::flush; }

struct Options {
  Settings settings;
  std::string config;  // a leading `-`: may be missing
  bool check = false;
  bool manual = false;
};

Config configuration(const Options& options) {
  Settings settings = options.settings;
  const bool optional = options.config.starts_with('-');
  const std::string path = options.config.substr(optional ? 1 : 0);
  if (!path.empty() && !(optional && ::access(path.c_str(), F_OK) != 0)) read_file(path, settings);
  return resolve(settings);
}

void add_options(CLI::App& app, Options& options) {
  const auto many = [&app](const std::string& flag, std::vector<Given>& to, const std::string& help) {
    return app.add_option_function<std::vector<std::string>>(
        flag,
        [&to, flag](const std::vector<std::string>& values) {
          for (const auto& value : values) to.push_back({value, flag});
        },
        help);
  };
  const auto one = [&app](const std::string& flag, std::optional<Given>& to, const std::string& help) {
    return app.add_option_function<std::string>(
        flag,
        [&to, flag](const std::string& value) {
          to = Given{value, flag};
        },
        help);
  };
  many("--bus", options.settings.buses,
       "This user's bus of that name; may be given again (default: $RINGWAY_DIR, else `default`)")
      ->type_name("NAME");
  many("--dir", options.settings.dirs, "The bus in this directory; may be given again")->type_name("PATH");
  one("--listen", options.settings.listen,
      "Address and port (default: 127.0.0.1:9471); others than loopback need a token")
      ->type_name("ADDRESS:PORT");
  one("--token-file", options.settings.token_file, "A file, readable by its owner only, with the token to ask for")
      ->type_name("FILE");
  app.add_option("--config", options.config, "Read this file, in TOML; with a - before it, it may be missing")
      ->type_name("FILE");
  app.add_flag("--check-config", options.check, "Say what is wrong with the configuration, and end");
  app.set_version_flag("--version", fmt::format("ringwayd {}", RINGWAY_VERSION), "Print the version");
  app.add_flag("--manual", options.manual, "Print the man page")->group("");
  app.footer(
      "Only looks: messages flow the same whether it runs, is stopped or is killed.\nSIGHUP reads the configuration "
      "again; SIGTERM ends it after the answers under way.");
}

std::string manual(const CLI::App& app) {
  tool::Manual::Section file = {"CONFIGURATION FILE", "In TOML. The command line goes before it.", {}};
  for (const KeyHelp& key : keys())
    file.terms.emplace_back(fmt::format("{} = {}", key.name, key.form), std::string(key.text));
  return tool::man_page(
      app, {.synopsis = "[OPTION...]",
            .environment = {{"RINGWAY_DIR", "The bus directory, unless --bus, --dir or the file says otherwise."}},
            .more = {std::move(file),
                     {"FILES",
                      "",
                      {{"~/.config/ringwayd.toml", "Read by the user unit: systemctl --user enable --now ringwayd"},
                       {"/etc/ringwayd/USER.toml", "Read by the system unit: systemctl enable --now ringwayd@USER"}}},
                     {"EXIT STATUS", "0 done, 1 failed, 2 wrong use or a wrong configuration.", {}}},
            .see_also = "ringway(1), docs/monitor.md: metrics and API"});
}

// The signals that end or reload it; blocked in every thread, taken by the one that looks.
sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

class Daemon {
 public:
  Daemon(Options options, const std::function<void(HttpServer&)>& prepare)
      : options_(std::move(options)),
        config_(configuration(options_)),
        server_(Limits{}),
        site_(server_, monitor_, metrics_) {
    if (prepare) prepare(server_);
  }

  int run() {
    server_.bind(config_.host, config_.port);
    apply();
    look();
    std::thread serving([this] { server_.serve(); });
    say(fmt::format("looks at {}; http://{}:{}/", tool::count_text(config_.places.size(), "bus"),
                    config_.host.find(':') == std::string::npos ? config_.host : "[" + config_.host + "]",
                    server_.port()));
    ::sd_notify(0, "READY=1");
    until_told();
    ::sd_notify(0, "STOPPING=1");
    server_.drain();
    serving.join();
    return kDone;
  }

 private:
  void apply() {
    monitor_.set_places(config_.places, config_.refresh);
    site_.set_access({config_.token, config_.hosts});
    collector_.set(config_.places, config_.gc);
  }

  void look() {
    monitor_.look();
    metrics_.add(*monitor_.seen());
    collector_.collect(say);
    ::sd_notify(0, "WATCHDOG=1");
  }

  void until_told() {
    const sigset_t signals = our_signals();
    auto next = std::chrono::steady_clock::now() + config_.refresh;
    for (;;) {
      const auto left = std::max(next - std::chrono::steady_clock::now(), std::chrono::nanoseconds(0));
      const timespec time{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
      const int signal = ::sigtimedwait(&signals, nullptr, &time);
      if (signal == SIGINT || signal == SIGTERM || (signal == SIGHUP && terminal_closed())) return;
      if (signal == SIGHUP) reload();
      if (signal < 0 && errno == EINTR) continue;
      look();
      next = std::max(next + config_.refresh, std::chrono::steady_clock::now());
    }
  }

  // Somebody who started it by hand has closed the window: that is no wish for another configuration.
  [[nodiscard]] bool terminal_closed() const { return in_terminal_ && ::tcgetpgrp(STDIN_FILENO) < 0; }

  void reload() {
    const auto now = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
    ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(now));
    try {
      Config config = configuration(options_);
      if (config.host != config_.host || config.port != config_.port)
        say(fmt::format("listen: stays at {} port {}, it is not changed to {} port {} before a restart", config_.host,
                        config_.port, config.host, config.port));
      config.host = config_.host;
      config.port = config_.port;
      config_ = std::move(config);
      apply();
      say("configuration read again");
    } catch (const ConfigError& error) {
      say(fmt::format("everything stays as it was:\n{}", error.what()));
    }
    ::sd_notify(0, "READY=1");
  }

  const bool in_terminal_ = ::isatty(STDIN_FILENO) != 0;
  Options options_;
  Config config_;
  Monitor monitor_;
  Metrics metrics_;
  Collector collector_;
  HttpServer server_;
  Site site_;
};

// Two descriptors for each topic: as many as the system lets us have.
void raise_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

int start(const Options& options, const std::function<void(HttpServer&)>& prepare) {
  if (options.check) {
    (void)configuration(options);
    std::cout << "the configuration is good\n";
    return kDone;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = our_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::mallopt(M_ARENA_MAX, 2);  // else each thread keeps freed memory of its own
  raise_limit();
  return Daemon(options, prepare).run();
}

}  // namespace

int run(int argc, char** argv, const std::function<void(HttpServer&)>& prepare) {
  CLI::App app("ringwayd: shows what happens on Ringway's buses, to Prometheus, to programs, and on a page.",
               "ringwayd");
  Options options;
  try {
    add_options(app, options);
    app.parse(argc, argv);
    if (options.manual) {
      std::cout << manual(app);
      return kDone;
    }
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    say(fmt::format("{}\nSee `ringwayd --help`.", error.what()));
    return kWrongUse;
  }
  try {
    return start(options, prepare);
  } catch (const ConfigError& error) {
    std::cerr << error.what() << '\n';
    return kWrongUse;
  } catch (const std::exception& error) {
    say(error.what());
    return kFailed;
  }
}

}  // namespace ringway::daemon

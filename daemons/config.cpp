#include "config.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "text.hpp"

namespace ringway::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTokenBytes = 16;  // the least

// Collects what is wrong, so that one run tells all of it.
class Problems {
 public:
  void add(const std::string& where, const std::string& what) { text_ += fmt::format("{}: {}\n", where, what); }
  void raise() {
    if (text_.empty()) return;
    text_.pop_back();
    throw ConfigError(text_);
  }

 private:
  std::string text_;
};

std::string type_text(const toml::node& node) {
  std::ostringstream text;
  text << node.type();
  return text.str();
}

struct Key {
  KeyHelp help;
  std::vector<Given> Settings::*list;
  std::optional<Given> Settings::*single;
};

constexpr std::array<Key, 7> kKeys = {
    {{{"listen", "\"127.0.0.1:9471\"", "Address and port, as --listen."}, nullptr, &Settings::listen},
     {{"buses", "[\"default\"]", "Names of this user's buses, as --bus."}, &Settings::buses, nullptr},
     {{"dirs", "[\"/srv/bus\"]", "Buses by their directories, as --dir."}, &Settings::dirs, nullptr},
     {{"hosts", "[\"monitor.example\"]", "Names that browsers reach it by, beside localhost and any address."},
      &Settings::hosts,
      nullptr},
     {{"token_file", "\"/etc/ringwayd/token\"", "As --token-file."}, nullptr, &Settings::token_file},
     {{"refresh", "\"1s\"", "How often it looks, 100ms to 60s."}, nullptr, &Settings::refresh},
     {{"gc", "\"10min\"",
       "How often it removes what belongs to nobody, as `ringway gc --apply` does, 1s to 24h. Without it nothing is "
       "removed or written."},
      nullptr,
      &Settings::gc}}};

std::string where(const std::string& path, const toml::node& node, std::string_view key) {
  return fmt::format("{}:{}: {}", path, node.source().begin.line, key);
}

void read_key(const std::string& path, const Key& key, const toml::node& node, Settings& settings, Problems& problems) {
  const std::string place = where(path, node, key.help.name);
  if (key.single != nullptr) {
    const auto value = node.value_exact<std::string>();
    if (!value)
      return problems.add(place,
                          fmt::format("is of type {}; it must be a string, as {}", type_text(node), key.help.form));
    auto& slot = settings.*key.single;
    if (!slot) slot = {*value, place};
    return;
  }
  const toml::array* array = node.as_array();
  if (array == nullptr)
    return problems.add(
        place, fmt::format("is of type {}; it must be a list of strings, as {}", type_text(node), key.help.form));
  for (const toml::node& one : *array) {
    const auto value = one.value_exact<std::string>();
    const std::string here = where(path, one, key.help.name);
    if (value) {
      (settings.*key.list).push_back({*value, here});
    } else {
      problems.add(
          here, fmt::format("has an element of type {}; each must be a string, as {}", type_text(one), key.help.form));
    }
  }
}

// "127.0.0.1:9471" or "[::1]:9471"; false if it is neither.
bool parse_address(const std::string& text, std::string& host, int& port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const char* first = text.data() + colon + 1;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, port);
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  const bool address = ::inet_pton(brackets ? AF_INET6 : AF_INET, host.c_str(), ignored.data()) == 1;
  return address && error == std::errc() && end == last && first != last && port >= 0 && port <= 65535;
}

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1"; }

std::string read_token(const Given& file, Problems& problems) {
  struct stat status {};
  if (::stat(file.value.c_str(), &status) != 0) {
    problems.add(file.where, fmt::format("is \"{}\": {}", file.value, std::generic_category().message(errno)));
    return {};
  }
  if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0) {
    problems.add(file.where,
                 fmt::format("is \"{0}\", whose mode is {1:04o}; only its owner may read it: `chmod 600 {0}`",
                             file.value, status.st_mode & 07777));
    return {};
  }
  std::string token;
  std::ifstream stream(file.value);
  if (!std::getline(stream, token) || token.size() < kTokenBytes ||
      token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") !=
          std::string::npos) {
    problems.add(file.where,
                 fmt::format("is \"{}\", whose first line has {} characters; it must have {} or more, of A-Z a-z 0-9 "
                             "- . _ ~ + / =: `openssl rand -hex 32`",
                             file.value, token.size(), kTokenBytes));
    return {};
  }
  return token;
}

std::chrono::nanoseconds parse_time(const Given& given, std::chrono::nanoseconds least, std::chrono::nanoseconds most,
                                    Problems& problems) {
  try {
    const auto time = tool::parse_duration(given.value);
    if (time >= least && time <= most) return time;
    problems.add(given.where, fmt::format("is \"{}\"; it must be from {} to {}", given.value,
                                          tool::duration_text(least), tool::duration_text(most)));
  } catch (const CLI::ValidationError& error) {
    problems.add(given.where, error.what());
  }
  return least;
}

std::vector<Place> resolve_places(const Settings& settings, Problems& problems) {
  std::vector<Place> places;
  const auto add = [&](const Given& given, const std::string& directory) {
    for (const Place& other : places)
      if (other.directory == directory)
        problems.add(given.where,
                     fmt::format("is \"{}\", which is the bus {} again: {}", given.value, other.name, directory));
    places.push_back({given.value, directory});
  };
  const std::string mine = "/dev/shm/ringway-" + std::to_string(::geteuid()) + "/";
  for (const Given& bus : settings.buses) {
    const bool one_component = !bus.value.empty() && bus.value.find('/') == std::string::npos && bus.value[0] != '.';
    if (!one_component)
      problems.add(
          bus.where,
          fmt::format("is \"{}\"; it must be the name of one of this user's buses; a path goes with dirs, or --dir",
                      bus.value));
    add(bus, mine + bus.value);
  }
  for (const Given& dir : settings.dirs) {
    if (!dir.value.starts_with('/'))
      problems.add(dir.where, fmt::format("is \"{}\"; it must be a path from /", dir.value));
    add(dir, dir.value);
  }
  if (!places.empty()) return places;
  const char* directory = ::secure_getenv("RINGWAY_DIR");
  if (directory != nullptr && *directory != '\0') return {{directory, directory}};
  return {{"default", mine + "default"}};
}

}  // namespace

std::vector<KeyHelp> keys() {
  std::vector<KeyHelp> all;
  all.reserve(kKeys.size());
  for (const Key& key : kKeys) all.push_back(key.help);
  return all;
}

void read_file(const std::string& path, Settings& settings) {
  Problems problems;
  Settings from_file = settings;
  if (!settings.buses.empty() || !settings.dirs.empty()) from_file.buses = from_file.dirs = {};
  try {
    errno = 0;
    const toml::table table = toml::parse_file(path);
    for (const auto& [name, node] : table) {
      const auto key = std::ranges::find(kKeys, std::string_view(name), [](const Key& one) { return one.help.name; });
      if (key != kKeys.end()) {
        read_key(path, *key, node, from_file, problems);
        continue;
      }
      std::string names;
      for (const Key& known : kKeys) names += fmt::format("{}{}", names.empty() ? "" : ", ", known.help.name);
      problems.add(where(path, node, std::string_view(name)), "is no key; these are: " + names);
    }
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    const std::string place = line == 0 ? path : fmt::format("{}:{}", path, line);
    problems.add(place,
                 line == 0 && errno != 0 ? std::generic_category().message(errno) : std::string(error.description()));
  }
  problems.raise();
  if (!settings.buses.empty() || !settings.dirs.empty()) {
    from_file.buses = settings.buses;
    from_file.dirs = settings.dirs;
  }
  settings = from_file;
}

Config resolve(const Settings& settings) {
  Problems problems;
  Config config;
  config.places = resolve_places(settings, problems);
  for (const Given& host : settings.hosts) config.hosts.push_back(host.value);
  if (settings.token_file) config.token = read_token(*settings.token_file, problems);
  if (settings.listen && !parse_address(settings.listen->value, config.host, config.port)) {
    problems.add(
        settings.listen->where,
        fmt::format("is \"{}\"; it must be an address and a port (0 to 65535), as 127.0.0.1:9471 or [::1]:9471",
                    settings.listen->value));
  } else if (!is_loopback(config.host) && !settings.token_file) {
    problems.add(
        settings.listen->where,
        fmt::format("is \"{}\", which other machines may reach; that needs a token: set token_file, or --token-file",
                    settings.listen->value));
  }
  if (settings.refresh) config.refresh = parse_time(*settings.refresh, 100ms, 60s, problems);
  if (settings.gc) config.gc = parse_time(*settings.gc, 1s, 24h, problems);
  problems.raise();
  return config;
}

}  // namespace ringway::daemon

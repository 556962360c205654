// What ringwayd is told: by its command line, and by a file in TOML.
//
// Plain functions of their arguments and of the files named. Nothing here opens a bus.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ringway::daemon {

// A value as it was written, and where: "--listen", or "ringwayd.toml:3: listen".
struct Given {
  std::string value;
  std::string where;
};

// What was written, unchecked. A command line's value goes before a file's.
struct Settings {
  std::vector<Given> buses;  // names
  std::vector<Given> dirs;   // paths
  std::vector<Given> hosts;  // names that this monitor is reached by
  std::optional<Given> listen;
  std::optional<Given> token_file;
  std::optional<Given> refresh;
  std::optional<Given> gc;
};

// A bus to look at; the directory need not be there yet, and is never made.
struct Place {
  std::string name;  // the bus's, or its path: what it is called in metrics and on the page
  std::string directory;
};

struct Config {
  std::vector<Place> places;
  std::vector<std::string> hosts;
  std::string host = "127.0.0.1";
  int port = 9471;
  std::string token;  // empty: none is asked for
  std::chrono::nanoseconds refresh = std::chrono::seconds(1);
  std::optional<std::chrono::nanoseconds> gc;  // how often to remove what belongs to nobody; unset: never
};

// Everything that is wrong, a line each: where, what, and both values.
struct ConfigError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the file may say.
struct KeyHelp {
  std::string_view name;
  std::string_view form;  // an example of its value
  std::string_view text;
};
std::vector<KeyHelp> keys();

// Adds what the file says to what is not given yet. Throws ConfigError.
void read_file(const std::string& path, Settings& settings);
// Throws ConfigError.
Config resolve(const Settings& settings);

}  // namespace ringway::daemon

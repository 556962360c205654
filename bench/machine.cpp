#include "machine.hpp"

#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>

#include "process.hpp"

namespace bench {
namespace {

// The value of the first line `key : value`.
std::string value_of(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string first_line_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "re"), ::pclose);
  std::array<char, 256> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return {};
  std::string text = line.data();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Of the tree that this program lies in.
std::string commit() {
  const auto place = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  const std::string commit =
      first_line_of(fmt::format("git -c safe.directory='*' -C '{}' describe --always --dirty 2>/dev/null", place));
  return commit.empty() ? "unknown" : commit;
}

std::string compiler() {
#if defined(__clang__)
  return "clang++ " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

Machine this_machine() {
  const std::string cpuinfo = read_file("/proc/cpuinfo");
  const auto cpus = allowed_cpus();
  utsname system{};
  ::uname(&system);
  const std::string virtual_machine =
      value_of(cpuinfo, "flags").find(" hypervisor") != std::string::npos ? ", virtual" : "";
  return {.cpu = value_of(cpuinfo, "model name") + virtual_machine,
          .cores = fmt::format("{} and {} of {}", cpus.front(), cpus.size() > 1 ? cpus[1] : cpus.front(),
                               ::sysconf(_SC_NPROCESSORS_ONLN)),
          .kernel = fmt::format("{} {}", system.sysname, system.release),
          .compiler = compiler(),
          .commit = commit(),
          .load = read_file("/proc/loadavg").substr(0, 4),
          .mode = {}};
}

std::vector<std::pair<std::string, std::string>> Machine::lines() const {
  return {{"machine", cpu},   {"cores", cores},      {"kernel", kernel}, {"compiler", compiler},
          {"commit", commit}, {"load before", load}, {"mode", mode}};
}

std::string unfit_build() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "it is built with a sanitizer";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return "it is built with a sanitizer";
#endif
#endif
#if !defined(NDEBUG)
  return "it is built with assertions (no NDEBUG)";
#elif !defined(__OPTIMIZE__)
  return "it is built without optimisation";
#else
  return RINGWAY_SANITIZED[0] == '\0' ? "" : "it is built with a sanitizer";
#endif
}

}  // namespace bench

#include "look/leftovers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "look/words.hpp"
#include "ringway/detail/layout.hpp"

namespace ringway::tool {
namespace {

namespace fs = std::filesystem;

// Does somebody create or remove that topic just now? Then its control file's creator byte is locked.
bool under_construction(const std::string& control) {
  const int file = ::open(control.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return errno != ENOENT;
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(detail::kCreatorByte);
  lock.l_len = 1;
  const bool held = ::fcntl(file, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
  ::close(file);
  return held;
}

// Names of which only one of the two files is there.
std::vector<Leftover> halves_in(const std::string& directory) {
  std::map<std::string, std::set<std::string>> halves;
  std::error_code vanished;  // what could not be listed any more is found the next time
  for (fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied, vanished), end;
       !vanished && entry != end; entry.increment(vanished)) {
    const std::string extension = entry->path().extension().string();
    if (extension != ".data" && extension != ".control") continue;
    halves[entry->path().lexically_relative(directory).replace_extension().string()].insert(extension);
  }
  std::vector<Leftover> found;
  for (const auto& [name, there] : halves) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (there.size() != 1 || under_construction(path + ".control")) continue;
    if (fs::exists(path + ".data") && fs::exists(path + ".control")) continue;  // whole by now
    found.push_back({"half", name, fmt::format("only its file {}{} is there", name, *there.begin())});
  }
  return found;
}

bool is_temporary_and_unkept(const TopicInfo& topic) {
  if (!topic.options.temporary.value_or(false)) return false;
  return std::none_of(topic.publishers.begin(), topic.publishers.end(), [](const auto& one) { return one.alive; }) &&
         std::none_of(topic.subscriptions.begin(), topic.subscriptions.end(),
                      [](const auto& one) { return one.attached || one.durable; });
}

}  // namespace

std::vector<Leftover> leftovers_of(const Bus& bus) {
  std::vector<Leftover> found = halves_in(bus.directory());
  for (const TopicInfo& topic : bus.watch().look()) {
    if (!topic.problem.empty()) continue;
    if (is_temporary_and_unkept(topic)) {
      found.push_back({"temporary", topic.name, "a temporary topic whose last user died"});
      continue;
    }
    const auto slots = std::count_if(topic.subscriptions.begin(), topic.subscriptions.end(),
                                     [](const auto& one) { return !one.durable && !one.attached; });
    const auto claims = std::count_if(topic.publishers.begin(), topic.publishers.end(),
                                      [](const auto& one) { return !one.alive && one.open_claim; });
    if (slots + claims != 0)
      found.push_back({"dead", topic.name,
                       fmt::format("its dead left {} and {}", count_text(static_cast<std::uint64_t>(slots), "slot"),
                                   count_text(static_cast<std::uint64_t>(claims), "open claim"))});
  }
  return found;
}

void remove_leftover(const Bus& bus, const Leftover& leftover) {
  if (leftover.id == "half") bus.remove_topic(leftover.topic, Remove::if_unused);
  if (leftover.id == "dead") bus.repair(leftover.topic);
  // Who leaves a temporary topic as the last one removes it, under every lock of it.
  if (leftover.id == "temporary")
    const Subscriber last =
        bus.subscriber(leftover.topic, {.reliability = Reliability::lossy, .if_missing = IfMissing::fail});
}

}  // namespace ringway::tool

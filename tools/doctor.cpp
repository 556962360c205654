// `ringway doctor`: is this machine fit for a bus, and what to do where it is not.
//
// What can be tried is tried, in the bus directory itself; what only configuration tells is read below --root.
#include <fmt/format.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli.hpp"
#include "look/json.hpp"
#include "look/leftovers.hpp"
#include "look/words.hpp"

namespace ringway::tool {
namespace {

namespace fs = std::filesystem;

class Examination {
 public:
  Examination(const Bus& bus, std::string root) : bus_(bus), root_(std::move(root)) {}

  std::vector<Finding> all() {
    size();
    trial();
    kernel();
    limits();
    logout();
    cleaners();
    leftovers();
    return std::move(results_);
  }

 private:
  void say(std::string id, Severity severity, std::string text, std::string next = "") {
    results_.push_back({.id = std::move(id), .severity = severity, .text = std::move(text), .next = std::move(next)});
  }
  // A check that found nothing is shown, too; `note` without a next step means that all is well.
  void fine(std::string id, std::string text) { say(std::move(id), Severity::note, std::move(text)); }

  // A file of configuration; empty if it is not there.
  std::string read(const std::string& path) {
    errno = 0;
    std::ifstream file(root_ + path);
    if (!file && errno != ENOENT && errno != ENOTDIR) unreadable(path, std::strerror(errno));
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // Those in a directory, by their paths below the root and in the order of their names.
  std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::directory_iterator entry(root_ + directory, error), end; !error && entry != end; entry.increment(error))
      files.push_back(directory + "/" + entry->path().filename().string());
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
      unreadable(directory, error.message());
    std::sort(files.begin(), files.end());
    return files;
  }

  bool exists(const std::string& path) const {
    std::error_code unknown;
    return fs::exists(root_ + path, unknown);
  }

  void unreadable(const std::string& path, const std::string& why) {
    say("unread", Severity::warning, fmt::format("{} was not looked at: {}", root_ + path, why),
        "run this as a user who may read it");
  }

  void size() {
    struct statvfs room {};
    if (::statvfs(bus_.directory().c_str(), &room) != 0) return;
    const std::uint64_t total = std::uint64_t{room.f_blocks} * room.f_frsize;
    if (total <= 64ULL << 20)
      say("size", Severity::warning,
          fmt::format("the file system of {} has {} in all, as containers have by default", bus_.directory(),
                      bytes_text(total)),
          "give it more: `docker run --shm-size=1g`, `mount -o remount,size=1g /dev/shm`");
    else
      fine("size", fmt::format("{} in all", bytes_text(total)));
    auto full = findings_of_place(bus_.directory());
    if (full.empty()) fine("space", fmt::format("{} left", bytes_text(std::uint64_t{room.f_bavail} * room.f_frsize)));
    std::move(full.begin(), full.end(), std::back_inserter(results_));
  }

  // A topic is made, used and removed: file system, rights, locks, memory.
  void trial() {
    const std::string name = fmt::format("ringway-doctor-{}", ::getpid());
    try {
      auto out = bus_.publisher(name, {.topic = {.capacity_bytes = 32 << 10,
                                                 .max_publishers = 1,
                                                 .max_subscriptions = 1,
                                                 .max_groups = 1,
                                                 .max_members = 1,
                                                 .max_in_flight = 1}});
      auto in = bus_.subscriber(name, {.from = From::oldest});
      const Status sent = out.publish("hello");
      const Message message = in.try_receive();
      if (!sent || !message)
        say("trial", Severity::problem,
            fmt::format("a message did not arrive: {}", (sent ? message.status() : sent).text()), "please report this");
      else
        fine("trial", "a topic was made, a message passed, locks hold");
    } catch (const Error& error) {
      say("trial", Severity::problem, error.what(), "the text says what to change; nothing works before that");
    }
    try {
      bus_.remove_topic(name);
    } catch (const Error&) {  // it was never made
      return;
    }
  }

  void kernel() {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool fits = page != MAP_FAILED && ::madvise(page, 4096, MADV_WIPEONFORK) == 0;
    if (page != MAP_FAILED) ::munmap(page, 4096);
    std::string release = read("/proc/sys/kernel/osrelease");
    while (!release.empty() && release.back() == '\n') release.pop_back();
    if (fits)
      fine("kernel", fmt::format("Linux {}", release));
    else
      say("kernel", Severity::problem, fmt::format("Linux {} has no MADV_WIPEONFORK", release),
          "use Linux 4.14 or later");
    cpu_set_t cores;
    if (::sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) == 1)
      say("cores", Severity::note, "one core: who waits cannot spin, each message costs a switch",
          "nothing, if that is fast enough; else allow it two: `taskset`, `docker run --cpuset-cpus`");
  }

  void limits() {
    struct Limit {
      int resource;
      const char* name;
      rlim_t least;
      const char* why;
    };
    for (const Limit& limit : {Limit{RLIMIT_NOFILE, "RLIMIT_NOFILE", 256, "a handle keeps up to two descriptors"},
                               Limit{RLIMIT_FSIZE, "RLIMIT_FSIZE", 1ULL << 30, "a topic is a file of its capacity"},
                               Limit{RLIMIT_AS, "RLIMIT_AS", 4ULL << 30, "a ring is mapped twice"}}) {
      rlimit now{};
      if (::getrlimit(static_cast<__rlimit_resource_t>(limit.resource), &now) != 0) continue;
      if (now.rlim_cur < limit.least)
        say("limits", Severity::warning, fmt::format("{} is {}, which is low: {}", limit.name, now.rlim_cur, limit.why),
            "raise it with ulimit, or LimitNOFILE=, LimitFSIZE=, LimitAS= in a unit");
    }
    const std::string maps = read("/proc/sys/vm/max_map_count");
    if (const auto most = std::strtoull(maps.c_str(), nullptr, 10); !maps.empty() && most < 65530)
      say("limits", Severity::warning, fmt::format("vm.max_map_count is {}: a handle needs four mappings", most),
          "`sysctl vm.max_map_count=65530`");
    if (std::none_of(results_.begin(), results_.end(), [](const Finding& one) { return one.id == "limits"; }))
      fine("limits", "descriptors, file size, address space and mappings are enough");
  }

  // systemd-logind removes a user's files in /dev/shm when that user's last session ends.
  void logout() {
    const passwd* user = ::getpwuid(::geteuid());
    const std::string name = user != nullptr ? user->pw_name : "";
    if (!exists("/run/systemd/system") || exists("/var/lib/systemd/linger/" + name)) {
      fine("removeipc", "nothing removes a user's files at logout");
      return;
    }
    std::vector<std::string> files;
    for (const char* directory :
         {"/usr/lib/systemd/logind.conf.d", "/etc/systemd/logind.conf.d", "/run/systemd/logind.conf.d"})
      for (std::string& file : files_in(directory))
        if (file.ends_with(".conf")) files.push_back(std::move(file));
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
      return fs::path(a).filename() < fs::path(b).filename();  // whatever the directory
    });
    files.insert(files.begin(), "/etc/systemd/logind.conf");
    std::string value = "yes";  // what systemd does unless told otherwise; the last file wins
    for (const std::string& file : files) {
      std::istringstream lines(read(file));
      for (std::string line; std::getline(lines, line);)
        if (line.starts_with("RemoveIPC=")) value = line.substr(10);
    }
    const bool off = value == "no" || value == "false" || value == "0" || value == "off";
    const bool concerned = ::geteuid() >= 1000 && bus_.directory().starts_with("/dev/shm/");
    if (off || !concerned)
      fine("removeipc", off ? "RemoveIPC=no" : "RemoveIPC does not concern this user and directory");
    else
      say("removeipc", Severity::warning,
          fmt::format("RemoveIPC={}: systemd removes the files of {} in /dev/shm when the last session ends", value,
                      name),
          fmt::format("`loginctl enable-linger {}`, or RemoveIPC=no in /etc/systemd/logind.conf", name));
  }

  // tmpfiles.d rules with an age, of the bus directory or one above it.
  void cleaners() {
    bool found = false;
    for (const char* directory : {"/usr/lib/tmpfiles.d", "/etc/tmpfiles.d", "/run/tmpfiles.d"}) {
      for (const std::string& file : files_in(directory)) {
        std::istringstream lines(read(file));
        for (std::string line; std::getline(lines, line);) {
          std::istringstream words(line);
          std::string type, path, mode, user, group, age;
          words >> type >> path >> mode >> user >> group >> age;
          if (type.empty() || type[0] == '#' || age.empty() || age == "-" || age == "0") continue;
          while (path.size() > 1 && (path.back() == '*' || path.back() == '/')) path.pop_back();
          if (!(bus_.directory() + "/").starts_with(path + "/")) continue;
          found = true;
          say("cleaner", Severity::warning,
              fmt::format("{} deletes what is older than {} below {}", root_ + file, age, path),
              fmt::format("add a line `x {}` to a file in /etc/tmpfiles.d", bus_.directory()));
        }
      }
    }
    if (!found) fine("cleaner", "no tmpfiles.d rule deletes files here");
  }

  void leftovers() {
    std::vector<Leftover> left;
    std::vector<TopicInfo> topics;
    try {
      left = leftovers_of(bus_);
      topics = bus_.topics();
    } catch (const Error& error) {
      return say("leftovers", Severity::note, error.what(), "run this as the bus's owner");
    }
    const auto odd = std::count_if(topics.begin(), topics.end(), [](const auto& one) { return !one.problem.empty(); });
    if (!left.empty())
      say("leftovers", Severity::warning, fmt::format("{} belong to nobody", count_text(left.size(), "thing")),
          "`ringway gc` lists them, `ringway gc --apply` removes them");
    if (odd != 0)
      say("layout", Severity::warning,
          fmt::format("{} cannot be read by this program", count_text(static_cast<std::uint64_t>(odd), "topic")),
          "`ringway ls` says why; `ringway rm --force` removes one");
    if (left.empty() && odd == 0) fine("leftovers", "nothing is left over");
  }

  const Bus& bus_;
  std::string root_;
  std::vector<Finding> results_;
};

int doctor(const Place& place, const std::string& root, bool json) {
  if (!root.empty()) {
    std::error_code error;
    const fs::directory_iterator readable(root, error);
    if (error)
      throw Error(Code::invalid_argument, {},
                  fmt::format("--root is {}: {}; it must be a directory that this user may read, with etc, usr, run "
                              "and proc as below /",
                              root, error.message()),
                  error.value());
  }
  std::vector<Finding> results;
  try {
    const Bus bus = place.open();
    results = Examination(bus, root).all();
  } catch (const Error& error) {
    results.push_back(
        {.id = "bus", .severity = Severity::problem, .text = error.what(), .next = "the text says what to change"});
  }
  const bool bad =
      std::any_of(results.begin(), results.end(), [](const Finding& one) { return one.severity == Severity::problem; });
  if (json) {
    Json array = Json::array();
    for (const Finding& finding : results) array.push_back(json_of(finding));
    print(array.dump(2) + '\n');
    return bad ? kFailed : kDone;
  }
  for (const Finding& finding : results) {
    const bool well = finding.severity == Severity::note && finding.next.empty();
    print(fmt::format("{:<8} {:<10} {}\n", well ? "ok" : text_of(finding.severity), finding.id, finding.text));
    if (!finding.next.empty()) print(fmt::format("{:<19} -> {}\n", "", finding.next));
  }
  return bad ? kFailed : kDone;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  struct Options {
    std::string root;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("doctor", "Is this machine fit for a bus? Each finding with its remedy");
  command->add_option("--root", options->root, "Read configuration below DIR")->type_name("DIR");
  command->add_flag("--json", options->json, "As JSON");
  command->callback([options, &action] {
    action = [options](const Place& place) { return doctor(place, options->root, options->json); };
  });
}

}  // namespace ringway::tool

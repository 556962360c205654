#include "topic.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <new>

#include "inspect.hpp"
#include "reboot.hpp"
#include "ringway/error.hpp"
#include "uncancelled.hpp"

namespace ringway::detail {
namespace {

bool exists(const std::string& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// The directory that a topic's files lie in, made on the way; all of them may be searched by those who have access.
std::string make_parents(const BusState& bus, const std::string& topic, const Access& access) {
  std::string directory = bus.directory();
  const std::string above = directory.substr(0, directory.rfind('/'));
  if (above == users_directory()) let_search(above, access, topic);
  let_search(directory, access, topic);
  for (std::size_t slash = topic.find('/'), from = 0; slash != std::string::npos; slash = topic.find('/', from)) {
    directory += "/" + topic.substr(from, slash - from);
    from = slash + 1;
    make_directory(directory, topic);
    let_search(directory, access, topic);
  }
  return directory;
}

void remove_empty_parents(const BusState& bus, const std::string& topic) {
  for (std::size_t slash = topic.rfind('/'); slash != std::string::npos && slash > 0;
       slash = topic.rfind('/', slash - 1))
    if (::rmdir((bus.directory() + "/" + topic.substr(0, slash)).c_str()) != 0 && errno != ENOENT)
      return;  // not empty: others use it
}

// Unlinks `file` if the name still means it. 0, or errno: also if that cannot be told.
int unlink_it(const File& file) noexcept {
  struct stat status {};
  if (::lstat(file.path.c_str(), &status) != 0) return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
  if (FileId{status.st_dev, status.st_ino} != file.id) return 0;
  return ::unlink(file.path.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

std::optional<File> identify(const std::string& path, const std::string& topic) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return File{path, {status.st_dev, status.st_ino}};
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw system_error(topic, path, errno);
}

// T2: takes away a control file whose data is missing, or another topic's. False: its creator lives.
bool clear_half(const BusState& bus, const std::string& topic, KernelLocks& locks) {
  const auto half = find_file(control_path(bus.directory(), topic), bus.owner(), topic);
  if (!half) return true;
  const auto answer = locks.try_lock(*half, kCreatorByte);
  if (answer != KernelLocks::Answer::taken) return answer == KernelLocks::Answer::gone;
  if (!names_it(*half) || open_files(bus.directory(), topic, Role::publish, bus.owner())) return true;  // looked again
  const std::string data_name = data_path(bus.directory(), topic);
  if (const auto orphan = identify(data_name, topic)) unlink_it(*orphan);  // nobody links data without control's byte
  unlink_it(*half);
  return true;
}

// One try to create both files. False: others were in the way; start over.
bool create_files(const BusState& bus, const std::string& topic, const TopicSpec& spec, bool& lock_busy) {
  const std::string directory = make_parents(bus, topic, spec.access);
  const std::uint64_t epoch = make_epoch();
  const FileModes modes = modes_of(spec.access, topic);
  const Descriptor data = make_file(directory, data_bytes(spec.limits), modes.data, modes.group, topic);
  if (!data && !exists(bus.directory()))
    throw Error(Code::not_found, topic, "the bus directory " + bus.directory() + " was removed; open the bus anew");
  if (!data) return false;  // its last topic was removed meanwhile, and it with that
  const std::string control_name = control_path(bus.directory(), topic);
  const std::string data_name = data_path(bus.directory(), topic);

  KernelLocks locks;  // from here on a fork waits
  Descriptor control = make_file(directory, control_bytes(spec.limits), modes.control, modes.group, topic);
  if (!control) return false;
  struct stat status {};
  if (::fstat(control.get(), &status) != 0) throw system_error(topic, "cannot look at a new file", errno);
  const File control_file{control_name, {status.st_dev, status.st_ino}};
  write_control(control, spec, epoch, topic);
  write_data(data, spec, epoch, status.st_ino, topic);
  const int link_descriptor = ::fcntl(control.get(), F_DUPFD_CLOEXEC, 3);
  if (link_descriptor < 0) throw system_error(topic, "no second descriptor of a new file", errno);
  const Descriptor control_link(link_descriptor);  // the same description, so the lock is its too
  if (locks.try_lock(std::move(control), kCreatorByte) != KernelLocks::Answer::taken)  // T1
    throw Error(Code::system, topic, "a new file is locked by somebody else");

  int error = link_file(control_link, control_name);
  if (error == ENOENT) return false;  // the directory was removed meanwhile
  if (error == EEXIST) {
    lock_busy = !clear_half(bus, topic, locks);
    return false;
  }
  if (error != 0) throw system_error(topic, "cannot name " + control_name, error);

  error = link_file(data, data_name);
  if (error == EEXIST) {
    ::unlink(data_name.c_str());  // T3
    error = link_file(data, data_name);
  }
  if (error == 0) return true;
  unlink_it(control_file);
  if (error == EEXIST || error == ENOENT) return false;
  throw system_error(topic, "cannot name " + data_name, error);
}

bool try_create(const BusState& bus, const std::string& topic, const TopicSpec& spec, bool& lock_busy) {
  try {
    return create_files(bus, topic, spec, lock_busy);
  } catch (const Error& error) {
    remove_empty_parents(bus, topic);
    if (error.system_errno() == ENOENT && exists(bus.directory())) return false;  // a parent was removed meanwhile
    throw;
  } catch (const std::bad_alloc&) {
    remove_empty_parents(bus, topic);
    throw;
  }
}

// T4, with the byte held. 0, or the errno of the first unlink that failed.
int unlink_both(const File& data, const File& control, bool known_layout) noexcept {
  const Uncancelled to_the_end;
  if (known_layout) {
    const Descriptor file = open_file(control.path, O_RDWR);
    struct stat status {};
    const std::uint32_t removed = 1;
    if (file && ::fstat(file.get(), &status) == 0 && FileId{status.st_dev, status.st_ino} == control.id) {
      // A failed write leaves it unset; those attached still see that the names are gone.
      [[maybe_unused]] const ssize_t written =
          ::pwrite(file.get(), &removed, sizeof removed, offsetof(ControlHeader, removed));
    }
  }
  const int failed = unlink_it(data);
  return failed != 0 ? failed : unlink_it(control);
}

// Could this process unlink that file? 0, or errno. Asked before `removed` is set: whoever may write control cannot always
// unlink it.
int would_unlink(const File& file) {
  const std::string directory = file.path.substr(0, file.path.rfind('/'));
  if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) return errno;
  struct stat above {};
  struct stat status {};
  if (::stat(directory.c_str(), &above) != 0 || ::lstat(file.path.c_str(), &status) != 0) return 0;
  const uid_t user = ::geteuid();
  const bool may = (above.st_mode & S_ISVTX) == 0 || user == 0 || status.st_uid == user || above.st_uid == user;
  return may ? 0 : EPERM;
}

// False: a remover holds the byte.
bool finish_removal(const OpenFiles& files) {
  KernelLocks locks;
  const auto answer = locks.try_lock(files.control_file, kCreatorByte);
  if (answer == KernelLocks::Answer::taken) unlink_both(files.data_file, files.control_file, true);
  return answer != KernelLocks::Answer::busy;
}

}  // namespace

Patience::Patience(const BusState& bus, const std::string& topic, Timeout timeout)
    : bus_(bus), topic_(topic), deadline_(deadline_after(timeout.nanoseconds())) {}

void Patience::wait(const std::string& what, Code code) {
  if (bus_.interrupted())
    throw Error(Code::interrupted, topic_, "Bus::interrupt() was called; Bus::resume() ends that");
  const std::int64_t now = monotonic_ns();
  if (now >= deadline_) throw Error(code, topic_, what);
  const std::int64_t pause = std::min(pause_, deadline_ - now);
  const timespec time{pause / 1'000'000'000, pause % 1'000'000'000};
  ::nanosleep(&time, nullptr);
  pause_ = std::min<std::int64_t>(pause_ * 2, 5'000'000);
}

OpenFiles open_topic(const BusState& bus, const std::string& topic, Role role, const TopicSpec* spec, bool wait,
                     Patience& patience, bool* created) {
  if (created != nullptr) *created = false;
  for (;;) {
    bool lock_busy = false;
    if (auto files = open_files(bus.directory(), topic, role, bus.owner())) {
      if (!files->removed && (role == Role::observe || !is_from_another_boot(*files))) return std::move(*files);
      if (!files->removed) {
        const Discard answer = discard_contents(bus.directory(), topic, bus.owner());
        if (answer == Discard::living) return std::move(*files);
        if (answer == Discard::busy)
          patience.wait("another process has held a lock of " + data_path(bus.directory(), topic) +
                        " for the whole attach_timeout (it discards what an earlier boot left, or is stopped there)");
        continue;
      }
      lock_busy = spec != nullptr && !finish_removal(*files);
    }
    if (spec == nullptr && !wait)
      throw Error(
          Code::not_found, topic,
          "there is no such topic in " + bus.directory() + "; create it first, or choose if_missing = create or wait");
    if (spec != nullptr) check_room(*spec, topic);
    if (spec != nullptr && !lock_busy && try_create(bus, topic, *spec, lock_busy)) {
      if (created != nullptr) *created = true;
      continue;
    }
    if (spec == nullptr) {
      patience.wait("it did not appear in " + bus.directory() + " in time", Code::timeout);
    } else {
      patience.wait(lock_busy
                        ? "another process has held the creator byte of " + control_path(bus.directory(), topic) +
                              " for the whole attach_timeout (it creates or removes the topic, or is stopped there)"
                        : kFilesKeepChanging);
    }
  }
}

bool finish_removal(const Segment& segment, KernelLocks& locks) {
  // relaxed: the table lock or the creator byte orders it.
  if (segment.memory().control->removed.load(std::memory_order_relaxed) == 0) return false;
  if (names_it(segment.control_file()) &&
      locks.try_lock(segment.control_file(), kCreatorByte) == KernelLocks::Answer::taken)
    unlink_both(segment.data_file(), segment.control_file(), true);
  return true;
}

namespace {

// One try to remove, under the locks; empty: done. Otherwise what is in the way, or "" to start over at once.
std::optional<std::string> try_remove(const BusState& bus, const std::string& topic, Remove how) {
  const std::string data_name = data_path(bus.directory(), topic);
  const std::string control_name = control_path(bus.directory(), topic);
  const auto data = identify(data_name, topic);
  const auto control = identify(control_name, topic);
  if (!data && !control) throw Error(Code::not_found, topic, "there is no such topic in " + bus.directory());
  std::optional<OpenFiles> files;
  try {
    files = open_files(bus.directory(), topic, Role::publish, bus.owner());
  } catch (const Error&) {
    if (how == Remove::if_unused) throw;  // who uses it cannot be told
  }
  KernelLocks locks;
  if (control) {
    const auto answer = locks.try_lock(*control, kCreatorByte);
    if (answer == KernelLocks::Answer::busy)
      return "another process has held the creator byte of " + control_name + " for too long";
    if (answer == KernelLocks::Answer::gone && identify(control_name, topic)) return "its files keep changing";
  }
  if (files && (!names_it(files->data_file) || !names_it(files->control_file))) return "its files keep changing";
  if (files && how == Remove::if_unused) {
    if (locks.try_lock(files->data_file, kTableByte) != KernelLocks::Answer::taken ||
        locks.try_lock(files->control_file, kTableByte) != KernelLocks::Answer::taken)
      return "another process attaches to it or repairs it";
    refuse_if_used(Segment(*files, Role::observe, topic), topic);
  }
  for (const auto& half : {data, control})
    if (const int error = half ? would_unlink(*half) : 0;
        error != 0 && error != ENOENT)  // gone: its other remover's work
      throw system_error(topic, "cannot remove " + half->path + " (the directory's owner, or the file's, can)", error);
  ::unlink(next_data_path(bus.directory(), topic).c_str());  // of one who died while discarding
  const int failed =
      unlink_both(data.value_or(File{data_name, {}}), control.value_or(File{control_name, {}}), files.has_value());
  if (failed != 0) throw system_error(topic, "cannot remove its files in " + bus.directory(), failed);
  remove_empty_parents(bus, topic);
  return std::nullopt;
}

}  // namespace

void remove_topic(const BusState& bus, const std::string& topic, Remove how, Patience& patience) {
  while (const auto obstacle = try_remove(bus, topic, how)) patience.wait(*obstacle);
}

namespace {

// True: done, or somebody keeps it. False: a lock is held by another, who may be leaving too and have seen us still there.
bool try_remove_unkept(const BusState& bus, const std::string& topic, const Segment& segment) {
  KernelLocks locks;
  for (const auto& [file, byte] :
       {std::pair(segment.control_file(), kCreatorByte), std::pair(segment.data_file(), kTableByte),
        std::pair(segment.control_file(), kTableByte)}) {
    const auto answer = locks.try_lock(file, byte);
    if (answer != KernelLocks::Answer::taken) return answer == KernelLocks::Answer::gone;
  }
  if (anyone_keeps(segment)) return true;
  unlink_both(segment.data_file(), segment.control_file(), true);
  remove_empty_parents(bus, topic);
  return true;
}

}  // namespace

void remove_if_unkept(const BusState& bus, const std::string& topic, const Segment& segment) noexcept {
  const Uncancelled to_the_end;
  try {
    for (int tries = 0; tries < 200 && !try_remove_unkept(bus, topic, segment); ++tries) {
      const timespec pause{0, 50'000 + tries * 5'000};  // 0.1 s in all: a stopped holder does not hold a leaver
      ::nanosleep(&pause, nullptr);
    }
  } catch (...) {  // a leave does not fail
    return;
  }
}

std::vector<std::string> topic_names(const BusState& bus, bool halves) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(bus.directory(), error);
  if (error)
    throw Error(error == std::errc::permission_denied ? Code::no_permission : Code::not_found, {},
                "cannot list " + bus.directory() + ": " + error.message() +
                    (error == std::errc::permission_denied ? "; its owner may; others open topics by their names" : ""),
                error.value());
  for (; entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (error) break;
    if (entry.depth() >= 8) entry.disable_recursion_pending();
    const std::string path = entry->path().string();
    const bool half = halves && path.ends_with(".control");
    if (!half && !path.ends_with(".data")) continue;
    const std::size_t from = bus.directory().size() + 1;
    const std::string name = path.substr(from, path.rfind('.') - from);
    try {
      check_topic_name(name);
      names.push_back(name);
    } catch (const Error&) {  // somebody else's file
      continue;
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void remove_empty_directories(const BusState& bus) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> directories;
  for (auto entry = fs::recursive_directory_iterator(bus.directory(), error); !error && entry != fs::end(entry);
       entry.increment(error))
    if (entry->is_directory(error) && !entry->is_symlink(error)) directories.push_back(entry->path().string());
  std::sort(directories.rbegin(), directories.rend());                          // the deepest first
  for (const std::string& directory : directories) ::rmdir(directory.c_str());  // fails where something is in it
}

}  // namespace ringway::detail

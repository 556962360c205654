// Topics come and go: atomic creation, opening, removal. The rules, each followed here by its number:
//   T1  the creator holds control's creator byte from before its link until data is linked; control first, data last
//   T2  control without data, or with data that names another control: take the byte, look again, unlink both, start over
//   T3  a creator that holds its own control's byte and finds data linked removes that data: an orphan
//   T4  remove: take the byte, look again, set `removed`, unlink data, then control; whoever finds `removed` with names
//       standing finishes that
//   T5  `if_unused` and the last leaver hold the byte and both table locks from the probe of all slots to the last unlink
//
// Thread safety: any thread. Progress: locks are tried until the deadline. Crash: a name that does not exist, a whole
// topic, or a half that T2 or T3 clears away.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "names.hpp"
#include "ringway/bus.hpp"
#include "segment.hpp"

namespace ringway::detail {

// A bus, as its handles share it.
class BusState {
 public:
  BusState(std::string directory, uid_t owner, bool temporary)
      : directory_(std::move(directory)), owner_(owner), temporary_(temporary) {}
  ~BusState();
  BusState(const BusState&) = delete;
  BusState& operator=(const BusState&) = delete;

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] uid_t owner() const { return owner_; }
  [[nodiscard]] bool interrupted() const noexcept {
    return interrupted_.load(std::memory_order_relaxed);
  }  // a flag only
  [[nodiscard]] const std::atomic<bool>* interruption() const noexcept { return &interrupted_; }
  void interrupt(bool on) noexcept { interrupted_.store(on, std::memory_order_relaxed); }

 private:
  std::string directory_;
  uid_t owner_;
  bool temporary_;
  pid_t process_ = ::getpid();  // a forked child does not remove its parent's directory
  std::atomic<bool> interrupted_{false};
  static_assert(std::atomic<bool>::is_always_lock_free);
};

// Directories: made with 0700 if missing, then checked. Throw Error.
void make_directory(const std::string& path, const std::string& topic = {});
std::string users_directory();                          // /dev/shm/ringway-<uid>
std::string user_directory(std::string_view bus);       // /dev/shm/ringway-<uid>/<bus>
std::string absolute_directory(std::string_view path);  // its last component made if missing
std::string temporary_directory();
uid_t check_directory(const std::string& path, bool mine);  // gives its owner

// A point in time until which something is tried again, with an eye on Bus::interrupt().
class Patience {
 public:
  Patience(const BusState& bus, const std::string& topic, Timeout timeout);
  // Sleeps a little. Throws Error busy, saying what was waited for, after the deadline; interrupted.
  void wait(const std::string& what, Code code = Code::busy);

 private:
  const BusState& bus_;
  const std::string& topic_;
  std::int64_t deadline_;
  std::int64_t pause_ = 50'000;  // ns; doubles up to 5 ms
};

inline constexpr const char* kFilesKeepChanging =
    "its files keep changing: another process creates and removes it; try again, or find out who does that";

// Opens what exists; creates it if `spec` is given; waits for it if asked.
OpenFiles open_topic(const BusState& bus, const std::string& topic, Role role, const TopicSpec* spec, bool wait,
                     Patience& patience, bool* created = nullptr);

// True if its creator's or remover's work is to be finished: `removed` is set and the names stand. Finishes it.
bool finish_removal(const Segment& segment, KernelLocks& locks);

void remove_topic(const BusState& bus, const std::string& topic, Remove how, Patience& patience);
// After a leave: removes a temporary topic that nobody keeps. Never throws; a topic left over goes with the next leaver.
void remove_if_unkept(const BusState& bus, const std::string& topic, const Segment& segment) noexcept;

// `halves`: also of those that a crash has left without data.
std::vector<std::string> topic_names(const BusState& bus, bool halves = false);
// What creators that died have left.
void remove_empty_directories(const BusState& bus);

}  // namespace ringway::detail

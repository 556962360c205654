// SIGINT, SIGTERM and --timeout: how a command that runs is told to come to its end.
//
// One Stopper at a time, in a program with one thread. While it lives, a signal (or the end of the time given) sets
// stop_reason() and interrupts the bus; a system call that blocks ends with EINTR, at the latest 50 ms after, so a
// signal that comes just before the call is not missed.
#pragma once

#include <chrono>
#include <optional>

#include "ringway/bus.hpp"

namespace ringway::tool {

enum class StopReason : int { none, signal, timeout };

class Stopper {
 public:
  // Throws std::system_error.
  explicit Stopper(const Bus& bus, std::optional<std::chrono::nanoseconds> timeout = {});
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;
  ~Stopper();

 private:
  Bus bus_;
};

// Why to stop; keeps the first reason.
StopReason stop_reason() noexcept;
inline bool stopping() noexcept { return stop_reason() != StopReason::none; }

// Sleeps for `time`; false if it was told to stop.
bool sleep_unless_stopped(std::chrono::nanoseconds time);

}  // namespace ringway::tool

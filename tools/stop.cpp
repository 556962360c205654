#include "stop.hpp"

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <system_error>

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

// relaxed throughout: one thread and its own signal handlers.
std::atomic<StopReason> reason{StopReason::none};
std::atomic<const Bus*> bus_to_interrupt{nullptr};
timer_t timer{};

itimerspec first_after(std::chrono::nanoseconds time) {
  constexpr auto kAgain = std::chrono::nanoseconds(50ms);  // ends the call that the signal came just before
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return {{0, kAgain.count()}, {seconds.count(), (time - seconds).count()}};
}

// Async-signal-safe: lock-free atomics, Bus::interrupt, timer_settime.
void stop_because(StopReason why) noexcept {
  const int saved = errno;
  StopReason none = StopReason::none;
  reason.compare_exchange_strong(none, why, std::memory_order_relaxed);
  if (const Bus* bus = bus_to_interrupt.load(std::memory_order_relaxed); bus != nullptr) bus->interrupt();
  const itimerspec soon = first_after(50ms);
  if (why == StopReason::signal) ::timer_settime(timer, 0, &soon, nullptr);
  errno = saved;
}
void on_signal(int /*signal*/) { stop_because(StopReason::signal); }
void on_timer(int /*signal*/) { stop_because(StopReason::timeout); }

// Without SA_RESTART: a read or write that blocks must end.
void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  for (const int other : {SIGINT, SIGTERM, SIGRTMIN}) sigaddset(&action.sa_mask, other);
  if (::sigaction(signal, &action, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot handle signals");
}

}  // namespace

Stopper::Stopper(const Bus& bus, std::optional<std::chrono::nanoseconds> timeout) : bus_(bus) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;  // not SIGALRM: that one may be somebody's alarm(2) on us
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot make a timer");
  reason.store(StopReason::none, std::memory_order_relaxed);
  bus_to_interrupt.store(&bus_, std::memory_order_relaxed);
  handle(SIGRTMIN, on_timer);
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  if (!timeout) return;
  const itimerspec at_end = first_after(*timeout);
  ::timer_settime(timer, 0, &at_end, nullptr);
}

Stopper::~Stopper() {
  for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
  ::signal(SIGRTMIN, SIG_IGN);
  bus_to_interrupt.store(nullptr, std::memory_order_relaxed);
  ::timer_delete(timer);
}

StopReason stop_reason() noexcept { return reason.load(std::memory_order_relaxed); }

bool sleep_unless_stopped(std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  timespec left{seconds.count(), (time - seconds).count()};
  while (!stopping() && ::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
  return !stopping();
}

}  // namespace ringway::tool

#include "connections.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace ringway::daemon {
namespace {

thread_local bool refusing_here = false;

}  // namespace

void Connections::enter(int socket) {
  const std::lock_guard lock(mutex_);
  entries_.push_back({socket, false, false, Clock::now()});
}

void Connections::note(int socket, bool busy) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, socket, &Entry::socket);
  if (found == entries_.end()) return;
  found->busy = busy;
  found->since = Clock::now();
}

void Connections::leave(int socket) {
  const std::lock_guard lock(mutex_);  // closed under it: nobody ends a socket that has got its number
  std::erase_if(entries_, [socket](const Entry& entry) { return entry.socket == socket; });
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
}

bool Connections::make_room(std::chrono::milliseconds slow) {
  const std::lock_guard lock(mutex_);
  Entry* chosen = nullptr;
  for (Entry& entry : entries_) {
    if (entry.ending || (entry.busy && Clock::now() - entry.since < slow)) continue;
    const bool better = chosen == nullptr || (chosen->busy && !entry.busy) ||
                        (chosen->busy == entry.busy && entry.since < chosen->since);
    if (better) chosen = &entry;
  }
  if (chosen == nullptr) return false;
  chosen->ending = true;
  ::shutdown(chosen->socket, SHUT_RDWR);  // wakes its thread
  return true;
}

void Connections::drain() {
  const std::lock_guard lock(mutex_);
  draining_.store(true);
  for (const Entry& entry : entries_)
    if (!entry.busy) ::shutdown(entry.socket, SHUT_RD);
}

ConnectionThreads::ConnectionThreads(std::size_t limit, std::function<bool()> make_room)
    : limit_(limit), make_room_(std::move(make_room)), jobs_(2 * limit) {
  if (::sem_init(&waiting_, 0, 0) != 0) throw std::system_error(errno, std::generic_category(), "sem_init");
}

ConnectionThreads::~ConnectionThreads() { ::sem_destroy(&waiting_); }

void ConnectionThreads::enqueue(std::function<void()> job) {
  const std::size_t unfinished = unfinished_.load();
  if (unfinished >= 2 * limit_ || (unfinished >= limit_ && !make_room_())) {
    refusing_here = true;
    job();
    refusing_here = false;
    return;
  }
  if (unfinished >= threads_.size() && threads_.size() < limit_) threads_.emplace_back([this] { work(); });
  unfinished_.fetch_add(1);
  jobs_.push(std::move(job));  // there is room: it holds 2 * limit_
  ::sem_post(&waiting_);
}

void ConnectionThreads::shutdown() {
  for (std::size_t i = 0; i < threads_.size(); ++i) ::sem_post(&waiting_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool ConnectionThreads::refusing() noexcept { return refusing_here; }

void ConnectionThreads::work() {
  for (;;) {
    while (::sem_wait(&waiting_) != 0) continue;  // EINTR
    std::function<void()> job;
    {
      const std::lock_guard lock(taking_);
      if (!jobs_.pop(job)) return;
    }
    job();
    unfinished_.fetch_sub(1);
  }
}

}  // namespace ringway::daemon

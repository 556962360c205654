// The connections that ringwayd serves, and the threads that serve them.
//
// Each connection has a thread of its own while it is open, so that one that takes its answer slowly keeps no other waiting; when
// there are too many, the slowest one is ended.
#pragma once

#include <httplib.h>
#include <semaphore.h>

#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ringway::daemon {

struct Limits {
  std::size_t connections = 64;
  std::size_t head_bytes = 16 * 1024;             // of a request: its first line and its headers
  int send_buffer_bytes = 64 * 1024;              // what the kernel holds for a client that does not read
  std::chrono::milliseconds idle{10'000};         // between two requests
  std::chrono::milliseconds request_time{5'000};  // from its first byte to its last
  std::chrono::milliseconds answer_time{15'000};  // likewise
  std::chrono::milliseconds slow{1'000};          // who has taken longer than this may have to make room
};

// Those that are open. Thread safety: any thread.
class Connections {
 public:
  using Clock = std::chrono::steady_clock;

  void enter(int socket);
  void note(int socket, bool busy);  // a request has begun, or was answered
  void leave(int socket);            // closes it
  // Ends one that is idle, or else the one that has been busy longest, if for longer than `slow`. False: there is none.
  bool make_room(std::chrono::milliseconds slow);
  // From now on idle ones end at once, and busy ones after their answer.
  void drain();
  [[nodiscard]] bool draining() const { return draining_.load(); }

 private:
  struct Entry {
    int socket;
    bool busy;
    bool ending;
    Clock::time_point since;
  };

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<bool> draining_{false};
};

// The threads: started when needed, up to a limit, and kept.
//
// Thread safety: enqueue() and shutdown() from the thread that accepts; it never waits for one that serves.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  // `make_room` is asked when all threads are at work; if it cannot help, the job runs at once, with refusing() true, in the
  // thread that accepts.
  ConnectionThreads(std::size_t limit, std::function<bool()> make_room);
  ConnectionThreads(const ConnectionThreads&) = delete;
  ConnectionThreads& operator=(const ConnectionThreads&) = delete;
  ~ConnectionThreads() override;

  void enqueue(std::function<void()> job) override;
  void shutdown() override;  // after the jobs that were enqueued

  static bool refusing() noexcept;

 private:
  void work();

  const std::size_t limit_;
  const std::function<bool()> make_room_;
  boost::lockfree::spsc_queue<std::function<void()>> jobs_;
  std::mutex taking_;  // makes one consumer of the threads that serve
  sem_t waiting_{};    // jobs and, at the end, empty turns
  std::atomic<std::size_t> unfinished_{0};
  std::vector<std::thread> threads_;
};

}  // namespace ringway::daemon

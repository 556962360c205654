#include "http.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace ringway::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kStatus = 9;  // in "HTTP/1.1 404 Not Found"

// Waits until the socket is ready; false after the deadline.
bool await(int socket, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd one{socket, events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// A connection as httplib reads and writes it. One thread.
class SocketStream final : public httplib::Stream {
 public:
  SocketStream(int socket, const Limits& limits) : socket_(socket), limits_(limits) {}

  // Waits for the first byte of the next request; false if none came. What follows one that was refused is none: it may be
  // the rest of that.
  bool await_request() {
    if (refused_) return false;
    if (begin_ == end_ && !await(socket_, POLLIN, Clock::now() + limits_.idle)) return false;
    deadline_ = Clock::now() + limits_.request_time;
    head_bytes_ = 0;
    answering_ = false;
    return begin_ != end_ || fill();
  }

  bool is_readable() const override { return begin_ != end_ || await(socket_, POLLIN, deadline_); }
  bool is_writable() const override { return await(socket_, POLLOUT, answer_deadline()); }

  ssize_t read(char* bytes, size_t size) override {
    if (begin_ == end_ && !fill()) return -1;
    const std::size_t count = std::min(size, end_ - begin_);
    head_bytes_ += count;
    if (head_bytes_ > limits_.head_bytes) return -1;
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), count, bytes);
    begin_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* bytes, size_t size) override {
    deadline_ = answer_deadline();
    if (!answering_) refused_ = size > kStatus && bytes[kStatus] >= '4';
    answering_ = true;
    for (;;) {
      const ssize_t count = ::send(socket_, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count >= 0) return count;
      if (errno == EINTR) continue;
      if (errno != EAGAIN || !await(socket_, POLLOUT, deadline_)) return -1;
    }
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override { address(::getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { address(::getsockname, ip, port); }
  socket_t socket() const override { return socket_; }

 private:
  // One deadline for the whole answer, from the first look at whether it can be written.
  Clock::time_point answer_deadline() const { return answering_ ? deadline_ : Clock::now() + limits_.answer_time; }

  bool fill() {
    while (await(socket_, POLLIN, deadline_)) {
      const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      begin_ = 0;
      end_ = count > 0 ? static_cast<std::size_t>(count) : 0;
      return count > 0;
    }
    return false;
  }

  template <class Get>
  void address(Get get, std::string& ip, int& port) const {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    auto* generic = reinterpret_cast<sockaddr*>(&storage);
    if (get(socket_, generic, &length) != 0 || ::getnameinfo(generic, length, host.data(), host.size(), service.data(),
                                                             service.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
      return;
    ip = host.data();
    port = std::atoi(service.data());
  }

  int socket_;
  const Limits& limits_;
  Clock::time_point deadline_;
  bool answering_ = false;
  bool refused_ = false;
  std::size_t head_bytes_ = 0;
  std::array<char, 4096> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

void refuse(int socket) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  (void)::send(socket, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);  // to whom it may concern
}

}  // namespace

HttpServer::HttpServer(const Limits& limits) : limits_(limits) {
  set_payload_max_length(limits.head_bytes);
  set_tcp_nodelay(true);
  set_keep_alive_timeout(
      std::chrono::duration_cast<std::chrono::seconds>(limits.idle).count());  // only said in a header
  set_keep_alive_max_count(1'000'000);                                         // likewise
  set_socket_options([bytes = limits.send_buffer_bytes](int socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));  // each accepted one has it from here
  });
  new_task_queue = [this] {
    return new ConnectionThreads(limits_.connections, [this] { return connections_.make_room(limits_.slow); });
  };
}

void HttpServer::bind(const std::string& host, int port) {
  errno = 0;
  port_ = port;
  if (port == 0) port_ = bind_to_any_port(host);
  if (port_ < 0 || (port != 0 && !bind_to_port(host, port)))
    throw std::runtime_error("cannot listen on " + host + " port " + std::to_string(port) + ": " +
                             std::generic_category().message(errno == 0 ? EADDRNOTAVAIL : errno));
  ::listen(svr_sock_, static_cast<int>(limits_.connections));  // httplib lets only 5 wait
}

void HttpServer::drain() {
  connections_.drain();
  // Not stop(), after which httplib breaks off answers under way: accept(2) fails, and serve() waits for its threads.
  ::shutdown(svr_sock_, SHUT_RDWR);
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  connections_.enter(socket);
  if (ConnectionThreads::refusing()) {
    refuse(socket);
  } else {
    SocketStream stream(socket, limits_);
    bool closing = false;
    while (!closing && !connections_.draining() && stream.await_request()) {
      connections_.note(socket, true);
      if (!process_request(stream, connections_.draining(), closing, nullptr)) break;
      connections_.note(socket, false);
    }
  }
  connections_.leave(socket);
  return true;
}

}  // namespace ringway::daemon

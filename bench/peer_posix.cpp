// The kernel's own: pipe, Unix socket, POSIX message queue.

#include <fcntl.h>
#include <fmt/core.h>
#include <mqueue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "futex.hpp"
#include "halves.hpp"
#include "peers.hpp"

namespace bench {
namespace {

constexpr int kBuffer = 1 << 20;
constexpr std::size_t kReadAhead = 64 << 10;

// A call that would have to wait is made again.
template <class Call>
ssize_t insist(Call call) {
  for (;;) {
    const ssize_t done = call();
    if (done > 0) return done;
    if (done == 0) fail("the other side has closed");
    if (errno != EAGAIN && errno != EINTR) fail_with_errno("a peer's read or write");
    relax();
  }
}

// Messages are cut out of a stream of bytes, as many as came with one read.
class StreamCarrier final : public Carrier {
 public:
  StreamCarrier(int in, int out, std::size_t bytes)
      : in_(in), out_(out), message_(bytes), buffer_(std::max(bytes, kReadAhead)) {}
  void send(std::uint64_t number) override {
    fill_ends(message_, number);
    for (std::span<const std::byte> left = message_; !left.empty();)
      left = left.subspan(static_cast<std::size_t>(insist([&] { return ::write(out_, left.data(), left.size()); })));
  }
  void expect(std::uint64_t number) override {
    while (end_ - begin_ < message_.size()) {
      if (buffer_.size() - begin_ < message_.size()) {
        std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
                  buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
        end_ -= std::exchange(begin_, 0);
      }
      end_ +=
          static_cast<std::size_t>(insist([&] { return ::read(in_, buffer_.data() + end_, buffer_.size() - end_); }));
    }
    check_ends(std::span(buffer_).subspan(begin_, message_.size()), number);
    begin_ += message_.size();
    if (begin_ == end_) begin_ = end_ = 0;
  }

 private:
  int in_;
  int out_;
  std::vector<std::byte> message_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class QueueCarrier final : public Carrier {
 public:
  QueueCarrier(mqd_t in, mqd_t out, std::size_t bytes) : in_(in), out_(out), sent_(bytes), received_(bytes) {}
  void send(std::uint64_t number) override {
    fill_ends(sent_, number);
    insist([&] { return ::mq_send(out_, chars(sent_), sent_.size(), 0) == 0 ? 1 : -1; });
  }
  void expect(std::uint64_t number) override {
    insist([&] { return ::mq_receive(in_, chars(received_), received_.size(), nullptr); });
    check_ends(received_, number);
  }

 private:
  static char* chars(std::vector<std::byte>& bytes) { return reinterpret_cast<char*>(bytes.data()); }
  mqd_t in_;
  mqd_t out_;
  std::vector<std::byte> sent_;
  std::vector<std::byte> received_;
};

void set_nonblocking(int fd, Waiting waiting) {
  if (waiting == Waiting::spin) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

mqd_t make_queue(std::size_t bytes, Waiting waiting) {
  static int made = 0;
  const std::string name = fmt::format("/ringway-bench.{}.{}", ::getpid(), made++);
  mq_attr attributes{};
  attributes.mq_maxmsg = 10;
  attributes.mq_msgsize = static_cast<long>(bytes);
  const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
  if (queue < 0) fail_with_errno("mq_open");
  ::mq_unlink(name.c_str());
  set_nonblocking(queue, waiting);
  return queue;
}

}  // namespace

Peer pipe_peer() {
  return {.name = "pipe",
          .settings = "F_SETPIPE_SZ 1 MiB; write of a message, read of up to 64 KiB, O_NONBLOCK and spinning",
          .page = "pipe(7), fcntl(2)",
          .prepare = [](std::size_t bytes, Waiting waiting) -> Peer::Open {
            int to_right[2];
            int to_left[2];
            if (::pipe2(to_right, O_CLOEXEC) != 0 || ::pipe2(to_left, O_CLOEXEC) != 0) fail_with_errno("pipe2");
            for (const int fd : {to_right[0], to_right[1], to_left[0], to_left[1]}) set_nonblocking(fd, waiting);
            ::fcntl(to_right[1], F_SETPIPE_SZ, kBuffer);
            ::fcntl(to_left[1], F_SETPIPE_SZ, kBuffer);
            return [=, left_in = to_left[0], left_out = to_right[1], right_in = to_right[0],
                    right_out = to_left[1]](Side side) -> std::unique_ptr<Carrier> {
              const bool left = side == Side::left;
              return std::make_unique<StreamCarrier>(left ? left_in : right_in, left ? left_out : right_out, bytes);
            };
          }};
}

Peer unix_socket_peer() {
  return {.name = "unix-socket",
          .settings =
              "socketpair, SOCK_STREAM, SO_SNDBUF 1 MiB; write of a message, read of up to 64 KiB, O_NONBLOCK "
              "and spinning",
          .page = "unix(7), socket(7)",
          .prepare = [](std::size_t bytes, Waiting waiting) -> Peer::Open {
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail_with_errno("socketpair");
            for (const int fd : ends) {
              set_nonblocking(fd, waiting);
              ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer);
            }
            return [=, left = ends[0], right = ends[1]](Side side) -> std::unique_ptr<Carrier> {
              const int fd = side == Side::left ? left : right;
              return std::make_unique<StreamCarrier>(fd, fd, bytes);
            };
          }};
}

Peer mqueue_peer() {
  return {.name = "mqueue",
          .settings = "10 messages (what the system allows everyone), O_NONBLOCK and spinning",
          .page = "mq_overview(7)",
          .largest = 8192,
          .prepare = [](std::size_t bytes, Waiting waiting) -> Peer::Open {
            const mqd_t to_right = make_queue(bytes, waiting);
            const mqd_t to_left = make_queue(bytes, waiting);
            return [=](Side side) -> std::unique_ptr<Carrier> {
              const bool left = side == Side::left;
              return std::make_unique<QueueCarrier>(left ? to_left : to_right, left ? to_right : to_left, bytes);
            };
          }};
}

}  // namespace bench

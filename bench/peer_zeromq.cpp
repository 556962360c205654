// ZeroMQ over a Unix socket (ipc://).

#include "peers.hpp"

#ifdef RINGWAY_PEER_ZEROMQ

#include <fmt/core.h>
#include <zmq.h>

#include "halves.hpp"

namespace bench {
namespace {

class ZeromqCarrier final : public Carrier {
 public:
  ZeromqCarrier(Side side, const std::string& address, std::size_t bytes)
      : bytes_(bytes), context_(::zmq_ctx_new()), socket_(::zmq_socket(context_, ZMQ_PAIR)) {
    const int none = 0;
    ::zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    const int result =
        side == Side::left ? ::zmq_bind(socket_, address.c_str()) : ::zmq_connect(socket_, address.c_str());
    if (result != 0) fail(fmt::format("zmq: {}: {}", address, ::zmq_strerror(::zmq_errno())));
  }
  ~ZeromqCarrier() override {
    ::zmq_close(socket_);
    ::zmq_ctx_term(context_);
  }
  void send(std::uint64_t number) override {
    zmq_msg_t message;
    if (::zmq_msg_init_size(&message, bytes_) != 0) fail("zmq_msg_init_size");
    fill_ends({static_cast<std::byte*>(::zmq_msg_data(&message)), bytes_}, number);
    if (::zmq_msg_send(&message, socket_, 0) < 0) fail("zmq_msg_send");
  }
  void expect(std::uint64_t number) override {
    zmq_msg_t message;
    ::zmq_msg_init(&message);
    if (::zmq_msg_recv(&message, socket_, 0) < 0) fail("zmq_msg_recv");
    check_ends({static_cast<const std::byte*>(::zmq_msg_data(&message)), ::zmq_msg_size(&message)}, number);
    ::zmq_msg_close(&message);
  }

 private:
  std::size_t bytes_;
  void* context_;
  void* socket_;
};

}  // namespace

Peer zeromq_peer(const std::string& directory) {
  return {.name = "zeromq",
          .settings =
              "PAIR over ipc://, zmq_msg_* so that nothing is copied twice, one I/O thread, high-water mark "
              "1,000; blocking calls, for its I/O thread shares the core",
          .page = "zmq_ipc(7), zmq_msg_send(3), zguide chapter 2: I/O Threads, High-Water Marks",
          .prepare = [directory](std::size_t bytes, Waiting /*waiting*/) -> Peer::Open {
            static int made = 0;
            const std::string address = fmt::format("ipc://{}/zmq-{}", directory, made++);
            return [=](Side side) { return std::make_unique<ZeromqCarrier>(side, address, bytes); };
          }};
}

}  // namespace bench

#else

namespace bench {
Peer zeromq_peer(const std::string& /*directory*/) {
  return {.name = "zeromq", .missing = "libzmq3-dev was not installed when this was built"};
}
}  // namespace bench

#endif

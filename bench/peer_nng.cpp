// nng over a Unix socket (ipc://).

#include "peers.hpp"

#ifdef RINGWAY_PEER_NNG

#include <fmt/core.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "halves.hpp"

namespace bench {
namespace {

void check(int result, const char* call) {
  if (result != 0) fail(fmt::format("{}: {}", call, ::nng_strerror(result)));
}

class NngCarrier final : public Carrier {
 public:
  NngCarrier(Side side, const std::string& address, std::size_t bytes) : bytes_(bytes) {
    check(::nng_pair0_open(&socket_), "nng_pair0_open");
    ::nng_socket_set_int(socket_, NNG_OPT_SENDBUF, 1024);
    ::nng_socket_set_int(socket_, NNG_OPT_RECVBUF, 1024);
    if (side == Side::left)
      check(::nng_listen(socket_, address.c_str(), nullptr, 0), "nng_listen");
    else
      check(::nng_dial(socket_, address.c_str(), nullptr, NNG_FLAG_NONBLOCK), "nng_dial");
  }
  ~NngCarrier() override { ::nng_close(socket_); }
  void send(std::uint64_t number) override {
    nng_msg* message = nullptr;
    check(::nng_msg_alloc(&message, bytes_), "nng_msg_alloc");
    fill_ends({static_cast<std::byte*>(::nng_msg_body(message)), bytes_}, number);
    check(::nng_sendmsg(socket_, message, 0), "nng_sendmsg");
  }
  void expect(std::uint64_t number) override {
    nng_msg* message = nullptr;
    check(::nng_recvmsg(socket_, &message, 0), "nng_recvmsg");
    check_ends({static_cast<const std::byte*>(::nng_msg_body(message)), ::nng_msg_len(message)}, number);
    ::nng_msg_free(message);
  }

 private:
  std::size_t bytes_;
  nng_socket socket_{};
};

}  // namespace

Peer nng_peer(const std::string& directory) {
  return {.name = "nng",
          .settings =
              "pair0 over ipc://, nng_sendmsg and nng_recvmsg so that nothing is copied twice, buffers of 1,024 "
              "messages; blocking calls, for its threads share the core",
          .page = "nng_sendmsg(3), nng_options(5), nng_ipc(7)",
          .prepare = [directory](std::size_t bytes, Waiting /*waiting*/) -> Peer::Open {
            static int made = 0;
            const std::string address = fmt::format("ipc://{}/nng-{}", directory, made++);
            return [=](Side side) { return std::make_unique<NngCarrier>(side, address, bytes); };
          }};
}

}  // namespace bench

#else

namespace bench {
Peer nng_peer(const std::string& /*directory*/) {
  return {.name = "nng", .missing = "libnng-dev was not installed when this was built"};
}
}  // namespace bench

#endif

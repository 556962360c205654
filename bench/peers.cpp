#include "peers.hpp"

#include "halves.hpp"

namespace bench {
namespace {

class PeerLink {
 public:
  explicit PeerLink(std::unique_ptr<Carrier> carrier) : carrier_(std::move(carrier)) {}
  void send(std::uint64_t number) { carrier_->send(number); }
  void expect(std::uint64_t number) { carrier_->expect(number); }

 private:
  std::unique_ptr<Carrier> carrier_;
};

}  // namespace

std::vector<Peer> all_peers(const std::string& directory) {
  return {iceoryx_peer(directory), boost_message_queue_peer(),
          zeromq_peer(directory),  nng_peer(directory),
          mqueue_peer(),           pipe_peer(),
          unix_socket_peer()};
}

Contestant peer_ping_pong(const Peer& peer, std::size_t bytes, Waiting waiting) {
  return {peer.name, [open = peer.prepare(bytes, waiting)](Side side) {
            return std::make_unique<PingPong<PeerLink>>(side, open(side));
          }};
}

Contestant peer_stream(const Peer& peer, std::size_t bytes) {
  return {peer.name, [open = peer.prepare(bytes, Waiting::spin)](Side side) {
            return std::make_unique<Stream<PeerLink>>(side, open(side));
          }};
}

}  // namespace bench

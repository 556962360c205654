// What else carries messages between two processes, each in its fastest documented form: an adapter file each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rounds.hpp"

namespace bench {

// One process's end: messages of one size, a way each. Message n carries n in its first and last 8 bytes.
class Carrier {
 public:
  Carrier() = default;
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  virtual ~Carrier() = default;
  virtual void send(std::uint64_t number) = 0;
  virtual void expect(std::uint64_t number) = 0;
};

enum class Waiting : std::uint8_t { spin, block };

struct Peer {
  // Called in the process that will use the carrier.
  using Open = std::function<std::unique_ptr<Carrier>(Side)>;

  std::string name = {};      // what --peer takes
  std::string settings = {};  // the form that is measured
  std::string page = {};      // that recommends or explains it
  std::size_t largest = SIZE_MAX;
  // Called before the processes are there. Peers whose own threads take turns with the caller's only block.
  std::function<Open(std::size_t bytes, Waiting waiting)> prepare = nullptr;
  // Starts what must run beside it; ended with what it gives.
  std::function<std::shared_ptr<void>()> daemon = nullptr;
  std::string missing = {};  // why it is not measured
};

// All that are known; `directory` is for sockets and the like.
std::vector<Peer> all_peers(const std::string& directory);

Contestant peer_ping_pong(const Peer& peer, std::size_t bytes, Waiting waiting);
Contestant peer_stream(const Peer& peer, std::size_t bytes);

// The adapters. One whose library was not there when this was compiled has `missing` set.
Peer iceoryx_peer(const std::string& directory);
Peer boost_message_queue_peer();
Peer zeromq_peer(const std::string& directory);
Peer nng_peer(const std::string& directory);
Peer mqueue_peer();
Peer pipe_peer();
Peer unix_socket_peer();

}  // namespace bench

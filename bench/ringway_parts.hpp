// Ringway as a contestant: a message each way (ping-pong), or all one way (stream), over topics of one bus.
#pragma once

#include <cstddef>
#include <ringway/ringway.hpp>
#include <string>

#include "rounds.hpp"

namespace bench {

struct TopicSetup {
  std::string directory;  // of the bus
  ringway::Publishers publishers = ringway::Publishers::exclusive;
  ringway::Wait wait = ringway::Wait::spin;
  std::uint64_t capacity_bytes = 1 << 20;
};

// Messages of `payload_bytes`: 8, 32, 64, 1024 or 65536. Each is copied in by publish and read in place.
Contestant ringway_ping_pong(std::size_t payload_bytes, const TopicSetup& setup);
// The same; read by poll, up to 256 messages a release.
Contestant ringway_stream(std::size_t payload_bytes, const TopicSetup& setup);

}  // namespace bench

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
  bool stamped = false;
  std::size_t batch = 1;  // more: publish_all of so many
};

// The topic that ringway_stream uses.
std::string stream_topic(std::size_t payload_bytes, const TopicSetup& setup);

// Messages of `payload_bytes`: 8, 32, 64, 1024 or 65536. Each is copied in by publish and read in place.
Contestant ringway_ping_pong(std::size_t payload_bytes, const TopicSetup& setup);
// The same; read by poll, up to 256 messages a release. In batches if the setup says so: then of 64 bytes.
Contestant ringway_stream(std::size_t payload_bytes, const TopicSetup& setup);

// How much of a message of any size is written and read: what is checked, its first and last line; or all of it, copied in
// from a buffer.
enum class Touch : std::uint8_t { ends, all };
// Messages of any size, claimed and filled in place.
Contestant in_place_ping_pong(std::size_t payload_bytes, const TopicSetup& setup);
Contestant sized_stream(std::size_t payload_bytes, Touch touch, const TopicSetup& setup);

// Nobody reads, the ring laps: both processes publish, or the left one alone. An operation is a message of either.
Contestant lapping_publishers(int publishers, const TopicSetup& setup);

}  // namespace bench

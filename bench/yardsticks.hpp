// What Ringway is held against: the machine itself, a bare futex, a bare ring, and memcpy.
#pragma once

#include <cstddef>
#include <vector>

#include "rounds.hpp"

namespace bench {

// Two processes pass one cache line to and fro with plain loads and stores: no message can be faster.
Contestant limit_ping_pong();
// Two processes wake each other with one futex call a hop and sleep with another.
Contestant futex_ping_pong();
// boost::lockfree::spsc_queue of 64-byte elements, of fixed capacity, in shared memory; one each way.
Contestant spsc_ping_pong();
// The same, one way. One at a time: push and pop; else push and consume_all.
Contestant spsc_stream(bool one_at_a_time);
// A ring of 64-byte slots with cached indices, in place, one way.
Contestant bare_ring_stream();
// One process copies `bytes` again and again, over a region as large as a ring, in steps as large as a frame.
Contestant memcpy_loop(std::size_t bytes, std::size_t region);
// The same between two: one copies each message into a ring of slots of that size, the other reads it there in full.
Contestant bare_handover(std::size_t bytes, std::size_t region);
// One process reads the clock that stamps are made of.
Contestant clock_loop();

}  // namespace bench

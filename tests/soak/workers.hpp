// The processes of the soak: each runs until it is killed or told to end (SIGTERM).
#pragma once

#include <cstdint>
#include <string>

#include "soak/ledger.hpp"

namespace ringway_soak {

inline constexpr const char* kTopicNames[kTopics] = {"shared", "exclusive"};

struct Place {
  std::string directory;
  Ledger* ledger;
  std::uint64_t seed;
};

// Each returns the exit status of its process: 0, or 1 after what went wrong was printed.
int run_publisher(const Place& place, std::uint32_t run);
// Dies between two stores of a claim, by its own hand.
int run_torn(const Place& place, std::uint32_t run);
int run_durable(const Place& place, std::uint32_t topic, std::uint32_t which);
int run_ephemeral(const Place& place, std::uint32_t topic);
int run_overtaken(const Place& place, std::uint32_t topic, bool limited);  // comes and goes; payloads and order only
int run_accountant(const Place& place, std::uint32_t topic);               // lossy, never killed: counts every loss
int run_observer(const Place& place, std::uint32_t topic);

// Ends at the next look of its loop.
void tell_to_end(int);

}  // namespace ringway_soak

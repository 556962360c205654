// `ringway sub --group`: a group's jobs on standard output, each acknowledged before it is written, or once write(2) has
// accepted it in full.
//
// One thread. Crash: a job that was not acknowledged goes to another member.
#pragma once

#include <cstdint>
#include <string>

#include "flags.hpp"
#include "ringway/group.hpp"

namespace ringway::tool {

struct JobOptions {
  Framing framing;
  std::uint64_t count;
  bool ack_after_output;
};

// Until the count is reached, the reader of our output goes, or somebody stops it. Gives how many were printed. Throws Error,
// std::system_error.
std::uint64_t print_jobs(GroupMember& member, const std::string& topic, const JobOptions& options);

}  // namespace ringway::tool

// `ringway sub --group`: a group's jobs on standard output.
#include <fmt/format.h>

#include <cstring>
#include <string>

#include "cli.hpp"
#include "output.hpp"
#include "stop.hpp"
#include "sub_group.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 200ms;  // how often a wait looks whether the output's reader is still there

std::string framed(const Job& job, const Framing& framing) {
  std::string text;
  if (framing.kind == Framing::Kind::lengths) {
    const auto length = static_cast<std::uint32_t>(job.payload().size());
    text.resize(sizeof length);
    std::memcpy(text.data(), &length, sizeof length);
  }
  text += job.text();
  if (framing.kind == Framing::Kind::lines) text += '\n';
  return text;
}

}  // namespace

std::uint64_t print_jobs(GroupMember& member, const std::string& topic, const JobOptions& options) {
  std::uint64_t printed = 0;
  while (printed < options.count && !stopping()) {
    Job job = member.receive(kLook);
    if (!job) {
      const Status status = job.status();
      if (status == Code::timeout && Output::closed()) break;
      if (status == Code::timeout || status == Code::interrupted) continue;
      throw Error(status.code(), topic, fmt::format("{}; {} jobs printed before", status.text(), printed));
    }
    const std::string text = framed(job, options.framing);
    Status answer = options.ack_after_output ? Status() : job.ack();
    if (answer && Output::write_one(text) != Output::Result::accepted) {
      job.nack(0s, "ended before it was written");  // answered already, if not after output
      break;
    }
    if (answer && options.ack_after_output) answer = job.ack();
    if (!answer) throw Error(answer.code(), topic, fmt::format("{}; {} jobs printed before", answer.text(), printed));
    ++printed;
  }
  return printed;
}

}  // namespace ringway::tool

// Figures of messages between two processes: ping-pong, streaming, blocking.

#include <fmt/core.h>

#include <algorithm>

#include "figures.hpp"
#include "ringway_parts.hpp"
#include "yardsticks.hpp"

namespace bench {
namespace {

using ringway::Publishers;
using ringway::Wait;

constexpr std::uint64_t kTimedTrips = 1'000'000;

// Half a round trip.
Value one_way(const Measured& measured) { return {median(measured.ns) / 2, "ns one way"}; }

std::string percentiles(const Measured& measured) {
  if (measured.trips.total == 0) return {};
  const double unit = ns_per_tick() / 2;
  const auto at = [&](double share) { return measured.trips.at(share) * unit; };
  return fmt::format("p50 {:.0f} p99 {:.0f} p99.9 {:.0f} max {:.0f} ns", at(0.5), at(0.99), at(0.999),
                     static_cast<double>(measured.trips.largest) * unit);
}

Row latency_row(const char* group, const std::string& what, const Measured& measured, const Measured& yardstick,
                std::optional<Target> target = {}) {
  return {.group = group,
          .figure = fmt::format("{}: {}", what, measured.name),
          .value = one_way(measured),
          .yardstick = Yardstick{yardstick.name, one_way(yardstick)},
          .ratio = ratio(measured.ns, yardstick.ns),
          .target = target,
          .note = percentiles(measured)};
}

// A ratio above 1 is a higher rate than the yardstick's.
Row rate_row(const Measured& measured, const Measured& yardstick, std::optional<Target> target = {}) {
  return {.group = "streaming",
          .figure = "rate: " + measured.name,
          .value = Value{median(measured.ns), "ns a message"},
          .yardstick = Yardstick{yardstick.name, {median(yardstick.ns), "ns a message"}},
          .ratio = ratio(yardstick.ns, measured.ns),
          .target = target};
}

std::optional<Target> at_most(double limit) { return Target{Target::Kind::at_most, limit}; }
std::optional<Target> at_least(double limit) { return Target{Target::Kind::at_least, limit}; }

Row yardstick_row(const char* group, const Measured& measured, const char* what, const Value& value) {
  return {.group = group,
          .figure = fmt::format("{}: {}", what, measured.name),
          .value = value,
          .note = percentiles(measured)};
}

}  // namespace

std::vector<Row> ping_pong_figures(const Options& options) {
  const TopicSetup exclusive = {.directory = options.bus("ping-pong")};
  TopicSetup shared = exclusive;
  shared.publishers = Publishers::shared;
  const auto all =
      measure({limit_ping_pong(), spsc_ping_pong(), ringway_ping_pong(32, exclusive), ringway_ping_pong(64, exclusive),
               ringway_ping_pong(32, shared), ringway_ping_pong(64, shared), ringway_ping_pong(8, exclusive),
               ringway_ping_pong(1024, exclusive), ringway_ping_pong(65536, exclusive)},
              options.in_rounds(Cores::two, kTimedTrips));
  const char* group = "ping-pong";
  const Measured& limit = all[0];
  return {yardstick_row(group, limit, "yardstick", one_way(limit)),
          latency_row(group, "yardstick", all[1], limit),
          latency_row(group, "ping-pong", all[2], limit, at_most(1.25)),
          latency_row(group, "ping-pong", all[3], limit, at_most(1.25)),
          latency_row(group, "ping-pong", all[4], limit, at_most(1.35)),
          latency_row(group, "ping-pong", all[5], limit, at_most(1.35)),
          latency_row(group, "ping-pong", all[6], limit),
          latency_row(group, "ping-pong", all[7], limit),
          latency_row(group, "ping-pong", all[8], limit)};
}

std::vector<Row> streaming_figures(const Options& options) {
  const TopicSetup exclusive = {.directory = options.bus("streaming")};
  TopicSetup shared = exclusive;
  shared.publishers = Publishers::shared;
  const auto small = measure({spsc_stream(true), spsc_stream(false), ringway_stream(64, exclusive),
                              ringway_stream(64, shared), ringway_stream(32, exclusive), ringway_stream(32, shared)},
                             options.in_rounds(Cores::two));
  const Measured& spsc = small[0];
  std::vector<Row> rows = {yardstick_row("streaming", spsc, "yardstick", {median(spsc.ns), "ns a message"}),
                           rate_row(small[1], spsc),
                           rate_row(small[2], spsc, at_least(1.2)),
                           rate_row(small[3], spsc, at_least(0.9)),
                           rate_row(small[4], spsc),
                           rate_row(small[5], spsc)};
  for (const std::size_t bytes : {std::size_t{1024}, std::size_t{65536}}) {
    const auto large = measure({memcpy_loop(bytes), ringway_stream(bytes, exclusive), ringway_stream(bytes, shared)},
                               options.in_rounds(Cores::two));
    rows.push_back(rate_row(large[1], large[0]));
    rows.push_back(rate_row(large[2], large[0]));
  }
  return rows;
}

std::vector<Row> blocking_figures(const Options& options) {
  TopicSetup parked = {.directory = options.bus("blocking"), .wait = Wait::park};
  TopicSetup shared = parked;
  shared.publishers = Publishers::shared;
  const char* group = "blocking";
  std::vector<Row> rows;
  for (const Cores cores : {Cores::one, Cores::two}) {
    const auto all = measure({futex_ping_pong(), ringway_ping_pong(64, parked), ringway_ping_pong(64, shared)},
                             options.in_rounds(cores, cores == Cores::one ? kTimedTrips / 2 : 0));
    const std::string what = cores == Cores::one ? "parked, on one core" : "parked, on two cores";
    const auto target = cores == Cores::one ? at_most(1.25) : std::nullopt;
    rows.push_back(yardstick_row(group, all[0], what.c_str(), one_way(all[0])));
    rows.push_back(latency_row(group, what, all[1], all[0], target));
    rows.push_back(latency_row(group, what, all[2], all[0], target));
  }
  return rows;
}

}  // namespace bench

// Figures of messages between two processes, in rounds.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "figures.hpp"
#include "halves.hpp"
#include "peers.hpp"
#include "process.hpp"
#include "ringway_parts.hpp"
#include "yardsticks.hpp"

namespace bench {
namespace {

using ringway::Publishers;
using ringway::Wait;

constexpr std::uint64_t kTimedTrips = 1'000'000;

// Half a round trip.
Value one_way(const Measured& measured) { return {median(measured.ns) / 2, "ns one way"}; }

Spot bar(const char* plot, const std::string& name, const Measured& measured) {
  const double ns = median(measured.ns);
  return {plot, name, {}, std::string_view(plot) == "ping-pong" ? ns / 2 : 1000 / ns};
}

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
  std::vector<Row> rows = {yardstick_row(group, limit, "yardstick", one_way(limit)),
                           latency_row(group, "yardstick", all[1], limit),
                           latency_row(group, "ping-pong", all[2], limit, at_most(1.06)),
                           latency_row(group, "ping-pong", all[3], limit, at_most(1.12)),
                           latency_row(group, "ping-pong", all[4], limit),
                           latency_row(group, "ping-pong", all[5], limit, at_most(1.2)),
                           latency_row(group, "ping-pong", all[6], limit),
                           latency_row(group, "ping-pong", all[7], limit, at_most(2.2)),
                           latency_row(group, "ping-pong", all[8], limit)};
  rows[0].spot = bar("ping-pong", "limit", limit);
  rows[1].spot = bar("ping-pong", "spsc queue", all[1]);
  rows[3].spot = bar("ping-pong", "Ringway exclusive", all[3]);
  rows[5].spot = bar("ping-pong", "Ringway shared", all[5]);
  const double tail = all[3].trips.at(0.999) / limit.trips.at(0.999);
  const double unit = ns_per_tick() / 2;
  rows.push_back({.group = group,
                  .figure = "p99.9: exclusive, 64 bytes",
                  .value = Value{all[3].trips.at(0.999) * unit, "ns one way"},
                  .yardstick = Yardstick{"limit", {limit.trips.at(0.999) * unit, "ns one way"}},
                  .ratio = Spread{tail, tail, tail},
                  .target = at_most(1.3)});
  return rows;
}

std::vector<Row> streaming_figures(const Options& options) {
  const TopicSetup exclusive = {.directory = options.bus("streaming")};
  TopicSetup shared = exclusive;
  shared.publishers = Publishers::shared;
  TopicSetup batches = exclusive;
  batches.batch = 16;
  const auto small = measure({spsc_stream(true), spsc_stream(false), bare_ring_stream(), ringway_stream(64, exclusive),
                              ringway_stream(64, shared), ringway_stream(32, exclusive), ringway_stream(32, shared),
                              ringway_stream(64, batches)},
                             options.in_rounds(Cores::two));
  const Measured& spsc = small[0];
  const Measured& bare = small[2];
  std::vector<Row> rows = {yardstick_row("streaming", spsc, "yardstick", {median(spsc.ns), "ns a message"}),
                           rate_row(small[1], spsc),
                           rate_row(bare, spsc),
                           rate_row(small[3], spsc, at_least(1.5)),
                           rate_row(small[4], spsc, at_least(1.1)),
                           rate_row(small[5], spsc),
                           rate_row(small[6], spsc),
                           {.group = "streaming",
                            .figure = "time: exclusive, 64 bytes",
                            .value = Value{median(small[3].ns), "ns a message"},
                            .yardstick = Yardstick{bare.name, {median(bare.ns), "ns a message"}},
                            .ratio = ratio(small[3].ns, bare.ns),
                            .target = at_most(1.3)},
                           rate_row(small[7], bare, at_least(1.2))};
  rows.back().spot = bar("streaming", "Ringway, batches of 16", small[7]);
  rows[0].spot = bar("streaming", "spsc queue", spsc);
  rows[2].spot = bar("streaming", "bare ring", bare);
  rows[3].spot = bar("streaming", "Ringway exclusive", small[3]);
  rows[4].spot = bar("streaming", "Ringway shared", small[4]);
  for (const std::size_t bytes : {std::size_t{1024}, std::size_t{65536}}) {
    const auto large =
        measure({memcpy_loop(bytes, exclusive.capacity_bytes), sized_stream(bytes, Touch::all, exclusive),
                 sized_stream(bytes, Touch::all, shared), bare_handover(bytes, exclusive.capacity_bytes)},
                options.in_rounds(Cores::two));
    const auto target = bytes == 65536 ? at_least(0.9) : std::nullopt;
    rows.push_back(rate_row(large[1], large[0], target));
    rows.push_back(rate_row(large[2], large[0]));
    rows.push_back(rate_row(large[3], large[0]));
    rows.push_back(rate_row(large[1], large[3]));
    rows.back().figure += ", beside a bare handover";
  }
  return rows;
}

// From 8 bytes to 1 MiB, in a ring of 8 MiB.
std::vector<Row> size_figures(const Options& options) {
  const TopicSetup setup = {.directory = options.bus("sizes"), .capacity_bytes = 8 << 20};
  std::vector<Row> rows;
  constexpr std::size_t kMiB = 1 << 20;
  const std::vector<std::size_t> sizes = options.quick ? std::vector<std::size_t>{64, 65536, kMiB}
                                                       : std::vector<std::size_t>{8, 64, 512, 4096, 65536, kMiB};
  for (const std::size_t bytes : sizes) {
    const auto trips = measure({limit_ping_pong(), in_place_ping_pong(bytes, setup)}, options.in_rounds(Cores::two));
    const auto target = bytes >= 65536 ? at_most(2) : std::nullopt;
    rows.push_back(latency_row("sizes", "ping-pong", trips[1], trips[0], target));
    const auto x = static_cast<double>(bytes);
    rows.back().spot = Spot{"latency-by-size", "Ringway, exclusive", x, rows.back().value->number};
    rows.push_back(yardstick_row("sizes", trips[0], fmt::format("beside {} bytes", bytes).c_str(), one_way(trips[0])));
    rows.back().spot = Spot{"latency-by-size", "limit (one line)", x, rows.back().value->number};
    const auto rates = measure({memcpy_loop(bytes, setup.capacity_bytes), sized_stream(bytes, Touch::all, setup)},
                               options.in_rounds(Cores::two));
    rows.push_back(rate_row(rates[1], rates[0]));
    rows.back().group = "sizes";
    rows.back().spot = Spot{"rate-by-size", "Ringway, exclusive", x, x / median(rates[1].ns)};
    rows.push_back(
        yardstick_row("sizes", rates[0], fmt::format("{} bytes", bytes).c_str(), {median(rates[0].ns), "ns"}));
    rows.back().spot = Spot{"rate-by-size", "memcpy, one process", x, x / median(rates[0].ns)};
  }
  return rows;
}

std::vector<Row> peer_figures(const Options& options) {
  const TopicSetup setup = {.directory = options.bus("peers")};
  TopicSetup parked = setup;
  parked.wait = Wait::park;
  std::vector<Row> rows;
  const auto row_of = [&](const Peer& peer, const std::string& what, const Measured& ours, const Measured& theirs) {
    const bool one_way = what.starts_with("stream");
    const double half = one_way ? 1 : 0.5;
    const char* unit = one_way ? "ns a message" : "ns one way";
    rows.push_back({.group = "peers",
                    .figure = fmt::format("{} {}: Ringway", what, peer.name),
                    .value = Value{median(ours.ns) * half, unit},
                    .yardstick = Yardstick{peer.name, {median(theirs.ns) * half, unit}},
                    .ratio = ratio(theirs.ns, ours.ns)});
  };
  for (const Peer& peer : all_peers(options.directory)) {
    if (!options.peers.empty() &&
        std::find(options.peers.begin(), options.peers.end(), peer.name) == options.peers.end())
      continue;
    if (!peer.missing.empty()) {
      rows.push_back({.group = "peers", .figure = peer.name, .note = "skipped: " + peer.missing});
      continue;
    }
    try {
      const auto daemon = peer.daemon ? peer.daemon() : nullptr;
      const auto target = at_least(peer.name == "iceoryx" ? 8 : 1);
      for (const std::size_t bytes : {std::size_t{64}, std::size_t{65536}}) {
        if (bytes > peer.largest) continue;
        auto ours = bytes == 64 ? ringway_ping_pong(64, setup) : in_place_ping_pong(bytes, setup);
        const auto trips =
            measure({std::move(ours), peer_ping_pong(peer, bytes, Waiting::spin)}, options.in_rounds(Cores::two));
        row_of(peer, fmt::format("ping-pong, {} bytes, beside", bytes), trips[0], trips[1]);
        if (bytes == 64) {
          rows.back().target = target;
          rows.back().spot = bar("ping-pong", peer.name, trips[1]);
          rows.back().note = peer.settings + " (" + peer.page + ")";
        }
        auto stream = bytes == 64 ? ringway_stream(64, setup) : sized_stream(bytes, Touch::ends, setup);
        const auto rates = measure({std::move(stream), peer_stream(peer, bytes)}, options.in_rounds(Cores::two));
        row_of(peer, fmt::format("stream, {} bytes, beside", bytes), rates[0], rates[1]);
        if (bytes == 64) {
          rows.back().target = target;
          rows.back().spot = bar("streaming", peer.name, rates[1]);
        }
      }
      const auto blocked = measure({ringway_ping_pong(64, parked), peer_ping_pong(peer, 64, Waiting::block)},
                                   options.in_rounds(Cores::one));
      row_of(peer, "parked on one core, 64 bytes, beside", blocked[0], blocked[1]);
    } catch (const std::exception& error) {
      rows.push_back({.group = "peers", .figure = peer.name, .note = std::string("FAILED: ") + error.what()});
    }
  }
  return rows;
}

std::vector<Row> lapping_figures(const Options& options) {
  const TopicSetup shared = {.directory = options.bus("lapping"), .publishers = Publishers::shared};
  TopicSetup runs = shared;
  runs.batch = 16;
  const auto all = measure({lapping_publishers(1, shared), lapping_publishers(2, shared), lapping_publishers(2, runs)},
                           options.in_rounds(Cores::two));
  std::vector<Row> rows = {rate_row(all[1], all[0], at_least(0.35)), rate_row(all[2], all[0], at_least(0.7))};
  for (auto& row : rows) {
    row.group = "fan-in";
    row.figure += ", 32 bytes; the ring laps, nobody reads";
  }
  return rows;
}

// An observer that looks ten times a second, at one of two topics.
std::vector<Row> observer_figures(const Options& options) {
  const TopicSetup alone = {.directory = options.bus("alone")};
  const TopicSetup observed = {.directory = options.bus("observed")};
  Process observer = Process::fork([&] {
    const ringway::Bus bus = ringway::Bus::at(observed.directory);
    auto look = bus.observer<Payload<64>>(stream_topic(64, observed), {.if_missing = ringway::IfMissing::wait});
    for (;;) {
      static_cast<void>(look.try_receive());
      static_cast<void>(bus.topic(stream_topic(64, observed)));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  RoundOptions rounds = options.in_rounds(Cores::two);
  rounds.round_ns = options.quick ? 20'000'000 : 200'000'000;
  rounds.rounds = options.quick ? 20 : 30;
  const auto all = measure({ringway_stream(64, alone), ringway_stream(64, observed)}, rounds);
  return {{.group = "observer",
           .figure = "time: exclusive, 64 bytes, an observer looking at 10 Hz",
           .value = Value{median(all[1].ns), "ns a message"},
           .yardstick = Yardstick{"unobserved", {median(all[0].ns), "ns a message"}},
           .ratio = ratio(all[1].ns, all[0].ns),
           .target = at_most(1.02)}};
}

// What a stamp adds to a publish, beside a read of the clock. One process, nobody reads.
std::vector<Row> stamp_figures(const Options& options) {
  const TopicSetup plain = {.directory = options.bus("stamps")};
  TopicSetup stamped = plain;
  stamped.stamped = true;
  const auto all = measure({clock_loop(), lapping_publishers(1, plain), lapping_publishers(1, stamped)},
                           options.in_rounds(Cores::two));
  std::vector<double> added;
  for (std::size_t i = 0; i < all[0].ns.size(); ++i) added.push_back(all[2].ns[i] - all[1].ns[i]);
  return {{.group = "stamp",
           .figure = "what a stamp adds to a publish",
           .value = Value{median(added), "ns"},
           .yardstick = Yardstick{all[0].name, {median(all[0].ns), "ns"}},
           .ratio = ratio(added, all[0].ns),
           .target = at_most(1.1)}};
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
    const auto target = cores == Cores::one ? at_most(1.15) : std::nullopt;
    rows.push_back(yardstick_row(group, all[0], what.c_str(), one_way(all[0])));
    rows.push_back(latency_row(group, what, all[1], all[0], target));
    rows.push_back(latency_row(group, what, all[2], all[0], target));
  }
  return rows;
}

}  // namespace bench

// What each process of `ringway demo` does.
#include <time.h>

#include <algorithm>

#include "demo.hpp"
#include "ringway/ringway.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

constexpr int kBurst = 32;  // messages published in one go
constexpr auto kPause = std::chrono::nanoseconds(200us);
constexpr auto kLook = 20ms;  // how often one who waits looks at the phase

Phase phase_of(const Scene& scene) { return scene.phase.load(std::memory_order_relaxed); }
bool is_before(const Scene& scene, Phase phase) { return phase_of(scene) < phase; }

void pause_for(std::chrono::nanoseconds time) {
  const timespec duration{0, time.count()};
  ::nanosleep(&duration, nullptr);
}

bool publish(std::size_t part, const Bus& bus, Scene& scene) {
  Figures& figures = scene.figures[part];
  auto out = bus.publisher<Tick>(kDemoTopic, {.name = std::string(kParts[part].name)});
  figures.attached.store(1, std::memory_order_relaxed);
  while (is_before(scene, Phase::publish)) pause_for(1ms);
  std::uint64_t number = 0;
  while (is_before(scene, Phase::finish)) {
    for (int i = 0; i < kBurst && is_before(scene, Phase::finish); ++i) {
      const Status status = out.publish({part, number, check_of(part, number)}, kLook);
      if (status == Code::timeout) break;  // held back by a subscriber: look at the phase
      if (!status) throw Error(status.code(), std::string(kDemoTopic), status.text());
      figures.messages.store(++number, std::memory_order_relaxed);
    }
    pause_for(kPause);
  }
  return true;
}

// Takes what comes and checks it: each publisher's messages in order, without a gap that is not counted as lost.
class Listener {
 public:
  explicit Listener(Figures& figures) : figures_(figures) {}

  void operator()(const Tick& tick, const Message& message) {
    figures_.latency.add(std::chrono::steady_clock::now().time_since_epoch() - message.stamp());
    figures_.messages.store(++messages_, std::memory_order_relaxed);
    const bool whole = tick.publisher < next_.size() && tick.check == check_of(tick.publisher, tick.number);
    if (!whole || tick.number < next_[tick.publisher] || (tick.number > next_[tick.publisher] && message.lost() == 0))
      figures_.wrong.fetch_add(1, std::memory_order_relaxed);
    if (whole) next_[tick.publisher] = tick.number + 1;
  }

 private:
  Figures& figures_;
  std::uint64_t messages_ = 0;
  std::array<std::uint64_t, kParts.size()> next_{};
};

template <class Reader>
bool listen(Reader in, Figures& figures, const Scene& scene) {
  figures.attached.store(1, std::memory_order_relaxed);
  Listener listener(figures);
  for (;;) {
    const bool last = !is_before(scene, Phase::drain);  // looked at before the poll: after it nothing more comes
    const std::size_t count = in.poll(listener, 256, kLook);
    figures.lost.store(in.lost(), std::memory_order_relaxed);
    if (count != 0) continue;
    if (last) return figures.wrong.load(std::memory_order_relaxed) == 0;
    if (in.status() != Code::timeout) throw Error(in.status().code(), std::string(kDemoTopic), in.status().text());
  }
}

}  // namespace

std::chrono::nanoseconds Histogram::percentile(double share) const {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i].load(std::memory_order_relaxed);
    if (sum <= wanted) continue;
    if (i < 16) return std::chrono::nanoseconds(i);
    const std::size_t octave = i / 16 - 1;
    return std::chrono::nanoseconds(static_cast<std::int64_t>((16 + i % 16) << octave));
  }
  return {};
}

bool play(std::size_t part, const std::string& directory, Scene& scene) {
  const Bus bus = Bus::at(directory);
  Figures& figures = scene.figures[part];
  switch (kParts[part].role) {
    case Role::publisher: return publish(part, bus, scene);
    case Role::reliable: return listen(bus.subscriber<Tick>(kDemoTopic), figures, scene);
    case Role::lossy:
      return listen(bus.subscriber<Tick>(kDemoTopic, {.reliability = Reliability::lossy}), figures, scene);
    case Role::durable:
      return listen(bus.subscriber<Tick>(kDemoTopic, {.name = std::string(kParts[part].name)}), figures, scene);
    case Role::observer: return listen(bus.observer<Tick>(kDemoTopic), figures, scene);
  }
  return false;
}

}  // namespace ringway::tool

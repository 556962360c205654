// `ringway demo`: two publishers, three subscribers and an observer, each a process, and a live table of them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "cli.hpp"
#include "demo_cast.hpp"
#include "stop.hpp"
#include "text.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kScreen = 0;  // whose latency the summary quotes

std::uint64_t value(const std::atomic<std::uint64_t>& word) { return word.load(std::memory_order_relaxed); }

std::uint64_t published(const Scene& scene) {
  std::uint64_t sum = 0;
  for (std::size_t part = 0; part < kParts.size(); ++part)
    if (kParts[part].role == Role::publisher) sum += value(scene.figures[part].messages);
  return sum;
}

std::string latency_text(const Figures& figures, double share) {
  return duration_text(figures.latency.percentile(share));
}

// The live figures: a table on a terminal, painted over the last one; else a line a second.
class Display {
 public:
  Display(const Bus& bus, const Cast& cast) : bus_(bus), cast_(cast), terminal_(paints_in_place()) {}

  [[nodiscard]] std::chrono::nanoseconds interval() const { return terminal_ ? 250ms : 1000ms; }

  void show(std::chrono::nanoseconds elapsed) {
    const double seconds = std::chrono::duration<double>(elapsed - last_).count();
    last_ = elapsed;
    print(terminal_ ? table(elapsed, seconds) : line(elapsed, seconds));
  }

 private:
  std::string table(std::chrono::nanoseconds elapsed, double seconds) {
    Table rows({"role", "name", ">pid", ">messages", ">rate", ">lost", ">lag", ">p50", ">p99"});
    const TopicInfo topic = bus_.topic(kDemoTopic);
    for (std::size_t part = 0; part < kParts.size(); ++part) {
      const Figures& figures = cast_.scene().figures[part];
      const bool publisher = kParts[part].role == Role::publisher;
      std::string lag;
      for (const auto& subscription : topic.subscriptions)
        if (subscription.pid == cast_.pid(part)) lag = bytes_text(subscription.lag_bytes);
      rows.add({std::string(kParts[part].kind), std::string(kParts[part].name), fmt::to_string(cast_.pid(part)),
                fmt::to_string(value(figures.messages)), rate(part, seconds),
                publisher ? "" : fmt::to_string(value(figures.lost)), lag, publisher ? "" : latency_text(figures, 0.5),
                publisher ? "" : latency_text(figures, 0.99)});
    }
    const std::string text = fmt::format("{}\nafter {}\n", rows.text(), duration_text(elapsed));
    const std::string up = painted_ ? fmt::format("\x1b[{}A\r\x1b[J", std::count(text.begin(), text.end(), '\n')) : "";
    painted_ = true;
    return up + text;
  }

  std::string line(std::chrono::nanoseconds elapsed, double seconds) {
    const std::uint64_t now = published(cast_.scene());
    const auto per_second = static_cast<double>(now - before_[0]) / std::max(seconds, 1e-9);
    before_[0] = now;
    std::uint64_t lost = 0;
    for (const Figures& figures : cast_.scene().figures) lost += value(figures.lost);
    const Figures& screen = cast_.scene().figures[kScreen];
    return fmt::format("{}: {} messages published, {:.0f}/s, latency p50 {} p99 {}, lost {}\n", duration_text(elapsed),
                       now, per_second, latency_text(screen, 0.5), latency_text(screen, 0.99), lost);
  }

  std::string rate(std::size_t part, double seconds) {
    const std::uint64_t now = value(cast_.scene().figures[part].messages);
    const std::uint64_t before = std::exchange(before_[part], now);
    return fmt::format("{:.0f}/s", static_cast<double>(now - before) / std::max(seconds, 1e-9));
  }

  const Bus& bus_;
  const Cast& cast_;
  const bool terminal_;
  bool painted_ = false;
  std::chrono::nanoseconds last_{};
  std::array<std::uint64_t, kParts.size()> before_{};
};

// What came out; true if every count adds up.
bool summarise(const Scene& scene, std::chrono::nanoseconds elapsed) {
  const std::uint64_t sent = published(scene);
  bool right = true;
  std::uint64_t lost_reliably = 0;
  Table table({"", "", ">received", ">lost", ">p50", ">p99", ""});
  for (std::size_t part = 0; part < kParts.size(); ++part) {
    const Figures& figures = scene.figures[part];
    if (kParts[part].role == Role::publisher) continue;
    const bool reliable = kParts[part].role == Role::reliable || kParts[part].role == Role::durable;
    const std::uint64_t received = value(figures.messages);
    const std::uint64_t lost = value(figures.lost);
    const bool counts = received + (reliable ? 0 : lost) == sent && value(figures.wrong) == 0;
    if (reliable) lost_reliably += sent - std::min(sent, received);
    right = right && counts;
    table.add({std::string(kParts[part].name), std::string(kParts[part].kind), fmt::to_string(received),
               fmt::to_string(lost), latency_text(figures, 0.5), latency_text(figures, 0.99),
               counts ? "" : fmt::format("does not add up: {} wrong", value(figures.wrong))});
  }
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const Figures& screen = scene.figures[kScreen];
  print(fmt::format(
      "\n{}\npublished  {} messages in {:.1f} s, {:.0f} messages/s\nlatency    p50 {}, p99 {}\nlost       {}\n",
      table.text(), sent, seconds, static_cast<double>(sent) / std::max(seconds, 1e-9), latency_text(screen, 0.5),
      latency_text(screen, 0.99), lost_reliably));
  return right;
}

int demo(std::chrono::nanoseconds length) {
  const Bus bus = Bus::temporary();
  const Stopper stopper(bus);
  bus.create_topic<Tick>(kDemoTopic, {.stamped = true});
  print(fmt::format("topic {} in {}: a process for each publisher, subscriber and observer\n\n", kDemoTopic,
                    bus.directory()));
  Cast cast(bus.directory());
  if (!cast.await_attached()) return stopping() && !cast.failed() ? kDone : kFailed;
  const auto start = Clock::now();
  cast.enter(Phase::publish);
  Display display(bus, cast);
  auto next = display.interval();
  for (;; next += display.interval()) {
    const auto elapsed = Clock::now() - start;
    if (elapsed >= length || !sleep_unless_stopped(std::max(std::min(next, length) - elapsed, 0ns))) break;
    if (!cast.look_after()) break;
    display.show(Clock::now() - start);
  }
  cast.enter(Phase::finish);
  cast.await_end(true);
  const auto elapsed = Clock::now() - start;
  cast.enter(Phase::drain);
  cast.await_end(false);
  return summarise(cast.scene(), elapsed) && !cast.failed() ? kDone : kFailed;
}

}  // namespace

void add_demo(CLI::App& app, Action& action) {
  auto length = std::make_shared<std::chrono::nanoseconds>(5s);
  auto* command = app.add_subcommand("demo", "Publishers, subscribers and an observer at work, on a bus of their own");
  command
      ->add_option_function<double>(
          "--seconds",
          [length](double seconds) {
            if (!(seconds > 0 && seconds <= 86400)) throw CLI::ValidationError("--seconds", "more than 0, up to a day");
            *length = std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
          },
          "How long (5)")
      ->type_name("S");
  command->callback([length, &action] { action = [length](const Place&) { return demo(*length); }; });
}

}  // namespace ringway::tool

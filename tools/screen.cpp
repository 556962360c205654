#include "screen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "look/words.hpp"

namespace ringway::tool {
namespace {

constexpr std::size_t kNameWidth = 22;
constexpr std::size_t kBarWidth = 8;

std::string fitted(const std::string& text, std::size_t width) {
  if (text.size() <= width) return fmt::format("{:<{}}", text, width);
  return text.substr(0, width - 1) + "~";
}

// "1234567" as "1.23M": at most five characters.
std::string short_number(double value) {
  static constexpr std::array<char, 5> kUnits = {' ', 'k', 'M', 'G', 'T'};
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  if (unit == 0) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string short_bytes(double value) {
  static constexpr std::array<std::string_view, 5> kUnits = {"B", "K", "M", "G", "T"};
  std::size_t unit = 0;
  for (; value >= 1023.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f}{}", value, unit == 0 || value >= 99.95 ? 0 : 1, kUnits[unit]);
}

std::string short_time(std::uint64_t ns) {
  if (ns == 0) return "-";
  if (ns < 1'000) return fmt::format("{}ns", ns);
  if (ns < 1'000'000) return fmt::format("{:.{}f}us", static_cast<double>(ns) / 1e3, ns < 100'000 ? 1 : 0);
  if (ns < 1'000'000'000) return fmt::format("{:.{}f}ms", static_cast<double>(ns) / 1e6, ns < 100'000'000 ? 1 : 0);
  return fmt::format("{:.1f}s", static_cast<double>(ns) / 1e9);
}

// What publishers wait for: the largest lag of those that they wait for, else of all.
std::uint64_t backlog_of(const TopicInfo& topic) {
  std::uint64_t lag = 0;
  for (const auto& subscription : topic.subscriptions) lag = std::max(lag, subscription.lag_bytes);
  return lag;
}

std::string bar_of(std::uint64_t lag, std::uint64_t capacity, std::size_t width) {
  const std::uint64_t most = std::max<std::uint64_t>(capacity, 1);
  const auto full = static_cast<std::size_t>(std::min<std::uint64_t>(std::min(lag, most) * width / most, width));
  return fmt::format("[{:#<{}}{:.<{}}]{:>4}", "", full, "", width - full,
                     fmt::format("{}%", std::min(lag, most) * 100 / most));
}

std::uint64_t worst_latency(const TopicRates& rates, double share) {
  std::uint64_t worst = 0;
  for (const auto& one : rates.subscriptions) worst = std::max(worst, one.latency.percentile_ns(share));
  return worst;
}

Style style_of(Severity severity) {
  if (severity == Severity::problem) return Style::problem;
  return severity == Severity::warning ? Style::warning : Style::plain;
}

// The gravest thing about a topic, in a word or two.
std::pair<std::string, Style> state_of(const View& view, const TopicInfo& topic) {
  for (const Finding& finding : view.findings()) {
    if (finding.topic != topic.name) continue;
    std::string word = finding.id;
    if (finding.id == "held-back")
      word = "held " + short_time(static_cast<std::uint64_t>(since(finding.since_ns, topic.seen_ns).count()));
    return {word, style_of(finding.severity)};
  }
  return {"", Style::plain};
}

Line topic_row(const View& view, std::size_t index, const Choice& choice) {
  const TopicInfo& topic = view.topics()[index];
  const TopicRates& rates = view.rates()[index];
  const auto [state, style] = state_of(view, topic);
  const Style row_style = topic.name == choice.chosen ? Style::chosen : style;
  if (!topic.problem.empty())
    return {fmt::format("{} unreadable (layout {})", fitted(topic.name, kNameWidth), topic.layout_version), row_style};
  const auto alive =
      std::count_if(topic.publishers.begin(), topic.publishers.end(), [](const auto& one) { return one.alive; });
  return {fmt::format("{} {:>6} {:>7} {} {:>3} {:>3} {:>7} {}", fitted(topic.name, kNameWidth),
                      short_number(rates.published.messages), short_bytes(rates.published.bytes),
                      bar_of(backlog_of(topic), topic.options.capacity_bytes.value_or(0), kBarWidth), alive,
                      topic.subscriptions.size(), short_time(worst_latency(rates, 0.99)), state),
          row_style};
}

std::string title(const View& view, const Choice& choice) {
  double messages = 0;
  double bytes = 0;
  for (const TopicRates& rates : view.rates()) {
    messages += rates.published.messages;
    bytes += rates.published.bytes;
  }
  // The directory last: of a long line the end is cut off.
  return fmt::format("ringway top{}  {}  {} msg/s  {}/s  {}", choice.paused ? "  PAUSED" : "",
                     count_text(view.topics().size(), "topic"), short_number(messages), short_bytes(bytes),
                     view.directory());
}

// In as many lines as it takes.
void add_wrapped(std::string text, Style style, std::size_t width, std::vector<Line>& lines) {
  while (text.size() > width && width > 20) {
    std::size_t end = text.rfind(' ', width);
    if (end == std::string::npos || end < 10) end = width;
    lines.push_back({text.substr(0, end), style});
    text = "    " + text.substr(std::min(end + 1, text.size()));
  }
  lines.push_back({std::move(text), style});
}

void add_findings(const View& view, const std::string& topic, std::size_t most, std::size_t width,
                  std::vector<Line>& lines) {
  std::size_t count = 0;
  for (const Finding& finding : view.findings()) {
    if (!topic.empty() && finding.topic != topic) continue;
    if (finding.severity == Severity::note && topic.empty()) continue;
    if (count++ == most) return;
    const std::string where = topic.empty() && !finding.topic.empty() ? finding.topic + ": " : "";
    add_wrapped(fmt::format("{}: {}{}", text_of(finding.severity), where, finding.text), style_of(finding.severity),
                width, lines);
    if (!topic.empty() && !finding.next.empty()) add_wrapped("  -> " + finding.next, Style::dim, width, lines);
  }
}

std::vector<Line> help_screen() {
  return {{"keys", Style::header},
          {"  up, down, pages, home, end     choose a topic"},
          {"  enter                          that topic in detail; escape or backspace: back"},
          {"  n r b l p                      sort by name, rate, bytes, lag, latency (p99)"},
          {"  /                              topics with this in their name; enter: done"},
          {"  space                          pause: what is shown stays"},
          {"  q                              quit"},
          {""},
          {"BACKLOG is how far the slowest subscription is behind, of the ring's capacity."},
          {"P99 is of the last interval, of topics created with --latency."},
          {"It takes no slot and writes nothing."}};
}

std::string reader_state(const SubscriptionInfo& one) {
  std::string state = !one.attached        ? "nobody"
                      : one.stopped        ? "stopped"
                      : one.sleeping       ? "sleeps"
                      : one.lag_bytes == 0 ? "spins"
                                           : "reads";
  if (one.group) state += ", group";
  if (one.max_lag_bytes != 0) return state + ", limited";
  return one.reliability == Reliability::lossy ? state + ", lossy" : state;
}

void detail_screen(const View& view, const Choice& choice, std::size_t width, std::vector<Line>& lines) {
  const auto& topics = view.topics();
  const auto found =
      std::find_if(topics.begin(), topics.end(), [&](const auto& one) { return one.name == choice.topic; });
  if (found == topics.end()) {
    lines.push_back({fmt::format("topic {} is gone", choice.topic), Style::warning});
    return;
  }
  const TopicInfo& topic = *found;
  const TopicRates& rates = view.rates()[static_cast<std::size_t>(found - topics.begin())];
  lines.push_back({fmt::format("topic {}  {} msg/s  {}/s  {} published  ring {}", topic.name,
                               short_number(rates.published.messages), short_bytes(rates.published.bytes),
                               messages_of(topic), bytes_text(topic.options.capacity_bytes.value_or(0)))});
  if (!topic.problem.empty()) lines.push_back({topic.problem, Style::problem});
  lines.push_back(
      {fmt::format("{} {:>7} {:>6} {:>7}  {}", fitted("PUBLISHER", kNameWidth), "PID", "MSG/S", "BYTES/S", "STATE"),
       Style::header});
  for (std::size_t i = 0; i < topic.publishers.size(); ++i) {
    const PublisherInfo& one = topic.publishers[i];
    std::string state = one.alive ? (one.stopped ? "stopped" : "alive") : one.died ? "dead" : "gone";
    if (one.waiting_ns) {
      const SubscriptionInfo* behind = in_slot(topic.subscriptions, one.waiting_for_subscription);
      state = fmt::format("{}waits {} for {}", one.stopped ? "stopped, " : "",
                          duration_text(since(*one.waiting_ns, topic.seen_ns)),
                          behind != nullptr && !behind->name.empty() ? behind->name : one.waiting_for);
    }
    if (one.open_claim)
      state += fmt::format(", claim open >= {}",
                           duration_text(since(one.open_claim_seen_ns.value_or(topic.seen_ns), topic.seen_ns)));
    lines.push_back(
        {fmt::format("{} {:>7} {:>6} {:>7}  {}",
                     fitted(one.name.empty() ? fmt::format("slot {}", one.slot) : one.name, kNameWidth), one.pid,
                     short_number(rates.publishers[i].messages), short_bytes(rates.publishers[i].bytes), state),
         one.waiting_ns || one.stopped ? Style::warning
         : one.alive                   ? Style::plain
                                       : Style::dim});
  }
  constexpr std::string_view kRow = "{} {:>7} {:>6} {} {:>5} {:>7} {:>7} {}";
  constexpr std::size_t kName = 14;
  constexpr std::size_t kBar = 4;  // so that at 80 columns there is room for the state
  lines.push_back({fmt::format(fmt::runtime(kRow), fitted("SUBSCRIPTION", kName), "PID", "MSG/S",
                               fitted("LAG", kBar + 6), "LOST", "P50", "P99", "STATE"),
                   Style::header});
  for (std::size_t i = 0; i < topic.subscriptions.size(); ++i) {
    const SubscriptionInfo& one = topic.subscriptions[i];
    const LatencyHistogram& latency = rates.subscriptions[i].latency;
    lines.push_back(
        {fmt::format(fmt::runtime(kRow), fitted(one.name.empty() ? fmt::format("slot {}", one.slot) : one.name, kName),
                     one.pid, short_number(rates.subscriptions[i].received),
                     bar_of(one.lag_bytes, topic.options.capacity_bytes.value_or(0), kBar),
                     short_number(static_cast<double>(one.lost)), short_time(latency.percentile_ns(0.5)),
                     short_time(latency.percentile_ns(0.99)), reader_state(one)),
         one.stopped ? Style::warning : Style::plain});
  }
  lines.push_back({""});
  add_findings(view, topic.name, 100, width, lines);
}

void list_screen(const View& view, Choice& choice, std::size_t width, std::size_t height, std::vector<Line>& lines) {
  std::vector<Line> findings;
  add_findings(view, "", 4, width, findings);
  const auto rows = rows_of(view, choice);
  const std::size_t room = height > findings.size() + 3 ? height - findings.size() - 3 : 1;
  const auto chosen =
      std::find_if(rows.begin(), rows.end(), [&](std::size_t row) { return view.topics()[row].name == choice.chosen; });
  const auto at = chosen == rows.end() ? 0 : static_cast<std::size_t>(chosen - rows.begin());
  choice.first = std::min(choice.first, at);
  if (at >= choice.first + room) choice.first = at - room + 1;
  if (choice.first + room > rows.size()) choice.first = rows.size() > room ? rows.size() - room : 0;
  lines.push_back({fmt::format("{} {:>6} {:>7} {} {:>3} {:>3} {:>7} {}", fitted("TOPIC", kNameWidth), "MSG/S",
                               "BYTES/S", fitted("BACKLOG", kBarWidth + 6), "PUB", "SUB", "P99", "STATE"),
                   Style::header});
  for (std::size_t row = choice.first; row < rows.size() && row < choice.first + room; ++row)
    lines.push_back(topic_row(view, rows[row], choice));
  if (rows.empty())
    lines.push_back({choice.filter.empty() ? "no topics" : "no topic has that in its name", Style::dim});
  for (Line& line : findings) lines.push_back(std::move(line));
}

}  // namespace

std::vector<std::size_t> rows_of(const View& view, const Choice& choice) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < view.topics().size(); ++i)
    if (view.topics()[i].name.find(choice.filter) != std::string::npos) rows.push_back(i);
  const auto by = [&](auto key) {
    std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) { return key(a) > key(b); });
  };
  switch (choice.order) {
    case Order::name: break;
    case Order::messages: by([&](std::size_t i) { return view.rates()[i].published.messages; }); break;
    case Order::bytes: by([&](std::size_t i) { return view.rates()[i].published.bytes; }); break;
    case Order::lag: by([&](std::size_t i) { return static_cast<double>(backlog_of(view.topics()[i])); }); break;
    case Order::latency:
      by([&](std::size_t i) { return static_cast<double>(worst_latency(view.rates()[i], 0.99)); });
      break;
  }
  return rows;
}

std::vector<Line> screen_of(const View& view, Choice& choice, std::size_t width, std::size_t height) {
  std::vector<Line> lines = {{title(view, choice), Style::header}};
  if (choice.help)
    for (Line& line : help_screen()) lines.push_back(std::move(line));
  else if (!choice.topic.empty())
    detail_screen(view, choice, width, lines);
  else
    list_screen(view, choice, width, height, lines);
  if (height > 1) {
    lines.resize(std::min(lines.size(), height - 1));
    while (lines.size() < height - 1) lines.emplace_back();
    std::string keys = "q quit  / filter  n r b l p sort  space pause  enter open  ? keys";
    if (choice.help || !choice.topic.empty()) keys = "q quit  escape back  space pause";
    if (choice.editing || !choice.filter.empty())
      keys = fmt::format("filter: {}{}  {}", choice.filter, choice.editing ? "_" : "", keys);
    lines.push_back({keys, Style::dim});
  }
  for (Line& line : lines) line.text.resize(std::min(line.text.size(), width));
  return lines;
}

}  // namespace ringway::tool

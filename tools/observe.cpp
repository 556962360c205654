// `ringway observe`: what passes, or the last of what has passed, without a slot; also from files copied after a crash.
#include <fmt/format.h>
#include <unistd.h>

#include <deque>

#include "cli.hpp"
#include "flags.hpp"
#include "look/json.hpp"
#include "stop.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

struct ObserveOptions {
  std::string topic;
  From from = From::newest;
  std::uint64_t last = 0;  // 0: what passes from now on
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
  std::optional<std::chrono::nanoseconds> timeout;
  bool follow = false;
  bool hex = false;
  bool verbose = false;
  bool json = false;
  IfMissing if_missing = IfMissing::fail;
};

// Printable ASCII as it is, the rest as \xNN: whatever a payload holds, a terminal is not moved by it.
std::string plain_text(std::span<const std::byte> payload) {
  std::string text;
  for (const std::byte byte : payload) {
    const auto c = static_cast<unsigned char>(byte);
    if (c == '\\')
      text += "\\\\";
    else if (c == '\t' || (c >= 0x20 && c < 0x7F))
      text += static_cast<char>(c);
    else
      text += fmt::format("\\x{:02x}", c);
  }
  return text;
}

std::string plain_text(std::string_view text) { return plain_text(std::as_bytes(std::span(text))); }

std::string hex_digits(std::span<const std::byte> payload) {
  std::string text;
  for (const std::byte byte : payload) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

// 16 bytes a line: offset, hexadecimal, text.
std::string hex_dump(std::span<const std::byte> payload) {
  std::string text;
  for (std::size_t at = 0; at < payload.size(); at += 16) {
    const auto line = payload.subspan(at, std::min<std::size_t>(16, payload.size() - at));
    std::string digits;
    std::string letters;
    for (const std::byte byte : line) {
      const auto c = static_cast<unsigned char>(byte);
      digits += fmt::format(" {:02x}", c);
      letters += c >= 0x20 && c < 0x7F ? static_cast<char>(c) : '.';
    }
    text += fmt::format("  {:06x}{:<48}  {}\n", at, digits, letters);
  }
  return text;
}

std::string head_of(const Message& message) {
  std::string head = fmt::format("position {} publisher {} sequence {}, {}", message.position(), message.publisher(),
                                 message.sequence(), count_text(message.payload().size(), "byte"));
  if (message.stamp() != 0ns) head += fmt::format(", stamp {} ns", message.stamp().count());
  if (const auto letter = message.dead_letter())
    head += fmt::format(", from position {} of topic {} after {} of group {} ({})", letter->position, letter->topic,
                        count_text(letter->attempts, "attempt"), letter->group, plain_text(letter->reason));
  return head;
}

Json json_of(const Message& message) {
  Json origin;
  if (const auto letter = message.dead_letter())
    origin = {{"topic", letter->topic},
              {"position", letter->position},
              {"group", letter->group},
              {"attempts", letter->attempts},
              {"reason", plain_text(letter->reason)}};
  return {{"position", message.position()},       {"publisher", message.publisher()},  {"sequence", message.sequence()},
          {"stamp_ns", message.stamp().count()},  {"bytes", message.payload().size()}, {"lost", message.lost()},
          {"hex", hex_digits(message.payload())}, {"dead_letter", std::move(origin)}};
}

std::string line_of(const Message& message, const ObserveOptions& options) {
  if (options.json) return json_of(message).dump() + '\n';
  if (options.hex) return fmt::format("{}\n{}", head_of(message), hex_dump(message.payload()));
  return options.verbose ? fmt::format("{}: {}\n", head_of(message), plain_text(message.payload()))
                         : plain_text(message.payload()) + '\n';
}

// The last messages that are there when it begins.
std::uint64_t print_last(Observer& look, std::uint64_t tail, const ObserveOptions& options) {
  std::deque<std::string> lines;
  while (!stopping() && look.position() < tail) {
    const Message message = look.try_receive();
    if (!message) break;
    lines.push_back(line_of(message, options));
    if (lines.size() > std::min(options.last, options.count)) lines.pop_front();
  }
  for (const std::string& line : lines) print(line);
  return lines.size();
}

int observe(const Place& place, const ObserveOptions& options) {
  const Bus bus = place.open();
  const Stopper stopper(bus, options.timeout);
  if (options.if_missing == IfMissing::fail) (void)topic_on(bus, options.topic);
  Observer look = bus.observer(options.topic, {.from = options.last != 0 ? From::oldest : options.from,
                                               .if_missing = options.if_missing,
                                               .attach_timeout = Timeout::never()});
  std::uint64_t shown = 0;
  if (options.last != 0) shown = print_last(look, bus.topic(options.topic).tail, options);
  const bool goes_on = options.last == 0 || options.follow;
  while (goes_on && shown < options.count && !stopping()) {
    const Message message = look.receive();
    if (message) {
      print(line_of(message, options));
      ++shown;
      continue;
    }
    if (message.status() == Code::interrupted) break;
    complain(fmt::format("topic {}: {}", options.topic, message.status().text()));
    return kFailed;
  }
  if (look.lost() != 0)
    complain(fmt::format("topic {}: {} not shown, overtaken by the publishers", options.topic,
                         count_text(look.lost(), "message")));
  if (stop_reason() != StopReason::timeout || shown >= options.count) return kDone;
  complain(fmt::format("--timeout has passed after {} of topic {}", count_text(shown, "message"), options.topic));
  return kTimedOut;
}

}  // namespace

void add_observe(CLI::App& app, Action& action) {
  auto options = std::make_shared<ObserveOptions>();
  auto* command = app.add_subcommand("observe", "Print what passes, without a slot; works on a copy of the files too");
  command->add_option("TOPIC", options->topic, "The topic")->required();
  auto* last = command->add_option("--last", options->last, "The last N messages in the ring, then end");
  last->type_name("N")->check(at_least_one());
  command->add_flag("--follow", options->follow, "After --last, go on with what passes")->needs(last);
  add_parsed(*command, "--from", options->from, parse_from, "oldest, newest (default), or a position")
      ->type_name("WHERE")
      ->excludes(last);
  auto* hex = command->add_flag("--hex", options->hex, "Every byte, with position, publisher and sequence");
  command->add_flag("--verbose", options->verbose,
                    "Position, publisher, sequence, stamp and, of a dead letter, its origin before each text");
  command->add_flag("--json", options->json, "As JSON, a line each")->excludes(hex);
  add_count(*command, options->count, "End after N messages");
  add_parsed(*command, "--timeout", options->timeout, parse_duration, "Give up after TIME, with exit code 3")
      ->type_name("TIME");
  add_parsed(*command, "--if-missing", options->if_missing, parse_if_missing, "The topic: wait, fail (default)")
      ->type_name("WHAT");
  command->callback(
      [options, &action] { action = [options](const Place& place) { return observe(place, *options); }; });
}

}  // namespace ringway::tool

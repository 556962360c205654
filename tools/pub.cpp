// `ringway pub`: standard input, cut into messages.
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cstring>

#include "cli.hpp"
#include "flags.hpp"
#include "input.hpp"
#include "stop.hpp"

namespace ringway::tool {
namespace {

using namespace std::chrono_literals;

struct PubOptions {
  std::string topic;
  std::string name;
  Framing framing;
  std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
  std::optional<std::chrono::nanoseconds> timeout;
  IfMissing if_missing = IfMissing::create;
};

// Publishes slices of the input until it ends, the count is reached, or somebody stops it.
class Sender {
 public:
  Sender(Publisher publisher, const PubOptions& options) : publisher_(std::move(publisher)), options_(options) {}

  int run() {
    if (options_.framing.block_bytes > publisher_.max_payload_bytes())
      refuse("a block", "", options_.framing.block_bytes);
    for (;;) {
      if (!publish_pending()) return end();
      switch (input_.fill()) {
        case Input::Read::more: break;
        case Input::Read::stopped: return end();
        case Input::Read::end: publish_rest(); return end();
      }
    }
  }

 private:
  // All whole messages that have been read. False: no more are wanted.
  bool publish_pending() {
    switch (options_.framing.kind) {
      case Framing::Kind::lines: return publish_lines();
      case Framing::Kind::lengths: return publish_lengths();
      case Framing::Kind::blocks: return publish_blocks();
    }
    return false;
  }

  bool publish_lines() {
    for (;;) {
      const std::string_view rest = input_.pending();
      const void* newline =
          rest.size() == scanned_ ? nullptr : std::memchr(rest.data() + scanned_, '\n', rest.size() - scanned_);
      const auto length =
          newline == nullptr ? rest.size() : static_cast<std::size_t>(static_cast<const char*>(newline) - rest.data());
      if (length > publisher_.max_payload_bytes())
        refuse(fmt::format("line {}", published_ + 1), newline == nullptr ? "at least " : "", length);
      scanned_ = length;
      if (newline == nullptr) return true;
      scanned_ = 0;
      if (!publish(rest.substr(0, length), 1)) return false;
    }
  }

  bool publish_lengths() {
    for (;;) {
      const std::string_view rest = input_.pending();
      std::uint32_t length = 0;
      if (rest.size() < sizeof(length)) return true;
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(&length, rest.data(), sizeof(length));
      if (length > publisher_.max_payload_bytes()) refuse(fmt::format("message {}", published_ + 1), "", length);
      if (rest.size() - sizeof(length) < length) return true;
      input_.consume(sizeof(length));
      if (!publish(rest.substr(sizeof(length), length), 0)) return false;
    }
  }

  bool publish_blocks() {
    const std::size_t length = options_.framing.block_bytes;
    while (input_.pending().size() >= length) {
      if (!publish(input_.pending().substr(0, length), 0)) return false;
    }
    return true;
  }

  // The end of the input: what is left is a message too, unless it must have been longer.
  void publish_rest() {
    const std::string_view rest = input_.pending();
    if (rest.empty()) return;
    if (options_.framing.kind == Framing::Kind::lengths) {
      throw std::runtime_error(
          fmt::format("standard input ends within message {}, {} after its start; {} were published", published_ + 1,
                      count_text(rest.size(), "byte"), count_text(published_, "message")));
    }
    publish(rest, 0);
  }

  // Publishes a slice and consumes it with what follows it. False: no more are wanted.
  bool publish(std::string_view message, std::size_t separator) {
    if (stopping()) return false;
    if (const Status status = publisher_.publish(message); !status) [[unlikely]] {
      stopped_by_ = status;
      refused_bytes_ = message.size();
      return false;
    }
    input_.consume(message.size() + separator);
    return ++published_ < options_.count;
  }

  // How the run came out.
  int end() {
    const bool interrupted = stopped_by_ == Code::interrupted;
    if (!stopped_by_ && !interrupted) {
      complain(fmt::format("topic {}: {}; {} published before", options_.topic, stopped_by_.text(),
                           count_text(published_, "message")));
      return kFailed;
    }
    if (stop_reason() != StopReason::timeout) return kDone;
    complain(fmt::format("--timeout has passed after {}, waiting for {}", count_text(published_, "message"),
                         interrupted ? who_holds_it() : "more input"));
    return kTimedOut;
  }

  // Asked again without waiting, the topic names who is in the way.
  std::string who_holds_it() {
    const Claim claim = publisher_.try_claim(refused_bytes_);
    return claim ? "space" : fmt::format("space: {}", claim.status().text());
  }

  [[noreturn]] void refuse(std::string_view what, std::string_view at_least, std::size_t bytes) const {
    std::string next_step = "no topic takes that much: is the input what the flags say?";
    if (bytes < detail::kMaxExtent - detail::kLine) {
      next_step = fmt::format(
          "use a new topic, or remove this one (`ringway rm {0}`) and create it with more: `ringway create {0} "
          "--capacity {1}`",
          options_.topic, capacity_text(std::bit_ceil(4 * (bytes + detail::kLine))));
    }
    throw std::runtime_error(
        fmt::format("{} of standard input has {}{} bytes, the largest message of topic {} has {} "
                    "bytes (a quarter of the capacity less the header); {} published before; {}",
                    what, at_least, bytes, options_.topic, publisher_.max_payload_bytes(),
                    count_text(published_, "message"), next_step));
  }

  Publisher publisher_;
  const PubOptions& options_;
  Input input_{STDIN_FILENO};
  std::size_t scanned_ = 0;  // bytes of the pending line known to hold no newline
  std::uint64_t published_ = 0;
  Status stopped_by_;
  std::size_t refused_bytes_ = 0;  // of the message that stopped_by_ is about
};

// What opening does not do by itself. A topic removed in between is created again.
void await_topic(const Bus& bus, const PubOptions& options) {
  while (options.if_missing != IfMissing::create) {
    try {
      static_cast<void>(bus.topic(options.topic));
      return;
    } catch (const Error& error) {
      if (error.code() != Code::not_found || options.if_missing == IfMissing::fail) throw;
    }
    if (!sleep_unless_stopped(20ms)) throw Error(Code::interrupted, options.topic, "it is still missing");
  }
}

int pub(const Place& place, const PubOptions& options) {
  const Bus bus = place.open();
  const Stopper stopper(bus, options.timeout);
  await_topic(bus, options);
  return Sender(bus.publisher(options.topic, {.name = options.name}), options).run();
}

}  // namespace

void add_pub(CLI::App& app, Action& action) {
  auto options = std::make_shared<PubOptions>();
  auto* command = app.add_subcommand("pub", "Publish standard input: a message is a line without its newline");
  command->add_option("TOPIC", options->topic, "The topic")->required();
  command->add_option("--name", options->name, "The publisher's name, for display");
  add_framing(*command, options->framing);
  add_count(*command, options->count, "End after N messages");
  add_parsed(*command, "--timeout", options->timeout, parse_duration, "Give up after TIME, with exit code 3")
      ->type_name("TIME");
  add_parsed(*command, "--if-missing", options->if_missing, parse_if_missing, "The topic: create (default), wait, fail")
      ->type_name("WHAT");
  command->callback([options, &action] { action = [options](const Place& place) { return pub(place, *options); }; });
}

}  // namespace ringway::tool

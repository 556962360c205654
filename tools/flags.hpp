// Adding flags to a command whose values need a parser of ours.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <utility>

#include "text.hpp"

namespace ringway::tool {

// `target` must live until the command has run. What `parse` throws gets the flag's name in front.
template <class Target, class Parse>
CLI::Option* add_parsed(CLI::App& command, const std::string& flag, Target& target, Parse parse,
                        const std::string& help) {
  const auto store = [&target, parse, flag](const std::string& text) {
    try {
      target = parse(text);
    } catch (const CLI::ValidationError& error) {
      throw CLI::ValidationError(flag, error.what());
    }
  };
  return command.add_option_function<std::string>(flag, store, help);
}

// How messages are told apart in a stream of bytes.
struct Framing {
  enum class Kind : std::uint8_t { lines, lengths, blocks };
  Kind kind = Kind::lines;
  std::uint32_t block_bytes = 0;  // of blocks
};

inline void add_framing(CLI::App& command, Framing& framing) {
  auto* binary = command.add_flag_callback(
      "--binary", [&framing] { framing.kind = Framing::Kind::lengths; },
      "Each message with its length before it: 4 bytes, little-endian");
  auto* frame = command.add_option_function<std::uint32_t>(
      "--frame",
      [&framing](std::uint32_t bytes) {
        if (bytes == 0) throw CLI::ValidationError("--frame", "a block has at least 1 byte");
        framing = {Framing::Kind::blocks, bytes};
      },
      "Blocks of N bytes, the last one shorter");
  frame->type_name("N")->excludes(binary);
}

// For a number that counts something. CLI11's own names the largest number there is.
inline CLI::Validator at_least_one() {
  return {[](const std::string& text) {
            const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            return number && text.find_first_not_of('0') != std::string::npos
                       ? std::string()
                       : "`" + text + "` is no number of 1 or more";
          },
          ""};
}

inline void add_count(CLI::App& command, std::uint64_t& count, const std::string& help) {
  command.add_option("--count", count, help)->type_name("N")->check(at_least_one());
}

// What a group has from whoever makes it; later commands need not say it again. Each needs `group`.
inline void add_group_settings(CLI::App& command, GroupOptions& settings, CLI::Option* group) {
  command
      .add_option("--max-attempts", settings.max_attempts,
                  "Of a new group: how often a job is tried; then it goes to --dead-letter (0: no end)")
      ->type_name("N")
      ->needs(group);
  command
      .add_option("--dead-letter", settings.dead_letter,
                  "Of a new group: where jobs go after their last attempt; created if it does not exist (none)")
      ->type_name("TOPIC")
      ->needs(group);
  add_parsed(command, "--dead-letter-full", settings.dead_letter_full, parse_dead_letter_full,
             "Of a new group, if that topic is full: keep (default): the job stays, and again later; wait: for space")
      ->type_name("WHAT")
      ->needs(group);
  add_parsed(command, "--retry-delay", settings.retry_delay, parse_delay,
             "Of a new group: until a job that came back is tried again; doubles each time, up to 1min (100ms)")
      ->type_name("TIME")
      ->needs(group);
}

}  // namespace ringway::tool

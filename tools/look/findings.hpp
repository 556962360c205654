// What needs somebody's attention, in words: who holds whom back, who died, what grows, what is full.
//
// Plain functions of what was seen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringway/info.hpp"

namespace ringway::tool {

enum class Severity : std::uint8_t { note, warning, problem };
std::string_view text_of(Severity severity);

struct Finding {
  std::string id = {};  // what kind it is; these names are stable: docs/watching.md lists them
  Severity severity = Severity::note;
  std::string topic = {};      // empty: it is about the bus
  std::string about = {};      // the subscription or publisher; may be empty
  std::string text = {};       // one sentence, without the topic
  std::string next = {};       // what to do about it
  std::uint64_t since_ns = 0;  // CLOCK_MONOTONIC: it has been so at least since then
};

// About one topic. `before`: the same topic some seconds ago, if that was seen: without it nothing can be said to grow.
std::vector<Finding> findings_of(const TopicInfo& topic, const TopicInfo* before = nullptr);

// About the file system that a bus is on.
std::vector<Finding> findings_of_place(const std::string& directory);

// The gravest first, then by topic.
void sort(std::vector<Finding>& findings);

// "publisher feed (pid 12) for 12 s by subscription billing, 1.0 MiB behind, owner stopped". REQUIRES: it waits.
std::string blocked_text(const TopicInfo& topic, const PublisherInfo& waiting);

}  // namespace ringway::tool

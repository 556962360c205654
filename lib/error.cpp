// Names of codes, and the sentences behind statuses and errors.
#include "ringway/error.hpp"

#include <array>
#include <ostream>
#include <string>

#include "text.hpp"

namespace ringway {

std::string_view name(Code code) noexcept {
  static constexpr std::array<std::string_view, 22> kNames = {
      "ok",         "timeout",     "would_block", "interrupted", "busy",     "too_large",
      "topic_gone", "evicted",     "corrupt",     "forked",      "closed",   "invalid_argument",
      "not_found",  "exists",      "taken",       "mismatch",    "no_space", "no_permission",
      "table_full", "unsupported", "system",      "unknown"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : kNames.back();
}

namespace {

std::string owner_of(const detail::Cause& cause) {
  return cause.owned ? " (pid " + std::to_string(cause.pid) + ")" : " (nobody attached)";
}

std::string sentence(Code code, const detail::Cause& cause) {
  using About = detail::Cause::About;
  const std::string_view who(cause.name);
  switch (cause.about) {
    case About::subscription: {
      const std::string subject = who.empty() ? "ephemeral subscription in slot " + std::to_string(cause.slot)
                                              : "subscription " + std::string(who);
      return "the ring is full: " + subject + owner_of(cause) + " is " + detail::human_bytes(cause.value) + " behind";
    }
    case About::open_claim:
      return "publisher " + (who.empty() ? "in slot " + std::to_string(cause.slot) : std::string(who)) +
             owner_of(cause) + " has an open claim at position " + std::to_string(cause.value);
    case About::dead_claim:
      return "publisher " + (who.empty() ? "in slot " + std::to_string(cause.slot) : std::string(who)) + " (pid " +
             std::to_string(cause.pid) + ") died inside its claim at position " + std::to_string(cause.value);
    case About::word:
      return std::string(who) + " reads " + std::to_string(cause.value) + ", which cannot be true (limit " +
             std::to_string(cause.limit) + "); remove the topic and create it anew";
    case About::run:
      return code == Code::too_large ? "the run may have " + std::to_string(cause.limit) + " messages at most"
                                     : "a run has at least one message, and the bytes of whole messages";
    case About::group:
      return "the ring is full: group " + std::string(who) + " is " + detail::human_bytes(cause.value) + " behind, " +
             (cause.owned ? "its oldest job is held by pid " + std::to_string(cause.pid)
                          : "nobody holds its oldest job");
    case About::in_flight:
      return "all " + std::to_string(cause.value) +
             " jobs that the group may have under way are; acknowledge some, or " +
             "create the topic with a larger max_in_flight";
    case About::publisher:
    case About::nothing: break;
  }
  switch (code) {
    case Code::timeout: return "the time given has passed";
    case Code::would_block: return "nothing to read";
    case Code::interrupted: return "Bus::interrupt() was called; Bus::resume() ends that";
    case Code::busy: return "a claim is open, or 64 views or `prefetch` jobs are held; let one go first";
    case Code::too_large: return "the message is larger than " + std::to_string(cause.limit) + " bytes";
    case Code::topic_gone: return "the topic was removed; open it anew";
    case Code::evicted: return "this subscription was taken away; open it anew";
    case Code::corrupt: return "shared memory holds a value that cannot be true; remove the topic and create it anew";
    case Code::forked: return "this handle belongs to the parent of this process; open one here";
    case Code::closed: return "this handle was moved from, or its message is released, or its job answered";
    case Code::invalid_argument: return "no message starts at that position";
    default: return {};
  }
}

}  // namespace

std::string Status::text() const {
  if (code_ == Code::ok) return "ok";
  const std::string more = sentence(code_, cause_);
  return std::string(name(code_)) + (more.empty() ? "" : ": " + more);
}

std::ostream& operator<<(std::ostream& out, const Status& status) { return out << status.text(); }
std::ostream& operator<<(std::ostream& out, Code code) { return out << name(code); }

Error::Error(Code code, std::string topic, const std::string& text, int system_errno)
    : std::runtime_error((topic.empty() ? "" : "topic " + topic + ": ") + text + " [" + std::string(name(code)) + "]"),
      code_(code),
      system_errno_(system_errno),
      topic_(std::move(topic)) {}
Error::Error(const Error&) = default;
Error::~Error() = default;

}  // namespace ringway

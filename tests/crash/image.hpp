// The bytes of a topic's two files, and of those for its dead letters: what a SIGKILL would leave. Read by the layout alone, without the library's code.
//
// Thread safety: plain values; a Watch belongs to one thread. Progress: bounded by the files' sizes. Crash: reads, and
// files of the harness's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringway/detail/layout.hpp"

namespace ringway_crash {

// Who wrote a message, and its how manieth it is; `whole` if its checksum is right.
struct Id {
  std::uint64_t writer = 0;
  std::uint64_t number = 0;
  bool whole = true;
  friend bool operator==(const Id&, const Id&) = default;
};
std::string to_string(const Id& id);
Id identify(const std::byte* payload, std::size_t bytes);

// A frame with a valid tag, or one message of a packed one: then from its position to the next one's.
struct Frame {
  std::uint64_t position = 0;
  std::uint64_t end = 0;
  bool message = false;
  Id id;
  std::uint64_t origin = 0;    // of a dead letter: the job's position
  std::uint32_t attempts = 0;  // ... and how many it had
};

struct Image {
  std::vector<std::byte> data;
  std::vector<std::byte> control;
  // Of the topic "dead", if there is one.
  std::vector<std::byte> dead_data;
  std::vector<std::byte> dead_control;

  template <class T>
  [[nodiscard]] const T& data_at(std::uint64_t offset) const {
    return *reinterpret_cast<const T*>(data.data() + offset);
  }
  [[nodiscard]] const ringway::detail::TopicHeader& header() const { return data_at<ringway::detail::TopicHeader>(0); }
  [[nodiscard]] std::uint64_t tail() const {
    return data_at<ringway::detail::TailLine>(ringway::detail::kTailOffset).tail.load();
  }
  [[nodiscard]] std::uint64_t oldest() const {
    return data_at<ringway::detail::OldestLine>(ringway::detail::kOldestOffset).oldest.load();
  }
  [[nodiscard]] ringway::detail::Limits limits() const;
  [[nodiscard]] const ringway::detail::PublisherSlot& publisher(std::uint32_t slot) const;
  [[nodiscard]] const ringway::detail::SubscriptionSlot& subscription(std::uint32_t slot) const;
  [[nodiscard]] const ringway::detail::GroupHeader& group(std::uint32_t index) const;
  [[nodiscard]] const ringway::detail::MemberSlot& member(std::uint32_t group, std::uint32_t slot) const;
  [[nodiscard]] const ringway::detail::InFlightEntry& entry(std::uint32_t group, std::uint32_t index) const;
  [[nodiscard]] Image dead_letters() const { return {dead_data, dead_control, {}, {}}; }

  // All frames from `oldest` on that have their tag, in order: each place of the ring is looked at, no chain followed.
  [[nodiscard]] std::vector<Frame> frames() const;
  // Equal for two images that differ only in what is for display: PIDs and times.
  [[nodiscard]] std::uint64_t hash() const;
};

Image read_image(const std::string& directory);
// Makes the files of the topic "t", and of "dead", again, in new files: no lock of anybody's is left.
void write_image(const Image& image, const std::string& directory);

// All files as somebody else writes them.
class Watch {
 public:
  explicit Watch(const std::string& directory);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  // Takes a copy if anything differs from the last one.
  bool changed();
  [[nodiscard]] const Image& image() const { return last_; }

 private:
  struct File {
    const std::byte* bytes;
    std::vector<std::byte>* copy;
  };
  std::vector<File> files_;
  Image last_;
};

}  // namespace ringway_crash

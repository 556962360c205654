#include "crash/image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include "support/numbered.hpp"

namespace ringway_crash {
namespace {

using namespace ringway::detail;

std::vector<std::byte> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

struct stat write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  ::unlink(path.c_str());
  const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  struct stat status {};
  const bool good = file >= 0 && ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
                    ::fstat(file, &status) == 0;
  const int error = errno;
  if (file >= 0) ::close(file);
  if (!good) throw std::system_error(error, std::generic_category(), path);
  return status;
}

// Both files of a topic.
void write_topic(const std::string& path, const std::vector<std::byte>& data, const std::vector<std::byte>& control) {
  const std::uint64_t inode = write_file(path + ".control", control).st_ino;
  std::vector<std::byte> copy = data;
  std::memcpy(copy.data() + offsetof(Prefix, control_inode), &inode, sizeof inode);
  write_file(path + ".data", copy);
}

const std::byte* map_file(const std::string& path, std::size_t& bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || ::fstat(file, &status) != 0) throw std::system_error(errno, std::generic_category(), path);
  bytes = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (address == MAP_FAILED) throw std::system_error(errno, std::generic_category(), path);
  return static_cast<const std::byte*>(address);
}

}  // namespace

std::string to_string(const Id& id) {
  return std::to_string(id.writer) + "." + std::to_string(id.number) + (id.whole ? "" : "(torn)");
}

Id identify(const std::byte* payload, std::size_t bytes) {
  ringway_test::Head head{};
  if (bytes < sizeof head) return {99, 0, false};
  std::memcpy(&head, payload, sizeof head);
  return {head.writer, head.number, head.sum == ringway_test::sum_of(payload + sizeof head, bytes - sizeof head, head)};
}

Limits Image::limits() const {
  const TopicHeader& h = header();
  return {h.capacity_bytes, h.max_publishers, h.max_subscriptions, h.max_groups, h.max_members, h.max_in_flight};
}

const PublisherSlot& Image::publisher(std::uint32_t slot) const {
  return data_at<PublisherSlot>(kPublishersOffset + slot * sizeof(PublisherSlot));
}
const SubscriptionSlot& Image::subscription(std::uint32_t slot) const {
  return *reinterpret_cast<const SubscriptionSlot*>(control.data() + subscriptions_offset(limits()) +
                                                    slot * sizeof(SubscriptionSlot));
}

const GroupHeader& Image::group(std::uint32_t index) const {
  return *reinterpret_cast<const GroupHeader*>(control.data() + groups_offset(limits()) +
                                               index * group_bytes(limits()));
}
const MemberSlot& Image::member(std::uint32_t group, std::uint32_t slot) const {
  return reinterpret_cast<const MemberSlot*>(&this->group(group) + 1)[slot];
}
const InFlightEntry& Image::entry(std::uint32_t group, std::uint32_t index) const {
  return reinterpret_cast<const InFlightEntry*>(&member(group, limits().max_members))[index];
}

std::vector<Frame> Image::frames() const {
  const std::uint64_t capacity = header().capacity_bytes;
  const std::uint64_t ring = ring_offset(limits());
  std::vector<std::byte> twice(data.begin() + static_cast<std::ptrdiff_t>(ring), data.end());
  twice.insert(twice.end(), data.begin() + static_cast<std::ptrdiff_t>(ring), data.end());
  std::vector<Frame> frames;
  for (std::uint64_t offset = 0; offset < capacity; offset += kLine) {
    const auto& frame = *reinterpret_cast<const FrameHeader*>(twice.data() + offset);
    const std::uint64_t position = frame.tag.load() ^ header().prefix.epoch;
    if ((position & (capacity - 1)) != offset || position - oldest() >= capacity) continue;
    const std::uint64_t size = frame.size.load();
    const std::uint64_t messages = messages_of(size, frame.origin.load());
    const std::uint64_t end = position + extent_of(size);
    if (messages == 0) frames.push_back({position, end, false, {}});
    for (std::uint64_t i = 0; i < messages; ++i) {
      const std::size_t at =
          offset + header().payload_offset + i * stride_of(length_of(size), header().payload_alignment);
      const std::size_t room = at < twice.size() ? twice.size() - at : 0;
      frames.push_back({position + i, i + 1 == messages ? end : position + i + 1, true,
                        identify(twice.data() + at, std::min<std::size_t>(length_of(size), room))});
      const std::size_t trailer = trailer_offset(length_of(size));
      if (!has_trailer(size) || trailer + sizeof(DeadLetterTrailer) > room) continue;
      const auto& from = *reinterpret_cast<const DeadLetterTrailer*>(twice.data() + at + trailer);
      frames.back().origin = from.position;
      frames.back().attempts = from.attempts;
    }
  }
  std::sort(frames.begin(), frames.end(),
            [&](const Frame& a, const Frame& b) { return a.position - oldest() < b.position - oldest(); });
  return frames;
}

std::uint64_t Image::hash() const {
  Image plain = *this;
  const auto clear = [](std::vector<std::byte>& in, std::uint64_t at, std::size_t bytes) {
    std::fill_n(in.begin() + static_cast<std::ptrdiff_t>(at), bytes, std::byte{0});
  };
  const Limits all = limits();
  clear(plain.data, offsetof(Prefix, control_inode), 8);
  for (std::uint32_t slot = 0; slot < all.max_publishers; ++slot) {
    const std::uint64_t row = kPublishersOffset + slot * sizeof(PublisherSlot);
    clear(plain.data, row + offsetof(PublisherSlot, pid), 4);
    clear(plain.data, row + offsetof(PublisherSlot, claimed_ns), 8);
    clear(plain.control, waiting_lines_offset(all) + slot * sizeof(WaitingLine) + offsetof(WaitingLine, since_ns), 8);
  }
  for (std::uint32_t slot = 0; slot < all.max_subscriptions; ++slot)
    clear(plain.control, subscriptions_offset(all) + slot * sizeof(SubscriptionSlot) + offsetof(SubscriptionSlot, pid),
          4);
  for (std::uint32_t group = 0; group < all.max_groups; ++group) {
    const std::uint64_t members = groups_offset(all) + group * group_bytes(all) + sizeof(GroupHeader);
    const std::uint64_t entries = members + all.max_members * sizeof(MemberSlot);
    for (std::uint32_t slot = 0; slot < all.max_members; ++slot)
      clear(plain.control, members + slot * sizeof(MemberSlot) + offsetof(MemberSlot, pid), 4);
    for (std::uint32_t index = 0; index < all.max_in_flight; ++index)
      clear(plain.control, entries + index * sizeof(InFlightEntry) + offsetof(InFlightEntry, time_ns), 8);
  }
  const auto view = [](const std::vector<std::byte>& bytes) {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  const std::uint64_t letters = dead_data.empty() ? 0 : dead_letters().hash();
  return (view(plain.data) * 31 + view(plain.control)) * 31 + letters;
}

Image read_image(const std::string& directory) {
  Image image{bytes_of(directory + "/t.data"), bytes_of(directory + "/t.control"), {}, {}};
  if (::access((directory + "/dead.data").c_str(), F_OK) != 0) return image;
  image.dead_data = bytes_of(directory + "/dead.data");
  image.dead_control = bytes_of(directory + "/dead.control");
  return image;
}

void write_image(const Image& image, const std::string& directory) {
  write_topic(directory + "/t", image.data, image.control);
  if (!image.dead_data.empty()) write_topic(directory + "/dead", image.dead_data, image.dead_control);
}

Watch::Watch(const std::string& directory) : last_(read_image(directory)) {
  const auto add = [&](const char* name, std::vector<std::byte>& copy) {
    std::size_t bytes = 0;
    if (copy.empty()) return;
    files_.push_back({map_file(directory + name, bytes), &copy});
    copy.assign(files_.back().bytes, files_.back().bytes + bytes);
  };
  add("/t.data", last_.data);
  add("/t.control", last_.control);
  add("/dead.data", last_.dead_data);
  add("/dead.control", last_.dead_control);
}

Watch::~Watch() {
  for (const File& file : files_) ::munmap(const_cast<std::byte*>(file.bytes), file.copy->size());
}

bool Watch::changed() {
  bool any = false;
  for (const File& file : files_) {
    if (std::memcmp(file.bytes, file.copy->data(), file.copy->size()) == 0) continue;
    std::memcpy(file.copy->data(), file.bytes, file.copy->size());
    any = true;
  }
  return any;
}

}  // namespace ringway_crash

// What a topic's files say of themselves, checked before anything is mapped; and what a user may ask of a topic.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "names.hpp"
#include "reboot.hpp"
#include "ringway/error.hpp"
#include "segment.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

std::string hex(std::uint64_t value) {
  std::string text = "0x";
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

// Throws unless `found == expected`, showing both.
void same(Code code, const std::string& topic, const std::string& path, const std::string& what, std::uint64_t found,
          std::uint64_t expected, const std::string& next_step) {
  if (found == expected) return;
  throw Error(code, topic,
              path + ": " + what + " is " + hex(found) + ", this program expects " + hex(expected) + "; " + next_step);
}

void in_range(const std::string& topic, const std::string& path, const std::string& what, std::uint64_t found,
              std::uint64_t low, std::uint64_t high) {
  if (found >= low && found <= high) return;
  throw Error(Code::corrupt, topic,
              path + ": " + what + " is " + std::to_string(found) + ", which must be " + std::to_string(low) + " to " +
                  std::to_string(high) + "; it was overwritten: remove the topic");
}

void check_prefix(const Prefix& prefix, std::uint64_t magic, const std::string& path, const std::string& topic) {
  same(Code::corrupt, topic, path, "the magic number", prefix.magic, magic, "this is not a Ringway file");
  same(Code::mismatch, topic, path, "the byte order", prefix.byte_order, kByteOrder,
       "it was written by another machine");
  same(Code::mismatch, topic, path, "the layout version", prefix.layout_version, kLayoutVersion,
       "use a program built with that version, or remove the topic with `ringway rm`");
  same(Code::mismatch, topic, path, "the layout signature", prefix.signature, layout_signature(),
       "it was written by a build with another layout; remove the topic with `ringway rm`");
  const std::uint64_t unknown = prefix.required_features & ~kKnownRequiredFeatures;
  if (unknown != 0)
    throw Error(Code::unsupported, topic,
                path + ": needs features " + hex(unknown) + " that this version (" + hex(kKnownRequiredFeatures) +
                    ") does not know; use a newer one");
}

std::uint64_t read_file(const Descriptor& file, void* to, std::size_t bytes, const std::string& path,
                        const std::string& topic) {
  ssize_t got = 0;
  do {
    got = ::pread(file.get(), to, bytes, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw system_error(topic, "cannot read " + path, errno);
  return static_cast<std::uint64_t>(got);
}

// fstat before trust: a regular file, of an expected owner. Gives its size.
std::uint64_t check_file(const Descriptor& file, File& identity, uid_t owner, const std::string& topic,
                         struct stat& status) {
  if (::fstat(file.get(), &status) != 0) throw system_error(topic, "cannot look at " + identity.path, errno);
  if (!S_ISREG(status.st_mode))
    throw Error(Code::corrupt, topic, identity.path + " is not a regular file; move it away");
  if (status.st_uid != owner && status.st_uid != ::geteuid())
    throw Error(Code::no_permission, topic,
                identity.path + " belongs to user " + std::to_string(status.st_uid) + ", expected " +
                    std::to_string(owner) + "; it may have been planted: look at it and remove it");
  identity.id = {status.st_dev, status.st_ino};
  return static_cast<std::uint64_t>(status.st_size);
}

// Empty: there is no such name.
std::optional<Descriptor> open_half(const std::string& path, bool write, const std::string& topic) {
  Descriptor file = open_file(path, write ? O_RDWR : O_RDONLY);
  if (file) return file;
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) return std::nullopt;
  if (error == ELOOP)
    throw Error(Code::corrupt, topic, path + " is a symbolic link, which is never followed; remove it", error);
  if (error == EISDIR || error == ENXIO)
    throw Error(Code::corrupt, topic, path + " is not a regular file; move it away", error);
  throw system_error(topic, "cannot open " + path, error);
}

void check_size(std::uint64_t found, std::uint64_t expected, const std::string& path, const std::string& topic) {
  if (found == expected) return;
  throw Error(Code::corrupt, topic,
              path + " has " + std::to_string(found) + " bytes, its header says " + std::to_string(expected) +
                  "; it was truncated or overwritten: remove the topic");
}

Geometry read_data_header(const Descriptor& file, std::uint64_t bytes, const std::string& path,
                          const std::string& topic) {
  TopicHeader header{};
  const std::uint64_t got = read_file(file, &header, sizeof header, path, topic);
  if (got < sizeof header)
    throw Error(Code::corrupt, topic,
                path + " is cut off: " + std::to_string(got) + " bytes, a header has " + std::to_string(sizeof header) +
                    "; remove the topic");
  check_prefix(header.prefix, kDataMagic, path, topic);
  in_range(topic, path, "the capacity", header.capacity_bytes, kMinTestCapacity, kMaxCapacity);
  in_range(topic, path, "capacity's set bits", static_cast<std::uint64_t>(std::popcount(header.capacity_bytes)), 1, 1);
  in_range(topic, path, "max_publishers", header.max_publishers, 1, kMaxPublishers);
  in_range(topic, path, "max_subscriptions", header.max_subscriptions, 1, kMaxSubscriptions);
  in_range(topic, path, "max_groups", header.max_groups, 1, kMaxGroups);
  in_range(topic, path, "max_members", header.max_members, 1, kMaxMembers);
  in_range(topic, path, "max_in_flight", header.max_in_flight, 1, kMaxInFlight);
  in_range(topic, path, "the payload alignment", header.payload_alignment, 1, kLine);
  in_range(topic, path, "the alignment's set bits", static_cast<std::uint64_t>(std::popcount(header.payload_alignment)),
           1, 1);
  in_range(topic, path, "the type's alignment", header.type_alignment, 1, header.payload_alignment);
  in_range(topic, path, "first_position % 64", header.first_position % kLine, 0, 0);
  in_range(topic, path, "the epoch's low bit", header.prefix.epoch & 1, 1, 1);
  in_range(topic, path, "exclusive", header.exclusive, 0, 1);
  Geometry geometry;
  TopicSpec& spec = geometry.spec;
  spec.limits = {header.capacity_bytes, header.max_publishers, header.max_subscriptions,
                 header.max_groups,     header.max_members,    header.max_in_flight};
  spec.exclusive = header.exclusive != 0;
  spec.stamped = header.stamped != 0;
  spec.temporary = header.temporary != 0;
  spec.latency = spec.stamped && (header.prefix.optional_features & kLatencyFeature) != 0;
  spec.payload_alignment = header.payload_alignment;
  spec.type_size = header.type_size;
  spec.type_alignment = header.type_alignment;
  spec.type_fingerprint = header.type_fingerprint;
  spec.type_name = std::string(header.type_name.data(), ::strnlen(header.type_name.data(), kTypeNameBytes - 1));
  spec.first_position = header.first_position;
  in_range(topic, path, "the payload offset", header.payload_offset, spec.payload_offset(), spec.payload_offset());
  in_range(topic, path, "file_bytes", header.prefix.file_bytes, data_bytes(spec.limits), data_bytes(spec.limits));
  check_size(bytes, header.prefix.file_bytes, path, topic);
  geometry.epoch = header.prefix.epoch;
  geometry.created_ns = header.created_ns;
  geometry.control_inode = header.prefix.control_inode;
  geometry.discarded = header.discarded;
  return geometry;
}

// Gives its `removed`, and `boot`.
std::pair<bool, std::uint64_t> check_control_header(const Descriptor& file, std::uint64_t bytes,
                                                    const Geometry& geometry, const std::string& path,
                                                    const std::string& topic) {
  ControlHeader header{};
  const std::uint64_t got = read_file(file, &header, sizeof header, path, topic);
  if (got < sizeof header)
    throw Error(Code::corrupt, topic,
                path + " is cut off: " + std::to_string(got) + " bytes, a header has " + std::to_string(sizeof header) +
                    "; remove the topic");
  check_prefix(header.prefix, kControlMagic, path, topic);
  const Limits& limits = geometry.spec.limits;
  in_range(topic, path, "the capacity", header.capacity_bytes, limits.capacity_bytes, limits.capacity_bytes);
  in_range(topic, path, "max_publishers", header.max_publishers, limits.max_publishers, limits.max_publishers);
  in_range(topic, path, "max_subscriptions", header.max_subscriptions, limits.max_subscriptions,
           limits.max_subscriptions);
  in_range(topic, path, "max_groups", header.max_groups, limits.max_groups, limits.max_groups);
  in_range(topic, path, "max_members", header.max_members, limits.max_members, limits.max_members);
  in_range(topic, path, "max_in_flight", header.max_in_flight, limits.max_in_flight, limits.max_in_flight);
  if (header.prefix.epoch != geometry.epoch)
    throw Error(Code::corrupt, topic, path + " belongs to another topic than its data file; remove the topic");
  in_range(topic, path, "file_bytes", header.prefix.file_bytes, control_bytes(limits), control_bytes(limits));
  check_size(bytes, header.prefix.file_bytes, path, topic);
  return {header.removed.load(std::memory_order_relaxed) != 0,  // a copy of our own
          header.boot.load(std::memory_order_relaxed)};         // as above
}

std::string type_text(std::string_view name, std::uint64_t size, std::uint64_t alignment, std::uint64_t fingerprint) {
  if (size == 0) return "bytes";
  return (name.empty() ? "an unnamed type" : "type " + quoted(name)) + " of " + std::to_string(size) +
         " bytes aligned to " + std::to_string(alignment) + ", fingerprint " + std::to_string(fingerprint);
}

template <class T>
void fits(const std::optional<T>& asked, T existing, const std::string& what, const std::string& topic) {
  if (!asked || *asked == existing) return;
  throw Error(Code::mismatch, topic,
              what + " is " + std::to_string(static_cast<std::uint64_t>(existing)) + " in the existing topic, " +
                  std::to_string(static_cast<std::uint64_t>(*asked)) +
                  " was asked for; leave the option unset to take what exists, or remove the topic first");
}

std::uint32_t within(const std::optional<std::uint32_t>& asked, std::uint32_t by_default, std::uint32_t most,
                     const std::string& what, const std::string& topic) {
  if (!asked) return by_default;
  if (*asked >= 1 && *asked <= most) return *asked;
  throw Error(Code::invalid_argument, topic,
              what + " is " + std::to_string(*asked) + ", it must be 1 to " + std::to_string(most));
}

}  // namespace

std::uint64_t TopicSpec::max_extent() const { return std::min(limits.capacity_bytes / 4, kMaxExtent); }

TopicSpec resolve(const TopicOptions& options, const TypeInfo& type, const std::string& topic) {
  TopicSpec spec;
  const std::uint64_t capacity = options.capacity_bytes.value_or(1ULL << 20);
  if (capacity == 0 || capacity > kMaxCapacity)
    throw Error(Code::invalid_argument, topic,
                "capacity_bytes is " + std::to_string(capacity) + ", it must be 1 to " + std::to_string(kMaxCapacity) +
                    " (and is rounded up to a power of two "
                    "of at least " +
                    std::to_string(kMinCapacity) + ")");
  spec.limits.capacity_bytes = std::max(std::bit_ceil(capacity), kMinCapacity);
  spec.limits.max_publishers = within(options.max_publishers, 64, kMaxPublishers, "max_publishers", topic);
  spec.limits.max_subscriptions = within(options.max_subscriptions, 64, kMaxSubscriptions, "max_subscriptions", topic);
  spec.limits.max_groups = within(options.max_groups, 4, kMaxGroups, "max_groups", topic);
  spec.limits.max_members = within(options.max_members, 64, kMaxMembers, "max_members", topic);
  spec.limits.max_in_flight = within(options.max_in_flight, 1024, kMaxInFlight, "max_in_flight", topic);
  const std::uint32_t alignment = within(options.payload_alignment, 8, kLine, "payload_alignment", topic);
  if (!std::has_single_bit(alignment))
    throw Error(Code::invalid_argument, topic,
                "payload_alignment is " + std::to_string(alignment) + ", it must be a power of two");
  spec.payload_alignment = std::max(alignment, static_cast<std::uint32_t>(type.alignment));
  spec.access = complete(options.access.value_or(Access{}), topic);
  spec.exclusive = options.publishers.value_or(Publishers::shared) == Publishers::exclusive;
  spec.latency = options.latency.value_or(false);
  spec.stamped = options.stamped.value_or(spec.latency);
  if (spec.latency && !spec.stamped)
    throw Error(Code::invalid_argument, topic,
                "latency is counted from the messages' stamps, and stamped is false; leave stamped unset, or latency");
  spec.temporary = options.temporary.value_or(false);
  spec.type_size = type.size;
  spec.type_alignment = type.alignment;
  spec.type_fingerprint = type.fingerprint;
  spec.type_name = type.name;
  return spec;
}

void check_room(const TopicSpec& spec, const std::string& topic) {
  const std::uint64_t largest = spec.max_extent() - spec.payload_offset();
  if (spec.type_size <= largest) return;
  throw Error(Code::invalid_argument, topic,
              "a message of " + std::to_string(spec.type_size) + " bytes does not fit a ring of " +
                  std::to_string(spec.limits.capacity_bytes) + " (the largest is " + std::to_string(largest) +
                  "); choose a larger capacity_bytes");
}

void check_fit(const TopicSpec& existing, const TopicOptions& options, const std::string& topic) {
  const TopicSpec asked = resolve(options, {}, topic);  // the ranges first
  if (options.capacity_bytes)
    fits(std::optional(asked.limits.capacity_bytes), existing.limits.capacity_bytes, "capacity_bytes", topic);
  if (options.publishers && asked.exclusive != existing.exclusive)
    throw Error(Code::mismatch, topic,
                std::string("publishers is ") + (existing.exclusive ? "exclusive" : "shared") +
                    " in the existing topic, " + (asked.exclusive ? "exclusive" : "shared") +
                    " was asked for; leave the option unset to take what "
                    "exists, or remove the topic first");
  fits(options.max_publishers, existing.limits.max_publishers, "max_publishers", topic);
  fits(options.max_subscriptions, existing.limits.max_subscriptions, "max_subscriptions", topic);
  if (options.payload_alignment && *options.payload_alignment > existing.payload_alignment)
    fits(options.payload_alignment, existing.payload_alignment, "payload_alignment", topic);
  fits(options.stamped, existing.stamped, "stamped", topic);
  if (options.access && asked.access != existing.access)
    throw Error(Code::mismatch, topic,
                "access is " + text_of(existing.access) + " in the existing topic, " + text_of(asked.access) +
                    " was asked for; leave the option unset to take what exists, or remove the topic first");
  fits(options.temporary, existing.temporary, "temporary", topic);
  fits(options.max_groups, existing.limits.max_groups, "max_groups", topic);
  fits(options.max_members, existing.limits.max_members, "max_members", topic);
  fits(options.max_in_flight, existing.limits.max_in_flight, "max_in_flight", topic);
  fits(options.latency, existing.latency, "latency", topic);
}

void check_type(const TopicSpec& existing, const TypeInfo& type, bool writes, const std::string& topic) {
  if (type.size == 0 && !writes) return;
  if (type.size == existing.type_size && type.alignment == existing.type_alignment &&
      type.fingerprint == existing.type_fingerprint && type.name == existing.type_name)
    return;
  throw Error(
      Code::mismatch, topic,
      "the topic carries " +
          type_text(existing.type_name, existing.type_size, existing.type_alignment, existing.type_fingerprint) +
          "; this program uses " + type_text(type.name, type.size, type.alignment, type.fingerprint) +
          "; use the same type, or another topic");
}

TopicOptions to_options(const TopicSpec& spec) {
  TopicOptions options;
  options.capacity_bytes = spec.limits.capacity_bytes;
  options.publishers = spec.exclusive ? Publishers::exclusive : Publishers::shared;
  options.max_publishers = spec.limits.max_publishers;
  options.max_subscriptions = spec.limits.max_subscriptions;
  options.payload_alignment = spec.payload_alignment;
  options.stamped = spec.stamped;
  options.access = spec.access;
  options.temporary = spec.temporary;
  options.max_groups = spec.limits.max_groups;
  options.max_members = spec.limits.max_members;
  options.max_in_flight = spec.limits.max_in_flight;
  options.latency = spec.latency;
  return options;
}

std::optional<File> find_file(const std::string& path, uid_t owner, const std::string& topic) {
  const auto file = open_half(path, true, topic);
  if (!file) return std::nullopt;
  File found{path, {}};
  struct stat status {};
  check_file(*file, found, owner, topic, status);
  return found;
}

std::optional<OpenFiles> open_files(const std::string& directory, const std::string& topic, Role role, uid_t owner) {
  OpenFiles files;
  files.data_file.path = data_path(directory, topic);
  files.control_file.path = control_path(directory, topic);
  auto data = open_half(files.data_file.path, role == Role::publish, topic);
  if (!data) return std::nullopt;
  struct stat data_status {};
  const std::uint64_t data_size = check_file(*data, files.data_file, owner, topic, data_status);
  auto control = open_half(files.control_file.path, role != Role::observe, topic);
  if (!control) return std::nullopt;
  struct stat control_status {};
  const std::uint64_t control_size = check_file(*control, files.control_file, owner, topic, control_status);
  files.geometry = read_data_header(*data, data_size, files.data_file.path, topic);
  files.geometry.spec.access = access_of(data_status.st_mode, control_status.st_mode, data_status.st_gid);
  // Half of an old topic and half of a new one: a removal is under way.
  if (files.geometry.control_inode != files.control_file.id.inode) {
    Prefix prefix{};
    if (read_file(*control, &prefix, sizeof prefix, files.control_file.path, topic) == sizeof prefix &&
        prefix.epoch == files.geometry.epoch && role != Role::observe)
      throw Error(Code::corrupt, topic,
                  files.control_file.path +
                      " is a copy: data and control no longer name each other; "
                      "a copied topic can only be observed");
    if (prefix.epoch != files.geometry.epoch) return std::nullopt;  // a copy, to be looked at
  }
  std::tie(files.removed, files.used_boot) =
      check_control_header(*control, control_size, files.geometry, files.control_file.path, topic);
  files.boot = boot_of(*data, topic);
  files.data = std::move(*data);
  files.control = std::move(*control);
  return files;
}

}  // namespace ringway::detail

// The only file that maps the topics' contents.
#include "segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "reboot.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

namespace ipc = boost::interprocess;

// What Boost.Interprocess needs to map a descriptor.
class Mappable {
 public:
  explicit Mappable(int descriptor) : handle_{descriptor, false} {}
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const { return handle_; }

 private:
  ipc::mapping_handle_t handle_;
};

// Address space of our own, so that MAP_FIXED never lands on anything else. What is not yet taken over by a region is
// given back at its end.
class Reservation {
 public:
  Reservation(std::size_t bytes, std::size_t alignment, const std::string& topic) : bytes_(bytes + alignment) {
    void* base = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
      throw Error(Code::system, topic,
                  "no " + human_bytes(bytes) + " of address space to map the ring twice: " + std::strerror(errno) +
                      "; choose a smaller capacity or raise RLIMIT_AS",
                  errno);
    base_ = static_cast<std::byte*>(base);
    if (alignment == 0) return;
    taken_ = align_up(reinterpret_cast<std::uintptr_t>(base), alignment) - reinterpret_cast<std::uintptr_t>(base);
    if (taken_ != 0) ::munmap(base_, taken_);
  }
  ~Reservation() {
    if (taken_ < bytes_) ::munmap(base_ + taken_, bytes_ - taken_);
  }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  ipc::mapped_region take(const Descriptor& file, ipc::mode_t mode, std::uint64_t offset, std::size_t bytes) {
    const Mappable mappable(file.get());
    ipc::mapped_region region(mappable, mode, static_cast<ipc::offset_t>(offset), bytes, base_ + taken_, MAP_FIXED);
    taken_ += bytes;
    return region;
  }

 private:
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t taken_ = 0;
};

Prefix prefix_of(std::uint64_t magic, std::uint64_t bytes, std::uint64_t epoch, std::uint64_t control_inode) {
  return {magic, kLayoutVersion, kByteOrder, layout_signature(), bytes, epoch, 0, 0, control_inode};
}

}  // namespace

void write_all(const Descriptor& file, const void* from, std::size_t bytes, std::uint64_t offset,
               const std::string& topic) {
  const auto* at = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(file.get(), at, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw system_error(topic, "cannot write a new topic's header", written < 0 ? errno : EIO);
    at += written;
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::size_t>(written);
  }
}

std::string data_path(const std::string& directory, const std::string& topic) {
  return directory + "/" + topic + ".data";
}
std::string control_path(const std::string& directory, const std::string& topic) {
  return directory + "/" + topic + ".control";
}

std::uint64_t make_epoch() {
  std::uint64_t epoch = 0;
  while (::getrandom(&epoch, sizeof epoch, 0) != sizeof epoch)
    if (errno != EINTR) throw system_error({}, "no random numbers", errno);
  return epoch | 1;
}

Descriptor make_file(const std::string& directory, std::uint64_t bytes, mode_t mode, gid_t group,
                     const std::string& topic) {
  Descriptor file = open_file(directory, O_TMPFILE | O_RDWR, 0600);
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
    throw Error(Code::unsupported, topic,
                directory + ": this file system has no unnamed files (O_TMPFILE); use tmpfs, ext4 or xfs", errno);
  if (!file && errno == ENOENT) return file;
  if (!file) throw system_error(topic, "cannot create a file in " + directory, errno);
  if (group != static_cast<gid_t>(-1) && ::fchown(file.get(), static_cast<uid_t>(-1), group) != 0)
    throw system_error(topic, "cannot give a new file to group " + std::to_string(group), errno);
  if (::fchmod(file.get(), mode) != 0) throw system_error(topic, "cannot set a new file's mode", errno);
  int error = 0;
  do {
    error = ::fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error == EOPNOTSUPP)
    throw Error(Code::unsupported, topic, directory + ": this file system cannot allocate space ahead (fallocate)",
                error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    struct statvfs room {};
    const bool known = ::statvfs(directory.c_str(), &room) == 0;
    throw Error(Code::no_space, topic,
                directory + " has no room: " + std::to_string(bytes) + " bytes needed" +
                    (known ? ", " + std::to_string(std::uint64_t{room.f_bavail} * room.f_frsize) + " bytes free" : "") +
                    "; choose a smaller capacity, or make the file system larger",
                error);
  }
  if (error != 0)
    throw system_error(topic, "cannot allocate " + std::to_string(bytes) + " bytes in " + directory, error);
  return file;
}

void write_control(const Descriptor& file, const TopicSpec& spec, std::uint64_t epoch, const std::string& topic) {
  const Limits& limits = spec.limits;
  ControlHeader header{};
  header.prefix = prefix_of(kControlMagic, control_bytes(limits), epoch, 0);
  header.capacity_bytes = limits.capacity_bytes;
  header.max_publishers = limits.max_publishers;
  header.max_subscriptions = limits.max_subscriptions;
  header.max_groups = limits.max_groups;
  header.max_members = limits.max_members;
  header.max_in_flight = limits.max_in_flight;
  write_all(file, &header, sizeof header, 0, topic);
}

void write_data(const Descriptor& file, const TopicSpec& spec, std::uint64_t epoch, std::uint64_t control_inode,
                const std::string& topic, std::uint64_t created_ns, std::uint64_t discarded) {
  struct Head {  // everything before the tables that is not zero
    TopicHeader header{};
    TailLine tail{};
    OldestLine oldest{};
  } head;
  static_assert(sizeof(Head) == kMarksOffset);
  TopicHeader& header = head.header;
  header.prefix = prefix_of(kDataMagic, data_bytes(spec.limits), epoch, control_inode);
  if (spec.latency) header.prefix.optional_features |= kLatencyFeature;
  header.capacity_bytes = spec.limits.capacity_bytes;
  header.first_position = spec.first_position;
  header.payload_offset = spec.payload_offset();
  header.payload_alignment = spec.payload_alignment;
  header.max_publishers = spec.limits.max_publishers;
  header.max_subscriptions = spec.limits.max_subscriptions;
  header.max_groups = spec.limits.max_groups;
  header.max_members = spec.limits.max_members;
  header.max_in_flight = spec.limits.max_in_flight;
  header.exclusive = spec.exclusive ? 1 : 0;
  header.stamped = spec.stamped ? 1 : 0;
  header.temporary = spec.temporary ? 1 : 0;
  header.type_size = spec.type_size;
  header.type_alignment = spec.type_alignment;
  header.type_fingerprint = spec.type_fingerprint;
  std::copy_n(spec.type_name.begin(), std::min(spec.type_name.size(), kTypeNameBytes - 1), header.type_name.begin());
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (created_ns == 0)
    created_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  header.created_ns = created_ns;
  header.boot_id = boot_id(topic);
  header.discarded = discarded;
  head.tail.tail.store(spec.first_position, std::memory_order_relaxed);      // nobody sees the file yet
  head.oldest.oldest.store(spec.first_position, std::memory_order_relaxed);  // as above
  write_all(file, &head, sizeof head, 0, topic);
}

int link_file(const Descriptor& file, const std::string& path) noexcept {
  if (::linkat(file.get(), "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOENT && errno != EPERM && errno != EACCES) return errno;
  char name[32];  // for those without that capability
  std::snprintf(name, sizeof name, "/proc/self/fd/%d", file.get());
  return ::linkat(AT_FDCWD, name, AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

struct Segment::Maps {
  ipc::mapped_region control;
  ipc::mapped_region data;   // header, tables, ring
  ipc::mapped_region again;  // the ring once more, right behind it
};

Segment::Segment(const OpenFiles& files, Role role, const std::string& topic, bool huge)
    : data_file_(files.data_file),
      control_file_(files.control_file),
      geometry_(files.geometry),
      boot_(files.boot),
      maps_(new Maps) {
  const Limits& limits = geometry_.spec.limits;
  const auto data_mode = role == Role::publish ? ipc::read_write : ipc::read_only;
  const auto control_mode = role == Role::observe ? ipc::read_only : ipc::read_write;
  try {
    maps_->control = ipc::mapped_region(Mappable(files.control.get()), control_mode, 0, control_bytes(limits));
    // With the capacity a multiple of it, the second mapping's pages lie as those of the file do, too.
    const std::size_t alignment = huge && limits.capacity_bytes >= kHugePage ? kHugePage : 0;
    Reservation space(data_bytes(limits) + limits.capacity_bytes, alignment, topic);
    maps_->data = space.take(files.data, data_mode, 0, data_bytes(limits));
    maps_->again = space.take(files.data, data_mode, ring_offset(limits), limits.capacity_bytes);
  } catch (const ipc::interprocess_exception& failure) {
    const int error = static_cast<int>(failure.get_native_error());
    throw Error(Code::system, topic, "cannot map " + data_file_.path + ": " + failure.what(), error);
  }
  auto* const control = static_cast<std::byte*>(maps_->control.get_address());
  auto* const data = static_cast<std::byte*>(maps_->data.get_address());
  ::madvise(data + ring_offset(limits), 2 * limits.capacity_bytes, MADV_DONTDUMP);  // a core file without the rings

  memory_.capacity = limits.capacity_bytes;
  memory_.epoch = geometry_.epoch;
  memory_.max_extent = geometry_.spec.max_extent();
  memory_.payload_offset = geometry_.spec.payload_offset();
  memory_.payload_alignment = geometry_.spec.payload_alignment;
  memory_.eighth_shift = static_cast<std::uint32_t>(std::countr_zero(limits.capacity_bytes / kEighths));
  memory_.max_publishers = limits.max_publishers;
  memory_.max_subscriptions = limits.max_subscriptions;
  memory_.max_groups = limits.max_groups;
  memory_.max_members = limits.max_members;
  memory_.max_in_flight = limits.max_in_flight;
  memory_.exclusive = geometry_.spec.exclusive;
  memory_.stamped = geometry_.spec.stamped;
  memory_.ring = data + ring_offset(limits);
  memory_.tail_line = reinterpret_cast<TailLine*>(data + kTailOffset);
  memory_.oldest_line = reinterpret_cast<OldestLine*>(data + kOldestOffset);
  memory_.marks = reinterpret_cast<LapMarks*>(data + kMarksOffset);
  memory_.publishers = reinterpret_cast<PublisherSlot*>(data + kPublishersOffset);
  memory_.control = reinterpret_cast<ControlHeader*>(control);
  memory_.parked = reinterpret_cast<std::atomic<std::uint64_t>*>(control + kParkedOffset);
  memory_.waiting = reinterpret_cast<std::atomic<std::uint64_t>*>(control + waiting_offset(limits));
  memory_.waiting_lines = reinterpret_cast<WaitingLine*>(control + waiting_lines_offset(limits));
  memory_.subscriptions = reinterpret_cast<SubscriptionSlot*>(control + subscriptions_offset(limits));
  memory_.groups = control + groups_offset(limits);
  memory_.group_bytes = group_bytes(limits);
}

Segment::~Segment() = default;

std::array<Segment::Piece, 3> Segment::pieces() const noexcept {
  const auto piece = [](const ipc::mapped_region& region) { return Piece{region.get_address(), region.get_size()}; };
  return {piece(maps_->control), piece(maps_->data), piece(maps_->again)};
}

bool Segment::standing() const noexcept { return names_it(data_file_) && names_it(control_file_); }

}  // namespace ringway::detail

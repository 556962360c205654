// The two files of a topic: what their headers say, how they are made, and how they are mapped.
//
// Thread safety: a Segment is immutable once mapped. Progress: no waiting. Crash: a new file has no name until it is whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "access.hpp"
#include "liveness.hpp"
#include "ringway/detail/layout.hpp"
#include "ringway/detail/slots.hpp"
#include "ringway/options.hpp"
#include "ringway/types.hpp"

namespace ringway::detail {

// Everything that a topic's creation fixes.
struct TopicSpec {
  Limits limits;
  bool exclusive = false;
  bool stamped = false;
  bool temporary = false;
  bool latency = false;
  std::uint32_t payload_alignment = 8;
  std::uint64_t type_size = 0;  // 0: bytes
  std::uint64_t type_alignment = 1;
  std::uint64_t type_fingerprint = 0;
  std::string type_name;
  std::uint64_t first_position = 0;  // not 0 only in tests
  Access access = {};                // complete

  [[nodiscard]] std::uint32_t payload_offset() const { return payload_alignment > kFrameHeader ? kLine : kFrameHeader; }
  [[nodiscard]] std::uint64_t max_extent() const;  // bytes of the largest frame
};

// The spec with every default filled in and every limit checked. Throws Error invalid_argument.
TopicSpec resolve(const TopicOptions& options, const TypeInfo& type, const std::string& topic);

// Throws Error invalid_argument unless a message of its type fits. Asked only of what is to be created: what exists may
// be larger than the defaults.
void check_room(const TopicSpec& spec, const std::string& topic);

// Throws Error mismatch, with both sides, unless what exists meets what is asked.
void check_fit(const TopicSpec& existing, const TopicOptions& options, const std::string& topic);
// `writes`: only the exact type; else a byte reader may read any topic.
void check_type(const TopicSpec& existing, const TypeInfo& type, bool writes, const std::string& topic);

// A topic's spec as options, every field set.
TopicOptions to_options(const TopicSpec& spec);

enum class Role : std::uint8_t { publish, subscribe, observe };

// What a data file's header says, copied and checked.
struct Geometry {
  TopicSpec spec;
  std::uint64_t epoch = 0;
  std::uint64_t created_ns = 0;
  std::uint64_t control_inode = 0;
  std::uint64_t discarded = 0;  // messages
};

// The two files of one topic, open and compared.
struct OpenFiles {
  Descriptor data;
  Descriptor control;
  File data_file;
  File control_file;
  Geometry geometry;
  bool removed = false;         // a removal has begun
  std::uint64_t boot = 0;       // of this kernel; 0: the file system does not outlive it
  std::uint64_t used_boot = 0;  // ControlHeader::boot as it was
};

std::string data_path(const std::string& directory, const std::string& topic);
std::string control_path(const std::string& directory, const std::string& topic);

// A file that may be one of ours: regular, and of an expected owner. Empty: there is none. Throws as open_files.
std::optional<File> find_file(const std::string& path, uid_t owner, const std::string& topic);

// Opens and checks both. Empty: not there, or only half of it. Throws Error corrupt, mismatch, unsupported, no_permission,
// system. `owner`: who, beside this user, may own the files.
std::optional<OpenFiles> open_files(const std::string& directory, const std::string& topic, Role role, uid_t owner);

// A whole, nameless file of `bytes` in `directory`, with its space allocated; empty if there is no such directory. `group`
// -1: as it comes. Throws Error no_space, no_permission, unsupported, system.
Descriptor make_file(const std::string& directory, std::uint64_t bytes, mode_t mode, gid_t group,
                     const std::string& topic);
void write_control(const Descriptor& file, const TopicSpec& spec, std::uint64_t epoch, const std::string& topic);
// `created_ns` 0: now.
void write_data(const Descriptor& file, const TopicSpec& spec, std::uint64_t epoch, std::uint64_t control_inode,
                const std::string& topic, std::uint64_t created_ns = 0, std::uint64_t discarded = 0);
// Throws Error system.
void write_all(const Descriptor& file, const void* from, std::size_t bytes, std::uint64_t offset,
               const std::string& topic);
// 0, or errno.
int link_file(const Descriptor& file, const std::string& path) noexcept;

inline constexpr std::uint64_t kHugePage = 2ULL << 20;  // the least that is aligned for; the kernel says what it is

// An odd, random number. Throws Error system.
std::uint64_t make_epoch();

// Both files, mapped for a role.
class Segment {
 public:
  // `huge`: aligned so that huge pages can be mapped, where the ring is as large.
  Segment(const OpenFiles& files, Role role, const std::string& topic, bool huge = false);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  [[nodiscard]] const SegmentMemory& memory() const { return memory_; }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] const File& data_file() const { return data_file_; }
  [[nodiscard]] const File& control_file() const { return control_file_; }
  [[nodiscard]] std::uint64_t boot() const { return boot_; }  // as OpenFiles
  // Where they are mapped: control; data; the ring once more.
  struct Piece {
    void* address;
    std::size_t bytes;
  };
  [[nodiscard]] std::array<Piece, 3> pieces() const noexcept;
  // The name still means these two files.
  [[nodiscard]] bool standing() const noexcept;

 private:
  struct Maps;
  File data_file_;
  File control_file_;
  Geometry geometry_;
  std::uint64_t boot_;
  SegmentMemory memory_;
  std::unique_ptr<Maps> maps_;
};

}  // namespace ringway::detail

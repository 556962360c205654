// Memory options: mapped ahead, locked, in huge pages, as far as the machine gives them.
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "attachment.hpp"
#include "ringway/error.hpp"
#include "text.hpp"

namespace ringway::detail {
namespace {

// Newer than Debian 12's headers, or than its kernel's: the kernel answers EINVAL where it does not know them.
constexpr int kPopulateRead = 22;
constexpr int kPopulateWrite = 23;
constexpr int kCollapse = 25;

// A kernel before 5.14: a read maps a page of a shared file for writing, too, where it is in memory.
void touch(const Segment::Piece& piece) noexcept {
  const auto* from = static_cast<const volatile std::byte*>(piece.address);
  for (std::size_t at = 0; at < piece.bytes; at += kPage) static_cast<void>(from[at]);
}

// 0, or errno.
int prefault(const Segment& segment, Role role) noexcept {
  bool writes = true;  // the control file, and data by publishers
  for (const Segment::Piece& piece : segment.pieces()) {
    if (::madvise(piece.address, piece.bytes, writes ? kPopulateWrite : kPopulateRead) != 0) {
      if (errno != EINVAL) return errno;
      touch(piece);
    }
    writes = role == Role::publish;
  }
  return 0;
}

int lock(const Segment& segment) noexcept {
  const auto pieces = segment.pieces();
  for (const Segment::Piece& piece : pieces) {
    if (::mlock(piece.address, piece.bytes) == 0) continue;
    const int failed = errno;
    for (const Segment::Piece& locked : pieces) ::munlock(locked.address, locked.bytes);
    return failed;
  }
  return 0;
}

std::string why_not_locked(const Segment& segment, int failed) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  std::size_t bytes = 0;
  for (const Segment::Piece& piece : segment.pieces()) bytes += piece.bytes;
  return "lock: " + human_bytes(bytes) + " more may not be locked (" + std::strerror(failed) + "), RLIMIT_MEMLOCK is " +
         (limit.rlim_cur == RLIM_INFINITY ? "unlimited" : human_bytes(limit.rlim_cur)) + "; raise it (ulimit -l)";
}

// How much of the two mappings of data is mapped by huge pages, as the kernel shows it.
std::uint64_t huge_bytes(const Segment& segment) {
  const auto pieces = segment.pieces();
  const auto begin = reinterpret_cast<std::uintptr_t>(pieces[1].address);
  const auto end = reinterpret_cast<std::uintptr_t>(pieces[2].address) + pieces[2].bytes;
  std::ifstream file("/proc/self/smaps");
  std::uint64_t total = 0;
  bool ours = false;
  for (std::string line; std::getline(file, line);) {
    unsigned long from = 0;
    unsigned long to = 0;
    unsigned long long kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      ours = begin <= from && to <= end;
    else if (ours && (std::sscanf(line.c_str(), "ShmemPmdMapped: %llu kB", &kib) == 1 ||
                      std::sscanf(line.c_str(), "FilePmdMapped: %llu kB", &kib) == 1))
      total += kib << 10;
  }
  return total;
}

// Empty, or why there are fewer than fit.
std::string take_huge_pages(const Segment& segment, ObtainedMemory& obtained) {
  const std::uint64_t capacity = segment.memory().capacity;
  std::uint64_t page = 0;
  std::ifstream("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") >> page;
  if (page == 0) return "huge_pages: this kernel has no transparent huge pages";
  if (capacity < 2 * page)
    return "huge_pages: the ring has " + human_bytes(capacity) + ", two huge pages are " + human_bytes(2 * page) +
           "; choose a larger capacity";
  int failed = 0;
  for (std::uint64_t half = 0; half < 2; ++half) {
    std::byte* const ring = segment.memory().ring + half * capacity;
    ::madvise(ring, capacity, MADV_HUGEPAGE);  // also for what is touched later
    if (::madvise(ring, capacity, kCollapse) != 0) failed = errno;
  }
  obtained.huge_bytes = huge_bytes(segment);
  // The ring does not start at a huge page of the file: the first and the last are not full.
  const std::uint64_t full = 2 * (capacity / page - 1) * page;
  obtained.huge_pages = obtained.huge_bytes >= full;
  if (obtained.huge_pages) return {};
  std::string mode;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/shmem_enabled"), mode);
  return "huge_pages: " + human_bytes(obtained.huge_bytes) + " of " + human_bytes(full) + " are in huge pages (" +
         (failed != 0 ? std::string(std::strerror(failed)) + ", " : "") + "shmem_enabled is " + mode +
         "); use a bus on tmpfs, Linux 6.1 or newer, and see that memory is free";
}

}  // namespace

ObtainedMemory obtain_memory(const Segment& segment, const MemoryOptions& options, Role role,
                             const std::string& topic) {
  ObtainedMemory obtained;
  const auto refuse = [&](Code code, const std::string& why, int error) {
    if (options.required) throw Error(code, topic, "memory." + why + ", or leave memory.required unset", error);
    obtained.why_not += (obtained.why_not.empty() ? "" : "; ") + why;
  };
  if (options.huge_pages)
    if (const std::string why = take_huge_pages(segment, obtained); !why.empty()) refuse(Code::unsupported, why, 0);
  if (options.prefault) {
    const int failed = prefault(segment, role);
    obtained.prefault = failed == 0;
    if (failed != 0)
      refuse(Code::unsupported, std::string("prefault: ") + std::strerror(failed) + "; see that memory is free",
             failed);
  }
  if (options.lock) {
    const int failed = lock(segment);
    obtained.lock = failed == 0;
    if (failed != 0) refuse(Code::no_permission, why_not_locked(segment, failed), failed);
  }
  return obtained;
}

}  // namespace ringway::detail

namespace ringway {

ObtainedMemory Publisher::memory() const { return core_ == nullptr ? ObtainedMemory{} : core_->attachment->memory; }
ObtainedMemory Subscriber::memory() const { return core_ == nullptr ? ObtainedMemory{} : core_->attachment->memory; }

}  // namespace ringway

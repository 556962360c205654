// Who is alive: kernel locks on single bytes of the topic's files. No decision uses a PID, a clock or a heartbeat.
//
// A participant's life is an open-file-description write lock on its slot's byte, carried by nothing but a PROT_NONE
// mapping of that description: the kernel drops it when the address space goes, and at no other time.
//
// Thread safety: the process mutex covers every description that carries a lock, from open to close, so that a fork
// never duplicates one; a Prober belongs to one thread. Progress: locks are tried, never waited for. Crash: the kernel
// drops the locks.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "ringway/error.hpp"

namespace ringway::detail {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
};

// A file as it was attached: its name, and what the name meant then.
struct File {
  std::string path;
  FileId id;
};

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.value_) { other.value_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  [[nodiscard]] int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }
  void forget() { value_ = -1; }  // it is no longer ours

 private:
  int value_ = -1;
};

// Opens with O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC on a descriptor of 3 or above. Empty: errno says why.
Descriptor open_file(const std::string& path, int flags, mode_t mode = 0) noexcept;

// The error of a system call: no_space, no_permission or system.
Error system_error(const std::string& topic, const std::string& what, int error);

// Does the name still mean that file?
bool names_it(const File& file) noexcept;

// 1 in this process; 0 in a child forked from it. Throws Error system.
const std::atomic<std::uint32_t>* process_token();

// Held while a description carries a lock; also taken around fork.
std::recursive_mutex& process_mutex();

// Some kernel locks, all held until the end of its life; tried, never waited for.
class KernelLocks {
 public:
  enum class Answer : std::uint8_t { taken, busy, gone };
  KernelLocks() : guard_(process_mutex()) {}
  KernelLocks(const KernelLocks&) = delete;
  KernelLocks& operator=(const KernelLocks&) = delete;

  // Write-locks one byte through a description of its own. Gone: the name no longer means that file. Throws Error
  // no_permission, unsupported or system.
  Answer try_lock(const File& file, std::uint64_t byte);
  // The same through `description`, which is kept.
  Answer try_lock(Descriptor&& description, std::uint64_t byte);

 private:
  std::unique_lock<std::recursive_mutex> guard_;  // released after the descriptors
  std::array<Descriptor, 4> held_;
  std::size_t count_ = 0;
};

// The lock that proves a participant's life.
class Life {
 public:
  Life() = default;
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
  ~Life() { end(); }

  // False: somebody holds that byte. Throws Error; unsupported if this file system drops or ignores such locks.
  // REQUIRES: a KernelLocks of this thread exists.
  bool begin(const File& file, std::uint64_t byte);
  void end() noexcept;

 private:
  void* page_ = nullptr;
  const std::atomic<std::uint32_t>* process_ = nullptr;
};

// Proves, by the sequence that Life uses, that this file system keeps a lock as long as a mapping. Throws Error
// unsupported.
void self_test(const File& file);

// Asks who is alive, on a read-only description of its own that it opens at the first probe and proves before use.
class Prober {
 public:
  enum class Answer : std::uint8_t { alive, dead, unknown };  // unknown counts as alive
  explicit Prober(File file, std::uint64_t own_byte = 0) : file_(std::move(file)), own_byte_(own_byte) {}
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  ~Prober();

  [[nodiscard]] Answer probe(std::uint64_t byte) noexcept;
  // Does anybody, even a reader, hold a lock there just now?
  [[nodiscard]] bool anyone_locks(std::uint64_t byte) noexcept;

 private:
  bool ready() noexcept;
  bool prove() noexcept;
  File file_;
  std::uint64_t own_byte_;  // a byte that this process itself holds on the file; 0: none
  Descriptor descriptor_;
};

}  // namespace ringway::detail

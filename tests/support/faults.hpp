// One failure at a chosen place: the n-th system call, or the n-th allocation, that the library makes. The library is linked
// into the test, so the definitions below go before those of libc. Include it in one source of a
// program only: it defines open, mmap, operator new and others for the whole of it.

#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace ringway_test {

// What is to fail. Belongs to the one thread that the test has; 0: nothing.
struct Faults {
  static constexpr std::size_t kMostCalls = 2000;
  bool armed = false;
  std::size_t call = 0;  // the how many-th system call, from 1
  int error = 0;         // its errno
  std::size_t allocation = 0;
  std::size_t calls = 0;  // so far
  std::size_t allocations = 0;
  bool fired = false;
  const char* names[kMostCalls] = {};  // of the calls

  void arm(std::size_t the_call, int the_error, std::size_t the_allocation = 0) {
    *this = {};
    call = the_call;
    error = the_error;
    allocation = the_allocation;
    armed = true;
  }
  // Does this call fail? errno is set if so.
  bool fails(const char* name) {
    if (!armed) return false;
    if (calls < kMostCalls) names[calls] = name;
    if (++calls != call) return false;
    fired = true;
    errno = error;
    return true;
  }
  bool out_of_memory() {
    if (!armed || ++allocations != allocation) return false;
    fired = true;
    return true;
  }
};
inline Faults faults;

// The errnos that each call may give; a call that is not here does not fail.
inline std::vector<int> errors_of(const std::string& call) {
  if (call == "open(O_TMPFILE)")
    return {EMFILE, ENFILE, EACCES, EROFS, ENOMEM, EINTR, EPERM, EINVAL, EISDIR, EOPNOTSUPP, ENOSPC, EDQUOT};
  if (call == "open") return {EMFILE, ENFILE, EACCES, EROFS, ENOMEM, EINTR, EPERM, EINVAL};
  if (call == "fstat" || call == "stat" || call == "lstat") return {EACCES, ENOMEM};
  if (call == "fcntl(F_DUPFD_CLOEXEC)") return {EMFILE, EINVAL};
  if (call == "fcntl") return {EINVAL, ENOLCK, EPERM, EINTR};
  if (call == "mmap") return {ENOMEM, EPERM, ENFILE, EACCES, EINVAL};
  if (call == "madvise") return {EINVAL, ENOMEM};
  if (call == "mlock") return {ENOMEM, EPERM, EAGAIN};
  if (call == "fallocate") return {ENOSPC, EDQUOT, EINTR, EOPNOTSUPP, EPERM, EFBIG, EIO};
  if (call == "fchmod" || call == "chmod" || call == "chown" || call == "fchown") return {EPERM, EROFS};
  if (call == "fstatfs") return {EIO, ENOMEM};
  if (call == "rename") return {EACCES, EROFS, ENOSPC, EIO};
  if (call == "rmdir") return {EACCES, EBUSY};
  if (call == "pread" || call == "read") return {EIO, EINTR, ENOMEM};
  if (call == "pwrite") return {ENOSPC, EDQUOT, EINTR, EIO};
  if (call == "linkat") return {EMLINK, ENOSPC, EDQUOT, EACCES, EROFS, EPERM, ENOMEM};
  if (call == "unlink") return {EACCES, EROFS, EPERM, ENOMEM};
  if (call == "mkdir") return {EACCES, EROFS, ENOSPC, EDQUOT, EMLINK, ENOMEM};
  if (call == "faccessat") return {EACCES, EROFS, ENOMEM};
  if (call == "getrandom") return {EINTR, ENOSYS};
  return {};
}

template <class Function>
Function* next_of(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace ringway_test

// NOLINTBEGIN: libc's names and parameters
#define RINGWAY_NEXT(name) static auto* const next = ringway_test::next_of(&name, #name)
#define RINGWAY_FAULT(name, parameters, arguments)    \
  extern "C" int name parameters {                    \
    RINGWAY_NEXT(name);                               \
    if (ringway_test::faults.fails(#name)) return -1; \
    return next arguments;                            \
  }

RINGWAY_FAULT(fstat, (int file, struct stat* to) noexcept, (file, to))
RINGWAY_FAULT(stat, (const char* path, struct stat* to) noexcept, (path, to))
RINGWAY_FAULT(lstat, (const char* path, struct stat* to) noexcept, (path, to))
RINGWAY_FAULT(madvise, (void* at, size_t bytes, int advice) noexcept, (at, bytes, advice))
RINGWAY_FAULT(mlock, (const void* at, size_t bytes) noexcept, (at, bytes))
RINGWAY_FAULT(fallocate, (int file, int mode, off_t from, off_t bytes), (file, mode, from, bytes))
RINGWAY_FAULT(fchmod, (int file, mode_t mode) noexcept, (file, mode))
RINGWAY_FAULT(chmod, (const char* path, mode_t mode) noexcept, (path, mode))
RINGWAY_FAULT(linkat, (int from, const char* old_path, int to, const char* new_path, int flags) noexcept,
              (from, old_path, to, new_path, flags))
RINGWAY_FAULT(unlink, (const char* path) noexcept, (path))
RINGWAY_FAULT(chown, (const char* path, uid_t user, gid_t group) noexcept, (path, user, group))
RINGWAY_FAULT(fchown, (int file, uid_t user, gid_t group) noexcept, (file, user, group))
RINGWAY_FAULT(rename, (const char* from, const char* to) noexcept, (from, to))
RINGWAY_FAULT(rmdir, (const char* path) noexcept, (path))
RINGWAY_FAULT(mkdir, (const char* path, mode_t mode) noexcept, (path, mode))
RINGWAY_FAULT(faccessat, (int at, const char* path, int mode, int flags) noexcept, (at, path, mode, flags))

// Every file system says that it is a disk, so that what is done for a reboot is done here too.
extern "C" int fstatfs(int file, struct statfs* to) noexcept {
  RINGWAY_NEXT(fstatfs);
  if (ringway_test::faults.fails("fstatfs")) return -1;
  const int result = next(file, to);
  to->f_type = EXT4_SUPER_MAGIC;
  return result;
}
extern "C" int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  RINGWAY_NEXT(open);
  const char* const name = (flags & O_TMPFILE) == O_TMPFILE ? "open(O_TMPFILE)" : "open";
  return ringway_test::faults.fails(name) ? -1 : next(path, flags, mode);
}
extern "C" int fcntl(int file, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  RINGWAY_NEXT(fcntl);
  const char* const name = command == F_DUPFD_CLOEXEC ? "fcntl(F_DUPFD_CLOEXEC)" : "fcntl";
  return ringway_test::faults.fails(name) ? -1 : next(file, command, argument);
}
extern "C" void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t from) noexcept {
  RINGWAY_NEXT(mmap);
  return ringway_test::faults.fails("mmap") ? MAP_FAILED : next(at, bytes, protection, flags, file, from);
}
extern "C" ssize_t pread(int file, void* to, size_t bytes, off_t from) {
  RINGWAY_NEXT(pread);
  return ringway_test::faults.fails("pread") ? -1 : next(file, to, bytes, from);
}
extern "C" ssize_t read(int file, void* to, size_t bytes) {
  RINGWAY_NEXT(read);
  return ringway_test::faults.fails("read") ? -1 : next(file, to, bytes);
}
extern "C" ssize_t pwrite(int file, const void* bytes_of, size_t bytes, off_t to) {
  RINGWAY_NEXT(pwrite);
  return ringway_test::faults.fails("pwrite") ? -1 : next(file, bytes_of, bytes, to);
}
extern "C" ssize_t getrandom(void* to, size_t bytes, unsigned flags) {
  RINGWAY_NEXT(getrandom);
  return ringway_test::faults.fails("getrandom") ? -1 : next(to, bytes, flags);
}

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (ringway_test::faults.out_of_memory()) throw std::bad_alloc();
  if (void* const room = std::malloc(bytes != 0 ? bytes : 1)) return room;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (ringway_test::faults.out_of_memory()) throw std::bad_alloc();
  const auto line = static_cast<std::size_t>(alignment);
  if (void* const room = std::aligned_alloc(line, (bytes + line - 1) / line * line)) return room;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* room) noexcept { std::free(room); }
[[gnu::noinline]] void operator delete(void* room, std::size_t) noexcept { std::free(room); }
[[gnu::noinline]] void operator delete(void* room, std::align_val_t) noexcept { std::free(room); }
[[gnu::noinline]] void operator delete(void* room, std::size_t, std::align_val_t) noexcept { std::free(room); }
// NOLINTEND

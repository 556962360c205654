#include "liveness.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "ringway/detail/layout.hpp"
#include "ringway/error.hpp"
#include "uncancelled.hpp"

namespace ringway::detail {
namespace {

bool same(const struct stat& status, const FileId& id) {
  return status.st_dev == id.device && status.st_ino == id.inode;
}

bool is(int descriptor, const FileId& id) noexcept {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && same(status, id);
}

struct flock one_byte(short type, std::uint64_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

// 0, or errno.
int set_lock(int descriptor, short type, std::uint64_t byte) noexcept {
  struct flock lock = one_byte(type, byte);
  return ::fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

enum class Seen : std::uint8_t { unlocked, locked, error };
Seen see_lock(int descriptor, short type, std::uint64_t byte) noexcept {
  struct flock lock = one_byte(type, byte);
  if (::fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return Seen::error;
  return lock.l_type == F_UNLCK ? Seen::unlocked : Seen::locked;
}

std::uint64_t random_scratch_byte() noexcept {
  const Uncancelled to_the_end;
  std::uint32_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits) bits = static_cast<std::uint32_t>(::getpid());
  return kScratchBytes + bits;
}

Error lock_error(const std::string& path, int error) {
  if (error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM || error == ENOLCK)
    return {Code::unsupported,
            {},
            path + ": the kernel refuses open-file-description locks here (" + std::strerror(error) +
                "); use a bus directory on tmpfs, ext4 or xfs, and check the seccomp profile",
            error};
  return {Code::system, {}, path + ": cannot lock: " + std::strerror(error), error};
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    const Descriptor old(value_);
    value_ = other.value_;
    other.value_ = -1;
  }
  return *this;
}
Descriptor::~Descriptor() {
  if (value_ < 0) return;
  const Uncancelled to_the_end;
  ::close(value_);
}

Descriptor open_file(const std::string& path, int flags, mode_t mode) noexcept {
  const Uncancelled to_the_end;
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0 || descriptor > 2) return Descriptor(descriptor);
  const int higher = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);  // never stand in for a standard stream
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return Descriptor(higher);
}

namespace {

const char* next_step(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "; make room there";
    case EACCES:
    case EPERM: return "; ask its owner for access, or use a directory of your own";
    case EROFS: return "; use a directory that can be written";
    case EMFILE:
    case ENFILE: return "; close some files, or raise RLIMIT_NOFILE";
    case ENOMEM: return "; free memory, or raise RLIMIT_AS";
    default: return "";
  }
}

}  // namespace

Error system_error(const std::string& topic, const std::string& what, int error) {
  Code code = Code::system;
  if (error == ENOSPC || error == EDQUOT) code = Code::no_space;
  if (error == EACCES || error == EPERM || error == EROFS) code = Code::no_permission;
  return {code, topic, what + ": " + std::strerror(error) + next_step(error), error};
}

bool names_it(const File& file) noexcept {
  const int saved = errno;
  struct stat status {};
  const bool result = ::lstat(file.path.c_str(), &status) == 0 && same(status, file.id);
  errno = saved;
  return result;
}

std::recursive_mutex& process_mutex() {
  static auto* const mutex = [] {
    auto* made = new std::recursive_mutex;  // never destroyed: a fork may come after static destruction
    static std::recursive_mutex* for_fork = made;
    // The child's one thread has another id than the owner of the parent's lock: it starts with a new mutex.
    ::pthread_atfork([] { for_fork->lock(); }, [] { for_fork->unlock(); }, [] { new (for_fork) std::recursive_mutex; });
    return made;
  }();
  return *mutex;
}

const std::atomic<std::uint32_t>* process_token() {
  const std::scoped_lock lock(process_mutex());
  static std::atomic<std::uint32_t>* token = nullptr;
  if (token != nullptr && token->load(std::memory_order_relaxed) != 0) return token;  // under the mutex
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    throw Error(Code::system, {}, "no memory for a page: " + std::string(std::strerror(errno)), errno);
  if (::madvise(page, kPage, MADV_WIPEONFORK) != 0) {
    const int error = errno;
    ::munmap(page, kPage);
    throw Error(Code::unsupported, {}, "this kernel has no MADV_WIPEONFORK (Linux 4.14)", error);
  }
  token = new (page) std::atomic<std::uint32_t>(1);  // the parent's page stays with the parent's handles
  return token;
}

KernelLocks::Answer KernelLocks::try_lock(const File& file, std::uint64_t byte) {
  Descriptor description = open_file(file.path, O_RDWR);
  if (!description) {
    if (errno == ENOENT || errno == ELOOP) return Answer::gone;
    throw system_error({}, file.path + ": cannot open to lock", errno);
  }
  if (!is(description.get(), file.id)) return Answer::gone;
  return try_lock(std::move(description), byte);
}

KernelLocks::Answer KernelLocks::try_lock(Descriptor&& description, std::uint64_t byte) {
  if (count_ == held_.size()) throw Error(Code::system, {}, "more kernel locks at once than expected");
  const int error = set_lock(description.get(), F_WRLCK, byte);
  if (error == EAGAIN || error == EACCES) return Answer::busy;
  if (error != 0) throw lock_error("a topic's file", error);
  held_[count_++] = std::move(description);
  return Answer::taken;
}

namespace {

// Another description of a file that is attached. Throws Error.
Descriptor reopen(const File& file, int flags) {
  Descriptor description = open_file(file.path, flags);
  if (!description && errno != ENOENT && errno != ELOOP)
    throw system_error({}, file.path + ": cannot be opened again", errno);
  struct stat status {};
  if (description && ::fstat(description.get(), &status) != 0)
    throw system_error({}, "cannot look at " + file.path, errno);
  if (!description || !same(status, file.id))
    throw Error(Code::busy, {}, file.path + " was replaced while it was opened; try again");
  return description;
}

}  // namespace

bool Life::begin(const File& file, std::uint64_t byte) {
  const std::atomic<std::uint32_t>* token = process_token();
  const Descriptor description = reopen(file, O_RDWR);
  const int error = set_lock(description.get(), F_WRLCK, byte);
  if (error == EAGAIN || error == EACCES) return false;
  if (error != 0) throw lock_error(file.path, error);
  void* page = ::mmap(nullptr, kPage, PROT_NONE, MAP_SHARED, description.get(), 0);
  if (page == MAP_FAILED)
    throw Error(Code::system, {}, file.path + ": cannot map a page: " + std::strerror(errno), errno);
  page_ = page;
  process_ = token;
  if (::madvise(page, kPage, MADV_DONTFORK) != 0) {
    const int failed = errno;
    end();
    throw Error(Code::unsupported, {}, file.path + ": no MADV_DONTFORK: " + std::strerror(failed), failed);
  }
  return true;
}

void Life::end() noexcept {
  // In a forked child the page is not there: the address may be somebody else's by now.
  if (page_ != nullptr && process_->load(std::memory_order_relaxed) != 0) ::munmap(page_, kPage);
  page_ = nullptr;
}

void self_test(const File& file) {
  const Descriptor separate = reopen(file, O_RDONLY);
  Life life;
  const std::uint64_t byte = random_scratch_byte();
  if (!life.begin(file, byte)) throw Error(Code::busy, {}, file.path + ": a byte of it is locked; try again");
  const Seen during = see_lock(separate.get(), F_RDLCK, byte);
  if (during == Seen::error) throw lock_error(file.path, errno);
  life.end();
  const Seen after = see_lock(separate.get(), F_RDLCK, byte);
  if (after == Seen::error) throw lock_error(file.path, errno);
  if (during == Seen::locked && after == Seen::unlocked) return;
  throw Error(
      Code::unsupported, {},
      file.path + ": this file system " +
          (during == Seen::locked ? "keeps a lock after its mapping is gone" : "drops a lock with its descriptor") +
          ", so a crash could not be told from life; use a bus directory on tmpfs, ext4 or xfs");
}

Prober::~Prober() {
  if (descriptor_ && !is(descriptor_.get(), file_.id)) descriptor_.forget();  // closed and reused by the program
}

bool Prober::prove() noexcept {
  if (own_byte_ != 0) return see_lock(descriptor_.get(), F_RDLCK, own_byte_) == Seen::locked;
  const std::unique_lock lock(process_mutex(), std::try_to_lock);
  if (!lock) return false;
  const Descriptor other = open_file(file_.path, O_RDONLY);
  const std::uint64_t byte = random_scratch_byte();
  return other && is(other.get(), file_.id) && set_lock(other.get(), F_RDLCK, byte) == 0 &&
         see_lock(descriptor_.get(), F_WRLCK, byte) == Seen::locked;
}

bool Prober::ready() noexcept {
  if (descriptor_) {
    if (is(descriptor_.get(), file_.id)) return true;
    descriptor_.forget();
  }
  Descriptor opened = open_file(file_.path, O_RDONLY);
  if (!opened || !is(opened.get(), file_.id)) return false;
  descriptor_ = std::move(opened);
  if (prove()) return true;
  descriptor_ = Descriptor();
  return false;
}

Prober::Answer Prober::probe(std::uint64_t byte) noexcept {
  const int saved = errno;
  Answer answer = Answer::unknown;
  if (ready()) {
    const Seen seen = see_lock(descriptor_.get(), F_RDLCK, byte);
    if (seen == Seen::locked) answer = Answer::alive;
    if (seen == Seen::unlocked) answer = Answer::dead;
  }
  errno = saved;
  return answer;
}

bool Prober::anyone_locks(std::uint64_t byte) noexcept {
  const int saved = errno;
  const bool result = ready() && see_lock(descriptor_.get(), F_WRLCK, byte) == Seen::locked;
  errno = saved;
  return result;
}

}  // namespace ringway::detail

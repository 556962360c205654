#include "reboot.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <numeric>
#include <optional>
#include <vector>

#include "repair.hpp"
#include "ringway/detail/jobs.hpp"
#include "ringway/error.hpp"

namespace ringway::detail {
namespace {

constexpr std::uint64_t kKnown = 1;  // a boot is odd; one that cannot be known is this

bool is_alive(Prober& prober, std::uint32_t slot) noexcept {
  return prober.probe(kSlotBytes + slot) != Prober::Answer::dead;
}

bool anyone_attached(const SegmentMemory& memory, Prober& publishers, Prober& subscribers) noexcept {
  const std::uint32_t publishers_used = memory.publishers_used();
  for (std::uint32_t slot = 0; slot < publishers_used; ++slot)
    if (memory.publisher(slot).state.load(std::memory_order_relaxed) ==
            PublisherState::owned &&  // C2's fence orders it
        is_alive(publishers, slot))
      return true;
  const std::uint32_t subscriptions_used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < subscriptions_used; ++slot)
    if (memory.subscription(slot).owned.load(std::memory_order_relaxed) == 1 &&
        is_alive(subscribers, slot))  // as above
      return true;
  for (std::uint32_t group = 0; group < memory.max_groups; ++group)
    for (std::uint32_t member = 0; member < memory.max_members; ++member)
      if (member_lives(memory, subscribers, group, member)) return true;  // as above
  return false;
}

// What the dead left in the data file, so that a walk over the tags meets all that was committed, and every counter is right.
void settle_all(const SegmentMemory& memory, Prober& publishers) noexcept {
  if (memory.exclusive) settle_exclusive(memory);
  for (std::uint32_t slot = 0; slot < memory.max_publishers; ++slot) {
    const std::uint64_t record = memory.publisher(slot).record.load(std::memory_order_relaxed);  // the table lock
    if (settle_record(memory, slot)) continue;
    resolve_frame(memory, position_of(record), publishers);
    settle_record(memory, slot);
  }
}

// How many messages lie between a position and the end: those met by the walk from `oldest`, by position.
class Kept {
 public:
  explicit Kept(const SegmentMemory& memory) {
    const std::uint64_t oldest = memory.oldest().load(std::memory_order_relaxed);  // the table lock
    std::size_t messages = 0;
    walk(memory, oldest, [&](std::uint64_t, std::uint64_t size, std::uint64_t origin) {
      messages += messages_of(size, origin);
      return true;
    });
    positions_.reserve(messages);  // a walk must not throw
    walk(memory, oldest, [&](std::uint64_t position, std::uint64_t size, std::uint64_t origin) {
      for (std::uint64_t i = 0; i < messages_of(size, origin) && positions_.size() < messages; ++i)
        positions_.push_back(position + i);
      return true;
    });
  }
  [[nodiscard]] std::uint64_t from(std::uint64_t cursor) const {
    const auto first = std::partition_point(positions_.begin(), positions_.end(),
                                            [cursor](std::uint64_t position) { return before(position, cursor); });
    return static_cast<std::uint64_t>(positions_.end() - first);
  }

 private:
  std::vector<std::uint64_t> positions_;
};

// What a subscription loses with the contents. A lossy one may have been overtaken before, which its counters tell.
std::uint64_t count_lost(const SegmentMemory& memory, const SubscriptionSlot& row, const Kept& kept) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // the table lock, throughout
  const std::uint64_t base = row.base.load(kRelaxed);
  const bool counted = row.state.load(kRelaxed) != SubscriptionState::reliable && base != ~0ULL;
  if (counted) {
    std::uint64_t published = 0;
    for (std::uint32_t slot = 0; slot < memory.max_publishers; ++slot)
      published += memory.publisher(slot).sequence.load(kRelaxed) & kSequenceMask;
    const std::uint64_t missing = published - base - row.received.load(kRelaxed) - row.lost.load(kRelaxed);
    if (missing <= kSequenceMask / 2) return missing;
  }
  return kept.from(row.cursor.load(kRelaxed));
}

// Moves a subscription to `start`. Done again after a death it comes to the same end: what it loses is written down before
// its cursor moves, as the sum it leads to.
void move_subscription(const SegmentMemory& memory, SubscriptionSlot& row, std::uint64_t start, const Kept& kept) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // the table lock; only the order of the stores counts
  const std::uint64_t lost = row.lost.load(kRelaxed);
  if (row.cursor.load(kRelaxed) != start) {
    if (row.discarded_to.load(kRelaxed) <= row.discarded_from.load(kRelaxed)) row.discarded_from.store(lost, kRelaxed);
    row.discarded_to.store(lost + count_lost(memory, row, kept), kRelaxed);
    row.cursor.store(start, std::memory_order_release);  // C4: only a death comes between, and it sees these in order
  }
  const std::uint64_t sum = row.discarded_to.load(kRelaxed);
  if (sum > lost && sum > row.discarded_from.load(kRelaxed))
    row.lost.store(sum, std::memory_order_release);  // C5: as C4
}

// A group has no job under way; what was acknowledged behind one that was not is counted as lost, too.
void empty_group(const SegmentMemory& memory, std::uint32_t group, std::uint64_t start) {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // the table lock
  for (std::uint32_t index = 0; index < memory.max_in_flight; ++index) {
    memory.entry(group, index).word.store(0, kRelaxed);
    memory.entry(group, index).position.store(0, kRelaxed);
  }
  memory.group(group).next.store(start, kRelaxed);
  for (std::uint32_t member = 0; member < memory.max_members; ++member)
    memory.member(group, member).owned.store(0, kRelaxed);
}

void move_subscriptions(const SegmentMemory& memory, std::uint64_t start, const Kept& kept) {
  const std::uint32_t used = memory.subscriptions_used();
  for (std::uint32_t slot = 0; slot < used; ++slot) {
    SubscriptionSlot& row = memory.subscription(slot);
    const SubscriptionKind kind = row.kind.load(std::memory_order_relaxed);     // the table lock
    const SubscriptionState state = row.state.load(std::memory_order_relaxed);  // as above
    if (kind == SubscriptionKind::ephemeral) free_subscription(memory, slot);
    const std::uint32_t index = row.group.load(std::memory_order_relaxed);  // as above
    const bool group = kind == SubscriptionKind::group && index < memory.max_groups;
    if (kind != SubscriptionKind::durable && !group) continue;
    row.owned.store(0, std::memory_order_relaxed);                                          // as above
    if (state == SubscriptionState::free || state == SubscriptionState::joining) continue;  // joins when it is opened
    if (group) move_gate(memory, slot, index);
    move_subscription(memory, row, start, kept);
    if (group) empty_group(memory, index, start);
  }
}

// The new data file: nameless, empty, with the counters of the old one.
Descriptor make_next(const std::string& directory, const std::string& topic, const OpenFiles& files, const Segment& old,
                     std::uint64_t start, std::uint64_t discarded) {
  struct stat status {};
  if (::fstat(files.data.get(), &status) != 0)
    throw system_error(topic, "cannot look at " + files.data_file.path, errno);
  TopicSpec spec = files.geometry.spec;
  spec.first_position = start;
  Descriptor file = make_file(directory, data_bytes(spec.limits), status.st_mode & 07777, status.st_gid, topic);
  if (!file) throw Error(Code::not_found, topic, directory + " was removed; open the bus anew");
  if (::fchown(file.get(), status.st_uid, static_cast<gid_t>(-1)) != 0)
    throw system_error(topic, "cannot give a new file to user " + std::to_string(status.st_uid), errno);
  write_data(file, spec, files.geometry.epoch, files.control_file.id.inode, topic, files.geometry.created_ns,
             files.geometry.discarded + discarded);
  const SegmentMemory& memory = old.memory();
  std::vector<PublisherSlot> rows(spec.limits.max_publishers);
  for (std::uint32_t slot = 0; slot < spec.limits.max_publishers; ++slot) {
    constexpr auto kRelaxed = std::memory_order_relaxed;  // nobody sees the file yet
    const PublisherSlot& from = memory.publisher(slot);
    PublisherSlot& to = rows[slot];
    to.incarnation.store(from.incarnation.load(kRelaxed), kRelaxed);
    to.sequence.store(from.sequence.load(kRelaxed), kRelaxed);
    to.bytes.store(from.bytes.load(kRelaxed), kRelaxed);
    to.waits.store(from.waits.load(kRelaxed), kRelaxed);
    to.retries.store(from.retries.load(kRelaxed), kRelaxed);
    for (std::size_t word = 0; word < kNameWords; ++word) to.name[word].store(from.name[word].load(kRelaxed), kRelaxed);
  }
  const std::uint32_t used = memory.publishers_used();
  write_all(file, rows.data(), rows.size() * sizeof(PublisherSlot), kPublishersOffset, topic);
  write_all(file, &used, sizeof used, kTailOffset + offsetof(TailLine, publishers_used), topic);
  return file;
}

}  // namespace

std::array<char, 40> boot_id(const std::string& topic) {
  static constexpr const char* kPath = "/proc/sys/kernel/random/boot_id";
  std::array<char, 40> id{};
  const Descriptor file = open_file(kPath, O_RDONLY);
  if (!file && (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EPERM)) return id;
  ssize_t bytes = -1;
  if (file) do {
      bytes = ::read(file.get(), id.data(), 36);
    } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) throw system_error(topic, std::string("cannot read ") + kPath, errno);
  if (bytes != 36) id.fill('\0');
  return id;
}

std::uint64_t boot_of(const Descriptor& file, const std::string& topic) {
  struct statfs status {};
  if (::fstatfs(file.get(), &status) != 0) throw system_error(topic, "cannot look at a topic's file system", errno);
  if (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC) return 0;
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325;  // FNV-1a
  const std::array<char, 40> id = boot_id(topic);
  if (id[0] == '\0') return kKnown;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01B3;
  return (hash & ~kLeaving) | kKnown;
}

bool is_from_another_boot(const OpenFiles& files) noexcept {
  const std::uint64_t used = files.used_boot & ~kLeaving;
  return files.boot > kKnown && used > kKnown && used != files.boot;
}

void mark_attached(const Segment& segment) noexcept {
  if (segment.boot() == 0) return;
  // Full fence C1: between the row's `owned` and this store; pairs with C2's: either whoever leaves sees this row owned, or this
  // store comes after its mark, which then does not become 0. Death before it: nothing was done in this slot yet.
  SegmentMemory::full_fence();
  segment.memory().control->boot.store(segment.boot(), std::memory_order_relaxed);  // C1 orders it
}

void mark_left(const Segment& segment, Prober& publishers, Prober& subscribers) noexcept {
  if (segment.boot() == 0) return;
  std::atomic<std::uint64_t>& boot = segment.memory().control->boot;
  std::uint64_t leaving = segment.boot() | kLeaving;
  boot.store(leaving, std::memory_order_relaxed);  // C2 orders it
  // Full fence C2: pairs with C1. Two who leave at once both come by here, and the later one sees no other. Death before the
  // exchange: the mark of this boot stays, and the next one who leaves looks again.
  SegmentMemory::full_fence();
  if (!anyone_attached(segment.memory(), publishers, subscribers))
    boot.compare_exchange_strong(leaving, 0, std::memory_order_release,
                                 std::memory_order_relaxed);  // C3: after C2's looks
}

std::string next_data_path(const std::string& directory, const std::string& topic) {
  const std::size_t slash = topic.rfind('/');
  const std::size_t from = slash == std::string::npos ? 0 : slash + 1;
  return data_path(directory, topic.substr(0, from) + "." + topic.substr(from));
}

Discard discard_contents(const std::string& directory, const std::string& topic, uid_t owner) {
  struct stat status {};
  if (::lstat(data_path(directory, topic).c_str(), &status) == 0 && status.st_uid != ::geteuid() && ::geteuid() != 0)
    throw Error(
        Code::no_permission, topic,
        "it was in use when the machine stopped, and what it holds is to be discarded, which only its owner, user " +
            std::to_string(status.st_uid) + ", can do; let that user open it once");
  const auto files = open_files(directory, topic, Role::publish, owner);
  if (!files || files->removed || !is_from_another_boot(*files)) return Discard::done;  // others were here
  KernelLocks locks;
  for (const auto& [file, byte] :
       {std::pair(files->control_file, kCreatorByte), std::pair(files->data_file, kTableByte),
        std::pair(files->control_file, kTableByte)}) {
    const auto answer = locks.try_lock(file, byte);
    if (answer != KernelLocks::Answer::taken)
      return answer == KernelLocks::Answer::busy ? Discard::busy : Discard::done;
  }
  if (!names_it(files->data_file) || !names_it(files->control_file)) return Discard::done;
  const Segment old(*files, Role::publish, topic);
  const SegmentMemory& memory = old.memory();
  Prober publishers(files->data_file);
  Prober subscribers(files->control_file);
  if (anyone_attached(memory, publishers, subscribers)) return Discard::living;
  settle_all(memory, publishers);
  const Kept kept(memory);
  const std::uint64_t start = visible_tail(memory) & ~(kLine - 1);
  const std::string folder = files->data_file.path.substr(0, files->data_file.path.rfind('/'));
  const Descriptor next =
      make_next(folder, topic, *files, old, start, kept.from(memory.oldest().load(std::memory_order_relaxed)));
  const std::string next_path = next_data_path(directory, topic);
  ::unlink(next_path.c_str());  // of one who died here
  int error = link_file(next, next_path);
  if (error != 0) throw system_error(topic, "cannot name " + next_path, error);
  // From here on everything is done again after a death, until `boot` says that nothing is left to do.
  move_subscriptions(memory, start, kept);
  if (std::rename(next_path.c_str(), files->data_file.path.c_str()) != 0) {
    error = errno;
    ::unlink(next_path.c_str());
    throw system_error(topic, "cannot put a new file in the place of " + files->data_file.path, error);
  }
  memory.control->boot.store(
      0, std::memory_order_release);  // C6: last; death before it: all of it again, with nothing to count
  return Discard::done;
}

}  // namespace ringway::detail

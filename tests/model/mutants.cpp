// The sites, and the mutants: see sites.hpp.
#include <iterator>

#include "sites.hpp"

namespace model {
namespace {

constexpr const char* kRing = "include/ringway/detail/ring.hpp";
constexpr const char* kSlots = "include/ringway/detail/slots.hpp";
constexpr const char* kWait = "include/ringway/detail/wait.hpp";
constexpr const char* kResolve = "lib/resolve.hpp";

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto acq_rel = std::memory_order_acq_rel;

constexpr Site kAll[] = {
    {"W1", kRing, "row.record.store(position | kRecordStanding, std::memory_order_release);"},
    {"W2", kRing, "memory_.tail().compare_exchange_strong("},
    {"W3", kRing, "row.record.store(position | kRecordStanding | kRecordWon, std::memory_order_release);"},
    {"W4", kRing, "frame.tag.store(position ^ memory.epoch, std::memory_order_release);"},
    {"W5", kRing, "memory_.publisher(slot_).record.store(kNoRecord, std::memory_order_release);"},
    {"W6", kRing, "memory_.tail().store(next_, std::memory_order_release);"},
    {"W7", kRing, "    row.record.store(kNoRecord, std::memory_order_release);"},
    {"W8", kRing, "Memory::full_fence();"},
    {"W9", kRing, "row.sequence.store(++sequence_, std::memory_order_release);"},
    {"S1 oldest", kRing, "std::uint64_t oldest = memory_.oldest().load(std::memory_order_acquire);"},
    {"S1 tail", kRing, "next_ : memory_.tail().load(std::memory_order_acquire);"},
    {"S2", kRing, "memory_.publisher(slot).record.load(std::memory_order_acquire);"},
    {"S3", kRing, "memory_.oldest().compare_exchange_strong("},
    {"S4 oldest", kRing, "oldest = memory_.oldest().load(std::memory_order_seq_cst);"},
    {"S5", kRing, "Memory::release_fence();"},
    {"R1", kRing, "frame.tag.load(std::memory_order_acquire)"},
    {"R1 copy", kRing, "Memory::peek(frame.tag)"},
    {"R1 size", kRing, "Memory::peek(frame.size)"},
    {"R1 origin", kRing, "Memory::peek(frame.origin)"},
    {"R1 stamp", kRing, "Memory::peek(frame.stamp)"},
    {"R2", kRing, "Memory::acquire_fence();"},
    {"R3", kRing, "return before(next_, memory_.oldest().load(std::memory_order_acquire));"},
    {"R4", kRing, "memory.subscription(subscription).cursor.store(cursor, std::memory_order_release);"},
    {"N1", kSlots, "control->subscriptions_used.load(std::memory_order_seq_cst)"},
    {"N2", kSlots, "tail_line->publishers_used.load(std::memory_order_acquire)"},
    {"S4 state", kSlots, "row.state.load(std::memory_order_seq_cst)"},
    {"S4 cursor", kSlots, "row.cursor.load(std::memory_order_seq_cst)"},
    {"L1", kSlots, "row.state.load(std::memory_order_acquire) != SubscriptionState::limited"},
    {"G1", kSlots, "return Memory::peek(memory.frame(position).tag)"},
    {"G1 size", kSlots, "Memory::peek(frame.size)"},
    {"G1 origin", kSlots, "Memory::peek(frame.origin)"},
    {"G2", kSlots, "const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);"},
    {"B1", kWait, "doorbell.fetch_add(1, std::memory_order_release);"},
    {"B2", kWait, "doorbell->load(std::memory_order_acquire);"},
    {"B3", kWait, "word->fetch_or(bit, std::memory_order_seq_cst);"},
    {"B3 fence", kWait, "Memory::full_fence();"},
    {"B4", kWait, "memory.parked[word].fetch_and(~chosen, std::memory_order_acq_rel)"},
    {"B5", kWait, "memory.waiting[word].load(std::memory_order_acquire);"},
    {"B6", kWait, "memory.waiting[word].fetch_and(~bit, std::memory_order_acq_rel)"},
    {"D1", kResolve, "if (!before(position, memory.tail().load(std::memory_order_acquire)))"},
    {"D2", kResolve, "std::uint64_t record = row.record.load(std::memory_order_acquire);"},
    {"D3", kResolve, "    record = row.record.load(std::memory_order_acquire);"},
    {"D4", kResolve, "memory.tail().load(std::memory_order_acquire) == end"},
    {"D5", kResolve, "memory.publisher(slot).record.load(std::memory_order_acquire);"},
    {"D6 fence", kResolve, "Memory::acquire_fence();"},
    {"D6", kResolve, "return before(position, memory.oldest().load(std::memory_order_acquire));"},
    // Copied into the model; not weakened, but for those with mutants below.
    {"attach", "lib/attachment.cpp", "memory.tail_line->publishers_used.store(slot + 1, std::memory_order_release);"},
    {"settle record", "lib/repair.cpp", "const std::uint64_t record = row.record.load(std::memory_order_acquire);"},
    {"settle tail", "lib/repair.cpp",
     "const bool never = !before(position, memory.tail().load(std::memory_order_acquire));"},
    {"settle oldest", "lib/repair.cpp", "before(position, memory.oldest().load(std::memory_order_acquire));"},
    {"settle none", "lib/repair.cpp", "row.record.store(kNoRecord, std::memory_order_release);"},
    {"resolve record", "lib/repair.cpp", "memory.publisher(slot).record.load(std::memory_order_acquire);"},
    {"resolve fence", "lib/repair.cpp", "SegmentMemory::full_fence();  // as W8"},
    {"walk tail", "lib/repair.cpp", "const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);"},
    {"walk store", "lib/repair.cpp", "memory.tail().store(next, std::memory_order_release);"},
    {"claimer tail", "lib/reader.cpp", "if (!before(next, memory.tail().load(std::memory_order_acquire)))"},
    {"gap", "lib/reader.cpp", "core.ring.go_on_at(core.ring.memory().oldest().load(std::memory_order_acquire));"},
    {"idle tail", "lib/reader.cpp", "const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);"},
    {"idle counter", "lib/reader.cpp", "memory.publisher(slot).sequence.load(std::memory_order_acquire)"},
    {"idle again", "lib/reader.cpp", "if (memory.tail().load(std::memory_order_acquire) != tail"},
    {"expect tail", "lib/join.cpp", "const std::uint64_t tail = memory.tail().load(std::memory_order_acquire);"},
    {"expect counter", "lib/join.cpp",
     "memory.publisher(slot).sequence.load(std::memory_order_acquire) & kSequenceMask;"},
    {"expect exclusive", "lib/join.cpp",
     "memory.exclusive ? memory.publisher(slot).sequence.load(std::memory_order_acquire)"},
    {"expect record", "lib/join.cpp",
     "const std::uint64_t record = memory.publisher(slot).record.load(std::memory_order_acquire);"},
    {"R5", "lib/reader.cpp", "SegmentMemory::full_fence();  // R5"},
    {"blocker record", "lib/publisher.cpp",
     "memory.publisher(blocker.slot & ~kBlockedByPublisher).record.load(std::memory_order_acquire);"},
    {"blocker cursor", "lib/publisher.cpp", "return row.state.load(std::memory_order_acquire)"},
    {"J1", "lib/subscription.cpp", "memory.control->subscriptions_used.store(slot + 1, std::memory_order_seq_cst);"},
    {"J1 joining", "lib/join.cpp", "row.state.store(SubscriptionState::joining, std::memory_order_seq_cst);"},
    {"J1 oldest", "lib/join.cpp", "position = memory.oldest().load(std::memory_order_acquire);"},
    {"J1 cursor", "lib/join.cpp", "row.cursor.store(cursor, std::memory_order_release);"},
    {"J2", "lib/join.cpp",
     "row.state.store(overtaken ? wanted : SubscriptionState::reliable, std::memory_order_seq_cst);"},
    {"J3", "lib/join.cpp", "const std::uint64_t oldest = memory.oldest().load(std::memory_order_seq_cst);"},
};

constexpr Mutant kWeak[] = {
    {"W1", relaxed, nullptr,
     "'dead' comes after all that the dead one did, and nobody else needs the extent; the record itself is ordered by "
     "W2"},
    {"W2", relaxed, "crash", nullptr},
    {"W2", acquire, "crash", nullptr},
    {"W2", release, nullptr,
     "a claim needs nothing of those before it; who does loads tail (S1, D1, D4), down the release sequence of all "
     "exchanges"},
    {"W3", relaxed, nullptr,
     "'dead' comes after all that the dead one did, and nobody else needs the extent; the record itself is ordered by "
     "W2"},
    {"W4", relaxed, "shared", nullptr},
    {"W5", relaxed, "laps", nullptr},
    {"W6", relaxed, "observe-exclusive", nullptr},
    {"W7", relaxed, nullptr,
     "a claim that was lost has left nothing but the record, and one word is coherent by itself"},
    {"W8", acq_rel, "park", nullptr},
    {"W9", relaxed, "lossy-shared", nullptr},
    {"S1 oldest", relaxed, nullptr,
     "S4 loads oldest again, with acquire, before a limit is made from it; S3 fails if it is old"},
    {"S1 tail", relaxed, "laps", nullptr},
    {"S2", relaxed, "laps", nullptr},
    {"S3", relaxed, "laps", nullptr},
    {"S3", acquire, "laps", nullptr},
    {"S3", release, nullptr, "S4 loads oldest again, with acquire"},
    {"S4 oldest", acquire, "join", nullptr},
    {"S4 oldest", relaxed, "join", nullptr},
    {"S4 state", acquire, "join", nullptr},
    {"S4 state", relaxed, "join", nullptr},
    {"S4 cursor", acquire, nullptr,
     "the state before it is seq_cst, and the cursor was stored before that state (J1, J2)"},
    {"S4 cursor", relaxed, "shared", nullptr},
    {"S5", relaxed, "lossy", nullptr},
    {"R1", relaxed, "shared", nullptr},
    {"R1 copy", relaxed, "lossy", nullptr},
    {"R1 size", relaxed, nullptr,
     "after the tag (R1); what is newer is found by the fence and the look at oldest (R2)"},
    {"R1 origin", relaxed, nullptr, "as R1 size"},
    {"R1 stamp", relaxed, nullptr, "as R1 size"},
    {"R2", relaxed, "lossy", nullptr},
    {"R3", relaxed, nullptr,
     "the fence R2 orders it; it only tells whether oldest has passed, and who goes on there loads it again"},
    {"R4", relaxed, "shared", nullptr},
    {"N1", acquire, "join", nullptr},
    {"N1", relaxed, "join", nullptr},
    {"N2", relaxed, nullptr,
     "whoever sees a claim of the new row sees the row, by tail (W2); without a claim there is nothing to see"},
    {"L1", relaxed, nullptr,
     "an old cursor or limit of the row keeps other bytes than asked for until the new ones are seen; what is read is "
     "guarded by R2, and what is missing is counted"},
    {"G1", relaxed, "observe-exclusive", nullptr},
    {"G1 size", relaxed, nullptr,
     "after the tag (G1); where it may be overtaken, the walk counts only if oldest has not passed"},
    {"G1 origin", relaxed, nullptr, "as G1 size"},
    {"G2", relaxed, nullptr,
     "only the place is used; who needs what lies below it loads tail again, with acquire, or a tag"},
    {"B1", relaxed, nullptr, "the bell only has to differ; the bits (B3, B4) and the two fences show the change"},
    {"B2", relaxed, nullptr, "as B1"},
    {"B3", acq_rel, nullptr, "the fence behind it"},
    {"B3", relaxed, nullptr,
     "the fence behind it; a line that is not whole yet costs a backstop, as the race itself does"},
    {"B3 fence", acq_rel, "park", nullptr},
    {"B4", relaxed, nullptr, "that only one clears a bit is its atomicity; the fences show the rest"},
    {"B5", relaxed, nullptr,
     "behind a fence the line is whole; without one it costs a backstop at most, as the race itself does"},
    {"B6", relaxed, nullptr, "as B4"},
    {"D1", relaxed, "crash", nullptr},
    {"D2", relaxed, "crash", nullptr},
    {"D3", relaxed, nullptr, "'dead' comes after all that the dead one did"},
    {"D4", relaxed, "evidence", nullptr},
    {"D5", relaxed, "evidence", nullptr},
    {"D6 fence", relaxed, nullptr, "peek acquires by itself; where it does not, for TSan, the fence is needed"},
    {"D6", relaxed, nullptr, "it only tells whether oldest has passed, and the caller looks again"},
    {"R5", acq_rel, "wait", nullptr},
    {"J1", release, "join", nullptr},
    {"J2", release, "join", nullptr},
    {"J3", acquire, "join", nullptr},
};

}  // namespace

const Site* const kSites = kAll;
const std::size_t kSiteCount = std::size(kAll);
const Mutant* const kMutants = kWeak;
const std::size_t kMutantCount = std::size(kWeak);

}  // namespace model

// What every process of the soak has done, in memory that outlives each of them: the checker's books.
//
// Each word has one writer at a time. Crash: a process notes what it is about to do before, and what it has done after; so
// for each that was killed one message is uncertain, and it must be all there or not at all.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>

namespace ringway_soak {

inline constexpr std::uint32_t kMaxRuns = 1U << 20;  // publishers that were ever started
inline constexpr std::uint32_t kMaxCrew = 1U << 20;  // members that were ever started
inline constexpr std::uint32_t kMaxJobs = 1U << 30;  // serial numbers
inline constexpr std::uint32_t kSerialBlock = 64;    // that a publisher takes at a time
inline constexpr std::uint32_t kTopics = 2;          // a shared one and an exclusive one
inline constexpr std::uint32_t kDurables = 3;        // reliable durable subscriptions of each

// One start of a publisher. Its messages are numbered from 0.
struct Run {
  std::atomic<std::uint32_t> topic;
  std::atomic<std::uint32_t> in_claim;  // 1: a claim is open
  std::atomic<std::uint64_t> started;   // messages whose commit has begun
  std::atomic<std::uint64_t> committed;
};

// One start of a member.
struct Crew {
  std::atomic<std::uint32_t> doomed;  // 1: it is about to be killed, so what it holds may go to others
  std::atomic<std::uint32_t> held;
};

// What became of a job. Written by the member that has it in hand, or last by the undertaker of its topic.
struct JobWord {
  enum State : std::uint32_t {
    unseen = 0,
    held = 1,
    returned = 2,
    acking = 3,  // about to be acknowledged: it may have come to that
    acked = 4,
    buried = 5,
  };
  State state = unseen;
  std::uint32_t attempt = 0;  // of the last time that it was noted
  std::uint32_t holder = 0;   // a Crew's number
};
constexpr std::uint32_t pack(const JobWord& word) { return word.state | word.attempt << 4 | word.holder << 8; }
constexpr JobWord unpack(std::uint32_t word) {
  return {static_cast<JobWord::State>(word & 0xF), word >> 4 & 0xF, word >> 8};
}

struct Ledger {
  std::atomic<std::uint32_t> runs;
  std::atomic<std::uint32_t> crews;
  std::atomic<std::uint32_t> serials;   // given out so far
  std::atomic<std::uint32_t> draining;  // 1: readers end once nothing is left; 2: so do those of dead letters
  std::atomic<std::uint64_t> received;  // of all readers
  std::atomic<std::uint64_t> redelivered;
  std::atomic<std::uint64_t> bad;
  std::atomic<std::uint64_t> accountant_received[kTopics];  // the lossy subscriptions that are never killed
  std::atomic<std::uint64_t> accountant_lost[kTopics];
  // For display: a kill may leave one out.
  std::atomic<std::uint64_t> jobs_taken;
  std::atomic<std::uint64_t> jobs_acked;
  std::atomic<std::uint64_t> jobs_redelivered;
  // By the two undertakers, which are never killed.
  std::atomic<std::uint64_t> jobs_buried;
  std::atomic<std::uint64_t> buried_again;
  std::atomic<std::uint64_t> unexplained;  // jobs that came again though nobody is known to have died in their take
  // For display: what the faulty have brought about.
  std::atomic<std::uint64_t> evicted;  // subscriptions with a cursor that cannot be
  std::atomic<std::uint64_t> wrecked;  // topics that ended corrupt, as they should
  Run run[kMaxRuns];
  Crew crew[kMaxCrew];
  std::atomic<std::uint32_t> run_of[kMaxJobs / kSerialBlock];  // per block of serial numbers
  std::atomic<std::uint32_t> job[kMaxJobs];                    // JobWord, by serial number
  // 1: a member died inside its take, so that nobody can tell whether another had the job: it may come twice, marked.
  std::atomic<std::uint8_t> twin[kMaxJobs];
  std::atomic<std::uint64_t> next[kTopics][kDurables][kMaxRuns];  // per durable subscription and run: the next message
};

inline Ledger& make_ledger() {
  void* memory =
      ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for the ledger");
  return *static_cast<Ledger*>(memory);  // zeros are its initial state
}

// A message: this, and bytes that follow from it.
struct Head {
  std::uint32_t run;
  std::uint32_t bytes;   // behind the head
  std::uint32_t number;  // of the run's messages
  std::uint32_t serial;  // of all messages
  std::uint64_t checksum;
};

inline std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 31)) * 0x9E37'79B9'7F4A'7C15U;
  return value ^ (value >> 29);
}
inline std::byte byte_at(const Head& head, std::size_t i) {
  return static_cast<std::byte>(head.run * 131 + head.number * 17 + i * 7 + (i >> 6));
}
inline std::uint64_t checksum_of(const Head& head) {
  return mix(mix(head.run + (std::uint64_t{head.bytes} << 32)) + head.number + (std::uint64_t{head.serial} << 32));
}

}  // namespace ringway_soak

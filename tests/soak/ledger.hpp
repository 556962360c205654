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

inline constexpr std::uint32_t kMaxRuns = 1U << 18;  // publishers that were ever started
inline constexpr std::uint32_t kTopics = 2;          // a shared one and an exclusive one
inline constexpr std::uint32_t kDurables = 3;        // reliable durable subscriptions of each

// One start of a publisher. Its messages are numbered from 0.
struct Run {
  std::atomic<std::uint32_t> topic;
  std::atomic<std::uint32_t> in_claim;  // 1: a claim is open
  std::atomic<std::uint64_t> started;   // messages whose commit has begun
  std::atomic<std::uint64_t> committed;
};

struct Ledger {
  std::atomic<std::uint32_t> runs;
  std::atomic<std::uint32_t> draining;  // 1: readers end once nothing is left
  std::atomic<std::uint64_t> received;  // of all readers
  std::atomic<std::uint64_t> redelivered;
  std::atomic<std::uint64_t> bad;
  std::atomic<std::uint64_t> accountant_received[kTopics];  // the lossy subscriptions that are never killed
  std::atomic<std::uint64_t> accountant_lost[kTopics];
  Run run[kMaxRuns];
  std::atomic<std::uint64_t> next[kTopics][kDurables][kMaxRuns];  // per durable subscription and run: the next message
};

inline Ledger& make_ledger() {
  void* memory = ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for the ledger");
  return *static_cast<Ledger*>(memory);  // zeros are its initial state
}

// A message: this, and bytes that follow from it.
struct Head {
  std::uint32_t run;
  std::uint32_t bytes;  // behind the head
  std::uint64_t number;
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
  return mix(mix(head.run + (std::uint64_t{head.bytes} << 32)) + head.number);
}

}  // namespace ringway_soak

// The memory of the model: words and bytes as C++20 defines them, on relacy's scheduler.
//
// Relacy supplies the fibers, the choice of the next step (random, bounded or exhaustive) and the replay of a failure. Its own
// atomics follow a draft of C++11 and make two seq_cst fences a full synchronisation, which would hide mutants; so the rules
// are here, on vector clocks:
//   - a load may give any of the last stores that coherence, what happened before, and seq_cst (also of fences) leave it;
//   - a release sequence goes on only through read-modify-writes;
//   - a seq_cst fence orders what is seen, but does not synchronise; the total order S is the order of execution;
//   - a plain byte that is written must be ordered, by happens-before, with every other access to it.
// Not modelled: loads that see stores of the future (load buffering), and a failing compare_exchange that read an old value.
// Reads that must not be delayed past a release are found by their race with the write that follows.
//
// Thread safety: fibers of one thread.
#pragma once

#include <array>
#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <type_traits>

#include "sites.hpp"

namespace model {

inline constexpr unsigned kThreads = 4;
using Stamp = std::uint32_t;

struct Clock {
  std::array<Stamp, kThreads> at{};
  void join(const Clock& other) {
    for (unsigned i = 0; i < kThreads; ++i)
      if (at[i] < other.at[i]) at[i] = other.at[i];
  }
};

// What a thread, a store or a fence knows.
struct View {
  Clock happened;    // before it
  Clock visible;     // what seq_cst fences add to that: stores not to be missed, without synchronisation
  Stamp fences = 0;  // time in S of the last seq_cst fence before it
  void join(const View& other) {
    happened.join(other.happened);
    visible.join(other.visible);
    if (fences < other.fences) fences = other.fences;
  }
};

struct Thread {
  View now;
  View acquired;      // by relaxed loads, for the next acquire fence
  View released;      // by the last release fence, for relaxed stores
  Stamp yielded = 0;  // what was seen before it is not seen stale again
  int steps_left = -1;
  std::jmp_buf* grave = nullptr;  // where it goes when it has none left
};

struct Machine {
  std::array<Thread, kThreads> threads;
  Clock fenced;     // what happened before any seq_cst fence so far
  Stamp order = 0;  // time in S
  const char* failure = "";
  const void* watched = nullptr;  // a word whose compare_exchanges are told
  void (*on_exchange)(void* context, std::uint64_t from, std::uint64_t to) = nullptr;
  void* context = nullptr;

  std::uint64_t executions = 0;
  std::uint64_t limit = 0;  // how many a bounded or exhaustive search may take

  void reset();  // a new execution
  void start();  // what was set up so far happened before every thread
};
extern Machine machine;

unsigned me();                    // the running thread
Thread& self();                   // its state
void step();                      // a scheduling point; a mortal thread may end here
unsigned choose(unsigned limit);  // any of 0 .. limit - 1
bool fickle();                    // shall a load look for an older store?
void yield(const char* file = __builtin_FILE(), int line = __builtin_LINE());
void log(const Where& where, const char* what, std::uint64_t value, std::memory_order order, bool stale);
[[noreturn]] void fail(const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE());
inline void check(bool holds, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (!holds) fail(what, file, line);
}

constexpr bool acquires(std::memory_order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}
constexpr bool releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel || order == std::memory_order_seq_cst;
}

void fence(std::memory_order order, const Where& where);
// The system call: a seq_cst fence here, then one in every other thread, wherever it is, then one here. True: done.
bool barrier(const Where& where);

// The untyped part of a word: its last stores, oldest first.
class History {
 public:
  void begin(std::uint64_t value);
  [[nodiscard]] std::uint64_t latest() const { return stores_[count_ - 1].value; }
  std::uint64_t load(std::memory_order order, bool& stale);
  void store(std::uint64_t value, std::memory_order order);
  std::uint64_t load_latest(std::memory_order order);                   // a compare_exchange that fails
  std::uint64_t replace(std::uint64_t value, std::memory_order order);  // a read-modify-write

 private:
  struct Store {
    std::uint64_t value = 0;
    View released;  // what an acquire load of it gets
    Clock seen;     // each thread's first read of it; 0: none
    Stamp stamp = 0;
    Stamp order = 0;  // time in S of the first seq_cst access to it; 0: none
    unsigned thread = 0;
  };
  static constexpr unsigned kKept = 4;
  Store& push(std::uint64_t value);
  void take(Store& store, std::memory_order order);

  std::array<Store, kKept> stores_;
  unsigned count_ = 0;
};

// What the policy supplies in place of std::atomic.
template <class T>
class Word {
 public:
  Word() { history_.begin(0); }
  Word(const Word&) = delete;
  Word& operator=(const Word&) = delete;

  [[nodiscard]] T load(std::memory_order order, Where where = Where(__builtin_FILE(), __builtin_LINE())) const {
    order = effective(where, order);
    step();
    bool stale = false;
    const std::uint64_t value = history_.load(order, stale);
    log(where, "load", value, order, stale);
    return from(value);
  }
  void store(T value, std::memory_order order, Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    order = effective(where, order);
    step();
    history_.store(to(value), order);
    log(where, "store", to(value), order, false);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order, std::memory_order failure,
                               Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    order = effective(where, order);
    step();
    if (history_.latest() != to(expected)) {
      expected = from(history_.load_latest(failure));
      log(where, "exchange fails", to(expected), failure, false);
      return false;
    }
    history_.replace(to(desired), order);
    if (machine.watched == this) machine.on_exchange(machine.context, to(expected), to(desired));
    log(where, "exchange", to(desired), order, false);
    return true;
  }
  T fetch_add(T value, std::memory_order order, Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    return change(where, order, [&](T old) { return static_cast<T>(old + value); });
  }
  T fetch_or(T value, std::memory_order order, Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    return change(where, order, [&](T old) { return static_cast<T>(old | value); });
  }
  T fetch_and(T value, std::memory_order order, Where where = Where(__builtin_FILE(), __builtin_LINE())) {
    return change(where, order, [&](T old) { return static_cast<T>(old & value); });
  }
  // Its last value, for the kernel's compare and for checks: no step.
  [[nodiscard]] T latest() const { return from(history_.latest()); }
  // Set up before the threads start, or between scenarios' checks: no step.
  void set(T value) { history_.begin(to(value)); }

 private:
  static std::uint64_t to(T value) { return static_cast<std::uint64_t>(value); }
  static T from(std::uint64_t value) { return static_cast<T>(value); }
  template <class Change>
  T change(const Where& where, std::memory_order order, Change how) {
    order = effective(where, order);
    step();
    const T old = latest();
    history_.replace(to(how(old)), order);
    log(where, "change", to(how(old)), order, false);
    return old;
  }
  mutable History history_;
};

// A word that is for display only: no step, no order.
template <class T>
class Display {
 public:
  T load(std::memory_order) const { return value_; }
  void store(T value, std::memory_order) { value_ = value; }

 private:
  T value_{};
};

// Plain memory.
class Bytes {
 public:
  void write(std::uint64_t value);
  [[nodiscard]] std::uint64_t read();
  void set(std::uint64_t value) { value_ = value; }

 private:
  std::uint64_t value_ = 0;
  Stamp written_ = 0;
  unsigned writer_ = 0;
  Clock reads_;
};

}  // namespace model

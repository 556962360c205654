#include "machine.hpp"

#include <ostream>

#include "relacy.hpp"

namespace model {

Machine machine;

namespace {

struct Event {
  const char* what;
  std::uint64_t value;
  std::memory_order order;
  bool stale;
  void output(std::ostream& out) const {
    out << what << ' ' << std::hex << value << std::dec << ' ' << name_of(order)
        << (stale ? " (not the last one)" : "");
  }
};

Stamp tick() { return ++self().now.happened.at[me()]; }

void fence_in(Thread& thread, std::memory_order order) {
  View& now = thread.now;
  if (acquires(order)) now.join(thread.acquired);
  if (order == std::memory_order_seq_cst) {
    now.visible.join(machine.fenced);
    machine.fenced.join(now.happened);
    now.fences = ++machine.order;
  }
  now.visible.join(now.happened);
  if (releases(order)) thread.released = now;
}

}  // namespace

void Machine::reset() {
  if (++executions > limit && limit != 0) rl::ctx().rl_until("enough", rl::debug_info("", __FILE__, __LINE__));
  threads = {};
  fenced = {};
  order = 0;
  failure = "";
  watched = nullptr;
}

void Machine::start() {
  View all;
  for (const Thread& thread : threads) all.join(thread.now);
  all.visible.join(all.happened);
  for (Thread& thread : threads) {
    thread = {};
    thread.now = all;
  }
}

unsigned me() { return static_cast<unsigned>(rl::ctx().threadx_->index_); }
Thread& self() { return machine.threads[me()]; }

void step() {
  Thread& thread = self();
  if (thread.steps_left == 0) std::longjmp(*thread.grave, 1);
  if (thread.steps_left > 0) --thread.steps_left;
  rl::ctx().sched();
}

unsigned choose(unsigned limit) { return limit == 1 ? 0 : rl::ctx().rand(limit, rl::sched_type_user); }
bool fickle() { return rl::ctx().rand(2, rl::sched_type_atomic_load) != 0; }

void yield(const char* file, int line) {
  self().yielded = self().now.happened.at[me()];
  rl::ctx().yield(1, rl::debug_info("", file, static_cast<unsigned>(line)));
}

void log(const Where& where, const char* what, std::uint64_t value, std::memory_order order, bool stale) {
  if (rl::ctx().collecting_history())
    rl::ctx().exec_log(rl::debug_info("", where.file, static_cast<unsigned>(where.line)),
                       Event{what, value, order, stale});
}

void fail(const char* what, const char* file, int line) {
  machine.failure = what;
  rl::ctx().fail_test(what, rl::test_result_user_assert_failed, rl::debug_info("", file, static_cast<unsigned>(line)));
  __builtin_unreachable();
}

void fence(std::memory_order order, const Where& where) {
  order = effective(where, order);
  if (order == std::memory_order_seq_cst) step();
  fence_in(self(), order);
  log(where, "fence", 0, order, false);
}

bool barrier(const Where& where) {
  const std::memory_order order = effective(where, std::memory_order_seq_cst);
  step();
  fence_in(self(), order);
  for (Thread& thread : machine.threads)
    if (&thread != &self()) fence_in(thread, order);
  fence_in(self(), order);
  log(where, "barrier", 0, order, false);
  return true;
}

void History::begin(std::uint64_t value) {
  stores_[0] = {};
  stores_[0].value = value;
  count_ = 1;
}

std::uint64_t History::load(std::memory_order order, bool& stale) {
  Thread& thread = self();
  View& now = thread.now;
  Clock known = now.visible;
  known.join(now.happened);
  const bool total = order == std::memory_order_seq_cst;
  if (total) known.join(machine.fenced);
  unsigned at = count_ - 1;
  for (; at > 0; --at) {
    const Store& store = stores_[at];
    if (known.at[store.thread] >= store.stamp) break;                     // it happened before, or a fence shows it
    if (store.order != 0 && (total || store.order <= now.fences)) break;  // S
    bool read = false;                                                    // somebody's read of it happened before
    for (unsigned i = 0; i < kThreads; ++i) read = read || (store.seen.at[i] != 0 && known.at[i] >= store.seen.at[i]);
    if (read) break;
    const Stamp old = stores_[at - 1].seen.at[me()];
    if (thread.yielded != 0 && old != 0 && old <= thread.yielded) break;  // seen long enough
    if (!fickle()) break;
  }
  stale = at != count_ - 1;
  take(stores_[at], order);
  return stores_[at].value;
}

void History::take(Store& store, std::memory_order order) {
  Thread& thread = self();
  const Stamp now = tick();
  if (store.seen.at[me()] == 0) store.seen.at[me()] = now;
  (acquires(order) ? thread.now : thread.acquired).join(store.released);
  if (order == std::memory_order_seq_cst && store.order == 0) store.order = ++machine.order;
}

History::Store& History::push(std::uint64_t value) {
  if (count_ == kKept) {
    for (unsigned i = 1; i < kKept; ++i) stores_[i - 1] = stores_[i];
    --count_;
  }
  Store& store = stores_[count_++];
  store = {};
  store.value = value;
  store.thread = me();
  store.stamp = tick();
  store.seen.at[me()] = store.stamp;
  return store;
}

void History::store(std::uint64_t value, std::memory_order order) {
  Store& made = push(value);
  made.released = releases(order) ? self().now : self().released;
  if (order == std::memory_order_seq_cst) made.order = ++machine.order;
}

std::uint64_t History::load_latest(std::memory_order order) {
  take(stores_[count_ - 1], order);
  return latest();
}

std::uint64_t History::replace(std::uint64_t value, std::memory_order order) {
  const std::uint64_t old = latest();
  take(stores_[count_ - 1], order);
  const View sequence = stores_[count_ - 1].released;
  Store& made = push(value);
  made.released = releases(order) ? self().now : self().released;
  made.released.join(sequence);
  if (order == std::memory_order_seq_cst) made.order = ++machine.order;
  return old;
}

void Bytes::write(std::uint64_t value) {
  const Clock& known = self().now.happened;
  bool raced = written_ > known.at[writer_];
  for (unsigned i = 0; i < kThreads; ++i) raced = raced || reads_.at[i] > known.at[i];
  if (raced) fail("bytes are written while another reads or writes them");
  value_ = value;
  written_ = tick();
  writer_ = me();
  reads_ = {};
}

std::uint64_t Bytes::read() {
  if (written_ > self().now.happened.at[writer_]) fail("bytes are read while another writes them");
  reads_.at[me()] = tick();
  return value_;
}

}  // namespace model

// At the edge of the process: exceptions, cancelled threads, signal handlers, exit, vfork, limits of resources, core files,
// clocks, a second copy of the library; and what a publish asks of the kernel.

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/privileged.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {

std::atomic<std::uint64_t> futex_wakes;    // calls of FUTEX_WAKE in this process
std::atomic<std::uint64_t> futex_woken;    // whom they woke
std::atomic<std::int64_t> wall_clock_off;  // seconds that CLOCK_REALTIME lies beside the truth

}  // namespace

// The library asks for futexes by syscall(): what is defined here goes before libc's. NOLINTBEGIN
extern "C" long syscall(long number, ...) noexcept {
  va_list rest;
  va_start(rest, number);
  long argument[6];
  for (long& one : argument) one = va_arg(rest, long);
  va_end(rest);
  static auto* const next = reinterpret_cast<decltype(&syscall)>(::dlsym(RTLD_NEXT, "syscall"));
  const long result = next(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
  if (number == SYS_futex && (argument[1] & FUTEX_CMD_MASK) == FUTEX_WAKE) {
    futex_wakes.fetch_add(1, std::memory_order_relaxed);
    if (result > 0) futex_woken.fetch_add(static_cast<std::uint64_t>(result), std::memory_order_relaxed);
  }
  return result;
}
extern "C" int clock_gettime(clockid_t clock, struct timespec* to) noexcept {
  static auto* const next = reinterpret_cast<decltype(&clock_gettime)>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = next(clock, to);
  if (clock == CLOCK_REALTIME && result == 0) to->tv_sec += wall_clock_off.load(std::memory_order_relaxed);
  return result;
}
// NOLINTEND

namespace {

using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway::IfTaken;
using ringway::Publishers;
using ringway::Reliability;
using ringway::Wait;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kNothing;
using ringway_test::kNotPermitted;
using ringway_test::kSanitized;
using ringway_test::kSmall;
using ringway_test::kThreadSanitizer;
using ringway_test::kWhole;
using ringway_test::names_in;
using ringway_test::pattern;
using ringway_test::Pipe;
using ringway_test::rounds;
using ringway_test::text_of;
using ringway_test::thrown;

ringway::TopicOptions small(Publishers publishers) {
  ringway::TopicOptions options = kSmall;
  options.publishers = publishers;
  return options;
}

class EdgeTest : public ringway_test::TopicFiles {};

// Row 11
TEST_F(EdgeTest, AnExceptionBetweenClaimAndCommitAbortsTheClaim) {
  for (const Publishers publishers : {Publishers::shared, Publishers::exclusive}) {
    const Bus bus = this->bus();
    auto out = bus.publisher("t", {.topic = small(publishers)});
    auto in = bus.subscriber("t");
    EXPECT_THROW(
        {
          auto claim = out.claim(100);
          claim.payload().front() = std::byte{1};
          throw std::runtime_error("in the middle");
        },
        std::runtime_error);
    EXPECT_EQ(in.try_receive().status(), Code::would_block);
    EXPECT_FALSE(bus.topic("t").publishers.at(0).open_claim);
    EXPECT_TRUE(out.publish("after it"));
    EXPECT_EQ(text_of(in.try_receive()), "after it");
    EXPECT_EQ(in.lost(), 0U);
    bus.remove_topic("t");
  }
}

// A thread that can be cancelled, and what is left once it is.
class Cancelled {
 public:
  explicit Cancelled(std::function<void(Cancelled&)> body) : body_(std::move(body)) {
    EXPECT_EQ(::pthread_create(&thread_, nullptr, run, this), 0);
  }
  void inside() { inside_ = true; }
  void wait_until_inside() const {
    while (!inside_) std::this_thread::yield();
  }
  void cancel() const { EXPECT_EQ(::pthread_cancel(thread_), 0); }
  void join() const {
    void* result = nullptr;
    EXPECT_EQ(::pthread_join(thread_, &result), 0);
    EXPECT_EQ(result, PTHREAD_CANCELED);
  }

 private:
  static void* run(void* self) {
    auto* const cancelled = static_cast<Cancelled*>(self);
    cancelled->body_(*cancelled);
    ::pthread_testcancel();  // a call that is no cancellation point has ended first
    return nullptr;
  }
  std::function<void(Cancelled&)> body_;
  std::atomic<bool> inside_{false};
  pthread_t thread_{};
};

// Row 13: with a claim open, by both ways out.
TEST_F(EdgeTest, AThreadThatIsCancelledOrExitsAbortsItsClaim) {
  const Bus bus = this->bus();
  auto in = bus.subscriber("t", {.topic = kSmall});
  for (const bool exits : {false, true}) {
    Cancelled thread([&](Cancelled& self) {
      auto out = bus.publisher("t");
      auto claim = out.claim(100);
      self.inside();
      if (exits) ::pthread_exit(PTHREAD_CANCELED);
      for (;;) ::pause();
    });
    thread.wait_until_inside();
    if (!exits) thread.cancel();
    thread.join();
    for (const auto& publisher : bus.topic("t").publishers) {  // a slot stays on display once it has published
      EXPECT_FALSE(publisher.alive) << exits;
      EXPECT_FALSE(publisher.open_claim) << exits;
    }
    EXPECT_TRUE(bus.publisher("t").publish("after it"));
    EXPECT_EQ(text_of(in.receive(20s)), "after it");
  }
}

// Row 13: inside waits of every kind. Those on the data path end first (here by interrupt()); those of opening end at once.
TEST_F(EdgeTest, AThreadCancelledInAWaitLetsGoOfAllItHas) {
  if (kThreadSanitizer)
    GTEST_SKIP() << "ThreadSanitizer puts the cancellation off to calls that are none of its points";
  const Bus bus = this->bus();
  const Bus waiting = this->bus();
  auto in = bus.subscriber("t", {.name = "slow", .topic = kSmall});
  auto out = bus.publisher("t");
  auto ghost = bus.publisher("t");
  auto claim = ghost.claim(10);  // whoever waits behind it looks at its owner's life, with descriptors of his own
  while (out.try_publish(std::string(1000, 'x'))) {
  }
  const auto waits = std::vector<std::function<void(Cancelled&)>>{
      [&](Cancelled& self) {
        auto publisher = waiting.publisher("t", {.wait = Wait::park});
        self.inside();
        EXPECT_EQ(publisher.publish(std::string(1000, 'x')), Code::interrupted);
      },
      [&](Cancelled& self) {
        auto subscriber = waiting.subscriber("t", {.from = ringway::From::oldest, .wait = Wait::park});
        self.inside();
        EXPECT_EQ(subscriber.receive().status(), Code::interrupted);
      },
      [&](Cancelled& self) {
        auto observer = waiting.observer("t");
        self.inside();
        EXPECT_EQ(observer.receive().status(), Code::interrupted);
      },
  };
  for (const auto& wait : waits) {
    Cancelled thread(wait);
    thread.wait_until_inside();
    std::this_thread::sleep_for(5ms);  // it waits by now; earlier would do too
    thread.cancel();
    std::this_thread::sleep_for(5ms);
    waiting.interrupt();
    thread.join();
    waiting.resume();
  }
  Cancelled opening([&](Cancelled& self) {
    self.inside();
    auto subscriber = waiting.subscriber("t", {.name = "slow", .if_taken = IfTaken::wait});
  });
  opening.wait_until_inside();
  std::this_thread::sleep_for(5ms);
  opening.cancel();
  opening.join();
  const auto info = bus.topic("t");
  EXPECT_FALSE(info.lock_blocked);
  EXPECT_EQ(std::count_if(info.publishers.begin(), info.publishers.end(), [](const auto& one) { return one.alive; }),
            2);
  EXPECT_EQ(
      std::count_if(info.subscriptions.begin(), info.subscriptions.end(), [](const auto& one) { return one.attached; }),
      1);
  claim.abort();
  EXPECT_EQ(text_of(in.try_receive()), std::string(1000, 'x'));
}

// Row 15: main returns while another thread is at it.
TEST_F(EdgeTest, ExitWhileAnotherThreadPublishesIsLikeACrash) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer does not see that a forked child's mutex is made anew";
  const Bus bus = this->bus();
  bus.create_topic("t", kSmall);
  for (int round = 0; round < rounds(30); ++round) {
    auto child = Child::fork([&] {
      static std::atomic<bool> started;
      static auto in = bus.subscriber("t");  // goes with the static objects, while the thread goes on
      std::thread([&] {
        auto out = this->bus().publisher("t");
        for (std::uint64_t i = 0;; ++i) {
          static_cast<void>(out.publish(pattern(i, 100), 1ms));
          started = true;
        }
      }).detach();
      while (!started) std::this_thread::yield();
      std::exit(7);
      return 1;
    });
    ASSERT_EQ(child.wait(), 7);
  }
  auto in = bus.subscriber("t");
  EXPECT_TRUE(bus.publisher("t").publish("after it", 20s));
  EXPECT_EQ(text_of(in.receive(20s)), "after it");
}

#if defined(__x86_64__)
// Runs a handler after each instruction of a piece of code: the trap flag is set and cleared through signal contexts.
class EveryInstruction {
 public:
  static inline std::function<void()> handler;
  static inline std::uint64_t steps = 0;

  explicit EveryInstruction(std::function<void()> at_each) {
    handler = std::move(at_each);
    steps = 0;
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t*, void* context) {
      auto& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
      if (ended_) flags &= ~kTrap;
      if (ended_) return;
      ++steps;
      handler();
    };
    ::sigaction(SIGTRAP, &action, &before_trap_);
    action.sa_sigaction = [](int, siginfo_t*, void* context) {
      static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrap;
    };
    ::sigaction(SIGUSR1, &action, &before_user_);
  }
  ~EveryInstruction() {
    ::sigaction(SIGTRAP, &before_trap_, nullptr);
    ::sigaction(SIGUSR1, &before_user_, nullptr);
  }
  template <class Body>
  void during(Body&& body) {
    ended_ = 0;
    ::raise(SIGUSR1);
    body();
    ended_ = 1;
  }

 private:
  static constexpr long long kTrap = 0x100;
  static inline volatile sig_atomic_t ended_ = 1;
  struct sigaction before_trap_ {};
  struct sigaction before_user_ {};
};
#endif

// Row 16: at every instruction of a publish, a handler publishes on the same handle. Each call that said ok is one whole message,
// in its caller's order; the others said `busy` or `would_block`; errno is as it was.
TEST_F(EdgeTest, ASignalHandlerPublishesOnTheHandleItInterrupted) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "single steps are written for x86-64";
#else
  if (kSanitized) GTEST_SKIP() << "sanitizers put signals off, or take their own traps";
  for (const Publishers publishers : {Publishers::shared, Publishers::exclusive}) {
    const Bus bus = this->bus();
    auto out = bus.publisher("t", {.topic = small(publishers)});
    auto in = bus.subscriber("t");
    std::uint64_t by_handler = 0;
    std::uint64_t by_main = 0;
    std::uint64_t busy = 0;
    std::uint64_t strange = 0;
    EveryInstruction step([&] {
      char text[48] = "h";
      std::uint64_t number = by_handler;
      for (std::size_t i = 1; i < sizeof text; ++i, number /= 10) text[i] = static_cast<char>('0' + number % 10);
      const auto status = out.try_publish(std::span<const char>(text, sizeof text));
      if (status)
        ++by_handler;
      else if (status == Code::busy)
        ++busy;
      else if (status != Code::would_block)
        ++strange;
    });
    std::uint64_t heard_main = 0;
    std::uint64_t heard_handler = 0;
    const auto drain = [&] {
      for (;;) {
        const auto message = in.try_receive();
        if (!message) break;
        const std::string text(message.text());
        if (text.at(0) == 'h') {
          std::uint64_t number = 0;
          for (std::size_t i = text.size() - 1; i > 0; --i)
            number = number * 10 + static_cast<std::uint64_t>(text[i] - '0');
          ASSERT_EQ(text.size(), 48U);
          ASSERT_EQ(number % 1'000'000'000'000, heard_handler++);
        } else {
          ASSERT_EQ(text, "m" + pattern(heard_main++, 100));
        }
      }
    };
    for (int round = 0; round < 200; ++round) {
      const std::string text = "m" + pattern(by_main, 100);
      ringway::Status status;
      int error = 0;
      step.during([&] {
        errno = 4711;
        if (round % 2 == 0) {
          status = out.try_publish(text);
        } else {
          auto claim = out.try_claim(text.size());
          status = claim.status();
          if (claim) std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), claim.payload().begin());
          if (claim) status = claim.commit();
        }
        error = errno;
      });
      EXPECT_EQ(error, 4711);
      if (status) ++by_main;
      EXPECT_TRUE(status || status == Code::would_block) << status;
      drain();
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(heard_main, by_main);
    EXPECT_EQ(heard_handler, by_handler);
    EXPECT_EQ(strange, 0U);
    EXPECT_EQ(in.lost(), 0U);
    EXPECT_GT(by_main, 100U);
    EXPECT_GT(by_handler, 1000U);
    EXPECT_GT(busy, 1000U);
    EXPECT_GT(EveryInstruction::steps, 10'000U);
    EXPECT_GT(bus.topic("t").tail, 3 * 32_KiB);  // so it looked for space again and again
    bus.remove_topic("t");
  }
#endif
}

// Rows 17, 19: a life lasts as long as the memory that it stands for: a vforked child that has not come to its exec keeps its dead
// parent's memory, and so its life, until then.
TEST_F(EdgeTest, AVforkedChildKeepsItsParentsLifeUntilItsExec) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer makes vfork a fork";
  const Bus bus = this->bus();
  bus.create_topic("t", kSmall);
  Pipe ready;
  Pipe go_on;
  const auto alive = [&] { return bus.topic("t").publishers.at(0).alive; };
  auto parent = Child::fork([&] {
    auto out = bus.publisher("t");
    const int heard = go_on.read_end();
    const int said = ready.write_end();
    go_on.close_write_end();
    const pid_t child = ::vfork();  // NOLINT: that is the matter
    if (child == 0) {
      char step = '!';
      if (::write(said, &step, 1) != 1) ::_exit(1);
      static_cast<void>(::read(heard, &step, 1));
      ::execl("/bin/sh", "sh", "-c", "read -r line", nullptr);  // lives on, waiting for input
      ::_exit(127);
    }
    return 1;
  });
  ASSERT_TRUE(ready.await());
  parent.kill(SIGKILL);
  parent.wait();
  EXPECT_TRUE(alive());
  EXPECT_TRUE(alive());  // no clock runs against it
  go_on.signal();
  while (alive()) std::this_thread::sleep_for(1ms);  // until its exec, or its end
  auto out = bus.publisher("t");
  EXPECT_EQ(bus.topic("t").publishers.at(0).pid, ::getpid());  // in the same slot
}

// Row 18: dd (do not dump) stands at both mappings of the ring, for every role.
TEST_F(EdgeTest, RingsAreNotInACoreFile) {
  const Bus bus = this->bus();
  const auto out = bus.publisher("t", {.topic = {.capacity_bytes = 1_MiB}});
  const auto in = bus.subscriber("t");
  const auto observer = bus.observer("t");
  int rings = 0;
  bool is_data = false;
  std::uint64_t size = 0;
  std::ifstream maps("/proc/self/smaps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) is_data = line.find(data().string()) != std::string::npos;
    if (line.rfind("Size:", 0) == 0) size = std::stoull(line.substr(5)) * 1024;
    if (line.rfind("VmFlags:", 0) != 0 || !is_data || size < 1_MiB) continue;
    rings += size >= 2_MiB ? 2 : 1;  // neighbours may be shown as one
    EXPECT_NE((line + " ").find(" dd "), std::string::npos) << line;
  }
  EXPECT_EQ(rings, 6);
}

// Row 25: two copies of the library in one process, as a program and a plug-in would have.
TEST_F(EdgeTest, ASecondCopyOfTheLibraryIsAnother) {
  void* const plugin = ::dlopen(SECOND_COPY, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  const auto call = [plugin](const char* name) { return ::dlsym(plugin, name); };
  auto* const attach = reinterpret_cast<int (*)(const char*)>(call("second_attach"));
  auto* const publish = reinterpret_cast<int (*)(const char*)>(call("second_publish"));
  auto* const receive = reinterpret_cast<int (*)(const char*)>(call("second_receive"));
  auto* const detach = reinterpret_cast<void (*)()>(call("second_detach"));
  ASSERT_TRUE(attach && publish && receive && detach);

  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.name = "first", .topic = kSmall});
  auto in = bus.subscriber("t", {.name = "first"});
  const std::string path = directory();
  ASSERT_EQ(attach(path.c_str()), 0);
  EXPECT_EQ(attach(path.c_str()), static_cast<int>(Code::taken));  // of the durable name
  ASSERT_TRUE(out.publish("from the first"));
  EXPECT_EQ(text_of(in.try_receive()), "from the first");
  EXPECT_EQ(receive("from the first"), 0);
  EXPECT_EQ(publish("from the second"), 0);
  EXPECT_EQ(text_of(in.try_receive()), "from the second");
  EXPECT_EQ(receive("from the second"), 0);
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "second"}); }), Code::taken));
  // Each copy knows a forked child by its own means.
  auto child = Child::fork(
      [&] { return out.publish("x") == Code::forked && publish("x") == static_cast<int>(Code::forked) ? 0 : 1; });
  EXPECT_EQ(child.wait(), 0);
  detach();
  EXPECT_TRUE(out.publish("the first goes on"));
  EXPECT_EQ(text_of(in.try_receive()), "the first goes on");
  // What the copy keeps for a fork after its end, a mutex, is lost with it: LeakSanitizer is not shown that.
  EXPECT_EQ(kSanitized ? 0 : ::dlclose(plugin), 0);
  EXPECT_TRUE(out.publish("and on"));
}

// Rows 33, 10.10: the wall clock jumps by years, in both directions, while there are waits under way.
TEST_F(EdgeTest, AClockThatIsSetChangesNoWaitAndNoLife) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = {.capacity_bytes = 32_KiB, .stamped = true}});
  auto in = bus.subscriber("t", {.wait = Wait::park});
  std::atomic<bool> done{false};
  std::thread setter([&] {
    for (std::int64_t turn = 1; !done; ++turn) {
      wall_clock_off = (turn % 2 == 0 ? 1 : -1) * 86'400LL * 365 * (turn % 30);
      std::this_thread::sleep_for(100us);
    }
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(in.receive(30ms).status(), Code::timeout);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
  std::chrono::nanoseconds stamp{};
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(out.publish("tick"));
    const auto message = in.receive(20s);
    ASSERT_TRUE(message) << message.status();
    ASSERT_GE(message.stamp(), stamp);
    stamp = message.stamp();
    ASSERT_TRUE(bus.topic("t").publishers.at(0).alive);
  }
  done = true;
  setter.join();
  wall_clock_off = 0;
}

// Row 33: processes whose monotonic clocks differ by weeks, as after moving a container: waits are each one's own.
TEST_F(EdgeTest, ProcessesInOtherTimeNamespacesMeet) {
  const Bus bus = this->bus();
  bus.create_topic("t", kSmall);
  auto in = bus.subscriber("t", {.name = "there", .wait = Wait::park});
  auto out = bus.publisher("t", {.wait = Wait::park});
  bus.create_subscription("t", "here");
  auto back = bus.subscriber("t", {.name = "here", .wait = Wait::park});
  auto outer = Child::fork([&] {
    if (::unshare(CLONE_NEWTIME) != 0) return kNotPermitted;
    std::ofstream offsets("/proc/self/timens_offsets");
    offsets << "monotonic 1000000 0\n" << std::flush;
    if (!offsets) return kNotPermitted;
    return Child::fork([&] {
             const Bus there = this->bus();
             auto answers = there.publisher("t", {.wait = Wait::park});
             auto questions = there.subscriber("t", {.wait = Wait::park});
             if (questions.receive(20ms).status() != Code::timeout) return 1;
             if (!answers.publish("ready")) return 2;
             if (text_of(questions.receive(20s)) != "ready") return 3;  // its own
             if (text_of(questions.receive(20s)) != "question") return 4;
             return answers.publish("answer") ? 0 : 5;
           })
        .wait();
  });
  const auto first = in.receive(5s);
  if (!first) {
    const int status = outer.wait();
    NEEDS_PERMISSION(status);
    FAIL() << first.status();
  }
  EXPECT_EQ(first.text(), "ready");
  EXPECT_EQ(in.receive(1ms).status(), Code::timeout);
  std::this_thread::sleep_for(20ms);  // it sleeps by now; earlier would do too
  ASSERT_TRUE(out.publish("question"));
  for (const char* text : {"question", "answer"}) EXPECT_EQ(text_of(in.receive(20s)), text);
  EXPECT_EQ(outer.wait(), 0);
}

// Sleepers in processes of their own, all asleep in the kernel.
class Sleepers {
 public:
  Sleepers(const std::string& directory, const std::string& topic, int count) {
    for (int i = 0; i < count; ++i)
      children_.push_back(Child::fork([directory, topic] {
        auto in = Bus::at(directory).subscriber(topic, {.wait = Wait::park});
        for (;;) {
          const auto message = in.receive();
          if (message.text() == "end") return 0;
        }
      }));
    const Bus bus = Bus::at(directory);
    const auto asleep = [&] {
      const auto all = bus.topic(topic).subscriptions;
      return std::count_if(all.begin(), all.end(), [](const auto& one) { return one.sleeping; });
    };
    while (asleep() != count) std::this_thread::sleep_for(1ms);
  }
  std::vector<Child>& children() { return children_; }
  void join() {
    for (Child& child : children_) EXPECT_EQ(child.wait(), 0);
  }

 private:
  std::vector<Child> children_;
};

// Row 34: a message costs one wake for each sleeper of its topic, and none for the crowd on another one.
TEST_F(EdgeTest, AMessageWakesTheSleepersOfItsTopicAndNobodyElse) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  auto other = bus.publisher("other", {.topic = kSmall});
  Sleepers here(directory(), "t", 3);
  Sleepers crowd(directory(), "other", 5);
  futex_wakes = futex_woken = 0;
  ASSERT_TRUE(out.publish("end"));
  here.join();
  EXPECT_LE(futex_wakes.load(), 3U);  // one that looked just then, by its backstop, needs none
  EXPECT_LE(futex_woken.load(), 3U);
  EXPECT_GE(futex_wakes.load(), 1U);
  futex_wakes = 0;
  ASSERT_TRUE(out.publish("nobody is there"));
  EXPECT_EQ(futex_wakes.load(), 0U);
  ASSERT_TRUE(other.publish("end"));
  crowd.join();
  EXPECT_LE(futex_wakes.load(), 5U);
}

// Row 35: whoever dies asleep costs one wake; then the bit is gone, and publishing asks nothing of the kernel.
TEST_F(EdgeTest, AKilledSleeperCostsOneWakeAndThenNone) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = {.capacity_bytes = 1_MiB}});
  Sleepers sleepers(directory(), "t", 1);
  // At its backstop it may be awake for a moment: then there is nothing to leave, and nothing to wake.
  sleepers.children().front().kill(SIGSTOP);
  ASSERT_TRUE(sleepers.children().front().wait_stopped());
  const bool asleep = bus.topic("t").subscriptions.at(0).sleeping;
  sleepers.children().front().kill(SIGKILL);
  sleepers.children().front().wait();
  futex_wakes = futex_woken = 0;
  ASSERT_TRUE(out.publish("nobody hears it"));
  EXPECT_EQ(futex_wakes.load(), asleep ? 1U : 0U);
  EXPECT_EQ(futex_woken.load(), 0U);
  futex_wakes = 0;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(out.publish("nor this"));
  EXPECT_EQ(futex_wakes.load(), 0U);
}

// Row 36: all on one core, by real-time priority: whoever spins must end up asleep, or the others never run.
TEST_F(EdgeTest, ASpinnerOnTheOnlyCoreLetsTheOtherOneRun) {
  const Bus bus = this->bus();
  bus.create_topic("t", kSmall);
  bus.create_subscription("t", "ping");
  bus.create_topic("back", kSmall);
  bus.create_subscription("back", "pong");
  auto both = Child::fork([&] {
    cpu_set_t mine;
    if (::sched_getaffinity(0, sizeof mine, &mine) != 0) return kNotPermitted;
    std::size_t core = 0;
    while (!CPU_ISSET(core, &mine)) ++core;
    CPU_ZERO(&mine);
    CPU_SET(core, &mine);
    const sched_param lowest{::sched_get_priority_min(SCHED_FIFO)};
    if (::sched_setaffinity(0, sizeof mine, &mine) != 0 || ::sched_setscheduler(0, SCHED_FIFO, &lowest) != 0)
      return kNotPermitted;
    auto partner = Child::fork([&] {
      auto in = bus.subscriber("t", {.name = "ping", .wait = Wait::spin});
      auto out = bus.publisher("back", {.wait = Wait::spin});
      for (int i = 0; i < 20; ++i)
        if (!in.receive(20s) || !out.publish("pong")) return 1;
      return 0;
    });
    auto out = bus.publisher("t", {.wait = Wait::spin});
    auto in = bus.subscriber("back", {.name = "pong", .wait = Wait::spin});
    for (int i = 0; i < 20; ++i)
      if (!out.publish("ping") || !in.receive(20s)) return 2;
    return partner.wait();
  });
  const int status = both.wait();
  if (status == kNotPermitted) GTEST_SKIP() << "needs the right to SCHED_FIFO";
  EXPECT_EQ(status, 0);
}

// Rows 55, 57: another thread changes header words of frames, lengths and kinds among them, between any two loads of the
// readers: what they hand out lies within the ring, whatever it says.
TEST_F(EdgeTest, WordsThatChangeWhileTheyAreReadLeadNowhereElse) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  auto in = bus.subscriber("t", {.name = "reliable"});
  auto lossy = bus.subscriber("t", {.reliability = Reliability::lossy});
  const auto segment = ringway_test::map_topic(directory(), "t", ringway::detail::Role::publish);
  const auto& memory = segment->memory();
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> flips{0};
  std::thread mutator([&] {
    std::uint64_t dice = 88'172'645'463'325'252ULL;
    while (!done) {
      dice ^= dice << 13;
      dice ^= dice >> 7;
      dice ^= dice << 17;
      auto& frame = memory.frame(dice % memory.capacity / 64 * 64);
      auto& word = dice >> 40 & 1 ? frame.size : frame.origin;
      const std::uint64_t was = word.load(std::memory_order_relaxed);
      word.store(was ^ 1ULL << (dice >> 50 & 63), std::memory_order_relaxed);
      if ((dice >> 45 & 3) != 0) word.store(was, std::memory_order_relaxed);  // most are there for a moment only
      ++flips;
    }
  });
  std::uint64_t handed_out = 0;
  std::uint64_t refused = 0;
  std::uint64_t sum = 0;
  const std::size_t most = out.max_payload_bytes();
  const auto read = [&](auto& reader) {
    for (int i = 0; i < 64; ++i) {
      const auto message = reader.try_receive();
      if (!message && message.status() == Code::corrupt) {
        ++refused;
        static_cast<void>(reader.seek(ringway::From::newest));
      }
      if (!message) return;
      ++handed_out;
      ASSERT_LE(message.payload().size(), most);
      for (const std::byte byte : message.payload()) sum += static_cast<std::uint64_t>(byte);
    }
  };
  const auto until = std::chrono::steady_clock::now() + 500ms;
  for (int i = 0; std::chrono::steady_clock::now() < until || flips < 1000; ++i) {
    static_cast<void>(out.try_publish(std::string(static_cast<std::size_t>(i) % 300, 'x')));
    read(in);
    read(lossy);
    if (HasFatalFailure()) break;
  }
  done = true;
  mutator.join();
  EXPECT_GT(handed_out, 100U) << sum;
  EXPECT_GT(refused, 0U);
}

// Runs the body with a limit, in a child.
int limited(__rlimit_resource resource, rlim_t limit, const std::function<int()>& body) {
  return Child::fork([&] {
           const rlimit limits{limit, limit};
           if (::setrlimit(resource, &limits) != 0) return 90;
           return body();
         })
      .wait();
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count - 1;  // the iterator's own
}

// Row 45
TEST_F(EdgeTest, TooFewDescriptorsAreAnErrorAndLeaveNothing) {
  const Bus bus = this->bus();
  bool refused = false;
  bool worked = false;
  for (rlim_t more = 0; more < 12 && !worked; ++more) {
    const int status = limited(RLIMIT_NOFILE, 64 + more, [&] {
      while (::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
      }
      for (rlim_t i = 0; i < more; ++i) ::close(static_cast<int>(63 + i));
      const std::size_t before = more > 0 ? open_descriptors() : 0;  // it needs one itself
      const auto error = thrown([&] {
        auto out = bus.publisher("t", {.topic = kSmall});
        auto in = bus.subscriber("t");
        return out.publish("works") && in.position() > 0;
      });
      if (more > 0 && before != open_descriptors()) return 91;
      if (error.code == Code::ok) return 0;
      return error.code == Code::system && error.system_errno == EMFILE ? 1 : 92;
    });
    ASSERT_TRUE(status == 0 || status == 1) << status << " with " << more << " descriptors";
    refused |= status == 1;
    worked |= status == 0;
    const auto names = names_in(directory());
    EXPECT_TRUE(names == kNothing || names == kWhole) << testing::PrintToString(names);
  }
  EXPECT_TRUE(refused && worked);
  expect_works();
}

// Row 45
TEST_F(EdgeTest, TooLittleAddressSpaceIsAnErrorThatSaysSo) {
  if (kSanitized) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  const Bus bus = this->bus();
  const int status = limited(RLIMIT_AS, 192_MiB, [&] {
    const auto error = thrown([&] { return bus.publisher("t", {.topic = {.capacity_bytes = 128_MiB}}); });
    EXPECT_TRUE(is_error(error, Code::system, "address space", "RLIMIT_AS"));
    EXPECT_EQ(error.system_errno, ENOMEM);
    bus.remove_topic("t");
    auto out = bus.publisher("t", {.topic = kSmall});
    EXPECT_TRUE(out.publish("a small one fits"));
    return 0;
  });
  EXPECT_EQ(status, 0);
  expect_works();
}

// Rows 39, 45: past RLIMIT_FSIZE the kernel sends SIGXFSZ; whoever ignores that gets the error, whoever does not leaves nothing.
TEST_F(EdgeTest, AFileSizeLimitIsAnErrorOfCreating) {
  const Bus bus = this->bus();
  const auto create = [&](bool ignore) {
    return limited(RLIMIT_FSIZE, 64_KiB, [&, ignore] {
      ::signal(SIGXFSZ, ignore ? SIG_IGN : SIG_DFL);
      const auto error = thrown([&] { return bus.publisher("t", {.topic = {.capacity_bytes = 1_MiB}}); });
      return error.code == Code::no_space && error.system_errno == EFBIG ? 0 : 1;
    });
  };
  EXPECT_EQ(create(true), 0);
  EXPECT_EQ(names_in(directory()), kNothing);
  EXPECT_EQ(create(false), 128 + SIGXFSZ);
  EXPECT_EQ(names_in(directory()), kNothing);
  expect_works();
}

// Row 45: nothing is locked into memory, so the limit of that is of no concern.
TEST_F(EdgeTest, NoMemoryNeedsToBeLocked) {
  const Bus bus = this->bus();
  EXPECT_EQ(limited(RLIMIT_MEMLOCK, 0,
                    [&] {
                      auto in = bus.subscriber("t", {.topic = kSmall});
                      auto out = bus.publisher("t");
                      return out.publish("works") && text_of(in.try_receive()) == "works" ? 0 : 1;
                    }),
            0);
}

}  // namespace

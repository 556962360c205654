// Who counts as alive: what keeps a life, what ends it, and what follows for the others. Each life is a real process's.

#include "liveness.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/privileged.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"

namespace {

using namespace ringway_test;
using namespace std::chrono_literals;
using ringway::Bus;
using ringway::Code;
using ringway::PublisherInfo;
using ringway::SubscriptionInfo;

struct LivenessTest : testing::Test {
  // A process that attaches as a publisher and a subscription, tells so, and does `then`.
  Child attached(const std::function<int()>& then) {
    auto child = Child::fork([&] {
      auto publisher = bus.publisher("t", {.name = "writer"});
      auto subscriber = bus.subscriber("t", {.name = "orders"});
      ready.signal();
      return then();
    });
    EXPECT_TRUE(ready.await());
    return child;
  }
  PublisherInfo publisher() const { return find(bus.topic("t").publishers, "writer"); }
  SubscriptionInfo subscription() const { return find(bus.topic("t").subscriptions, "orders"); }
  void expect_alive(bool alive) const {
    EXPECT_EQ(publisher().alive, alive);
    EXPECT_EQ(subscription().attached, alive);
  }
  template <class Rows>
  static typename Rows::value_type find(const Rows& rows, const std::string& name) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.name == name; });
    return row != rows.end() ? *row : typename Rows::value_type{};
  }

  RingTopic topic;
  Bus bus = Bus::at(topic.directory());
  Pipe ready;
  Pipe go_on;
};

TEST_F(LivenessTest, AProcessIsAliveUntilTheKernelHasTornItDown) {
  auto child = attached([] { return ::pause(); });
  expect_alive(true);
  child.kill(SIGKILL);
  child.wait();
  expect_alive(false);
}

// Rows 20, 10.12: stopped is not dead.
TEST_F(LivenessTest, AStoppedProcessIsAliveAndShownAsStopped) {
  auto child = attached([] { return ::pause(); });
  child.kill(SIGSTOP);
  ASSERT_TRUE(child.wait_stopped());
  expect_alive(true);
  EXPECT_TRUE(publisher().stopped);
  EXPECT_TRUE(subscription().stopped);
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "orders"}); }), Code::taken));
  child.kill(SIGCONT);
  child.kill(SIGKILL);
  child.wait();
  expect_alive(false);
}

// Row 21: a zombie holds nothing; no PID is asked.
TEST_F(LivenessTest, AZombieIsDead) {
  auto child = attached([] { return 0; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  expect_alive(false);
  const auto again = bus.subscriber("t", {.name = "orders"});
}

// Row 21, and 10.7: the number in a row may be another process's by now, or nobody's.
TEST_F(LivenessTest, APidThatIsAnothersDecidesNothing) {
  auto child = attached([] { return ::pause(); });
  const auto say = [&](pid_t pid) {
    topic.memory().publisher(0).pid.store(static_cast<std::uint32_t>(pid));
    topic.memory().subscription(0).pid.store(static_cast<std::uint32_t>(pid));
  };
  say(1 << 22);  // beyond the largest
  expect_alive(true);
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "orders"}); }), Code::taken));
  child.kill(SIGKILL);
  child.wait();
  say(::getpid());
  expect_alive(false);
  const auto again = bus.subscriber("t", {.name = "orders"});
  EXPECT_EQ(subscription().slot, 0U);
}

// Row 24.
TEST_F(LivenessTest, ClosingEveryDescriptorEndsNoLife) {
  auto child = Child::fork([&] {
    auto publisher = bus.publisher("t", {.name = "writer"});
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    const int said = ::dup2(ready.write_end(), 200);
    const int heard = ::dup2(go_on.read_end(), 201);
    ::close_range(3, 199, 0);
    ::close_range(202, ~0U, 0);
    if (::write(said, "!", 1) != 1) return 1;
    char step = 0;
    if (::read(heard, &step, 1) != 1) return 2;
    if (!publisher.publish("still there")) return 3;  // and it works on
    const auto message = subscriber.receive(20s);
    return message.text() == "still there" ? 0 : 4;
  });
  ASSERT_TRUE(ready.await());
  expect_alive(true);
  EXPECT_TRUE(is_error(thrown([&] { return bus.subscriber("t", {.name = "orders"}); }), Code::taken));
  go_on.signal();
  EXPECT_EQ(child.wait(), 0);
  expect_alive(false);
}

// Row 28: a program that closes a descriptor of ours and has the number again for something else keeps what it has.
TEST_F(LivenessTest, ProbeDescriptorsMayBeTakenAway) {
  auto child = attached([] { return ::pause(); });
  EXPECT_EQ(
      Child::fork([&] {
        auto publisher = bus.publisher("t");
        while (publisher.try_publish(pattern(1, 96))) {  // at its end it probes who holds it back
        }
        ::close_range(3, ~0U, 0);
        std::vector<int> own;
        own.reserve(20);
        for (int i = 0; i < 20; ++i) own.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        for (int i = 0; i < 200; ++i)
          if (publisher.try_publish("").code() != Code::would_block) return 1;
        { auto gone = std::move(publisher); }
        return static_cast<int>(std::count_if(own.begin(), own.end(), [](int fd) { return ::fcntl(fd, F_GETFD) < 0; }));
      }).wait(),
      0);
}

// Row 23.
TEST_F(LivenessTest, AForkedChildNeitherUsesNorProlongsItsParentsLife) {
  Pipe child_done;
  auto parent = Child::fork([&] {
    auto publisher = bus.publisher("t", {.name = "writer"});
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    auto observer = bus.observer("t");
    if (!publisher.publish("before")) return 1;
    auto held = subscriber.try_receive();
    auto claim = publisher.try_claim(10);
    if (!held || !claim) return 2;
    if (::fork() == 0) {  // its parent dies first
      const bool refused = publisher.try_publish("x").code() == Code::forked && claim.commit() == Code::forked &&
                           subscriber.try_receive().status() == Code::forked &&
                           subscriber.receive(1s).status() == Code::forked &&
                           observer.try_receive().status() == Code::forked && held.release() == Code::forked &&
                           subscriber.seek(ringway::From::newest) == Code::forked;
      claim.abort();
      { auto gone = std::move(held); }
      { auto gone = std::move(subscriber); }
      { auto gone = std::move(observer); }
      if (refused) child_done.signal();
      ::pause();
      ::_exit(0);
    }
    ready.signal();
    return ::pause();
  });
  ASSERT_TRUE(ready.await());
  ASSERT_TRUE(child_done.await());
  expect_alive(true);  // the child's destructors left the parent's slots alone
  EXPECT_EQ(publisher().open_claim, 64U);
  EXPECT_EQ(subscription().cursor, 0U);
  ::kill(parent.pid(), SIGKILL);  // not the group: the grandchild lives on
  parent.wait();
  expect_alive(false);
}

TEST_F(LivenessTest, AForkedChildMayAttachForItself) {
  auto publisher = bus.publisher("t", {.name = "writer"});
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  EXPECT_EQ(Child::fork([&] {
              if (publisher.try_publish("x").code() != Code::forked) return 1;
              publisher = bus.publisher("t");
              return publisher.try_publish("from the child") ? 0 : 2;
            }).wait(),
            0);
  expect_alive(true);
  EXPECT_TRUE(publisher.publish("from the parent"));
  EXPECT_EQ(text_of(subscriber.try_receive()), "from the child");
  EXPECT_EQ(text_of(subscriber.try_receive()), "from the parent");
}

// Rows 19, 23: what is started does not carry the life on, by whatever call.
TEST_F(LivenessTest, ProgramsThatAreStartedInheritNoLife) {
  auto parent = Child::fork([&] {
    auto publisher = bus.publisher("t", {.name = "writer"});
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    pid_t pid = 0;
    char sleep[] = "sleep";
    char seconds[] = "60";
    char* arguments[] = {sleep, seconds, nullptr};
    if (::posix_spawnp(&pid, sleep, nullptr, nullptr, arguments, ::environ) != 0) return 1;
    if (::vfork() == 0) {
      ::execvp(sleep, arguments);
      ::_exit(127);
    }
    ready.signal();
    return ::pause();
  });
  ASSERT_TRUE(ready.await());
  expect_alive(true);
  ::kill(parent.pid(), SIGKILL);
  parent.wait();
  expect_alive(false);
}

// Row 28: exec ends the life, and no descriptor of ours is there afterwards.
TEST_F(LivenessTest, ExecEndsALifeAndLeaksNoDescriptor) {
  Pipe out;
  auto child = Child::fork([&] {
    auto publisher = bus.publisher("t", {.name = "writer"});
    auto subscriber = bus.subscriber("t", {.name = "orders"});
    auto slow = bus.subscriber("t");
    while (publisher.try_publish(pattern(1, 96))) {  // probes
    }
    ::dup2(out.write_end(), 1);
    ::execlp("sh", "sh", "-c", "ls -l /proc/self/fd; sleep 60", nullptr);
    return 127;
  });
  out.close_write_end();
  std::string listing;
  char buffer[4096];
  while (listing.find(" 2 -> ") == std::string::npos) {
    const ssize_t got = ::read(out.read_end(), buffer, sizeof buffer);
    ASSERT_GT(got, 0);
    listing.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(listing.find(topic.directory()), std::string::npos) << listing;
  expect_alive(false);  // though the process lives
}

// Row 14: a life is the process's, not its thread's.
TEST_F(LivenessTest, ALifeOutlivesTheThreadThatAttached) {
  std::optional<ringway::Publisher> publisher;
  std::optional<ringway::Subscriber> subscriber;
  std::thread([&] {
    publisher = bus.publisher("t", {.name = "writer"});
    subscriber = bus.subscriber("t", {.name = "orders"});
  }).join();
  expect_alive(true);
  EXPECT_TRUE(publisher->publish("text"));
  EXPECT_EQ(text_of(subscriber->try_receive()), "text");
}

// Row 25.
TEST_F(LivenessTest, TwoAttachmentsInOneProcessAreIndependent) {
  auto writer = bus.publisher("t", {.name = "writer"});
  auto orders = bus.subscriber("t", {.name = "orders"});
  {
    const Bus other = Bus::at(topic.directory());
    auto second = other.publisher("t", {.name = "second"});
    auto ephemeral = other.subscriber("t");
    EXPECT_TRUE(is_error(thrown([&] { return other.subscriber("t", {.name = "orders"}); }), Code::taken));
    EXPECT_TRUE(find(other.topic("t").publishers, "second").alive);
    expect_alive(true);
    ASSERT_TRUE(second.publish("text"));
  }
  expect_alive(true);  // leaving ended only its own
  EXPECT_FALSE(find(bus.topic("t").publishers, "second").alive);
  EXPECT_TRUE(writer.publish("more"));
  EXPECT_EQ(text_of(orders.try_receive()), "text");
  EXPECT_EQ(text_of(orders.try_receive()), "more");
}

// Rows 4, 10.5: a publisher that waits finds out that it waits for a dead one.
TEST_F(LivenessTest, ADeadEphemeralSubscriptionStopsHoldingAWaitingPublisher) {
  auto child = Child::fork([&] {
    auto subscriber = bus.subscriber("t");
    ready.signal();
    return ::pause();
  });
  ASSERT_TRUE(ready.await());
  auto publisher = bus.publisher("t");
  ringway::Status status;
  while ((status = publisher.try_publish(pattern(1, 96)))) {
  }
  EXPECT_EQ(status, Code::would_block);
  std::thread waiting([&] { EXPECT_EQ(publisher.publish("through", 30s).code(), Code::ok); });
  while (!ringway::detail::anyone_waiting(topic.memory())) std::this_thread::yield();
  child.kill(SIGKILL);
  child.wait();
  waiting.join();
  EXPECT_EQ(topic.memory().subscription(0).kind.load(), ringway::detail::SubscriptionKind::none);
}

TEST_F(LivenessTest, ADeadEphemeralSubscriptionIsClearedAwayByTryPublishToo) {
  auto child = Child::fork([&] {
    auto subscriber = bus.subscriber("t");
    ready.signal();
    return ::pause();
  });
  ASSERT_TRUE(ready.await());
  auto publisher = bus.publisher("t");
  while (publisher.try_publish(pattern(1, 96))) {
  }
  child.kill(SIGKILL);
  child.wait();
  ringway::Status status;
  for (int tries = 0; tries < 200 && !(status = publisher.try_publish("")); ++tries) {
  }
  EXPECT_TRUE(status) << status;
}

// Rows 68, 70: a durable subscription keeps its messages, and whoever waits for it is told that nobody reads it.
TEST_F(LivenessTest, ADeadDurableSubscriptionHoldsOnAndIsNamed) {
  auto child = attached([] { return ::pause(); });
  child.kill(SIGKILL);
  child.wait();
  auto publisher = bus.publisher("t", {.name = "second"});
  ringway::Status status;
  std::uint64_t published = 0;
  while ((status = publisher.try_publish(pattern(published, 96)))) ++published;
  EXPECT_EQ(status, Code::would_block);
  EXPECT_NE(status.text().find("orders"), std::string::npos) << status;
  EXPECT_NE(status.text().find("nobody"), std::string::npos) << status;
  status = publisher.publish("", 60ms);  // longer than a backstop
  EXPECT_EQ(status, Code::timeout);
  EXPECT_NE(status.text().find("nobody"), std::string::npos) << status;
  auto subscriber = bus.subscriber("t", {.name = "orders"});
  for (std::uint64_t i = 0; i < published; ++i) ASSERT_EQ(text_of(subscriber.try_receive()), pattern(i, 96));
  EXPECT_TRUE(publisher.try_publish(""));
}

// Row 62: a reader cannot fake a life, but it can block the table lock; that is said, and delays nobody who is
// attached.
TEST_F(LivenessTest, AReadLockOnASlotIsNoLife) {
  auto child = attached([] { return ::pause(); });
  child.kill(SIGKILL);
  child.wait();
  const auto path = ringway::detail::control_path(topic.directory(), "t");
  const auto hostile = ringway::detail::open_file(path, O_RDONLY);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_start = static_cast<off_t>(ringway::detail::kCreatorByte);
  ASSERT_EQ(::fcntl(hostile.get(), F_OFD_SETLK, &lock), 0);  // all bytes that locks are taken on
  expect_alive(false);
  EXPECT_TRUE(bus.topic("t").lock_blocked);
  EXPECT_TRUE(
      is_error(thrown([&] { return bus.subscriber("t", {.attach_timeout = 10ms}); }), Code::busy, "table lock"));
  auto publisher = bus.publisher("t");  // the other file's locks are free
  EXPECT_TRUE(publisher.publish("text"));
}

// Row 22, and 10.8: the kernel's answer is the same in every PID namespace, where this PID is another's.
TEST_F(LivenessTest, ALifeInAnotherPidNamespaceIsSeen) {
  Pipe dead;
  const auto in_namespace = [&] {
    if (::unshare(CLONE_NEWPID) != 0) return kNotPermitted;
    const pid_t inner = ::fork();  // not Child::fork: it has no parent that it could know there
    if (inner == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      auto publisher = bus.publisher("t", {.name = "writer"});
      auto subscriber = bus.subscriber("t", {.name = "orders"});
      ready.signal();
      ::pause();
      ::_exit(0);
    }
    if (!go_on.await()) return 2;
    ::kill(inner, SIGKILL);
    ::waitpid(inner, nullptr, 0);
    dead.signal();
    return 0;
  };
  auto outer = Child::fork(in_namespace);
  ready.close_write_end();
  if (!ready.await()) {
    NEEDS_PERMISSION(outer.wait());
    return;
  }
  expect_alive(true);
  EXPECT_EQ(publisher().pid, 1);
  go_on.signal();
  ASSERT_TRUE(dead.await());
  expect_alive(false);
  EXPECT_EQ(outer.wait(), 0);
}

// Row 27: overlayfs drops a lock with its descriptor; a bus there would take the living for dead, so it is refused.
TEST(LocksTest, AFileSystemThatDropsLocksIsRefused) {
  const ScratchDir scratch;
  auto child = Child::fork([&] {
    const std::string at = scratch.path();
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return kNotPermitted;
    for (const char* part : {"/lower", "/upper", "/work", "/merged"}) std::filesystem::create_directory(at + part);
    const std::string options = "lowerdir=" + at + "/lower,upperdir=" + at + "/upper,workdir=" + at + "/work";
    if (::mount("overlay", (at + "/merged").c_str(), "overlay", 0, options.c_str()) != 0) return kNotPermitted;
    const Bus bus = Bus::at(at + "/merged");
    const auto error = thrown([&] { return bus.publisher("t"); });
    EXPECT_TRUE(is_error(error, Code::unsupported, "use a bus directory on tmpfs")) << error.text;
    const auto reader = thrown([&] { return bus.subscriber("t"); });
    EXPECT_TRUE(is_error(reader, Code::unsupported));
    return 0;
  });
  const int status = child.wait();
  if (status == kNotPermitted) GTEST_SKIP() << "no overlayfs here, or no right to mount it";
  EXPECT_EQ(status, 0);
}

}  // namespace

// Whom files and directories may belong to, what modes they get, and what happens without rights.

#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "ringway/detail/layout.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/privileged.hpp"
#include "support/ring_fixture.hpp"
#include "support/scratch.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway_test::as_user;
using ringway_test::is_error;
using ringway_test::kNothing;
using ringway_test::kSmall;
using ringway_test::kWhole;
using ringway_test::names_in;
using ringway_test::Opener;
using ringway_test::openers;
using ringway_test::status_of;
using ringway_test::thrown;
using ringway_test::with_private_tmpfs;

constexpr unsigned kAlice = 12345;
constexpr unsigned kBob = 12346;

class RightsTest : public ringway_test::TopicFiles {};

// Row 64, and 10.16
TEST_F(RightsTest, ADirectoryThatSomebodyElseHasPlantedIsNotTrusted) {
  const int status = with_private_tmpfs("/dev/shm", "size=4m,mode=1777", [] {
    const fs::path mine = "/dev/shm/ringway-0";
    const auto expect_refused = [&](const std::string& word) {
      EXPECT_TRUE(is_error(thrown([] { return Bus("b"); }), Code::no_permission, word, "ringway-0"));
    };
    fs::create_directory(mine);
    EXPECT_EQ(::chown(mine.c_str(), kAlice, kAlice), 0);
    expect_refused("belongs to user 12345, you are 0");
    EXPECT_EQ(thrown([] { return Bus::temporary(); }).code, Code::no_permission);
    EXPECT_EQ(::chown(mine.c_str(), 0, 0), 0);
    for (const mode_t mode : {0777U, 0770U, 0702U}) {
      ::chmod(mine.c_str(), mode);
      expect_refused("can be written by others");
    }
    ::chmod(mine.c_str(), 0700);
    fs::create_directory(mine / "b");
    EXPECT_EQ(::chown((mine / "b").c_str(), kAlice, kAlice), 0);
    expect_refused("belongs to user 12345");
    fs::remove(mine / "b");
    fs::create_directory("/dev/shm/elsewhere");
    fs::create_directory_symlink("/dev/shm/elsewhere", mine / "b");
    expect_refused("is not a directory");
    fs::remove_all(mine);
    fs::create_directory_symlink("/dev/shm/elsewhere", mine);
    expect_refused("is not a directory");
    fs::remove(mine);
    std::ofstream(mine).close();
    expect_refused("is not a directory");
    fs::remove(mine);
    EXPECT_TRUE(Bus("b").create_topic("t", kSmall));
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 64
TEST_F(RightsTest, ABusDirectoryThatEverybodyMayWriteIsRefused) {
  fs::permissions(directory(), fs::perms{0777});
  EXPECT_TRUE(is_error(thrown([&] { return bus(); }), Code::no_permission, "0777", "chmod 0700"));
  fs::permissions(directory(), fs::perms{01777});
  EXPECT_TRUE(is_error(thrown([&] { return bus(); }), Code::no_permission, "chmod 0700"));
}

// Row 64
TEST_F(RightsTest, AFileOfAThirdUserIsRefusedWithItsOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give files away";
  bus().create_topic("t", kSmall);
  for (const fs::path& file : {data(), control()}) {
    ASSERT_EQ(::chown(file.c_str(), kAlice, kAlice), 0);
    for (const Opener& opener : openers())
      EXPECT_TRUE(
          is_error(thrown([&] { opener.open(bus()); }), Code::no_permission, file.string(), "12345", "expected 0"))
          << opener.what;
    ASSERT_EQ(::chown(file.c_str(), 0, 0), 0);
  }
  fs::remove(data());  // nor is a half of somebody else's
  ASSERT_EQ(::chown(control().c_str(), kAlice, kAlice), 0);
  EXPECT_TRUE(
      is_error(thrown([&] { bus().create_topic("t", kSmall); }), Code::no_permission, control().string(), "12345"));
  EXPECT_TRUE(fs::exists(control()));
}

// Rows 61 and 64: without rights the kernel refuses, and the error says so.
TEST_F(RightsTest, AUserWithoutRightsIsRefusedByTheKernel) {
  const int status = with_private_tmpfs("/dev/shm", "size=4m,mode=1777", [] {
    const std::string path = "/dev/shm/bus";
    Bus::at(path).create_topic("t", kSmall);
    const auto refused_everything = [&] {
      return as_user(kAlice, kAlice, [&] {
        for (const Opener& opener : openers())
          EXPECT_EQ(thrown([&] { opener.open(Bus::at(path)); }).code, Code::no_permission) << opener.what;
        EXPECT_EQ(thrown([&] { Bus::at(path).remove_topic("t"); }).code, Code::no_permission);
        return 0;
      });
    };
    EXPECT_EQ(refused_everything(), 0);
    EXPECT_EQ(as_user(kAlice, kAlice,
                      [&] {
                        EXPECT_EQ(thrown([&] { return Bus::at(path).topics(); }).code, Code::no_permission);
                        EXPECT_EQ(thrown([&] { Bus::at(path).create_topic("u"); }).code, Code::no_permission);
                        return 0;
                      }),
              0);
    ::chmod(path.c_str(), 0755);  // the directory can be searched, the files not opened
    EXPECT_EQ(refused_everything(), 0);
    EXPECT_EQ(names_in(path), kWhole);
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 65, and 10.18
TEST_F(RightsTest, ModesAreExactUnderAnyUmask) {
  const int status = with_private_tmpfs("/dev/shm", "size=8m,mode=1777", [] {
    for (const unsigned user : {0U, kAlice}) {
      for (const mode_t mask : {0U, 022U, 077U, 0177U, 0277U, 0777U}) {
        const std::string base = "/dev/shm/" + std::to_string(user) + '-' + std::to_string(mask);
        EXPECT_EQ(as_user(user, user,
                          [&] {
                            ::umask(mask);
                            const auto mode = [](const fs::path& path) { return status_of(path).st_mode & 07777U; };
                            const Bus at = Bus::at(base);
                            at.create_topic("a/b/t", kSmall);
                            EXPECT_EQ(mode(base), 0700U) << mask;
                            EXPECT_EQ(mode(base + "/a"), 0700U) << mask;
                            EXPECT_EQ(mode(base + "/a/b"), 0700U) << mask;
                            EXPECT_EQ(mode(base + "/a/b/t.data"), 0600U) << mask;
                            EXPECT_EQ(mode(base + "/a/b/t.control"), 0600U) << mask;
                            EXPECT_TRUE(at.publisher("a/b/t").publish("works"));
                            const Bus named("n" + std::to_string(mask));
                            EXPECT_EQ(mode(named.directory()), 0700U) << mask;
                            EXPECT_EQ(mode(fs::path(named.directory()).parent_path()), 0700U) << mask;
                            const Bus temporary = Bus::temporary();
                            EXPECT_EQ(mode(temporary.directory()), 0700U) << mask;
                            EXPECT_TRUE(temporary.create_topic("t", kSmall));
                            return 0;
                          }),
                  0);
      }
    }
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 66, and 10.15: in a sticky directory that a group shares (fs.protected_regular forbids O_CREAT on others' files there,
// and nobody may unlink them).
TEST_F(RightsTest, InAStickyDirectoryEachUserGetsAlongAndOthersLeftoversAreNamed) {
  const int status = with_private_tmpfs("/dev/shm", "size=8m,mode=1777", [] {
    const std::string path = "/dev/shm/bus";
    fs::create_directory(path);
    EXPECT_EQ(::chown(path.c_str(), 0, kAlice), 0);
    ::chmod(path.c_str(), 01770);
    const auto use = [&](const char* name) {
      const Bus bus = Bus::at(path);
      auto in = bus.subscriber(name, {.name = "s", .topic = kSmall});
      EXPECT_TRUE(bus.publisher(name).publish("works"));
      EXPECT_TRUE(in.try_receive());
      return 0;
    };
    EXPECT_EQ(as_user(kAlice, kAlice, [&] { return use("alice"); }), 0);
    EXPECT_EQ(as_user(kAlice, kAlice, [&] { return use("alice"); }), 0);
    fs::remove(path + "/alice.data");  // as if her process had been killed half-way
    EXPECT_EQ(as_user(kBob, kAlice,
                      [&] {
                        EXPECT_TRUE(is_error(thrown([&] { Bus::at(path).create_topic("alice"); }), Code::no_permission,
                                             "alice.control"));
                        use("bob");
                        Bus::at(path).remove_topic("bob");
                        return 0;
                      }),
              0);
    EXPECT_EQ(as_user(kAlice, kAlice, [&] { return use("alice"); }), 0);
    EXPECT_EQ(names_in(path), (std::set<std::string>{"alice.control", "alice.data"}));
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 67: what cannot be unlinked is not reported as removed.
TEST_F(RightsTest, ATopicInADirectoryWithoutWriteRightsIsNotRemovedSilently) {
  const int status = with_private_tmpfs("/dev/shm", "size=4m,mode=1777", [] {
    return as_user(kAlice, kAlice, [] {
      const Bus bus = Bus::at("/dev/shm/bus");
      bus.create_topic("t", kSmall);
      ::chmod("/dev/shm/bus", 0500);
      EXPECT_EQ(thrown([&] { bus.remove_topic("t"); }).code, Code::no_permission);
      ::chmod("/dev/shm/bus", 0700);
      bus.remove_topic("t");
      EXPECT_EQ(names_in(bus.directory()), kNothing);
      return 0;
    });
  });
  NEEDS_PERMISSION(status);
}

// What one user can do with a topic: o observe, s subscribe, p publish; `create` and `rm` never.
std::string rights_of(unsigned user, unsigned group, const std::string& path) {
  std::string result;
  const int status = as_user(user, group, [&] {
    const Bus bus = Bus::at(path);
    int can = 0;
    if (thrown([&] { return bus.observer("t"); }).code == Code::ok) can |= 1;
    if (thrown([&] { return bus.subscriber("t"); }).code == Code::ok) can |= 2;
    if (thrown([&] { return bus.publisher("t"); }).code == Code::ok) can |= 4;
    if (thrown([&] { return bus.create_topic("u", kSmall); }).code == Code::ok) can |= 8;
    if (thrown([&] { bus.remove_topic("t"); }).code == Code::ok) can |= 16;
    return can;
  });
  for (const auto& [bit, letter] :
       {std::pair(1, 'o'), std::pair(2, 's'), std::pair(4, 'p'), std::pair(8, 'c'), std::pair(16, 'r')})
    if ((status & bit) != 0) result += letter;
  return status > 31 ? "status " + std::to_string(status) : result;
}

// Rows 60, 61: the kernel enforces who may publish, subscribe and observe; each with real users.
TEST_F(RightsTest, AccessIsEnforcedByTheKernelForEachRole) {
  const int status = with_private_tmpfs("/dev/shm", "size=16m,mode=1777", [] {
    const group* const daemon = ::getgrnam("daemon");
    if (daemon == nullptr) return ringway_test::kNotPermitted;
    const unsigned members = daemon->gr_gid;
    using ringway::Access;
    using ringway::Who;
    struct Case {
      Access access;
      std::string member;
      std::string stranger;
    };
    const auto group_may = [](Who publish, Who subscribe, Who observe) {
      return Access{.publish = publish, .subscribe = subscribe, .observe = observe, .unix_group = "daemon"};
    };
    int number = 0;
    for (const Case& one : {
             Case{{}, "", ""},
             Case{{.observe = Who::everyone}, "o", "o"},
             Case{{.subscribe = Who::everyone}, "os", "os"},
             Case{{.publish = Who::everyone}, "osp", "osp"},
             Case{group_may(Who::owner, Who::owner, Who::unix_group), "o", ""},
             Case{group_may(Who::owner, Who::unix_group, Who::unix_group), "os", ""},
             Case{group_may(Who::unix_group, Who::unix_group, Who::unix_group), "osp", ""},
             Case{group_may(Who::owner, Who::unix_group, Who::everyone), "os", "o"},
             Case{group_may(Who::unix_group, Who::unix_group, Who::everyone), "osp", "o"},
             Case{group_may(Who::unix_group, Who::everyone, Who::everyone), "osp", "os"},
         }) {
      SCOPED_TRACE(number);
      const std::string path = "/dev/shm/bus" + std::to_string(number++);
      const Bus bus = Bus::at(path);
      ringway::TopicOptions options = kSmall;
      options.access = one.access;
      EXPECT_TRUE(bus.create_topic("t", options));
      EXPECT_FALSE(bus.create_topic("t", options));  // it fits itself
      EXPECT_EQ(thrown([&] { bus.create_topic("t", {.access = Access{}}); }).code,
                one.access == Access{} ? Code::ok : Code::mismatch);
      EXPECT_EQ(bus.topic("t").options.access->publish, one.access.publish);
      EXPECT_EQ(rights_of(kAlice, members, path), one.member);
      EXPECT_EQ(rights_of(kBob, kBob, path), one.stranger);
      EXPECT_EQ(names_in(path), kWhole);
    }
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Others find a topic of the user's own bus by its path, also below other names; they cannot list it.
TEST_F(RightsTest, AccessOpensTheWayToTheFilesAndNoMore) {
  const int status = with_private_tmpfs("/dev/shm", "size=16m,mode=1777", [] {
    const Bus bus("shared");
    bus.create_topic("closed", kSmall);
    ringway::TopicOptions options = kSmall;
    options.access = ringway::Access{.subscribe = ringway::Who::everyone};
    bus.create_topic("a/b/open", options);
    auto out = bus.publisher("a/b/open");
    EXPECT_TRUE(out.publish("text"));
    return as_user(kAlice, kAlice, [&] {
      const Bus same = Bus::at(bus.directory());
      auto in = same.subscriber("a/b/open", {.name = "reader"});
      EXPECT_TRUE(in.try_receive());
      EXPECT_EQ(same.topic("a/b/open").publishers.size(), 1U);
      EXPECT_EQ(thrown([&] { return same.subscriber("closed"); }).code, Code::no_permission);
      EXPECT_EQ(thrown([&] { return same.topics(); }).code, Code::no_permission);
      return 0;
    });
  });
  NEEDS_PERMISSION(status);
}

TEST_F(RightsTest, AccessThatCannotBeMeantIsRefused) {
  using ringway::Access;
  using ringway::Who;
  const auto refused = [&](const Access& access, const std::string& word) {
    EXPECT_TRUE(is_error(thrown([&] { bus().create_topic("t", {.access = access}); }), Code::invalid_argument, word));
  };
  refused({.subscribe = Who::unix_group}, "which");
  refused({.unix_group = "daemon"}, "nothing is given");
  refused({.observe = Who::unix_group, .unix_group = "no such group"}, "no such group");
  EXPECT_EQ(names_in(directory()), kNothing);
}

// Row 60: a subscriber's mapping of the data file is read-only; whoever writes there gets SIGSEGV, others nothing.
TEST_F(RightsTest, ASubscriberThatWritesIntoAMessageHarmsOnlyItself) {
  const Bus bus = this->bus();
  auto out = bus.publisher("t", {.topic = kSmall});
  auto in = bus.subscriber("t", {.name = "good"});
  ASSERT_TRUE(out.publish("text"));
  auto child = ringway_test::Child::fork([&] {
    const struct rlimit no_core {};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would end it by exit
    auto bad = bus.subscriber("t", {.from = ringway::From::oldest});
    const auto message = bad.receive();
    *const_cast<volatile char*>(message.text().data()) = 'x';
    return 0;
  });
  EXPECT_EQ(child.wait(), 128 + SIGSEGV);
  EXPECT_EQ(ringway_test::text_of(in.try_receive()), "text");
  EXPECT_TRUE(out.publish("more"));
  EXPECT_EQ(ringway_test::text_of(in.try_receive()), "more");
}

}  // namespace

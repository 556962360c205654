// `ringway doctor`: each check fails for real.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "support/denied.hpp"
#include "support/privileged.hpp"
#include "support/sanitizer.hpp"
#include "support/tool.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ringway::literals;
using nlohmann::json;
using ringway_test::Child;
using ringway_test::contains;
using ringway_test::kNotPermitted;
using ringway_test::Output;
using ringway_test::with_private_tmpfs;

class DoctorTest : public ringway_test::ToolTest {
 protected:
  json finding(const std::string& id, const Words& more = {}) const {
    Words words = {"doctor", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Output output = tool(words);
    json found = find(json::parse(output.out), id);
    if (!found.is_null()) {
      EXPECT_EQ(output.status, found["severity"] == "problem" ? 1 : output.status);
      if (found["severity"] != "note") {
        EXPECT_NE(found["next"], "");
      }
    }
    return found;
  }
  void configure(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(path("root" + name)).parent_path());
    write("root" + name, text);
  }
};

TEST_F(DoctorTest, AMachineInOrderIsFit) {
  const Output output = tool({"doctor"});
  EXPECT_EQ(output.status, 0) << output.out << output.err;
  EXPECT_TRUE(contains(output.out, "ok       trial")) << output.out;
  EXPECT_TRUE(bus().topics().empty());
}

// As a container has it: the default bus on 64 MB.
TEST_F(DoctorTest, ASmallSharedMemoryIsFound) {
  const int status = with_private_tmpfs("/dev/shm", "size=64m,mode=1777", [] {
    const Output output = ringway_test::run({ringway_test::program("ringway"), "--bus", "small", "doctor", "--json"});
    const json size = find(json::parse(output.out), "size");
    EXPECT_EQ(size["severity"], "warning") << output.out;
    EXPECT_TRUE(contains(size["text"].get<std::string>(), "64.0 MiB in all")) << size;
    EXPECT_TRUE(contains(size["next"].get<std::string>(), "--shm-size")) << size;
    EXPECT_EQ(output.status, 0);
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

TEST_F(DoctorTest, ASmallOrFullFileSystemIsFound) {
  const int status = with_private_tmpfs(directory(), "size=64m,mode=700", [&] {
    EXPECT_EQ(finding("size")["severity"], "warning");  // as containers have it
    write("bus/ballast", std::string(62_MiB, 'x'));
    EXPECT_EQ(finding("space")["severity"], "problem");
    write("bus/more", std::string(2_MiB, 'x'));
    const json trial = finding("trial");
    EXPECT_EQ(trial["severity"], "problem");
    EXPECT_TRUE(contains(trial["text"].get<std::string>(), "has no room")) << trial;
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

TEST_F(DoctorTest, AFileSystemThatDropsLocksIsFound) {
  const int status = with_private_tmpfs(directory(), "size=16m,mode=700", [&] {
    for (const char* name : {"lower", "upper", "work", "merged"}) fs::create_directory(directory() + "/" + name);
    const std::string options =
        "lowerdir=" + directory() + "/lower,upperdir=" + directory() + "/upper,workdir=" + directory() + "/work";
    if (::mount("overlay", (directory() + "/merged").c_str(), "overlay", 0, options.c_str()) != 0) return kNotPermitted;
    const json trial = finding("trial", {"--dir", directory() + "/merged"});
    EXPECT_EQ(trial["severity"], "problem") << trial;
    ::umount((directory() + "/merged").c_str());
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 27
TEST_F(DoctorTest, LocksThatAProfileDeniesAreFound) {
  Child denied = Child::fork([this] {
    if (!ringway_test::deny(SYS_fcntl, 1, F_OFD_SETLK, ENOLCK)) return kNotPermitted;
    const json trial = finding("trial");
    EXPECT_EQ(trial["severity"], "problem") << trial;
    EXPECT_TRUE(contains(trial["text"].get<std::string>(), "No locks available")) << trial;
    EXPECT_TRUE(contains(trial["text"].get<std::string>(), "seccomp")) << trial;
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(denied.wait());
  EXPECT_TRUE(bus().topics().empty());
}

TEST_F(DoctorTest, AKernelWithoutWhatForkNeedsIsFound) {
  Child old = Child::fork([this] {
    if (!ringway_test::deny(SYS_madvise, 2, MADV_WIPEONFORK, EINVAL)) return kNotPermitted;
    const json kernel = finding("kernel");
    EXPECT_EQ(kernel["severity"], "problem") << kernel;
    EXPECT_TRUE(contains(kernel["next"].get<std::string>(), "4.14")) << kernel;
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  NEEDS_PERMISSION(old.wait());
}

TEST_F(DoctorTest, ASingleCoreIsSaid) {
  const Output output = shell("exec taskset -c $(taskset -pc $$ | sed 's/.*: *\\([0-9]*\\).*/\\1/') $R doctor --json");
  const json cores = find(json::parse(output.out), "cores");
  EXPECT_EQ(cores["severity"], "note") << output.out << output.err;
  EXPECT_NE(cores["next"], "");
}

TEST_F(DoctorTest, ABusThatOthersMayWriteIsFound) {
  ASSERT_EQ(::chmod(directory().c_str(), 0777), 0);
  const json found = finding("bus");
  EXPECT_EQ(found["severity"], "problem") << found;
  ::chmod(directory().c_str(), 0700);
}

TEST_F(DoctorTest, LowLimitsAreFound) {
  EXPECT_EQ(finding("limits")["severity"], "note");
  const Output files = shell("ulimit -n 64; $R doctor --json");
  EXPECT_EQ(find(json::parse(files.out), "limits")["severity"], "warning") << files.out;
  for (const std::string low : {"ulimit -f 2000", "ulimit -v 4000000"}) {
    if (ringway_test::kSanitized && contains(low, "-v")) continue;  // a sanitizer's shadow needs more
    const Output output = shell(low + "; $R doctor --json");
    EXPECT_EQ(find(json::parse(output.out), "limits")["severity"], "warning") << low << output.out;
  }
  configure("/proc/sys/vm/max_map_count", "100\n");
  const json maps = finding("limits", {"--root", path("root")});
  EXPECT_EQ(maps["severity"], "warning");
  EXPECT_TRUE(contains(maps["text"].get<std::string>(), "vm.max_map_count is 100"));
}

TEST_F(DoctorTest, LeftoversAndOtherLayoutsAreFound) {
  bus().create_topic("half");
  fs::remove(directory() + "/half.data");
  EXPECT_EQ(finding("leftovers")["severity"], "warning");
  bus().create_topic("torn");
  fs::resize_file(directory() + "/torn.data", 10);
  EXPECT_EQ(finding("layout")["severity"], "warning");
}

TEST_F(DoctorTest, ARootThatCannotBeReadIsWrongUseAndAPartOfItIsSaid) {
  write("file", "");
  for (const std::string& root : {path("nothing"), path("file")}) {
    const Output output = tool({"doctor", "--root", root});
    EXPECT_EQ(output.status, 2);
    EXPECT_TRUE(contains(output.err, "--root is " + root)) << output.err;
    EXPECT_TRUE(contains(output.err, "must be a directory")) << output.err;
  }
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
  const fs::path open = "/tmp/ringway-root." + std::to_string(::getpid());  // the scratch directory is ours alone
  fs::create_directories(open / "etc/tmpfiles.d");
  const auto as_a_user = [&] {
    return ringway_test::as_user(12345, 12345, [&] {
      const auto bus = ringway::Bus::temporary();
      const Output output = ringway_test::run(
          {ringway_test::program("ringway"), "--dir", bus.directory(), "doctor", "--json", "--root", open});
      if (output.status == 2) return contains(output.err, "Permission denied") ? 12 : 13;
      const json unread = find(json::parse(output.out), "unread");
      return unread["severity"] == "warning" && contains(unread["text"].get<std::string>(), "etc/tmpfiles.d") ? 10 : 11;
    });
  };
  fs::permissions(open / "etc/tmpfiles.d", fs::perms::none);
  EXPECT_EQ(as_a_user(), 10);
  fs::permissions(open, fs::perms::none);
  EXPECT_EQ(as_a_user(), 12);
  fs::remove_all(open);
  std::error_code in_use;
  fs::remove("/dev/shm/ringway-12345", in_use);  // that user's, if the test made it
}

// Row 49
TEST_F(DoctorTest, RemoveIpcIsFoundForThoseItConcerns) {
  fs::create_directories(path("root/run/systemd/system"));
  configure("/etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\n");
  const auto as_a_user = [&] {
    const std::string open =
        "/tmp/ringway-doctor." + std::to_string(::getpid());  // the scratch directory is ours alone
    fs::copy(path("root"), open, fs::copy_options::recursive);
    const int status = ringway_test::as_user(12345, 12345, [&] {
      const auto bus = ringway::Bus::temporary();
      const Output output = ringway_test::run(
          {ringway_test::program("ringway"), "--dir", bus.directory(), "doctor", "--json", "--root", open});
      const json found = find(json::parse(output.out), "removeipc");
      return found["severity"] == "warning" ? 10 : found["severity"] == "note" ? 11 : 12;
    });
    fs::remove_all(open);
    std::error_code in_use;
    fs::remove("/dev/shm/ringway-12345", in_use);  // that user's, if the test made it
    return status;
  };
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
  EXPECT_EQ(as_a_user(), 10);
  configure("/etc/systemd/logind.conf.d/keep.conf", "[Login]\nRemoveIPC=no\n");
  EXPECT_EQ(as_a_user(), 11);
  EXPECT_EQ(finding("removeipc", {"--root", path("root")})["severity"], "note");  // root's files are kept
}

// Row 49
TEST_F(DoctorTest, ACleanerIsFound) {
  configure("/usr/lib/tmpfiles.d/clean.conf",
            "# comment\nd /var/x 0755 root root 1d\nD " + directory() + " 0700 root root 10d\n");
  const json found = finding("cleaner", {"--root", path("root")});
  EXPECT_EQ(found["severity"], "warning");
  EXPECT_TRUE(contains(found["text"].get<std::string>(), "older than 10d")) << found;
}

}  // namespace

// What only root may do to a test's surroundings, each in a child process so that nothing of it stays.

#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <system_error>

#include "support/child.hpp"

namespace ringway_test {

inline constexpr int kNotPermitted = 77;

// Runs `body` where `at` is an empty tmpfs of its own (mode 1777) that nobody else sees. kNotPermitted: not possible here.
inline int with_private_tmpfs(const std::string& at, const std::string& options, const std::function<int()>& body) {
  return Child::fork([&] {
           if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
               ::mount("tmpfs", at.c_str(), "tmpfs", MS_NOSUID, options.c_str()) != 0)
             return kNotPermitted;
           return body();
         })
      .wait();
}

// Runs `body` as another user. Only root may.
inline int as_user(unsigned user, unsigned group, const std::function<int()>& body) {
  return Child::fork([&] {
           hold_tool();
           if (::setgroups(0, nullptr) != 0 || ::setresgid(group, group, group) != 0 ||
               ::setresuid(user, user, user) != 0)
             throw std::system_error(errno, std::generic_category(), "setresuid");
           return body();
         })
      .wait();
}

// To be used in a test's body: `NEEDS_PERMISSION(status)` skips the test where its privilege is missing.
#define NEEDS_PERMISSION(status)                                                                      \
  if ((status) == ringway_test::kNotPermitted) GTEST_SKIP() << "needs root, to mount in a namespace"; \
  EXPECT_EQ(status, 0)

}  // namespace ringway_test

// Who may publish, subscribe and observe, as modes of a topic's two files: the kernel enforces them.
//
// A publisher writes both files; a subscriber reads data and writes control; an observer reads both. So whoever may publish
// may subscribe, and whoever may subscribe may observe.
//
// Thread safety: any thread. Progress: a few system calls. Crash: a file gets its mode before it has a name.
#pragma once

#include <sys/types.h>

#include <string>

#include "ringway/options.hpp"

namespace ringway::detail {

struct FileModes {
  mode_t data = 0600;
  mode_t control = 0600;
  gid_t group = static_cast<gid_t>(-1);  // of both files; -1: as they come
};

// With what follows from it: publish <= subscribe <= observe. Throws Error invalid_argument for a group that does not exist,
// is missing, or is given nothing.
Access complete(const Access& access, const std::string& topic);

// REQUIRES: access is complete.
FileModes modes_of(const Access& access, const std::string& topic);

// What the modes of two existing files amount to.
Access access_of(mode_t data, mode_t control, gid_t group);

// "publish=owner,subscribe=group,observe=everyone (group trading)"
std::string text_of(const Access& access);

// Search rights on a bus directory, or one below it, for those who may do something with a file in it. Throws Error
// no_permission.
void let_search(const std::string& directory, const Access& access, const std::string& topic);

}  // namespace ringway::detail

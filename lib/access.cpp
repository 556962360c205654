#include "access.hpp"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "ringway/error.hpp"

namespace ringway::detail {
namespace {

gid_t group_id(const std::string& name, const std::string& topic) {
  group entry{};
  group* found = nullptr;
  std::array<char, 16384> room{};
  const int error = ::getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  if (found != nullptr) return found->gr_gid;
  throw Error(Code::invalid_argument, topic, "there is no group \"" + name + "\" on this machine", error);
}

std::string group_name(gid_t id) {
  group entry{};
  group* found = nullptr;
  std::array<char, 16384> room{};
  ::getgrgid_r(id, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->gr_name : std::to_string(id);
}

// The bits of rw that `access` gives to one class of users: the unix group, or everyone.
mode_t data_bits(const Access& access, Who who) { return access.publish >= who ? 6 : access.observe >= who ? 4 : 0; }
mode_t control_bits(const Access& access, Who who) {
  return access.subscribe >= who ? 6 : access.observe >= who ? 4 : 0;
}

const char* text_of(Who who) {
  if (who == Who::owner) return "owner";
  return who == Who::unix_group ? "group" : "everyone";
}

}  // namespace

Access complete(const Access& access, const std::string& topic) {
  Access whole = access;
  whole.subscribe = std::max(whole.subscribe, whole.publish);
  whole.observe = std::max(whole.observe, whole.subscribe);
  const bool uses_group =
      whole.publish == Who::unix_group || whole.subscribe == Who::unix_group || whole.observe == Who::unix_group;
  if (uses_group && whole.unix_group.empty())
    throw Error(Code::invalid_argument, topic, "access is given to a group, and unix_group does not say which");
  if (!uses_group && !whole.unix_group.empty())
    throw Error(
        Code::invalid_argument, topic,
        "unix_group is \"" + whole.unix_group + "\", and nothing is given to it; set publish, subscribe or observe");
  if (uses_group) group_id(whole.unix_group, topic);
  return whole;
}

FileModes modes_of(const Access& access, const std::string& topic) {
  FileModes modes;
  modes.data |= data_bits(access, Who::unix_group) << 3 | data_bits(access, Who::everyone);
  modes.control |= control_bits(access, Who::unix_group) << 3 | control_bits(access, Who::everyone);
  if (!access.unix_group.empty()) modes.group = group_id(access.unix_group, topic);
  return modes;
}

Access access_of(mode_t data, mode_t control, gid_t group) {
  Access access;
  for (const auto& [who, shift] : {std::pair(Who::unix_group, 3), std::pair(Who::everyone, 0)}) {
    const mode_t read = 4;
    const mode_t write = 6;
    const bool reads = (data >> shift & read) == read;
    if ((data >> shift & write) == write && (control >> shift & write) == write) access.publish = who;
    if (reads && (control >> shift & write) == write) access.subscribe = who;
    if (reads && (control >> shift & read) == read) access.observe = who;
  }
  const bool uses_group =
      access.publish == Who::unix_group || access.subscribe == Who::unix_group || access.observe == Who::unix_group;
  if (uses_group) access.unix_group = group_name(group);
  return access;
}

std::string text_of(const Access& access) {
  return std::string("publish=") + text_of(access.publish) + ",subscribe=" + text_of(access.subscribe) +
         ",observe=" + text_of(access.observe) +
         (access.unix_group.empty() ? "" : " (group " + access.unix_group + ")");
}

void let_search(const std::string& directory, const Access& access, const std::string& topic) {
  if (access.observe == Who::owner) return;
  struct stat status {};
  bool done = ::stat(directory.c_str(), &status) == 0;
  if (done && (status.st_mode & S_IXOTH) != 0) return;
  if (done && access.observe == Who::unix_group) {
    const gid_t group = group_id(access.unix_group, topic);
    if (status.st_gid == group && (status.st_mode & S_IXGRP) != 0) return;
    // A directory that no group uses yet becomes this one's; one that another group uses is opened to all, who still
    // cannot list it, and find the files closed.
    if (status.st_gid == group || (status.st_mode & S_IRWXG) == 0) {
      done = (status.st_gid == group || ::chown(directory.c_str(), static_cast<uid_t>(-1), group) == 0) &&
             ::chmod(directory.c_str(), (status.st_mode & 07777) | S_IXGRP) == 0;
      if (done) return;
    }
  }
  done = done && ::chmod(directory.c_str(), (status.st_mode & 07777) | S_IXOTH | S_IXGRP) == 0;
  if (!done)
    throw Error(
        Code::no_permission, topic,
        "cannot give others search rights on " + directory + ": " + std::strerror(errno) + "; its owner can: chmod a+x",
        errno);
}

}  // namespace ringway::detail

// Bus directories: where they are, how they are made, whom they may belong to.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "ringway/error.hpp"
#include "topic.hpp"
#include "uncancelled.hpp"

namespace ringway::detail {

void make_directory(const std::string& path, const std::string& topic) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    ::chmod(path.c_str(), 0700);  // whatever the umask took away
    return;
  }
  const int error = errno;
  if (error == EEXIST) return;
  const Code code = error == ENOENT                                       ? Code::not_found
                    : error == ENOSPC                                     ? Code::no_space
                    : error == EACCES || error == EPERM || error == EROFS ? Code::no_permission
                                                                          : Code::system;
  throw Error(code, topic, "cannot make the directory " + path + ": " + std::strerror(error), error);
}

std::string users_directory() { return "/dev/shm/ringway-" + std::to_string(::geteuid()); }

std::string user_directory(std::string_view bus) {
  check_component("bus", bus);
  const std::string parent = users_directory();
  make_directory(parent);
  check_directory(parent, true);
  std::string path = parent + "/" + std::string(bus);
  make_directory(path);
  return path;
}

std::string absolute_directory(std::string_view path) {
  if (path.empty() || path.size() > 3000 || path.find('\0') != std::string_view::npos)
    throw Error(Code::invalid_argument, {}, "a bus directory is a path of 1 to 3000 bytes, this is " + quoted(path));
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error)
    throw Error(Code::system, {}, "cannot tell where " + quoted(path) + " is: " + error.message(), error.value());
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  make_directory(absolute);
  return absolute;
}

std::string temporary_directory() {
  const std::string parent = users_directory();
  make_directory(parent);
  check_directory(parent, true);
  std::string path = parent + "/temporary-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    throw Error(Code::system, {}, "cannot make a temporary bus in " + parent + ": " + std::strerror(errno), errno);
  ::chmod(path.c_str(), 0700);  // whatever the umask took away
  return path;
}

uid_t check_directory(const std::string& path, bool mine) {
  struct stat status {};
  const int result = mine ? ::lstat(path.c_str(), &status) : ::stat(path.c_str(), &status);
  if (result != 0) throw Error(Code::not_found, {}, path + ": " + std::strerror(errno), errno);
  if (!S_ISDIR(status.st_mode))
    throw Error(Code::no_permission, {}, path + " is not a directory; it may have been planted: remove it");
  if (mine && status.st_uid != ::geteuid())
    throw Error(Code::no_permission, {},
                path + " belongs to user " + std::to_string(status.st_uid) + ", you are " +
                    std::to_string(::geteuid()) +
                    "; it may have been planted: remove it, or open it with Bus::at if you trust that user");
  if ((status.st_mode & (mine ? 022 : 002)) != 0)
    throw Error(Code::no_permission, {},
                path + " can be written by others (mode 0" + std::to_string(status.st_mode >> 6 & 7) +
                    std::to_string(status.st_mode >> 3 & 7) + std::to_string(status.st_mode & 7) + "); chmod 0700 it");
  return status.st_uid;
}

BusState::~BusState() {
  if (!temporary_ || ::getpid() != process_) return;
  const Uncancelled to_the_end;
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace ringway::detail

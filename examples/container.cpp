// A container shares a bus with its host: the same user, the bus directory mounted at another path. Here the container is
// a process with mounts of its own; who may not have those (ordinary users) gets a process that opens the same path.

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

// Where the container sees the bus: what `docker run --volume DIRECTORY:MOUNTED` does.
std::string mounted(const std::string& directory, const std::string& at) {
  const bool done = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                    ::mount(directory.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) == 0;
  std::cerr << (done ? "mounted at " + at : "not privileged: opened by the same path") << '\n';
  return done ? at : directory;
}

int contain(const std::string& directory, const std::string& at) {
  const auto bus = ringway::Bus::at(mounted(directory, at));
  auto in = bus.subscriber("to-container", {.name = "container"});
  auto out = bus.publisher("to-host");
  const auto message = in.receive(10s);
  if (!message) return 1;
  std::cout << "container: " << message.text() << std::endl;
  return out.publish("hello from the container") ? 0 : 1;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  const std::string at = std::filesystem::temp_directory_path() / ("ringway-container-" + std::to_string(::getpid()));
  std::filesystem::create_directory(at);
  const pid_t child = ::fork();
  if (child == 0) std::exit(contain(bus.directory(), at));

  auto out = bus.publisher("to-container");
  auto in = bus.subscriber("to-host", {.name = "host"});
  if (!out.publish("hello from the host")) return 1;
  if (const auto message = in.receive(10s)) std::cout << "host: " << message.text() << '\n';

  int status = 0;
  ::waitpid(child, &status, 0);
  std::filesystem::remove(at);
  return status == 0 ? 0 : 1;
}

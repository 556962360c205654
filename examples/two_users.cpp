// Two users share a bus: everyone may subscribe to what its owner publishes, and nobody else may publish. The second user is
// a process that gives up being root; where we are not root to begin with, it is the same user.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

constexpr uid_t kNobody = 65534;

int read_as_another(const std::string& directory) {
  const bool another = ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
  std::cerr << (another ? "reading as user 65534" : "not privileged: reading as the same user") << '\n';
  const auto bus = ringway::Bus::at(directory);  // others open a bus by its path
  auto in = bus.subscriber("prices", {.name = "reader"});
  const auto message = in.receive(10s);
  if (!message) return 1;
  std::cout << "read: " << message.text() << std::endl;
  if (!another) return 0;
  try {
    static_cast<void>(bus.publisher("prices"));
    return 1;
  } catch (const ringway::Error& error) {
    return error.code() == ringway::Code::no_permission ? 0 : 1;
  }
}

}  // namespace

int main() {
  const std::string directory = "/dev/shm/ringway-two-users-" + std::to_string(::getpid());
  const auto bus = ringway::Bus::at(directory);
  auto out = bus.publisher("prices", {.topic = {.access = ringway::Access{.subscribe = ringway::Who::everyone}}});
  const pid_t child = ::fork();
  if (child == 0) std::exit(read_as_another(directory));

  int status = 1;
  if (out.publish("99.5")) ::waitpid(child, &status, 0);
  bus.remove_topic("prices", ringway::Remove::always);
  bus.remove();
  std::cout << (status == 0 ? "shared" : "failed") << '\n';
  return status == 0 ? 0 : 1;
}

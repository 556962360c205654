// How long a publisher's death inside a claim holds its readers: from SIGKILL, and from the return of waitpid, to the next
// message. What lies between the two is the kernel's: it tears the address space down before it drops the locks.

#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ringway/ringway.hpp>
#include <vector>

#include "figures.hpp"
#include "process.hpp"
#include "rounds.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

using namespace ringway::literals;

enum class From { kill, waitpid };

// Milliseconds of one death.
double death_ms(const ringway::Bus& bus, ringway::Publisher& out, ringway::Subscriber& in, std::size_t resident,
                From from) {
  auto& claimed = *make_shared_memory<std::atomic<int>>();
  Process ghost = Process::fork([&] {
    std::vector<char> memory(resident, 'x');
    auto dying = bus.publisher("topic");
    const auto claim = dying.claim(64);
    claimed = 1;
    for (;;) ::pause();
  });
  while (claimed == 0) ::usleep(100);
  if (const auto status = out.publish("behind it"); !status) fail(status.text());
  std::uint64_t start = now_ns();
  ::kill(ghost.pid(), SIGKILL);
  if (from == From::waitpid) {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(ghost.pid()), &info, WEXITED | WNOWAIT);
    start = now_ns();
  }
  const auto message = in.receive();
  const std::uint64_t end = now_ns();
  if (!message) fail(message.status().text());
  return static_cast<double>(end - start) / 1e6;
}

}  // namespace

std::vector<Row> death_figures(const Options& options) {
  std::vector<Row> rows;
  for (const std::uint64_t mib : {1U, 64U, 512U})
    for (const From from : {From::kill, From::waitpid}) {
      const ringway::Bus bus = ringway::Bus::at(options.bus("death"));
      auto in = bus.subscriber("topic", {.name = "reader"});
      auto out = bus.publisher("topic");
      const int deaths = options.quick ? 10 : 100;
      std::vector<double> ms;
      ms.reserve(static_cast<std::size_t>(deaths));
      for (int i = 0; i < deaths; ++i) ms.push_back(death_ms(bus, out, in, mib * 1_MiB, from));
      rows.push_back(
          {.group = "death",
           .figure = fmt::format("{} MiB resident, from {}", mib,
                                 from == From::kill ? "SIGKILL, the reader waiting" : "waitpid, the reader arriving"),
           .value = Value{median(ms), "ms"},
           .note = fmt::format("p99 {:.3f} max {:.3f} ms", percentile(ms, 0.99), percentile(ms, 1))});
    }
  return rows;
}

}  // namespace bench

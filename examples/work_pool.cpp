// A pool of workers shares the jobs of one topic. One of them crashes on a job, which another gets: nothing is lost.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

constexpr int kJobs = 100;

int work(const ringway::Bus& bus, bool crashes) {
  auto jobs = bus.group_member("pictures", {.group = "resizers"});
  auto out = bus.publisher("resized");
  for (;;) {
    auto job = jobs.receive();
    if (!job) return 1;
    if (job.text() == "end") return job.ack() ? 0 : 1;
    if (crashes) ::raise(SIGKILL);  // with a job in its hands
    if (!out.publish(std::string(job.text()) + (job.redelivered() ? " (again)" : ""))) return 1;
    job.ack();
  }
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  bus.create_group("pictures", "resizers");
  auto done = bus.subscriber("resized");
  const auto start = [&bus](bool crashes) {
    if (::fork() == 0) std::_Exit(work(ringway::Bus::at(bus.directory()), crashes));
  };
  start(true);  // alone at first, so that it does get a job
  auto out = bus.publisher("pictures");
  for (int i = 0; i < kJobs; ++i)
    if (!out.publish("picture " + std::to_string(i))) return 1;
  int status = 0;
  ::wait(&status);
  start(false);
  start(false);
  int count = 0;
  int again = 0;
  while (count < kJobs) {
    const auto message = done.receive(20s);
    if (!message) {
      std::cerr << message.status() << '\n';
      return 1;
    }
    ++count;
    if (message.text().ends_with("(again)")) ++again;
  }
  std::cout << count << " pictures resized, " << again << " of them by a second worker\n";

  for (int i = 0; i < 2; ++i)
    if (!out.publish("end")) return 1;
  int crashed = WIFSIGNALED(status) ? 1 : 0;
  while (::wait(&status) > 0) crashed += WIFSIGNALED(status) ? 1 : 0;
  std::cout << crashed << " worker crashed\n";
}

// A job that fails is tried again after a delay, and at last put aside, with the reason why.

#include <chrono>
#include <iostream>
#include <ringway/ringway.hpp>

using namespace std::chrono_literals;

namespace {

bool resize(const ringway::Job& job) {
  const bool done = job.text() == "a.png" || (job.text() == "slow.png" && job.attempt() == 3);
  if (done) std::cout << job.text() << " done at attempt " << job.attempt() << '\n';
  return done;
}

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  auto out = bus.publisher("jobs");
  for (const char* name : {"a.png", "broken.png", "slow.png"})
    if (!out.publish(name)) return 1;

  bus.create_group("jobs", "resizers", {.max_attempts = 5, .retry_delay = 1ms, .dead_letter = "jobs.dead"});
  // [readme: group]
  auto jobs = bus.group_member("jobs", {.group = "resizers"});
  while (auto job = jobs.receive(500ms))
    resize(job) ? job.ack() : job.nack("no picture");  // again after a delay, marked; so is what a dead member had
  // [end]

  auto dead = bus.subscriber("jobs.dead", {.name = "undertaker"});
  while (const auto message = dead.try_receive()) {
    std::cout << message.text();
    if (const auto letter = message.dead_letter())
      std::cout << ": " << letter->attempts << " attempts in group " << letter->group
                << ", the last: " << letter->reason;
    std::cout << '\n';
  }
}

// Four members of a group with jobs of equal length do about equally many: each takes the next one when it is done.

#include <array>
#include <chrono>
#include <iostream>
#include <latch>
#include <ringway/ringway.hpp>
#include <thread>

using namespace std::chrono_literals;

namespace {

constexpr int kJobs = 400;

}  // namespace

int main() {
  const auto bus = ringway::Bus::temporary();
  bus.create_group("jobs", "workers");
  auto out = bus.publisher("jobs");
  for (int i = 0; i < kJobs; ++i)
    if (!out.publish("job")) return 1;

  std::array<int, 4> shares{};
  std::latch attached(4);
  std::array<std::thread, 4> threads;
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i] = std::thread([&bus, &attached, &share = shares[i]] {
      auto jobs = bus.group_member("jobs", {.group = "workers"});
      attached.arrive_and_wait();
      while (auto job = jobs.receive(500ms)) {
        std::this_thread::sleep_for(1ms);  // the work
        if (job.ack()) ++share;
      }
    });
  for (std::thread& thread : threads) thread.join();
  int all = 0;
  for (const int share : shares) {
    all += share;
    std::cout << (share >= kJobs * 15 / 100 && share <= kJobs * 35 / 100 ? "a fair share" : "an unfair share") << '\n';
  }
  std::cout << all << " jobs in all\n";
}

// Figures of a group: what an acknowledged job costs beside a plain message, how two members share a filled ring, and what
// queues of the system and of Boost take for the same.
#include <fcntl.h>
#include <mqueue.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <chrono>
#include <optional>
#include <ringway/ringway.hpp>
#include <string>
#include <thread>
#include <vector>

#include "figures.hpp"
#include "process.hpp"

namespace bench {
namespace {

constexpr std::size_t kBytes = 64;
using Message = std::array<std::byte, kBytes>;
constexpr std::uint64_t kCapacity = 4 << 20;
constexpr int kJobs = 20'000;  // a round; as many fit into the ring

double ns_since(std::chrono::steady_clock::time_point start, int operations) {
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / operations;
}

// A topic that is filled, then drained with no publisher running.
class Ring {
 public:
  Ring(const std::string& directory, const std::string& name) : bus_(ringway::Bus::at(directory)), name_(name) {
    out_.emplace(bus_.publisher(name_, {.topic = {.capacity_bytes = kCapacity}}));
  }
  void fill() {
    for (int i = 0; i < kJobs; ++i)
      if (!out_->try_publish(Message{})) fail("the ring is too small");
  }
  ringway::Publisher& out() { return *out_; }
  ringway::Bus& bus() { return bus_; }
  const std::string& name() const { return name_; }

 private:
  ringway::Bus bus_;
  std::string name_;
  std::optional<ringway::Publisher> out_;
};

double drain_plain(Ring& ring, ringway::Subscriber& in) {
  ring.fill();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kJobs; ++i)
    if (!in.try_receive()) fail("a message is missing");
  return ns_since(start, kJobs);
}

double drain_group(Ring& ring, std::vector<ringway::GroupMember>& members) {
  ring.fill();
  const auto cpus = allowed_cpus();
  std::atomic<int> ready{0};
  std::atomic<int> done{0};
  std::chrono::steady_clock::time_point start;
  const auto work = [&](std::size_t which) {
    pin(cpus[which % cpus.size()]);
    ready.fetch_add(1);
    while (ready.load() < static_cast<int>(members.size())) {
    }
    if (which == 0) start = std::chrono::steady_clock::now();
    int mine = 0;
    while (auto job = members[which].try_receive()) {
      if (!job.ack()) fail("a job cannot be acknowledged");
      ++mine;
    }
    done.fetch_add(mine);
  };
  std::vector<std::thread> threads;  // also the first: this one stays unpinned
  for (std::size_t i = 0; i < members.size(); ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  const double ns = ns_since(start, kJobs);
  if (done != kJobs) fail("jobs are missing");
  return ns;
}

// From one thread to another, each on a core of its own; both calls wait. ns a message.
template <class Send, class Receive>
double stream(Send send, Receive receive) {
  const auto cpus = allowed_cpus();
  std::atomic<int> ready{0};
  const auto repeat = [&](std::size_t which, int times, auto& call) {
    pin(cpus[which % cpus.size()]);
    ready.fetch_add(1);
    while (ready.load() < 2) {
    }
    for (int i = 0; i < times; ++i)
      if (!call()) fail("a message is missing");
  };
  std::thread sender([&] { repeat(1, kJobs, send); });
  double ns = 0;
  std::thread receiver([&] {
    repeat(0, 1, receive);
    const auto start = std::chrono::steady_clock::now();
    repeat(0, kJobs - 1, receive);
    ns = ns_since(start, kJobs - 1);
  });
  sender.join();
  receiver.join();
  return ns;
}

double stream_group(Ring& ring, ringway::GroupMember& member) {
  return stream([&] { return static_cast<bool>(ring.out().publish(Message{})); },
                [&] { return static_cast<bool>(member.receive().ack()); });
}

double stream_boost(boost::interprocess::message_queue& queue) {
  Message received;
  boost::interprocess::message_queue::size_type size = 0;
  unsigned priority = 0;
  return stream(
      [&, message = Message{}] {
        queue.send(message.data(), message.size(), 0);
        return true;
      },
      [&] {
        queue.receive(received.data(), received.size(), size, priority);
        return size == kBytes;
      });
}

double stream_posix(mqd_t queue) {
  Message received;
  char* const bytes = reinterpret_cast<char*>(received.data());
  return stream(
      [&, message = Message{}] {
        return ::mq_send(queue, reinterpret_cast<const char*>(message.data()), message.size(), 0) == 0;
      },
      [&] { return ::mq_receive(queue, bytes, received.size(), nullptr) == static_cast<ssize_t>(kBytes); });
}

// A queue of Boost: filled, then emptied.
double drain_boost(boost::interprocess::message_queue& queue) {
  const Message message{};
  for (int i = 0; i < kJobs; ++i) queue.send(message.data(), message.size(), 0);
  Message received;
  boost::interprocess::message_queue::size_type size = 0;
  unsigned priority = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kJobs; ++i) queue.receive(received.data(), received.size(), size, priority);
  return ns_since(start, kJobs);
}

// One of the system: ten messages at a time, which is what everybody may have.
double drain_posix(mqd_t queue) {
  const Message message{};
  Message received;
  double ns = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 10; ++i)
      if (::mq_send(queue, reinterpret_cast<const char*>(message.data()), message.size(), 0) != 0) fail("mq_send");
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i)
      if (::mq_receive(queue, reinterpret_cast<char*>(received.data()), received.size(), nullptr) < 0)
        fail("mq_receive");
    ns += ns_since(start, 10);
  }
  return ns / kRounds;
}

Row row(const std::string& figure, const std::vector<double>& ns, const std::string& than,
        const std::vector<double>& yardstick, const Spread& ratio, const std::optional<Target>& target = {}) {
  return {.group = "groups",
          .figure = figure,
          .value = Value{median(ns), "ns a job"},
          .yardstick = Yardstick{than, {median(yardstick), "ns a message"}},
          .ratio = ratio,
          .target = target};
}

}  // namespace

std::vector<Row> group_figures(const Options& options) {
  const std::string directory = options.bus("groups");
  Ring plain_ring(directory, "plain");
  auto subscriber = plain_ring.bus().subscriber("plain", {.name = "s"});
  const auto members = [&](Ring& ring, std::size_t count, std::uint32_t prefetch) {
    std::vector<ringway::GroupMember> all;
    for (std::size_t i = 0; i < count; ++i)
      all.push_back(ring.bus().group_member(ring.name(), {.group = "g", .prefetch = prefetch}));
    return all;
  };
  Ring one_ring(directory, "one");
  Ring one16_ring(directory, "one16");
  Ring two_ring(directory, "two");
  Ring two16_ring(directory, "two16");
  auto one = members(one_ring, 1, 1);
  auto one16 = members(one16_ring, 1, 16);
  auto two = members(two_ring, 2, 1);
  auto two16 = members(two16_ring, 2, 16);

  const std::string name = "ringway-bench-" + std::to_string(::getpid());
  namespace ipc = boost::interprocess;
  ipc::message_queue::remove(name.c_str());
  ipc::message_queue boost_queue(ipc::create_only, name.c_str(), kJobs, kBytes);
  ipc::message_queue::remove(name.c_str());
  mq_attr attributes{};
  attributes.mq_maxmsg = 10;
  attributes.mq_msgsize = kBytes;
  const mqd_t posix_queue = ::mq_open(("/" + name).c_str(), O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
  const bool has_posix = posix_queue != static_cast<mqd_t>(-1);
  if (has_posix) ::mq_unlink(("/" + name).c_str());

  std::vector<double> plain;
  std::vector<double> group;
  std::vector<double> group16;
  std::vector<double> pair;
  std::vector<double> pair16;
  std::vector<double> boost;
  std::vector<double> posix;
  std::vector<double> through;
  std::vector<double> through_boost;
  std::vector<double> through_posix;
  for (int round = 0; round < options.rounds / (options.quick ? 8 : 2) + 1; ++round) {
    plain.push_back(drain_plain(plain_ring, subscriber));
    group.push_back(drain_group(one_ring, one));
    group16.push_back(drain_group(one16_ring, one16));
    pair.push_back(drain_group(two_ring, two));
    pair16.push_back(drain_group(two16_ring, two16));
    boost.push_back(drain_boost(boost_queue));
    through.push_back(stream_group(one_ring, one[0]));
    through_boost.push_back(stream_boost(boost_queue));
    if (!has_posix) continue;
    posix.push_back(drain_posix(posix_queue));
    through_posix.push_back(stream_posix(posix_queue));
  }
  using Kind = Target::Kind;
  const std::string queue = "boost::interprocess::message_queue";
  std::vector<Row> rows = {
      row("take and ack, 64 bytes", group, "receive and release", plain, ratio(group, plain),
          Target{Kind::at_most, 2.5}),
      row("rate of 2 members, prefetch 1", pair, "1 member", group, ratio(group, pair), Target{Kind::at_least, 0.3}),
      row("rate of 2 members, prefetch 16", pair16, "1 member", group16, ratio(group16, pair16),
          Target{Kind::at_least, 0.6}),
      row("rate from a publisher to a member", through, queue, through_boost, ratio(through_boost, through),
          Target{Kind::at_least, 5}),
      row("rate of 1 member that drains", group, queue, boost, ratio(boost, group))};
  if (has_posix) {
    rows.push_back(row("rate from a publisher to a member", through, "POSIX mqueue", through_posix,
                       ratio(through_posix, through), Target{Kind::at_least, 10}));
    rows.push_back(row("rate of 1 member that drains", group, "POSIX mqueue", posix, ratio(posix, group)));
  }
  if (has_posix) ::mq_close(posix_queue);
  return rows;
}

}  // namespace bench

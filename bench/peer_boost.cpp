// Boost.Interprocess message_queue. (boost::lockfree::spsc_queue is a yardstick: yardsticks.cpp.)

#include <fmt/core.h>
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <vector>

#include "futex.hpp"
#include "halves.hpp"
#include "peers.hpp"

namespace bench {
namespace {

using Queue = boost::interprocess::message_queue;

class QueueCarrier final : public Carrier {
 public:
  QueueCarrier(std::shared_ptr<Queue> in, std::shared_ptr<Queue> out, std::size_t bytes, Waiting waiting)
      : in_(std::move(in)), out_(std::move(out)), waiting_(waiting), sent_(bytes), received_(bytes) {}
  void send(std::uint64_t number) override {
    fill_ends(sent_, number);
    if (waiting_ == Waiting::block)
      out_->send(sent_.data(), sent_.size(), 0);
    else
      while (!out_->try_send(sent_.data(), sent_.size(), 0)) relax();
  }
  void expect(std::uint64_t number) override {
    Queue::size_type length = 0;
    unsigned priority = 0;
    if (waiting_ == Waiting::block)
      in_->receive(received_.data(), received_.size(), length, priority);
    else
      while (!in_->try_receive(received_.data(), received_.size(), length, priority)) relax();
    check_ends(received_, number);
  }

 private:
  std::shared_ptr<Queue> in_;
  std::shared_ptr<Queue> out_;
  Waiting waiting_;
  std::vector<std::byte> sent_;
  std::vector<std::byte> received_;
};

std::shared_ptr<Queue> make_queue(std::size_t bytes) {
  static int made = 0;
  const std::string name = fmt::format("ringway-bench.{}.{}", ::getpid(), made++);
  auto queue =
      std::make_shared<Queue>(boost::interprocess::create_only, name.c_str(), bytes <= 1024 ? 1024 : 16, bytes);
  Queue::remove(name.c_str());  // what is mapped stays, also in children
  return queue;
}

}  // namespace

Peer boost_message_queue_peer() {
  return {.name = "boost-mq",
          .settings = "1,024 messages (16 of 64 KiB), try_send and try_receive in a loop",
          .page = "Boost.Interprocess, Message Queue",
          .prepare = [](std::size_t bytes, Waiting waiting) -> Peer::Open {
            return [=, to_right = make_queue(bytes), to_left = make_queue(bytes)](Side side) {
              const bool left = side == Side::left;
              return std::make_unique<QueueCarrier>(left ? to_left : to_right, left ? to_right : to_left, bytes,
                                                    waiting);
            };
          }};
}

}  // namespace bench

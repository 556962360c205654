// Eclipse iceoryx, with its daemon, which is started and stopped here.

#include "peers.hpp"

#ifdef RINGWAY_PEER_ICEORYX

#include <fmt/core.h>
#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <thread>

#include "futex.hpp"
#include "halves.hpp"
#include "process.hpp"

namespace bench {
namespace {

using iox::capro::IdString_t;

iox::popo::PublisherOptions publisher_options() {
  iox::popo::PublisherOptions options;
  options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
  return options;
}
iox::popo::SubscriberOptions subscriber_options() {
  iox::popo::SubscriberOptions options;
  options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
  return options;
}

iox::capro::ServiceDescription service(std::size_t bytes, Waiting waiting, bool to_right) {
  const auto text = [](const std::string& string) { return IdString_t(iox::cxx::TruncateToCapacity, string.c_str()); };
  return {text("ringway-bench"), text(fmt::format("{}-{}", bytes, waiting == Waiting::spin ? "spin" : "block")),
          text(to_right ? "right" : "left")};
}

std::string runtime_name() { return fmt::format("ringway-bench-{}", ::getpid()); }

class IceoryxCarrier final : public Carrier {
 public:
  IceoryxCarrier(Side side, std::size_t bytes, Waiting waiting)
      : bytes_(static_cast<std::uint32_t>(bytes)),
        publisher_(service(bytes, waiting, side == Side::left), publisher_options()),
        subscriber_(service(bytes, waiting, side == Side::right), subscriber_options()) {
    if (waiting == Waiting::block) {
      wait_set_ = std::make_unique<iox::popo::WaitSet<>>();
      wait_set_->attachState(subscriber_, iox::popo::SubscriberState::HAS_DATA).or_else([](auto) {
        fail("iceoryx: WaitSet::attachState");
      });
    }
    while (!publisher_.hasSubscribers() || subscriber_.getSubscriptionState() != iox::SubscribeState::SUBSCRIBED)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Also what the runtime would remove at exit(), to which a child of the benchmark does not come.
  ~IceoryxCarrier() override {
    for (const char* ending : {"", ".lock"}) ::unlink(fmt::format("/tmp/{}{}", runtime_name(), ending).c_str());
  }
  void send(std::uint64_t number) override {
    auto loaned = publisher_.loan(bytes_);
    if (loaned.has_error()) fail("iceoryx: no chunk to loan");
    fill_ends({static_cast<std::byte*>(loaned.value()), bytes_}, number);
    publisher_.publish(loaned.value());
  }
  void expect(std::uint64_t number) override {
    for (;;) {
      auto taken = subscriber_.take();
      if (!taken.has_error()) {
        check_ends({static_cast<const std::byte*>(taken.value()), bytes_}, number);
        subscriber_.release(taken.value());
        return;
      }
      if (taken.get_error() != iox::popo::ChunkReceiveResult::NO_CHUNK_AVAILABLE) fail("iceoryx: take");
      if (wait_set_)
        wait_set_->wait();
      else
        relax();
    }
  }

 private:
  std::uint32_t bytes_;
  iox::popo::UntypedPublisher publisher_;
  iox::popo::UntypedSubscriber subscriber_;
  std::unique_ptr<iox::popo::WaitSet<>> wait_set_;
};

void register_process() {
  static const bool done = [] {
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kError,
                                                             iox::log::LogLevelOutput::kHideLogLevel);
    iox::runtime::PoshRuntime::initRuntime(iox::RuntimeName_t(iox::cxx::TruncateToCapacity, runtime_name().c_str()));
    return true;
  }();
  static_cast<void>(done);
}

// The segments of the daemon, whose processes ended without taking leave of it: then it leaves them.
std::vector<std::string> segments() {
  const ::group* group = ::getgrgid(::getegid());
  return {"/dev/shm/iceoryx_mgmt", std::string("/dev/shm/") + (group != nullptr ? group->gr_name : "")};
}

std::shared_ptr<void> start_daemon(const std::string& directory) {
  for (const auto& segment : segments()) {
    if (::access(segment.c_str(), F_OK) == 0) fail(segment + " is there: does another iox-roudi run?");
  }
  const std::string config = directory + "/roudi.toml";
  std::ofstream(config) << "[general]\nversion = 1\n[[segment]]\n"
                           "[[segment.mempool]]\nsize = 128\ncount = 10000\n"
                           "[[segment.mempool]]\nsize = 1024\ncount = 5000\n"
                           "[[segment.mempool]]\nsize = 65536\ncount = 1000\n";
  auto daemon = std::make_shared<Process>(
      Process::spawn({"iox-roudi", "--config-file", config, "--log-level", "off"}, {.silent = true}));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  return {daemon.get(), [daemon](void*) {
            daemon->stop(SIGTERM);
            for (const auto& segment : segments()) ::unlink(segment.c_str());
          }};
}

}  // namespace

Peer iceoryx_peer(const std::string& directory) {
  return {.name = "iceoryx",
          .settings =
              "loan, fill, publish; take in a loop; WAIT_FOR_CONSUMER and BLOCK_PRODUCER, so that nothing is "
              "lost; queue of 256; blocking: WaitSet",
          .page = "iceoryx.io 2.0, Examples: iceperf, and Advanced: iceoryx configuration",
          .largest = 65536,
          .prepare = [](std::size_t bytes, Waiting waiting) -> Peer::Open {
            return [=](Side side) {
              register_process();
              return std::make_unique<IceoryxCarrier>(side, bytes, waiting);
            };
          },
          .daemon = [directory] { return start_daemon(directory); },
          .missing = installed("iox-roudi") ? "" : "iox-roudi is not installed"};
}

}  // namespace bench

#else

namespace bench {
Peer iceoryx_peer(const std::string& /*directory*/) {
  return {.name = "iceoryx", .missing = "libiceoryx-posh-dev was not installed when this was built"};
}
}  // namespace bench

#endif

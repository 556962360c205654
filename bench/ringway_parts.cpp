#include "ringway_parts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "halves.hpp"

namespace bench {
namespace {

constexpr std::size_t kRun = 256;  // messages a release, at most

std::string topic_name(std::size_t bytes, const TopicSetup& setup) {
  return fmt::format("{}-{}-{}-{}-{}/", bytes,
                     setup.publishers == ringway::Publishers::exclusive ? "exclusive" : "shared", setup.capacity_bytes,
                     static_cast<int>(setup.wait), setup.batch);
}

template <std::size_t N>
class Link {
 public:
  // Both sides open all that they need before either starts, so an ephemeral subscription misses nothing.
  Link(const TopicSetup& setup, const char* out, const char* in) {
    const ringway::Bus bus = ringway::Bus::at(setup.directory);
    const ringway::TopicOptions topic = {.capacity_bytes = setup.capacity_bytes, .publishers = setup.publishers};
    const std::string name = topic_name(N, setup);
    batch_.resize(setup.batch > 1 ? setup.batch : 0);
    if (out != nullptr) out_.emplace(bus.publisher<Payload<N>>(name + out, {.wait = setup.wait, .topic = topic}));
    if (in != nullptr) in_.emplace(bus.subscriber<Payload<N>>(name + in, {.wait = setup.wait, .topic = topic}));
  }

  void send(std::uint64_t number) {
    message_.fill(number);
    if (const auto status = out_->publish(message_); !status) [[unlikely]]
      fail(status.text());
  }
  // `count` messages, in batches.
  void send_all(std::uint64_t first, std::uint64_t count) requires(N == 64) {
    while (count > 0) {
      const std::size_t now = std::min<std::uint64_t>(batch_.size(), count);
      for (std::size_t i = 0; i < now; ++i) batch_[i].fill(first++);
      if (const auto done = out_->publish_all(std::span<const Payload<N>>(batch_).first(now)); !done) [[unlikely]]
        fail(done.status().text());
      count -= now;
    }
  }
  [[nodiscard]] bool batches() const { return !batch_.empty(); }
  void expect(std::uint64_t number) {
    if (const auto message = in_->receive(); message) [[likely]]
      message->check(number);
    else
      fail(message.status().text());
  }
  void take(std::uint64_t first, std::uint64_t count) {
    for (const std::uint64_t end = first + count; first != end;) {
      const auto handled = in_->poll([&first](const Payload<N>& message) { message.check(first++); },
                                     std::min<std::uint64_t>(kRun, end - first), ringway::Timeout::never());
      if (handled == 0) [[unlikely]]
        fail(in_->status().text());
    }
  }

 private:
  std::optional<ringway::TypedPublisher<Payload<N>>> out_;
  std::optional<ringway::TypedSubscriber<Payload<N>>> in_;
  Payload<N> message_{};
  std::vector<Payload<N>> batch_;
};

// Messages of a size that the compiler does not know.
class SizedLink {
 public:
  SizedLink(const TopicSetup& setup, std::size_t bytes, Touch touch, const char* out, const char* in)
      : touch_(touch), message_(bytes) {
    const ringway::Bus bus = ringway::Bus::at(setup.directory);
    const ringway::TopicOptions topic = {.capacity_bytes = setup.capacity_bytes, .publishers = setup.publishers};
    const std::string name = topic_name(bytes, setup) + (touch == Touch::all ? "all-" : "ends-");
    if (out != nullptr) out_.emplace(bus.publisher(name + out, {.wait = setup.wait, .topic = topic}));
    if (in != nullptr) in_.emplace(bus.subscriber(name + in, {.wait = setup.wait, .topic = topic}));
  }
  void send(std::uint64_t number) {
    if (touch_ == Touch::all) {
      fill_ends(message_, number);
      if (const auto status = out_->publish(message_); !status) [[unlikely]]
        fail(status.text());
      return;
    }
    auto claim = out_->claim(message_.size());
    if (!claim) [[unlikely]]
      fail(claim.status().text());
    fill_ends(claim.payload(), number);
    claim.commit();
  }
  void expect(std::uint64_t number) {
    const auto message = in_->receive();
    if (!message) [[unlikely]]
      fail(message.status().text());
    check_ends(message.payload(), number);
  }
  void take(std::uint64_t first, std::uint64_t count) {
    for (const std::uint64_t end = first + count; first != end;) {
      const auto handle = [&](const ringway::Message& message) {
        if (touch_ == Touch::all) read_all(message.payload());
        check_ends(message.payload(), first++);
      };
      if (in_->poll(handle, std::min<std::uint64_t>(kRun, end - first), ringway::Timeout::never()) == 0) [[unlikely]]
        fail(in_->status().text());
    }
  }

 private:
  Touch touch_;
  std::vector<std::byte> message_;
  std::optional<ringway::Publisher> out_;
  std::optional<ringway::Subscriber> in_;
};

// Publishes its share of `count`.
class Lapping final : public Half {
 public:
  Lapping(Side side, int publishers, const TopicSetup& setup) : share_(side == Side::left ? 1 : publishers - 1) {
    if (share_ == 0) return;
    publishers_ = publishers;
    batch_ = setup.batch;
    out_.emplace(ringway::Bus::at(setup.directory)
                     .publisher<Payload<32>>(fmt::format("lapping-{}-{}-{}", publishers, setup.stamped, setup.batch),
                                             {.topic = {.publishers = setup.publishers, .stamped = setup.stamped}}));
  }
  void run(std::uint64_t count, Histogram* /*trips*/) override {
    std::uint64_t left = share_ == 0 ? 0 : count / static_cast<std::uint64_t>(publishers_);
    if (batch_ > 1) {
      for (; left >= batch_; left -= batch_) {
        auto run = out_->claim_run(batch_);
        if (!run) [[unlikely]]
          fail(run.status().text());
        for (std::size_t i = 0; i < batch_; ++i) run[i].fill(left);
        run.commit();
      }
    }
    Payload<32> message{};
    for (; left != 0; --left) {
      message.fill(left);
      if (const auto status = out_->publish(message); !status) [[unlikely]]
        fail(status.text());
    }
  }

 private:
  int share_;
  int publishers_ = 1;
  std::size_t batch_ = 1;
  std::optional<ringway::TypedPublisher<Payload<32>>> out_;
};

std::string name_of(std::size_t payload_bytes, const TopicSetup& setup) {
  return fmt::format("{}, {} bytes{}", setup.publishers == ringway::Publishers::exclusive ? "exclusive" : "shared",
                     payload_bytes, setup.batch > 1 ? fmt::format(", batches of {}", setup.batch) : "");
}

// Calls make with a constant of that value.
template <class Make>
Contestant with_size(std::size_t payload_bytes, Make make) {
  switch (payload_bytes) {
    case 8: return make(std::integral_constant<std::size_t, 8>());
    case 32: return make(std::integral_constant<std::size_t, 32>());
    case 64: return make(std::integral_constant<std::size_t, 64>());
    case 1024: return make(std::integral_constant<std::size_t, 1024>());
    case 65536: return make(std::integral_constant<std::size_t, 65536>());
    default: fail("no such message size is measured");
  }
}

}  // namespace

std::string stream_topic(std::size_t payload_bytes, const TopicSetup& setup) {
  return topic_name(payload_bytes, setup) + "stream";
}

Contestant ringway_ping_pong(std::size_t payload_bytes, const TopicSetup& setup) {
  return with_size(payload_bytes, [&](auto size) -> Contestant {
    return {name_of(payload_bytes, setup), [setup, size](Side side) -> std::unique_ptr<Half> {
              const bool left = side == Side::left;
              return std::make_unique<PingPong<Link<size.value>>>(side, setup, left ? "to-right" : "to-left",
                                                                  left ? "to-left" : "to-right");
            }};
  });
}

Contestant ringway_stream(std::size_t payload_bytes, const TopicSetup& setup) {
  return with_size(payload_bytes, [&](auto size) -> Contestant {
    return {name_of(payload_bytes, setup), [setup, size](Side side) -> std::unique_ptr<Half> {
              const bool left = side == Side::left;
              return std::make_unique<Stream<Link<size.value>>>(side, setup, left ? "stream" : nullptr,
                                                                left ? nullptr : "stream");
            }};
  });
}

Contestant in_place_ping_pong(std::size_t payload_bytes, const TopicSetup& setup) {
  return {fmt::format("{}, in place", name_of(payload_bytes, setup)), [=](Side side) {
            const bool left = side == Side::left;
            return std::make_unique<PingPong<SizedLink>>(side, setup, payload_bytes, Touch::ends,
                                                         left ? "to-right" : "to-left", left ? "to-left" : "to-right");
          }};
}

Contestant sized_stream(std::size_t payload_bytes, Touch touch, const TopicSetup& setup) {
  return {fmt::format("{}, {}", name_of(payload_bytes, setup), touch == Touch::all ? "in full" : "in place"),
          [=](Side side) {
            const bool left = side == Side::left;
            return std::make_unique<Stream<SizedLink>>(side, setup, payload_bytes, touch, left ? "stream" : nullptr,
                                                       left ? nullptr : "stream");
          }};
}

Contestant lapping_publishers(int publishers, const TopicSetup& setup) {
  return {fmt::format("{} publisher{}{}", publishers, publishers == 1 ? "" : "s",
                      setup.batch > 1 ? fmt::format(", claim_run of {}", setup.batch) : ""),
          [=](Side side) { return std::make_unique<Lapping>(side, publishers, setup); }};
}

}  // namespace bench

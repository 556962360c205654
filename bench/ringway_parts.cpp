#include "ringway_parts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "halves.hpp"

namespace bench {
namespace {

constexpr std::size_t kRun = 256;  // messages a release, at most

template <std::size_t N>
class Link {
 public:
  // Both sides open all that they need before either starts, so an ephemeral subscription misses nothing.
  Link(const TopicSetup& setup, const char* out, const char* in) {
    const ringway::Bus bus = ringway::Bus::at(setup.directory);
    const ringway::TopicOptions topic = {.capacity_bytes = setup.capacity_bytes, .publishers = setup.publishers};
    const std::string name = topic_name(setup);
    if (out != nullptr) out_.emplace(bus.publisher<Payload<N>>(name + out, {.wait = setup.wait, .topic = topic}));
    if (in != nullptr) in_.emplace(bus.subscriber<Payload<N>>(name + in, {.wait = setup.wait, .topic = topic}));
  }

  void send(std::uint64_t number) {
    message_.fill(number);
    if (const auto status = out_->publish(message_); !status) [[unlikely]]
      fail(status.text());
  }
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
  static std::string topic_name(const TopicSetup& setup) {
    return fmt::format("{}-{}-{}-{}/", N, setup.publishers == ringway::Publishers::exclusive ? "exclusive" : "shared",
                       setup.capacity_bytes, static_cast<int>(setup.wait));
  }

  std::optional<ringway::TypedPublisher<Payload<N>>> out_;
  std::optional<ringway::TypedSubscriber<Payload<N>>> in_;
  Payload<N> message_{};
};

std::string name_of(std::size_t payload_bytes, const TopicSetup& setup) {
  return fmt::format("{}, {} bytes", setup.publishers == ringway::Publishers::exclusive ? "exclusive" : "shared",
                     payload_bytes);
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

}  // namespace bench

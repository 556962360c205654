// Types: a topic that carries one struct, checked on both sides, with one publisher at a time.

#include <array>
#include <cstdint>
#include <iostream>
#include <ringway/ringway.hpp>
#include <string_view>

using namespace ringway::literals;

// clang-format off
// [readme: type]
struct Quote { std::uint64_t instrument; double bid, ask; };
template <> inline constexpr std::string_view ringway::type_name<Quote> = "md.Quote";    // optional: to share it between programs
template <> inline constexpr std::uint64_t ringway::fingerprint<Quote> = 3;              // optional: your version of its meaning
// [end]

int main() {
  ringway::Bus bus;
  // [readme: quotes]
  auto quotes = bus.publisher<Quote>("quotes", {.topic = {.capacity_bytes = 1_MiB, .publishers = ringway::Publishers::exclusive}});
  if (!quotes.publish({7, 99.5, 100.5})) return 1;
  if (auto claim = quotes.claim()) { *claim = {.instrument = 7, .bid = 99.5, .ask = 100.5}; claim.commit(); }
  const std::array<Quote, 2> batch{{{7, 99.25, 100.25}, {8, 12.5, 13.5}}};             // one frame for up to 63 of them
  if (auto done = quotes.publish_all(batch); !done) std::cerr << done.count() << " of 2: " << done.status() << '\n';

  auto feed = bus.subscriber<Quote>("quotes", {.reliability = ringway::Reliability::lossy});   // unnamed = ephemeral, from the newest
  if (auto quote = feed.try_receive()) std::cout << quote->bid << " lost " << quote.lost() << '\n';
  // [end]
  // clang-format on

  // The feed starts with the next quote, so those above are none of its business; these are.
  for (const double bid : {99.25, 99.75})
    if (!quotes.publish({.instrument = 7, .bid = bid, .ask = bid + 1})) return 1;
  feed.poll([](const Quote& quote) { std::cout << quote.instrument << ": " << quote.bid << ' ' << quote.ask << '\n'; },
            256);

  // The topic knows its type: another one is refused, and the text shows both.
  try {
    auto wrong = bus.subscriber<double>("quotes");
  } catch (const ringway::Error& error) {
    std::cout << error.code() << '\n';
    std::cerr << error.what() << '\n';
  }
}

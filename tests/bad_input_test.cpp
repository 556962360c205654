// Names, options, sizes and types that are refused, with what the refusal says; and the last good ones, which are not.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/scratch.hpp"
#include "support/thrown.hpp"

struct Quote {
  std::uint64_t instrument;
  double bid, ask;
};
template <>
inline constexpr std::string_view ringway::type_name<Quote> = "md.Quote";
template <>
inline constexpr std::uint64_t ringway::fingerprint<Quote> = 3;

struct Named {  // as Quote, but for the name
  std::uint64_t instrument;
  double bid, ask;
};
template <>
inline constexpr std::string_view ringway::type_name<Named> = "md.Other";
template <>
inline constexpr std::uint64_t ringway::fingerprint<Named> = 3;

struct Larger {
  std::uint64_t instrument;
  double bid, ask, last;
};
template <>
inline constexpr std::string_view ringway::type_name<Larger> = "md.Quote";
template <>
inline constexpr std::uint64_t ringway::fingerprint<Larger> = 3;

struct Packed {
  std::array<std::byte, 24> bytes;
};
template <>
inline constexpr std::string_view ringway::type_name<Packed> = "md.Quote";
template <>
inline constexpr std::uint64_t ringway::fingerprint<Packed> = 3;

struct Newer {
  std::uint64_t instrument;
  double bid, ask;
};
template <>
inline constexpr std::string_view ringway::type_name<Newer> = "md.Quote";
template <>
inline constexpr std::uint64_t ringway::fingerprint<Newer> = 4;

namespace {

using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway::TopicOptions;
using ringway_test::is_error;
using ringway_test::ScratchDir;
using ringway_test::thrown;

class BadInputTest : public testing::Test {
 protected:
  bool nothing_there() const { return std::filesystem::is_empty(scratch_.path()); }

  ScratchDir scratch_;
  Bus bus_ = Bus::at(scratch_.path().string());
};

// Every way to say what a topic must be.
struct Opener {
  const char* what;
  std::function<void(const Bus&, const TopicOptions&)> open;
};
std::vector<Opener> openers() {
  return {
      {"create_topic", [](const Bus& bus, const TopicOptions& options) { bus.create_topic("t", options); }},
      {"publisher",
       [](const Bus& bus, const TopicOptions& options) { std::ignore = bus.publisher("t", {.topic = options}); }},
      {"subscriber",
       [](const Bus& bus, const TopicOptions& options) { std::ignore = bus.subscriber("t", {.topic = options}); }},
      {"create_subscription",
       [](const Bus& bus, const TopicOptions& options) { bus.create_subscription("t", "s", {.topic = options}); }},
  };
}

// Row 63
TEST_F(BadInputTest, TopicNamesOffTheAllowListAreRefusedWithTheRule) {
  using std::string_literals::operator""s;
  const std::string component(64, 'c');
  const std::string eight = "a/b/c/d/e/f/g/h";
  for (const std::string& name : {""s,
                                  "."s,
                                  ".."s,
                                  "../up"s,
                                  "a/../b"s,
                                  "/"s,
                                  "/a"s,
                                  "a/"s,
                                  "a//b"s,
                                  "a b"s,
                                  "a\nb"s,
                                  "a\0b"s,
                                  "a\0"s,
                                  "\xC3\xA4"s,
                                  ".hidden"s,
                                  "a/.hidden"s,
                                  "a.data"s,
                                  "a.control"s,
                                  "a.data/b"s,
                                  "a\\b"s,
                                  "a*"s,
                                  "a:b"s,
                                  "a\x7F"s,
                                  "a\x1B[31m"s,
                                  std::string(300, 'x'),
                                  component + "c",
                                  eight + "/i",
                                  std::string(254, 'x') + "/y"}) {
    for (const auto& [what, open] : std::vector<std::pair<const char*, std::function<void()>>>{
             {"publisher", [&] { std::ignore = bus_.publisher(name); }},
             {"subscriber", [&] { std::ignore = bus_.subscriber(name); }},
             {"observer", [&] { std::ignore = bus_.observer(name); }},
             {"create_topic", [&] { bus_.create_topic(name); }},
             {"create_subscription", [&] { bus_.create_subscription(name, "s"); }},
             {"remove_topic", [&] { bus_.remove_topic(name); }},
             {"remove_subscription", [&] { bus_.remove_subscription(name, "s"); }},
             {"topic", [&] { std::ignore = bus_.topic(name); }}})
      EXPECT_TRUE(is_error(thrown(open), Code::invalid_argument, "1 to 8 components", "255", "64 bytes",
                           "not starting with '.'"))
          << what << '(' << testing::PrintToString(name) << ')';
  }
  EXPECT_TRUE(nothing_there());
}

// Row 63
TEST_F(BadInputTest, TheErrorOfABadNameShowsItWithoutControlBytes) {
  const auto error = thrown([&] { bus_.create_topic("red\x1B[31m\n" + std::string(200, 'x')); });
  EXPECT_TRUE(is_error(error, Code::invalid_argument, "red\\x1b[31m\\x0a", "(209 bytes)"));
  for (const char c : error.text) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << int{c};
}

// Row 63
TEST_F(BadInputTest, TheLastGoodTopicNamesAreAccepted) {
  const std::string component(64, 'c');
  const std::string longest = component + '/' + component + '/' + component + '/' + std::string(60, 'd');  // 255 bytes
  ASSERT_EQ(longest.size(), 255U);
  std::vector<std::string> names = {"a",       "_",    "-",        "0",          "a.",       "a..b",
                                    "a.b/c.d", "data", "a.data.b", "a.controls", "A-Z_09.x", "a/b/c/d/e/f/g/h",
                                    component, longest};
  for (const std::string& name : names) {
    EXPECT_TRUE(bus_.create_topic(name, {.capacity_bytes = 32_KiB})) << name;
    EXPECT_EQ(bus_.topic(name).name, name);
  }
  std::vector<std::string> listed;
  for (const auto& topic : bus_.topics()) listed.push_back(topic.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(listed, names);
  bus_.remove();
  EXPECT_FALSE(std::filesystem::exists(scratch_.path()));
}

// Row 63
TEST_F(BadInputTest, NamesOfSubscriptionsPublishersAndBusesAreOneComponent) {
  bus_.create_topic("t", {.capacity_bytes = 32_KiB});
  for (const std::string& name :
       {std::string(65, 'x'), std::string("a/b"), std::string(".."), std::string(".a"), std::string("a b"),
        std::string("a\0b", 3), std::string("\xC3\xA4"), std::string("a.data")}) {
    const std::string rule = "at most 64 bytes, not starting with '.'";
    EXPECT_TRUE(is_error(thrown([&] { return bus_.subscriber("t", {.name = name}); }), Code::invalid_argument, rule));
    EXPECT_TRUE(is_error(thrown([&] { return bus_.create_subscription("t", name); }), Code::invalid_argument, rule));
    EXPECT_TRUE(is_error(thrown([&] { bus_.remove_subscription("t", name); }), Code::invalid_argument, rule));
    EXPECT_TRUE(is_error(thrown([&] { return bus_.publisher("t", {.name = name}); }), Code::invalid_argument, rule));
    EXPECT_TRUE(is_error(thrown([&] { return Bus(std::string_view(name)); }), Code::invalid_argument, rule));
  }
  EXPECT_EQ(thrown([&] { return bus_.create_subscription("t", ""); }).code, Code::invalid_argument);
  EXPECT_EQ(thrown([] { return Bus(std::string_view()); }).code, Code::invalid_argument);
  EXPECT_TRUE(bus_.topic("t").publishers.empty());
  EXPECT_TRUE(bus_.topic("t").subscriptions.empty());

  const std::string longest(64, 'n');  // no room for a NUL behind it
  const auto out = bus_.publisher("t", {.name = longest});
  const auto in = bus_.subscriber("t", {.name = longest});
  EXPECT_EQ(bus_.topic("t").publishers.at(0).name, longest);
  EXPECT_EQ(bus_.topic("t").subscriptions.at(0).name, longest);
}

// Row 63
TEST_F(BadInputTest, BusDirectoriesThatCannotBeAreRefused) {
  EXPECT_EQ(thrown([] { return Bus::at(""); }).code, Code::invalid_argument);
  EXPECT_EQ(thrown([] { return Bus::at(std::string(5000, 'd')); }).code, Code::invalid_argument);
  EXPECT_EQ(thrown([] { return Bus::at(std::string_view("/tmp/a\0b", 8)); }).code, Code::invalid_argument);
  const std::string below = (scratch_.path() / "not" / "there").string();
  EXPECT_TRUE(is_error(thrown([&] { return Bus::at(below); }), Code::not_found, below));
  EXPECT_TRUE(nothing_there());  // only the last component is made
}

// Row 50
TEST_F(BadInputTest, CapacityIsRoundedUpToAPowerOfTwo) {
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> asked_and_given = {
      {1, 32_KiB}, {4_KiB, 32_KiB}, {32_KiB, 32_KiB}, {32_KiB + 1, 64_KiB}, {100'000, 128_KiB}, {1_MiB - 1, 1_MiB}};
  for (const auto& [asked, given] : asked_and_given) {
    const std::uint64_t larger = 2 * given;
    bus_.create_topic("t", {.capacity_bytes = asked});
    EXPECT_EQ(bus_.topic("t").options.capacity_bytes, given) << asked;
    EXPECT_EQ(bus_.topic("t").max_payload_bytes, given / 4 - 32) << asked;
    EXPECT_FALSE(bus_.create_topic("t", {.capacity_bytes = asked}));  // the same asked again fits
    EXPECT_FALSE(bus_.create_topic("t", {.capacity_bytes = given}));
    EXPECT_TRUE(is_error(thrown([&] { bus_.create_topic("t", {.capacity_bytes = larger}); }), Code::mismatch,
                         std::to_string(given), std::to_string(larger)));
    bus_.remove_topic("t");
  }
}

// Row 50
TEST_F(BadInputTest, CapacityOfZeroAndBeyondTheLimitIsRefusedWithTheLimit) {
  for (const Opener& opener : openers()) {
    for (const std::uint64_t capacity : {0_KiB, 1024_GiB + 1, std::uint64_t{1} << 63, ~std::uint64_t{0}})
      EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, {.capacity_bytes = capacity}); }), Code::invalid_argument,
                           "capacity_bytes", std::to_string(capacity), std::to_string(1024_GiB)))
          << opener.what;
  }
  if (std::filesystem::space(scratch_.path()).capacity < 1024_GiB) {  // else it would be made
    EXPECT_TRUE(is_error(thrown([&] { bus_.create_topic("t", {.capacity_bytes = 1024_GiB}); }), Code::no_space,
                         "bytes needed"));
  }
  EXPECT_TRUE(nothing_there());
}

struct Field {
  const char* name;
  std::optional<std::uint32_t> TopicOptions::*member;
  std::uint32_t most;
  std::uint32_t by_default;
};
constexpr std::array kFields = {
    Field{"max_publishers", &TopicOptions::max_publishers, 1024, 64},
    Field{"max_subscriptions", &TopicOptions::max_subscriptions, 1024, 64},
    Field{"payload_alignment", &TopicOptions::payload_alignment, 64, 8},
    Field{"max_groups", &TopicOptions::max_groups, 16, 4},
    Field{"max_members", &TopicOptions::max_members, 1024, 64},
    Field{"max_in_flight", &TopicOptions::max_in_flight, 65536, 1024},
};

TEST_F(BadInputTest, EachTopicOptionOutOfRangeIsRefusedWithItsRange) {
  for (const Field& field : kFields) {
    for (const std::uint32_t value : {0U, field.most + 1, ~0U}) {
      TopicOptions options;
      options.*field.member = value;
      for (const Opener& opener : openers())
        EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, options); }), Code::invalid_argument, field.name,
                             std::to_string(value), std::to_string(field.most)))
            << opener.what;
    }
  }
  EXPECT_TRUE(is_error(thrown([&] { bus_.create_topic("t", {.payload_alignment = 3}); }), Code::invalid_argument,
                       "payload_alignment", "3", "power of two"));
  EXPECT_TRUE(is_error(thrown([&] { bus_.create_topic("t", {.payload_alignment = 128}); }), Code::invalid_argument,
                       "payload_alignment", "128", "64"));
  EXPECT_TRUE(nothing_there());
}

TEST_F(BadInputTest, EachTopicOptionAtItsLimitsIsAcceptedAndShown) {
  for (const Field& field : kFields) {
    for (const std::uint32_t value : {1U, field.most}) {
      TopicOptions options{.capacity_bytes = 32_KiB, .max_members = 1, .max_in_flight = 1};
      options.*field.member = value;
      ASSERT_TRUE(bus_.create_topic("t", options)) << field.name << ' ' << value;
      EXPECT_EQ(bus_.topic("t").options.*field.member, value) << field.name;
      auto in = bus_.subscriber("t");
      ASSERT_TRUE(bus_.publisher("t").publish("works"));
      const auto message = in.try_receive();
      EXPECT_EQ(message.text(), "works") << field.name << ' ' << value;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(message.payload().data()) %
                    bus_.topic("t").options.payload_alignment.value_or(0),
                0U);
      bus_.remove_topic("t");
    }
  }
}

TEST_F(BadInputTest, AnOptionThatIsSetMustBeMetAndTheErrorShowsBothSides) {
  bus_.create_topic("t", {.capacity_bytes = 64_KiB});
  for (const Field& field : kFields) {
    TopicOptions options;
    options.*field.member = field.most == 64 ? 64 : field.by_default + 1;
    for (const Opener& opener : openers())
      EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, options); }), Code::mismatch, field.name,
                           std::to_string(field.by_default), std::to_string(*(options.*field.member)),
                           "remove the topic"))
          << opener.what;
  }
  for (const Opener& opener : openers()) {
    EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, {.publishers = ringway::Publishers::exclusive}); }),
                         Code::mismatch, "publishers", "shared", "exclusive"))
        << opener.what;
    EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, {.stamped = true}); }), Code::mismatch, "stamped"))
        << opener.what;
    EXPECT_TRUE(is_error(thrown([&] { opener.open(bus_, {.temporary = true}); }), Code::mismatch, "temporary"))
        << opener.what;
    opener.open(bus_, bus_.topic("t").options);   // what is shown fits
    opener.open(bus_, {.payload_alignment = 1});  // more than asked for is there
  }
}

TEST_F(BadInputTest, AnObserverNeverCreatesATopic) {
  EXPECT_TRUE(is_error(thrown([&] { return bus_.observer("t", {.if_missing = ringway::IfMissing::create}); }),
                       Code::invalid_argument, "observer"));
  EXPECT_TRUE(is_error(thrown([&] { return bus_.observer("t"); }), Code::not_found, "if_missing"));
  EXPECT_TRUE(is_error(thrown([&] { return bus_.subscriber("t", {.if_missing = ringway::IfMissing::fail}); }),
                       Code::not_found));
  EXPECT_TRUE(nothing_there());
}

TEST_F(BadInputTest, APlaceWhereNoMessageStartsIsRefused) {
  bus_.create_topic("t", {.capacity_bytes = 32_KiB});
  auto out = bus_.publisher("t");
  ASSERT_TRUE(out.publish(std::string(100, 'x')));  // 0 to 191
  ASSERT_TRUE(out.publish("second"));               // 192 to 255
  for (const std::uint64_t position : {1ULL, 64ULL, 128ULL, 191ULL, 320ULL, 1ULL << 40, ~0ULL}) {
    const auto from = ringway::From::at(position);
    EXPECT_EQ(thrown([&] { return bus_.subscriber("t", {.from = from}); }).code, Code::invalid_argument) << position;
    EXPECT_EQ(thrown([&] { return bus_.subscriber("t", {.name = "s", .from = from}); }).code, Code::invalid_argument)
        << position;
    EXPECT_EQ(thrown([&] { return bus_.create_subscription("t", "s", {.from = from}); }).code, Code::invalid_argument)
        << position;
    EXPECT_EQ(thrown([&] { return bus_.observer("t", {.from = from}); }).code, Code::invalid_argument) << position;
  }
  EXPECT_TRUE(bus_.topic("t").subscriptions.empty());
  auto in = bus_.subscriber("t", {.from = ringway::From::at(192)});
  EXPECT_EQ(in.seek(ringway::From::at(64)).code(), Code::invalid_argument);
  const auto message = in.try_receive();
  EXPECT_EQ(message.text(), "second");
  EXPECT_EQ(bus_.subscriber("t", {.from = ringway::From::at(256)}).position(), 256U);  // the next one
}

template <class Other>
void expect_refused(const Bus& bus, const std::string& ours, const std::string& theirs) {
  for (const auto& error :
       {thrown([&] { return bus.publisher<Other>("quotes"); }), thrown([&] { return bus.subscriber<Other>("quotes"); }),
        thrown([&] { return bus.observer<Other>("quotes"); }),
        thrown([&] { return bus.create_topic<Other>("quotes"); })})
    EXPECT_TRUE(is_error(error, Code::mismatch, ours, theirs));
}

// Row 52
TEST_F(BadInputTest, ATypeThatDiffersInOneThingIsRefusedWithBothSides) {
  bus_.create_topic<Quote>("quotes", {.capacity_bytes = 32_KiB});
  const std::string ours = "\"md.Quote\" of 24 bytes aligned to 8, fingerprint 3";
  expect_refused<Named>(bus_, ours, "\"md.Other\" of 24 bytes aligned to 8, fingerprint 3");
  expect_refused<Larger>(bus_, ours, "\"md.Quote\" of 32 bytes aligned to 8, fingerprint 3");
  expect_refused<Packed>(bus_, ours, "\"md.Quote\" of 24 bytes aligned to 1, fingerprint 3");
  expect_refused<Newer>(bus_, ours, "\"md.Quote\" of 24 bytes aligned to 8, fingerprint 4");
  expect_refused<std::uint64_t>(bus_, ours, "an unnamed type of 8 bytes aligned to 8, fingerprint 0");
  EXPECT_TRUE(bus_.topic("quotes").subscriptions.empty());
  const auto info = bus_.topic("quotes");
  EXPECT_EQ(info.type_name, "md.Quote");
  EXPECT_EQ(info.type_size, 24U);
  EXPECT_EQ(info.type_alignment, 8U);
  EXPECT_EQ(info.type_fingerprint, 3U);
}

// Row 52
TEST_F(BadInputTest, BytesMayReadATypedTopicButNotWriteIt) {
  auto out = bus_.publisher<Quote>("quotes");
  for (const auto& error :
       {thrown([&] { return bus_.publisher("quotes"); }), thrown([&] { return bus_.create_topic("quotes"); })})
    EXPECT_TRUE(is_error(error, Code::mismatch, "md.Quote", "this program uses bytes"));
  auto in = bus_.subscriber("quotes");
  auto look = bus_.observer("quotes");
  ASSERT_TRUE(out.publish({.instrument = 7, .bid = 99.5, .ask = 100.5}));
  for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&look)}) {
    const auto message = reader->try_receive();
    ASSERT_EQ(message.payload().size(), sizeof(Quote));
    Quote quote{};
    std::memcpy(&quote, message.payload().data(), sizeof quote);
    EXPECT_EQ(quote.instrument, 7U);
    EXPECT_EQ(quote.ask, 100.5);
  }
  EXPECT_FALSE(bus_.create_subscription("quotes", "s") && bus_.create_subscription("quotes", "s"));
}

// Row 52
TEST_F(BadInputTest, ATypeDoesNotReadATopicOfBytes) {
  bus_.create_topic("bytes");
  for (const auto& error :
       {thrown([&] { return bus_.publisher<Quote>("bytes"); }), thrown([&] { return bus_.subscriber<Quote>("bytes"); }),
        thrown([&] { return bus_.observer<Quote>("bytes"); })})
    EXPECT_TRUE(is_error(error, Code::mismatch, "the topic carries bytes", "md.Quote"));
}

struct Frame {  // more than a quarter of the default capacity
  std::array<std::byte, 400'000> pixels;
};

// Row 50: what is unset fits whatever exists; only a topic that has to be made must have room.
TEST_F(BadInputTest, ATypeTooLargeForTheRingIsRefusedWhenTheTopicIsMade) {
  for (const auto& error : {thrown([&] { return bus_.create_topic<Frame>("frames"); }),
                            thrown([&] { return bus_.publisher<Frame>("frames"); }),
                            thrown([&] { return bus_.subscriber<Frame>("frames"); }),
                            thrown([&] { return bus_.create_topic<Frame>("frames", {.capacity_bytes = 1_MiB}); })})
    EXPECT_TRUE(is_error(error, Code::invalid_argument, "400000 bytes", "1048576", "262112", "capacity_bytes"));
  EXPECT_TRUE(nothing_there());
  EXPECT_TRUE(bus_.create_topic<Frame>("frames", {.capacity_bytes = 2_MiB}));
  auto in = bus_.subscriber<Frame>("frames");
  EXPECT_TRUE(bus_.publisher<Frame>("frames").claim().commit());
  EXPECT_TRUE(in.try_receive());
}

struct Sizes {
  std::uint32_t alignment;
  ringway::Publishers publishers;
};

class PayloadSizeTest : public testing::TestWithParam<Sizes> {};

// Row 73
TEST_P(PayloadSizeTest, FromNothingToTheLargestArriveWholeAndOneMoreIsRefused) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  bus.create_topic(
      "t", {.capacity_bytes = 32_KiB, .publishers = GetParam().publishers, .payload_alignment = GetParam().alignment});
  auto out = bus.publisher("t");
  auto view = bus.subscriber("t");
  auto copy = bus.subscriber("t", {.reliability = ringway::Reliability::lossy});
  const std::size_t largest = 8_KiB - (GetParam().alignment == 64 ? 64 : 32);
  ASSERT_EQ(out.max_payload_bytes(), largest);
  std::uint64_t end = 0;
  std::vector<std::size_t> sizes = {0,  1,  7,  8,    31,          32,      33, 63,      64,     65,
                                    95, 96, 97, 4096, largest - 1, largest, 0,  largest, largest};
  for (int lap = 0; lap < 3; ++lap) {
    for (const std::size_t size : sizes) {
      std::string text(size, '\0');
      std::iota(text.begin(), text.end(), static_cast<char>(size + end));
      if (lap == 1) {
        auto claim = out.try_claim(size);
        ASSERT_TRUE(claim) << claim.status();
        ASSERT_EQ(claim.payload().size(), size);
        if (size != 0) std::memcpy(claim.payload().data(), text.data(), size);
        ASSERT_TRUE(claim.commit());
      } else {
        ASSERT_TRUE(out.try_publish(text));
      }
      for (ringway::Reader* in : {static_cast<ringway::Reader*>(&view), static_cast<ringway::Reader*>(&copy)}) {
        const auto message = in->try_receive();
        ASSERT_TRUE(message) << message.status();
        EXPECT_EQ(message.text(), text);
        EXPECT_EQ(message.position(), end);
        EXPECT_EQ(message.lost(), 0U);
      }
      end = view.position();
    }
    for (const std::size_t size : {largest + 1, largest + 32, std::size_t{32_KiB}, std::size_t{1} << 32,
                                   ~std::size_t{0} - 100, ~std::size_t{0}}) {
      const auto refused = out.claim(size).status();
      EXPECT_EQ(refused.code(), Code::too_large) << size;
      EXPECT_NE(refused.text().find(std::to_string(largest) + " bytes"), std::string::npos) << refused.text();
    }
    EXPECT_EQ(out.publish(std::string(largest + 1, 'x')).code(), Code::too_large);
    EXPECT_EQ(bus.topic("t").tail, end);  // refused without a trace
  }
}

// Row 73: the last frame of a lap ends exactly at the ring's end, and the next starts at its start.
TEST_P(PayloadSizeTest, AnExactFitAtTheWrapIsNothingSpecial) {
  const ScratchDir scratch;
  const Bus bus = Bus::at(scratch.path().string());
  bus.create_topic(
      "t", {.capacity_bytes = 32_KiB, .publishers = GetParam().publishers, .payload_alignment = GetParam().alignment});
  auto out = bus.publisher("t");
  auto in = bus.subscriber("t", {.name = "s"});
  for (int lap = 0; lap < 3; ++lap) {
    for (int quarter = 0; quarter < 4; ++quarter)
      ASSERT_TRUE(out.try_publish(std::string(out.max_payload_bytes(), static_cast<char>('a' + quarter)))) << quarter;
    EXPECT_EQ(out.try_publish("").code(), Code::would_block);  // full to the byte
    EXPECT_EQ(in.lag_bytes(), 32_KiB);
    for (int quarter = 0; quarter < 4; ++quarter) {
      const auto message = in.try_receive();
      EXPECT_EQ(message.text(), std::string(out.max_payload_bytes(), static_cast<char>('a' + quarter)));
    }
    EXPECT_EQ(in.lag_bytes(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryKind, PayloadSizeTest,
                         testing::Values(Sizes{8, ringway::Publishers::shared}, Sizes{64, ringway::Publishers::shared},
                                         Sizes{8, ringway::Publishers::exclusive},
                                         Sizes{64, ringway::Publishers::exclusive}),
                         [](const auto& test) {
                           return std::string(test.param.publishers == ringway::Publishers::shared ? "Shared"
                                                                                                   : "Exclusive") +
                                  "AlignedTo" + std::to_string(test.param.alignment);
                         });

}  // namespace

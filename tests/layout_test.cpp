// The layout of both files, written down: every size and offset, and what a program makes of headers that differ.
//
// RINGWAY_PRINT_LAYOUT=1 prints the tables for the documentation.

#include "ringway/detail/layout.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/ring_fixture.hpp"
#include "support/sanitizer.hpp"
#include "support/thrown.hpp"

namespace {

using namespace ringway::detail;
using namespace ringway_test;
using ringway::Bus;
using ringway::Code;
using ringway::IfMissing;

constexpr const char* kBump =
    "The layout has changed. Programs built before and after must not share a topic: give kLayoutVersion the next "
    "number, "
    "then replace what is written down here by the actual text.";

struct Field {
  std::string structure;
  std::string name;
  std::size_t offset;
  std::size_t size;
};

#define FIELD(structure, field) \
  Field { #structure, #field, offsetof(structure, field), sizeof(structure::field) }
const std::vector<Field>& fields() {
  static const std::vector<Field> all = {
      FIELD(Prefix, magic),
      FIELD(Prefix, layout_version),
      FIELD(Prefix, byte_order),
      FIELD(Prefix, signature),
      FIELD(Prefix, file_bytes),
      FIELD(Prefix, epoch),
      FIELD(Prefix, required_features),
      FIELD(Prefix, optional_features),
      FIELD(Prefix, control_inode),
      FIELD(TopicHeader, prefix),
      FIELD(TopicHeader, capacity_bytes),
      FIELD(TopicHeader, first_position),
      FIELD(TopicHeader, payload_offset),
      FIELD(TopicHeader, payload_alignment),
      FIELD(TopicHeader, max_publishers),
      FIELD(TopicHeader, max_subscriptions),
      FIELD(TopicHeader, max_groups),
      FIELD(TopicHeader, max_members),
      FIELD(TopicHeader, max_in_flight),
      FIELD(TopicHeader, exclusive),
      FIELD(TopicHeader, stamped),
      FIELD(TopicHeader, temporary),
      FIELD(TopicHeader, type_size),
      FIELD(TopicHeader, type_alignment),
      FIELD(TopicHeader, type_fingerprint),
      FIELD(TopicHeader, type_name),
      FIELD(TopicHeader, created_ns),
      FIELD(TopicHeader, boot_id),
      FIELD(TopicHeader, discarded),
      FIELD(TopicHeader, reserved),
      FIELD(TailLine, tail),
      FIELD(TailLine, reserved),
      FIELD(TailLine, publishers_used),
      FIELD(TailLine, reserved_used),
      FIELD(OldestLine, oldest),
      FIELD(OldestLine, reserved),
      FIELD(LapMarks, mark),
      FIELD(PublisherSlot, record),
      FIELD(PublisherSlot, record_extent),
      FIELD(PublisherSlot, reserved_word),
      FIELD(PublisherSlot, incarnation),
      FIELD(PublisherSlot, sequence),
      FIELD(PublisherSlot, bytes),
      FIELD(PublisherSlot, claimed_ns),
      FIELD(PublisherSlot, state),
      FIELD(PublisherSlot, pid),
      FIELD(PublisherSlot, name),
      FIELD(PublisherSlot, waits),
      FIELD(PublisherSlot, retries),
      FIELD(PublisherSlot, reserved),
      FIELD(ControlHeader, prefix),
      FIELD(ControlHeader, capacity_bytes),
      FIELD(ControlHeader, max_publishers),
      FIELD(ControlHeader, max_subscriptions),
      FIELD(ControlHeader, max_groups),
      FIELD(ControlHeader, max_members),
      FIELD(ControlHeader, max_in_flight),
      FIELD(ControlHeader, reserved_word),
      FIELD(ControlHeader, reserved),
      FIELD(ControlHeader, removed),
      FIELD(ControlHeader, subscriptions_used),
      FIELD(ControlHeader, had_durable),
      FIELD(ControlHeader, reserved_small),
      FIELD(ControlHeader, boot),
      FIELD(ControlHeader, reserved_line),
      FIELD(ControlHeader, bias),
      FIELD(ControlHeader, reserved_lines),
      FIELD(BitWords, word),
      FIELD(WaitingLine, position),
      FIELD(WaitingLine, since_ns),
      FIELD(WaitingLine, blocker),
      FIELD(WaitingLine, doorbell),
      FIELD(WaitingLine, waiting),
      FIELD(WaitingLine, reserved),
      FIELD(SubscriptionSlot, incarnation),
      FIELD(SubscriptionSlot, max_lag_bytes),
      FIELD(SubscriptionSlot, kind),
      FIELD(SubscriptionSlot, owned),
      FIELD(SubscriptionSlot, pid),
      FIELD(SubscriptionSlot, wanted),
      FIELD(SubscriptionSlot, group),
      FIELD(SubscriptionSlot, reserved_cold),
      FIELD(SubscriptionSlot, name),
      FIELD(SubscriptionSlot, cursor),
      FIELD(SubscriptionSlot, state),
      FIELD(SubscriptionSlot, backstops),
      FIELD(SubscriptionSlot, received),
      FIELD(SubscriptionSlot, lost),
      FIELD(SubscriptionSlot, base),
      FIELD(SubscriptionSlot, discarded_from),
      FIELD(SubscriptionSlot, discarded_to),
      FIELD(SubscriptionSlot, reserved_owner),
      FIELD(SubscriptionSlot, doorbell),
      FIELD(SubscriptionSlot, reserved_doorbell),
      FIELD(SubscriptionSlot, histogram),
      FIELD(GroupHeader, next),
      FIELD(GroupHeader, reserved_next),
      FIELD(GroupHeader, returns),
      FIELD(GroupHeader, entries_used),
      FIELD(GroupHeader, full),
      FIELD(GroupHeader, reserved_members),
      FIELD(GroupHeader, max_attempts),
      FIELD(GroupHeader, dead_letter_full),
      FIELD(GroupHeader, retry_delay_ns),
      FIELD(GroupHeader, reserved_options),
      FIELD(GroupHeader, dead_letter),
      FIELD(MemberSlot, incarnation),
      FIELD(MemberSlot, owned),
      FIELD(MemberSlot, pid),
      FIELD(MemberSlot, reserved),
      FIELD(MemberSlot, name),
      FIELD(MemberSlot, acked),
      FIELD(MemberSlot, redelivered),
      FIELD(MemberSlot, dead_lettered),
      FIELD(MemberSlot, backstops),
      FIELD(MemberSlot, reserved_owner),
      FIELD(MemberSlot, doorbell),
      FIELD(MemberSlot, reserved_doorbell),
      FIELD(InFlightEntry, word),
      FIELD(InFlightEntry, position),
      FIELD(InFlightEntry, time_ns),
      FIELD(InFlightEntry, reason),
      FIELD(DeadLetterTrailer, position),
      FIELD(DeadLetterTrailer, attempts),
      FIELD(DeadLetterTrailer, reserved_word),
      FIELD(DeadLetterTrailer, reason),
      FIELD(DeadLetterTrailer, group),
      FIELD(DeadLetterTrailer, topic),
      FIELD(FrameHeader, tag),
      FIELD(FrameHeader, size),
      FIELD(FrameHeader, origin),
      FIELD(FrameHeader, stamp),
  };
  return all;
}
#undef FIELD

const std::map<std::string, std::size_t>& sizes() {
#define SIZE(structure) \
  { #structure, sizeof(structure) }
  static const std::map<std::string, std::size_t> all = {
      SIZE(Prefix),        SIZE(TopicHeader),   SIZE(TailLine),      SIZE(OldestLine),        SIZE(LapMarks),
      SIZE(PublisherSlot), SIZE(ControlHeader), SIZE(BitWords),      SIZE(WaitingLine),       SIZE(SubscriptionSlot),
      SIZE(GroupHeader),   SIZE(MemberSlot),    SIZE(InFlightEntry), SIZE(DeadLetterTrailer), SIZE(FrameHeader)};
#undef SIZE
  return all;
}

// "| field | offset | bytes |", a table for each struct.
std::string struct_tables() {
  std::ostringstream out;
  std::string last;
  for (const Field& field : fields()) {
    if (field.structure != last) out << field.structure << ' ' << sizes().at(field.structure) << '\n';
    last = field.structure;
    out << "  " << field.name << ' ' << field.offset << ' ' << field.size << '\n';
  }
  return out.str();
}

// Where the sections of both files start, for some sizes of the tables.
std::string section_table() {
  std::ostringstream out;
  const auto sections = [&out](const char* what, const Limits& limits) {
    out << what << "\n  data: tail " << kTailOffset << " oldest " << kOldestOffset << " marks " << kMarksOffset
        << " publishers " << kPublishersOffset << " ring " << ring_offset(limits) << " end " << data_bytes(limits)
        << "\n  control: parked " << kParkedOffset << " waiting " << waiting_offset(limits) << " lines "
        << waiting_lines_offset(limits) << " subscriptions " << subscriptions_offset(limits) << " groups "
        << groups_offset(limits) << " of " << group_bytes(limits) << " end " << control_bytes(limits) << '\n';
  };
  sections("the defaults", {1 << 20, 64, 64, 4, 64, 1024});
  sections("the smallest", {kMinCapacity, 1, 1, 1, 1, 1});
  sections("just over a word of bits", {kMinCapacity, 65, 65, 1, 65, 1});
  sections("the largest", {kMaxCapacity, kMaxPublishers, kMaxSubscriptions, kMaxGroups, kMaxMembers, kMaxInFlight});
  return out.str();
}

constexpr const char* kStructs = R"(Prefix 64
  magic 0 8
  layout_version 8 4
  byte_order 12 4
  signature 16 8
  file_bytes 24 8
  epoch 32 8
  required_features 40 8
  optional_features 48 8
  control_inode 56 8
TopicHeader 1024
  prefix 0 64
  capacity_bytes 64 8
  first_position 72 8
  payload_offset 80 4
  payload_alignment 84 4
  max_publishers 88 4
  max_subscriptions 92 4
  max_groups 96 4
  max_members 100 4
  max_in_flight 104 4
  exclusive 108 4
  stamped 112 4
  temporary 116 4
  type_size 120 8
  type_alignment 128 8
  type_fingerprint 136 8
  type_name 144 256
  created_ns 400 8
  boot_id 408 40
  discarded 448 8
  reserved 456 568
TailLine 128
  tail 0 8
  reserved 8 56
  publishers_used 64 4
  reserved_used 68 60
OldestLine 128
  oldest 0 8
  reserved 8 120
LapMarks 64
  mark 0 64
PublisherSlot 256
  record 0 8
  record_extent 8 8
  reserved_word 16 8
  incarnation 24 8
  sequence 32 8
  bytes 40 8
  claimed_ns 48 8
  state 56 4
  pid 60 4
  name 64 64
  waits 128 8
  retries 136 8
  reserved 144 112
ControlHeader 512
  prefix 0 64
  capacity_bytes 64 8
  max_publishers 72 4
  max_subscriptions 76 4
  max_groups 80 4
  max_members 84 4
  max_in_flight 88 4
  reserved_word 92 4
  reserved 96 32
  removed 128 4
  subscriptions_used 132 4
  had_durable 136 4
  reserved_small 140 4
  boot 144 8
  reserved_line 152 40
  bias 192 8
  reserved_lines 200 312
BitWords 64
  word 0 64
WaitingLine 64
  position 0 8
  since_ns 8 8
  blocker 16 4
  doorbell 20 4
  waiting 24 4
  reserved 28 36
SubscriptionSlot 768
  incarnation 0 8
  max_lag_bytes 8 8
  kind 16 4
  owned 20 4
  pid 24 4
  wanted 28 4
  group 32 4
  reserved_cold 36 28
  name 64 64
  cursor 128 8
  state 136 4
  backstops 140 4
  received 144 8
  lost 152 8
  base 160 8
  discarded_from 168 8
  discarded_to 176 8
  reserved_owner 184 8
  doorbell 192 4
  reserved_doorbell 196 60
  histogram 256 512
GroupHeader 448
  next 0 8
  reserved_next 8 56
  returns 64 4
  entries_used 68 4
  full 72 4
  reserved_members 76 52
  max_attempts 128 4
  dead_letter_full 132 4
  retry_delay_ns 136 8
  reserved_options 144 48
  dead_letter 192 256
MemberSlot 256
  incarnation 0 8
  owned 8 4
  pid 12 4
  reserved 16 48
  name 64 64
  acked 128 8
  redelivered 136 8
  dead_lettered 144 8
  backstops 152 4
  reserved_owner 156 36
  doorbell 192 4
  reserved_doorbell 196 60
InFlightEntry 64
  word 0 8
  position 8 8
  time_ns 16 8
  reason 24 40
DeadLetterTrailer 384
  position 0 8
  attempts 8 4
  reserved_word 12 4
  reason 16 40
  group 56 72
  topic 128 256
FrameHeader 32
  tag 0 8
  size 8 8
  origin 16 8
  stamp 24 8
)";

constexpr const char* kSections = R"(the defaults
  data: tail 1024 oldest 1152 marks 1280 publishers 1344 ring 20480 end 1069056
  control: parked 512 waiting 576 lines 640 subscriptions 4736 groups 53888 of 82368 end 385024
the smallest
  data: tail 1024 oldest 1152 marks 1280 publishers 1344 ring 4096 end 36864
  control: parked 512 waiting 576 lines 640 subscriptions 704 groups 1472 of 768 end 4096
just over a word of bits
  data: tail 1024 oldest 1152 marks 1280 publishers 1344 ring 20480 end 53248
  control: parked 512 waiting 576 lines 640 subscriptions 4800 groups 54720 of 17152 end 73728
the largest
  data: tail 1024 oldest 1152 marks 1280 publishers 1344 ring 266240 end 1099511894016
  control: parked 512 waiting 2688 lines 2816 subscriptions 68352 groups 854784 of 4456896 end 72167424
)";

TEST(LayoutTest, EverySizeAndOffsetIsAsWrittenDown) {
  if (std::getenv("RINGWAY_PRINT_LAYOUT") != nullptr) std::cout << struct_tables() << section_table();
  EXPECT_EQ(struct_tables(), kStructs) << kBump;
  EXPECT_EQ(section_table(), kSections) << kBump;
}

TEST(LayoutTest, TheSignatureIsAsWrittenDown) {
  EXPECT_EQ(kLayoutVersion, 1U);
  EXPECT_EQ(layout_signature(), 0xE603'7EAC'22C1'3A9FU) << kBump;
  EXPECT_EQ(kDataMagic, 0x4459'4157'474E'4952U);
  EXPECT_EQ(kControlMagic, 0x4359'4157'474E'4952U);
  EXPECT_EQ(kByteOrder, 0x0102'0304U);
}

// Else two compilers might fill it differently; and a byte that nobody names is one that nobody sets.
TEST(LayoutTest, NoStructHasHiddenPadding) {
  std::map<std::string, std::size_t> end;
  for (const Field& field : fields()) {
    EXPECT_EQ(field.offset, end[field.structure]) << field.structure << "::" << field.name;
    end[field.structure] = field.offset + field.size;
  }
  for (const auto& [structure, size] : sizes()) EXPECT_EQ(end[structure], size) << structure;
}

// What different processes write lies on different lines.
TEST(LayoutTest, EachWriterHasLinesOfItsOwn) {
  EXPECT_NE(offsetof(TailLine, tail) / kLine, offsetof(TailLine, publishers_used) / kLine);
  for (const std::size_t size : {sizeof(TailLine), sizeof(OldestLine), sizeof(PublisherSlot), sizeof(WaitingLine),
                                 sizeof(SubscriptionSlot), sizeof(MemberSlot)})
    EXPECT_EQ(size % kLine, 0U);
  const std::set<std::size_t> lines = {
      offsetof(SubscriptionSlot, incarnation) / kLine, offsetof(SubscriptionSlot, cursor) / kLine,
      offsetof(SubscriptionSlot, doorbell) / kLine, offsetof(SubscriptionSlot, histogram) / kLine};
  EXPECT_EQ(lines.size(), 4U);
}

TEST(LayoutTest, AFramesWordsHoldTheLargestValues) {
  const std::uint64_t size = pack_size(~0U, kMaxExtent, FrameKind::aborted);
  EXPECT_EQ(length_of(size), ~0U);
  EXPECT_EQ(extent_of(size), kMaxExtent);
  EXPECT_EQ(kind_of(size), FrameKind::aborted);
  const std::uint64_t origin = pack_origin(kMaxPublishers - 1, kSequenceMask);
  EXPECT_EQ(publisher_of(origin), kMaxPublishers - 1);
  EXPECT_EQ(sequence_of(origin), kSequenceMask);
  EXPECT_EQ(sequence_of(pack_origin(7, kSequenceMask + 1)), 0U);
  EXPECT_EQ(count_of(origin), 0U);
  const std::uint64_t packed = pack_origin(kMaxPublishers - 1, kSequenceMask, kMaxPacked);
  EXPECT_EQ(packed, origin | 63ULL << 16);
  EXPECT_EQ(count_of(packed), kMaxPacked);
  EXPECT_EQ(packed + kNextSequence, pack_origin(kMaxPublishers - 1, 0, kMaxPacked));  // the next message, modulo 2^42
  EXPECT_EQ(messages_of(pack_size(8, 64, FrameKind::message), packed), 1U);
  EXPECT_EQ(messages_of(pack_size(8, 64, FrameKind::packed), packed), kMaxPacked);
  EXPECT_EQ(messages_of(pack_size(8, 64, FrameKind::aborted), packed), 0U);
  EXPECT_EQ(frame_start(640 + 62), 640U);
  EXPECT_EQ(index_of(640 + 62), 62U);
  for (const auto& [length, alignment, stride] :
       {std::array<std::uint32_t, 3>{0, 8, 0}, {1, 1, 1}, {1, 8, 8}, {8, 8, 8}, {12, 8, 16}, {65, 64, 128}})
    EXPECT_EQ(stride_of(length, alignment), stride) << length << " of " << alignment;
}

// --- headers that differ ------------------------------------------------------------------------------------------

// A topic whose files are changed from outside, and every way to open it.
class HeaderTest : public testing::Test {
 protected:
  HeaderTest() { make(); }
  void make() {
    std::filesystem::remove(path("data"));
    std::filesystem::remove(path("control"));
    make_topic(scratch_.path(), "t", small_spec());
  }
  std::string path(const std::string& half) const { return scratch_.path() / ("t." + half); }

  void patch(const std::string& half, std::size_t offset, const void* bytes, std::size_t count) const {
    const auto file = open_file(path(half), O_WRONLY);
    ASSERT_EQ(::pwrite(file.get(), bytes, count, static_cast<off_t>(offset)), static_cast<ssize_t>(count));
  }
  template <class Word>
  void patch(const std::string& half, std::size_t offset, Word word) const {
    patch(half, offset, &word, sizeof word);
  }
  void flip(const std::string& half, std::size_t bit) const {
    const auto file = open_file(path(half), O_RDWR);
    unsigned char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, static_cast<off_t>(bit / 8)), 1);
    byte = static_cast<unsigned char>(byte ^ (1U << (bit % 8)));
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, static_cast<off_t>(bit / 8)), 1);
  }

  // Opens it as a subscriber, an observer, a publisher and `info`, and uses what is open. The error that the first of
  // them met; the others must agree, but for those who only look at a copy whose halves name other files.
  Thrown open_all(bool publisher_may_differ = false, bool is_copy = false) const {
    const Bus bus = Bus::at(scratch_.path().string());
    std::optional<ringway::Subscriber> kept;  // should the topic be a temporary one now
    Thrown first = thrown([&] { return (kept = bus.subscriber("t", {.if_missing = IfMissing::fail}), 0); });
    const Code looking = is_copy ? Code::ok : first.code;
    EXPECT_EQ(thrown([&] { return bus.observer("t"); }).code, looking);
    EXPECT_EQ(thrown([&] { return bus.topic("t"); }).code, looking);
    const Thrown publisher = thrown([&] { return bus.publisher("t"); });
    EXPECT_TRUE(publisher_may_differ || publisher.code == first.code) << publisher.text;
    if (first.code == Code::ok && publisher.code == Code::ok) use(bus, *kept);
    return first;
  }
  static void use(const Bus& bus, ringway::Subscriber& subscriber) {
    auto publisher = bus.publisher("t");
    auto observer = bus.observer("t");
    for (std::uint64_t i = 0; i < 5; ++i) {
      EXPECT_TRUE(publisher.try_publish(pattern(i, 900)));
      EXPECT_EQ(text_of(subscriber.try_receive()), pattern(i, 900));
      EXPECT_EQ(text_of(observer.try_receive()), pattern(i, 900));
    }
  }

  ScratchDir scratch_;
};

// Flips the bits of a field, one by one, and opens the topic each time. `may_work`: nothing can tell that it is wrong.
#define EXPECT_FLIPS(half, structure, field, may_work) \
  expect_flips(half, #structure "::" #field, offsetof(structure, field), sizeof(structure::field), may_work)

struct FlipTest : HeaderTest {
  enum class Outcome : std::uint8_t { refused, works, refused_or_works };
  void expect_flips(const std::string& half, const std::string& what, std::size_t offset, std::size_t bytes,
                    Outcome expected) {
    // Of long fields one bit in each byte; of all, where each takes long, one in three.
    const std::size_t step = (bytes > 16 ? 9 : 1) * (kSanitized ? 3 : 1);
    for (std::size_t bit = offset * 8; bit < (offset + bytes) * 8; bit += step) {
      SCOPED_TRACE(testing::Message() << half << ": " << what << ", bit " << bit - offset * 8);
      flip(half, bit);
      const Thrown error = open_all(true, half == "data" && offset == offsetof(Prefix, control_inode));
      EXPECT_TRUE(expected != Outcome::refused || error.code != Code::ok);
      EXPECT_TRUE(expected != Outcome::works || error.code == Code::ok) << error.text;
      EXPECT_TRUE(error.code == Code::ok || error.code == Code::corrupt || error.code == Code::mismatch ||
                  error.code == Code::unsupported)
          << error.code << ": " << error.text;
      if (error.code == Code::ok) {
        make();  // used, perhaps as a temporary one
      } else {
        flip(half, bit);
      }
      if (HasFailure()) return;
    }
    EXPECT_EQ(open_all().code, Code::ok);
    make();
  }
};

// Rows 51, 55: of the words that identify a file, no bit may differ; unknown optional features may.
TEST_F(FlipTest, EveryBitOfAPrefixIsChecked) {
  for (const char* half : {"data", "control"}) {
    EXPECT_FLIPS(half, Prefix, magic, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, layout_version, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, byte_order, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, signature, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, file_bytes, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, epoch, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, required_features, Outcome::refused);
    EXPECT_FLIPS(half, Prefix, optional_features, Outcome::works);
  }
  EXPECT_FLIPS("data", Prefix, control_inode, Outcome::refused);
  EXPECT_FLIPS("control", Prefix, control_inode, Outcome::works);  // only data has one
}

// Row 55.
TEST_F(FlipTest, EveryBitOfADataHeaderIsCheckedOrHarmless) {
  EXPECT_FLIPS("data", TopicHeader, capacity_bytes, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, first_position, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, payload_offset, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, payload_alignment, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, max_publishers, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, max_subscriptions, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, max_groups, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, max_members, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, max_in_flight, Outcome::refused);
  EXPECT_FLIPS("data", TopicHeader, exclusive, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, stamped, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, temporary, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, type_size, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, type_alignment, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, type_fingerprint, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, type_name, Outcome::refused_or_works);
  EXPECT_FLIPS("data", TopicHeader, created_ns, Outcome::works);
  EXPECT_FLIPS("data", TopicHeader, boot_id, Outcome::works);
  EXPECT_FLIPS("data", TopicHeader, discarded, Outcome::works);
  EXPECT_FLIPS("data", TopicHeader, reserved, Outcome::works);
}

// Row 55.
TEST_F(FlipTest, EveryBitOfAControlHeaderIsCheckedOrHarmless) {
  EXPECT_FLIPS("control", ControlHeader, capacity_bytes, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, max_publishers, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, max_subscriptions, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, max_groups, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, max_members, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, max_in_flight, Outcome::refused);
  EXPECT_FLIPS("control", ControlHeader, reserved_word, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, reserved, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, subscriptions_used, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, had_durable, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, reserved_small, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, boot, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, reserved_line, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, bias, Outcome::works);
  EXPECT_FLIPS("control", ControlHeader, reserved_lines, Outcome::works);
}

// Row 51.
TEST_F(HeaderTest, WhatDiffersIsShownOnBothSides) {
  for (const std::string half : {"data", "control"}) {
    SCOPED_TRACE(half);
    const auto refused = [&](std::size_t offset, auto word, Code code, const auto&... words) {
      patch(half, offset, word);
      EXPECT_TRUE(is_error(open_all(), code, path(half), words...));
      make();
    };
    refused(offsetof(Prefix, magic), 0x1122'3344'5566'7788ULL, Code::corrupt, "0x1122334455667788",
            half == "data" ? "0x445941" : "0x435941");
    refused(offsetof(Prefix, layout_version), 77U, Code::mismatch, "0x000000000000004d", "0x0000000000000001");
    refused(offsetof(Prefix, byte_order), 0x0403'0201U, Code::mismatch, "0x0000000004030201", "0x0000000001020304");
    refused(offsetof(Prefix, signature), 0x1122'3344'5566'7788ULL, Code::mismatch, "0x1122334455667788", "signature");
    refused(offsetof(Prefix, required_features), 1ULL << 40, Code::unsupported, "0x0000010000000000",
            "0x0000000000000000", "newer");
  }
}

// Rows 52 and 55: a typed reader would be given a payload that is not aligned for its type.
TEST_F(HeaderTest, ATypeThatThePayloadsAreNotAlignedForIsRefused) {
  patch("data", offsetof(TopicHeader, type_alignment), std::uint64_t{16});
  EXPECT_TRUE(is_error(open_all(), Code::corrupt, path("data"), "the type's alignment is 16", "1 to 8"));
}

// Row 54.
TEST_F(HeaderTest, UnknownOptionalFeaturesAttachAndWork) {
  for (const char* half : {"data", "control"}) patch(half, offsetof(Prefix, optional_features), ~0ULL);
  EXPECT_EQ(open_all().code, Code::ok);
}

// Row 40: at every length around what the readers of a header look at.
TEST_F(HeaderTest, AFileThatWasCutOffIsRefused) {
  for (const std::string half : {"data", "control"}) {
    const std::uint64_t whole = std::filesystem::file_size(path(half));
    const std::uint64_t header = half == "data" ? sizeof(TopicHeader) : sizeof(ControlHeader);
    for (const std::uint64_t bytes :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{64}, header - 1, header, header + 1,
          std::uint64_t{4096}, whole - 4096, whole - 64, whole - 1, whole + 1}) {
      SCOPED_TRACE(half + " of " + std::to_string(bytes));
      std::filesystem::resize_file(path(half), bytes);
      EXPECT_TRUE(is_error(open_all(), Code::corrupt, path(half), std::to_string(bytes)));
      make();
    }
  }
}

// Row 40: the header was made to agree with it; to map what it promises would be a SIGBUS later.
TEST_F(HeaderTest, AShortFileThatSaysItIsShortIsRefused) {
  for (const std::string half : {"data", "control"}) {
    const std::uint64_t less = std::filesystem::file_size(path(half)) - 2048;
    std::filesystem::resize_file(path(half), less);
    patch(half, offsetof(Prefix, file_bytes), less);
    EXPECT_TRUE(is_error(open_all(), Code::corrupt, path(half), std::to_string(less)));
    make();
  }
}

// Row 41.
TEST_F(HeaderTest, ZerosAreNoHeader) {
  for (const char* half : {"data", "control"}) {
    const std::string zeros(512, '\0');
    patch(half, 0, zeros.data(), zeros.size());
    EXPECT_TRUE(is_error(open_all(), Code::corrupt, "magic"));
    make();
  }
}

}  // namespace

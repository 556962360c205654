// Header images: fields of the two headers set to anything, files cut off or grown, then everything that opens a topic.
// Rows 51, 55, 56: refused with a reason, or used safely. To get beyond the first check, an input may ask that what
// follows from the limits (sizes, the other header's copies) be made to agree.
#include <tuple>

#include "fuzz/feed.hpp"
#include "fuzz/topic_image.hpp"
#include "inspect.hpp"
#include "ringway/ringway.hpp"

namespace {

using namespace ringway_fuzz;

struct Wide {
  alignas(64) std::uint64_t words[8];
};

// What an input changes: a field of the data header, of the control header, or any byte of either.
constexpr std::array<std::array<std::uint16_t, 2>, 24> kFields = {{
    {offsetof(detail::TopicHeader, capacity_bytes), 8},
    {offsetof(detail::TopicHeader, first_position), 8},
    {offsetof(detail::TopicHeader, payload_offset), 4},
    {offsetof(detail::TopicHeader, payload_alignment), 4},
    {offsetof(detail::TopicHeader, max_publishers), 4},
    {offsetof(detail::TopicHeader, max_subscriptions), 4},
    {offsetof(detail::TopicHeader, max_groups), 4},
    {offsetof(detail::TopicHeader, max_members), 4},
    {offsetof(detail::TopicHeader, max_in_flight), 4},
    {offsetof(detail::TopicHeader, exclusive), 4},
    {offsetof(detail::TopicHeader, stamped), 4},
    {offsetof(detail::TopicHeader, temporary), 4},
    {offsetof(detail::TopicHeader, type_size), 8},
    {offsetof(detail::TopicHeader, type_alignment), 8},
    {offsetof(detail::TopicHeader, type_fingerprint), 8},
    {offsetof(detail::TopicHeader, type_name), 8},
    {offsetof(detail::Prefix, magic), 8},
    {offsetof(detail::Prefix, layout_version), 4},
    {offsetof(detail::Prefix, signature), 8},
    {offsetof(detail::Prefix, file_bytes), 8},
    {offsetof(detail::Prefix, epoch), 8},
    {offsetof(detail::Prefix, required_features), 8},
    {offsetof(detail::Prefix, control_inode), 8},
    {offsetof(detail::TopicHeader, boot_id), 8},
}};
constexpr std::uint64_t kLargest = 1ULL << 33;  // sparse; beyond it a file is left as it is, and refused

class Stage {
 public:
  explicit Stage(const std::string& directory)
      : image_(directory, ringway_test::small_spec()), bus_(ringway::Bus::at(directory)) {}

  void run(Feed& feed) {
    image_.restore();
    image_.reset();
    const std::uint8_t mode = feed.u8();
    const std::uint8_t call = feed.u8();
    if ((mode & 8) != 0) make_wide();
    for (int changes = mode % 8; changes > 0; --changes) change(feed);
    if ((mode & 16) != 0) agree();
    if ((mode & 32) != 0) image_.data().resize(feed.u16());
    if ((mode & 64) != 0) image_.control().resize(feed.u16());
    open(call);
    image_.restore();
  }

 private:
  template <class T>
  T& data(std::size_t offset = 0) {
    return *reinterpret_cast<T*>(image_.data().at(offset));
  }

  void make_wide() {
    auto& header = data<detail::TopicHeader>();
    header.type_size = sizeof(Wide);
    header.type_alignment = alignof(Wide);
    header.payload_alignment = 64;
    header.payload_offset = 64;
  }

  void change(Feed& feed) {
    const std::uint8_t which = feed.u8();
    FileImage& file = which < 192 ? image_.data() : image_.control();
    if (which >= 128 && which % 2 == 1) {
      *file.at(feed.u16() % 1024) = static_cast<std::byte>(feed.u8());
      return;
    }
    const auto [offset, bytes] = kFields[which % kFields.size()];
    std::uint64_t value = feed.u8();
    if (value >= 128) value = 1ULL << (value % 64);
    if (value == 127) value = feed.u64();
    std::memcpy(file.at(offset), &value, bytes);
  }

  // As a creator with these limits would have written it.
  void agree() {
    auto& header = data<detail::TopicHeader>();
    auto& control = *reinterpret_cast<detail::ControlHeader*>(image_.control().at(0));
    const detail::Limits limits = {header.capacity_bytes, header.max_publishers, header.max_subscriptions,
                                   header.max_groups,     header.max_members,    header.max_in_flight};
    control.capacity_bytes = limits.capacity_bytes;
    control.max_publishers = limits.max_publishers;
    control.max_subscriptions = limits.max_subscriptions;
    control.max_groups = limits.max_groups;
    control.max_members = limits.max_members;
    control.max_in_flight = limits.max_in_flight;
    const std::uint64_t data_size = detail::data_bytes(limits);
    const std::uint64_t control_size = detail::control_bytes(limits);
    header.prefix.file_bytes = data_size;
    control.prefix.file_bytes = control_size;
    header.payload_offset = header.payload_alignment > detail::kFrameHeader ? 64 : 32;
    if (data_size >= image_.data().size() && data_size <= kLargest) image_.data().resize(data_size);
    if (control_size >= 1024 && control_size <= kLargest) image_.control().resize(control_size);
  }

  static void use(ringway::Publisher& publisher, ringway::Subscriber& subscriber) {
    const std::size_t most = std::min<std::size_t>(publisher.max_payload_bytes(), 4096);
    const std::vector<std::byte> bytes(most, std::byte{7});
    for (const std::size_t size : {std::size_t{0}, most / 2, most}) {
      if (!publisher.try_publish(std::span(bytes).first(size))) continue;
      const auto message = subscriber.try_receive();
      if (message && message.payload().size() != size) fail("a message has another size than was published");
    }
  }

  void open(std::uint8_t how) {
    using std::chrono::nanoseconds;
    const ringway::SubscriptionOptions lossy{.reliability = ringway::Reliability::lossy,
                                             .attach_timeout = nanoseconds(0)};
    Call call("open", 1 << 24);  // rows and bit words of the largest tables
    try {
      switch (how % 8) {
        case 0: std::ignore = bus_.topic("t"); break;
        case 1: std::ignore = bus_.topics(); break;
        case 2: {
          auto in = bus_.subscriber("t", {.attach_timeout = nanoseconds(0)});
          auto out = bus_.publisher("t", {.attach_timeout = nanoseconds(0)});
          use(out, in);
          break;
        }
        case 3: {
          auto in = bus_.subscriber("t", lossy);
          auto out = bus_.publisher("t", {.attach_timeout = nanoseconds(0)});
          use(out, in);
          break;
        }
        case 4: {
          auto in = bus_.subscriber<Wide>("t", {.attach_timeout = nanoseconds(0)});
          auto out = bus_.publisher<Wide>("t", {.attach_timeout = nanoseconds(0)});
          const bool sent = static_cast<bool>(out.try_publish(Wide{{5}}));
          const auto message = in.try_receive();
          if (message && (!sent || message->words[0] != 5))
            fail("a typed message has another value than was published");
          auto claim = out.try_claim();
          if (claim) claim->words[7] = 1;
          break;
        }
        case 5: std::ignore = bus_.observer("t").try_receive(); break;
        case 6: bus_.create_subscription("t", "d", {.attach_timeout = nanoseconds(0)}); break;
        default: bus_.remove_topic("t", ringway::Remove::if_unused); break;
      }
    } catch (const ringway::Error& error) {
      if (error.what()[0] == '\0') fail("an error without a text");
    }
  }

  TopicImage image_;
  ringway::Bus bus_;
};

}  // namespace

// A seed per call, per field, and for the largest limits.
void ringway_fuzz::write_seeds(const WriteSeed& write) {
  for (int call = 0; call < 8; ++call) write("call-" + std::to_string(call), Program().put(call == 4 ? 8 : 0, call));
  for (std::size_t field = 0; field < kFields.size(); ++field)
    write("field-" + std::to_string(field), Program().put(1, field % 8, field, 127).u64(~0ULL));
  write("large", Program().put(16 + 1, 2, 0, 128 + 20));
  write("many-rows", Program().put(16 + 4, 3, 4, 128 + 10, 5, 128 + 10, 0, 128 + 16, 9, 1));
  write("exclusive", Program().put(16 + 2, 2, 9, 1, 10, 1));
  write("temporary", Program().put(16 + 2, 2, 11, 1, 3, 1));
  write("narrow", Program().put(16 + 8 + 1, 4, 3, 8));
  write("cut", Program().put(32 + 64, 0).u16(1000).u16(500));
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static ringway_test::ScratchDir scratch;
  static Stage& stage = *new Stage(scratch.path() / "t");
  Feed feed(bytes, size);
  begin_input();
  stage.run(feed);
  end_input();
  return 0;
}

// What a file system does to topics: no room, cut files, holes, files that vanish, strangers in their place.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ringway/detail/layout.hpp"
#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/privileged.hpp"
#include "support/sanitizer.hpp"
#include "support/scratch.hpp"
#include "support/thrown.hpp"
#include "support/topic_files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace ringway::literals;
using ringway::Bus;
using ringway::Code;
using ringway_test::bytes_of;
using ringway_test::Child;
using ringway_test::is_error;
using ringway_test::kNothing;
using ringway_test::kSmall;
using ringway_test::names_in;
using ringway_test::Opener;
using ringway_test::openers;
using ringway_test::ScratchDir;
using ringway_test::status_of;
using ringway_test::thrown;
using ringway_test::with_private_tmpfs;

class FileSystemTest : public ringway_test::TopicFiles {};

// Row 39, and 10.13
TEST_F(FileSystemTest, AFullFileSystemIsAnErrorOfCreatingWithTheBytesNeeded) {
  const int status = with_private_tmpfs(directory(), "size=1m,mode=700", [&] {
    const Bus here = Bus::at((directory() / "bus").string());
    for (const char* name : {"t", "below/one/more"}) {
      const auto error = thrown([&] { here.create_topic(name, {.capacity_bytes = 1_MiB}); });
      EXPECT_TRUE(is_error(error, Code::no_space, "bytes needed", "bytes free", "smaller capacity"));
      EXPECT_EQ(error.system_errno, ENOSPC);
      const ringway::detail::Limits limits{1_MiB, 64, 64, 4, 64, 1024};
      EXPECT_NE(error.text.find(' ' + std::to_string(ringway::detail::data_bytes(limits)) + " bytes needed"),
                std::string::npos);
      EXPECT_EQ(thrown([&] { return here.publisher(name); }).code, Code::no_space);
      EXPECT_EQ(thrown([&] { return here.subscriber(name); }).code, Code::no_space);
      EXPECT_EQ(names_in(here.directory()), kNothing);
    }
    // Data has room, control beside it has not.
    EXPECT_EQ(thrown([&] { here.create_topic("t", {.capacity_bytes = 512_KiB, .max_in_flight = 65536}); }).code,
              Code::no_space);
    EXPECT_EQ(names_in(here.directory()), kNothing);
    here.remove();
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 39: what was created has its space, also once there is none left for others.
TEST_F(FileSystemTest, ATopicOnAFullFileSystemWorksToItsLastByte) {
  const int status = with_private_tmpfs(directory(), "size=1m,mode=700", [&] {
    const Bus here = bus();
    auto out = here.publisher("t", {.topic = {.capacity_bytes = 256_KiB, .max_in_flight = 16}});
    auto in = here.subscriber("t", {.name = "s"});
    std::ofstream filler(directory() / "filler");
    while (filler << std::string(4096, 'x') << std::flush) {
    }
    EXPECT_EQ(fs::space(directory()).available, 0U);
    for (int lap = 0; lap < 2; ++lap) {
      int sent = 0;
      while (out.try_publish(std::string(out.max_payload_bytes(), static_cast<char>('a' + lap)))) ++sent;
      EXPECT_EQ(sent, 4);
      EXPECT_EQ(in.poll([](const ringway::Message&) {}, 10), 4U);
    }
    auto lossy = here.subscriber("t", {.reliability = ringway::Reliability::lossy});
    EXPECT_TRUE(out.try_publish("more"));
    EXPECT_TRUE(lossy.try_receive());
    return 0;
  });
  NEEDS_PERMISSION(status);
}

// Row 40
TEST_F(FileSystemTest, AFileThatIsTooShortOrTooLongIsRefusedWithBothSizes) {
  bus().create_topic("t", kSmall);
  for (const fs::path& file : {data(), control()}) {
    const std::uint64_t whole = fs::file_size(file);
    const std::string before = bytes_of(file);
    for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{300}, std::uint64_t{4096},
                                      whole - 1, whole + 1, whole + 4096}) {
      std::ofstream(file, std::ios::binary) << before;
      fs::resize_file(file, bytes);
      for (const Opener& opener : openers())
        EXPECT_TRUE(is_error(thrown([&] { opener.open(bus()); }), Code::corrupt, file.string(),
                             std::to_string(bytes) + " bytes"))
            << opener.what << ' ' << bytes;
      EXPECT_EQ(fs::file_size(file), bytes);  // refused, not mended
      const auto all = bus().topics();
      ASSERT_EQ(all.size(), 1U);
      EXPECT_NE(all[0].problem.find(file.string()), std::string::npos) << all[0].problem;
    }
    fs::resize_file(file, 0);
    std::ofstream(file, std::ios::binary) << before;
  }
  expect_works();
  fs::resize_file(data(), 100);
  bus().remove_topic("t");  // the way out
  expect_works();
}

// Row 41
TEST_F(FileSystemTest, AHoleInPlaceOfAHeaderIsNoHeader) {
  bus().create_topic("t", kSmall);
  for (const fs::path& file : {data(), control()}) {
    const std::string before = bytes_of(file);
    const auto size = static_cast<off_t>(before.size());
    for (const off_t bytes : {off_t{4096}, size}) {
      const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
      ASSERT_EQ(::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes), 0);
      ::close(descriptor);
      for (const Opener& opener : openers())
        EXPECT_TRUE(is_error(thrown([&] { opener.open(bus()); }), Code::corrupt, file.string(), "0x0000000000000000"))
            << opener.what;
    }
    std::ofstream(file, std::ios::binary) << before;
  }
  expect_works();
}

// Row 41
TEST_F(FileSystemTest, AHoleInTheRingIsNoMessage) {
  auto out = bus().publisher("t", {.topic = kSmall});
  auto view = bus().subscriber("t");
  auto copy = bus().subscriber("t", {.reliability = ringway::Reliability::lossy});
  auto look = bus().observer("t");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(out.publish(std::string(40, 'x')));
  const ringway::detail::Limits limits{32_KiB, 64, 64, 4, 64, 1024};
  const int descriptor = ::open(data().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(ringway::detail::ring_offset(limits)), 32_KiB),
            0);
  ::close(descriptor);
  for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&view), static_cast<ringway::Reader*>(&copy),
                                  static_cast<ringway::Reader*>(&look)})
    for (int i = 0; i < 200; ++i) EXPECT_FALSE(reader->try_receive());
}

// Row 42, and 49: whoever removes the files, and whether there are new ones.
TEST_F(FileSystemTest, ThoseAttachedToRemovedFilesAreToldThatTheTopicIsGone) {
  const std::vector<std::pair<const char*, std::function<void()>>> removals = {
      {"remove_topic", [&] { bus().remove_topic("t"); }},
      {"rm data", [&] { fs::remove(data()); }},
      {"rm control", [&] { fs::remove(control()); }},
      {"rm both",
       [&] {
         fs::remove(control());
         fs::remove(data());
       }},
      {"rename",
       [&] {
         fs::rename(data(), directory() / "u.data");
         fs::rename(control(), directory() / "u.control");
       }},
  };
  for (const bool again : {false, true}) {
    for (const auto& [what, remove] : removals) {
      const ScratchDir unused;
      auto out = bus().publisher("t", {.topic = kSmall});
      auto in = bus().subscriber("t", {.name = "s"});
      auto polling = bus().subscriber("t");
      auto look = bus().observer("t");
      ASSERT_TRUE(out.publish("before"));
      remove();
      if (again) {
        auto anew = bus().publisher("t", {.topic = kSmall});
        auto others = bus().subscriber("t", {.name = "s"});
        ASSERT_TRUE(anew.publish("after"));
        EXPECT_EQ(others.receive(1s).status().code(), Code::ok);
      }
      for (ringway::Reader* reader : {static_cast<ringway::Reader*>(&in), static_cast<ringway::Reader*>(&polling)}) {
        const auto message = reader->receive();
        EXPECT_EQ(message.text(), "before") << what;  // what was there is still read
      }
      EXPECT_EQ(in.receive().status().code(), Code::topic_gone) << what;
      EXPECT_EQ(in.receive().status().code(), Code::topic_gone) << what;
      EXPECT_EQ(look.receive().status().code(), Code::ok) << what;
      EXPECT_EQ(look.receive().status().code(), Code::topic_gone) << what;
      while (polling.try_receive().status() == Code::would_block) {  // one that never waits learns it as well
      }
      EXPECT_EQ(polling.status().code(), Code::topic_gone) << what;
      EXPECT_EQ(in.seek(ringway::From::oldest).code(), Code::topic_gone) << what;
      ringway::Status status;
      while (status) {
        status = out.publish("into the void");  // it looks now and then
        in.poll([](const ringway::Message&) {}, 10);
        polling.poll([](const ringway::Message&) {}, 10);
      }
      EXPECT_EQ(status.code(), Code::topic_gone) << what;
      for (const auto& entry : fs::directory_iterator(directory())) fs::remove(entry.path());
    }
  }
}

// Row 42: held back by a subscription of the removed files.
TEST_F(FileSystemTest, APublisherHeldBackInARemovedTopicIsToldSo) {
  auto out = bus().publisher("t", {.topic = kSmall});
  bus().create_subscription("t", "nobody");
  while (out.try_publish(std::string(1000, 'x'))) {
  }
  bus().remove_topic("t");
  bus().create_topic("t", kSmall);
  while (out.try_publish(std::string(1000, 'x')) == Code::would_block) {
  }
  EXPECT_EQ(out.try_publish(std::string(1000, 'x')).code(), Code::topic_gone);
  EXPECT_EQ(out.publish(std::string(1000, 'x')).code(), Code::topic_gone);
}

void make_socket(const fs::path& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.string().size(), sizeof address.sun_path);
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(descriptor);
}

// Row 43
TEST_F(FileSystemTest, WhatIsNoRegularFileIsRefusedWithoutWaitingAndLeftAlone) {
  const fs::path elsewhere = directory() / "elsewhere";
  std::ofstream(elsewhere) << "text";
  std::vector<std::pair<const char*, std::function<void(const fs::path&)>>> kinds = {
      {"pipe", [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
      {"socket", make_socket},
      {"directory", [](const fs::path& path) { fs::create_directory(path); }},
      {"symbolic link", [&](const fs::path& path) { fs::create_symlink(elsewhere, path); }},
      {"dangling link", [&](const fs::path& path) { fs::create_symlink("nowhere", path); }},
  };
  if (::geteuid() == 0)
    kinds.emplace_back(
        "device", [](const fs::path& path) { ASSERT_EQ(::mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 3)), 0); });
  for (const auto& [kind, make] : kinds) {
    for (const bool other_half : {true, false}) {
      for (const fs::path& file : {data(), control()}) {
        if (other_half) {
          bus().create_topic("t", kSmall);
          fs::remove(file);
        }
        make(file);
        const ino_t inode = status_of(file).st_ino;
        for (const Opener& opener : openers()) {
          const auto error = thrown([&] { opener.open(bus()); });
          if (!other_half && file == control() && opener.only_looks) {
            EXPECT_EQ(error.code, Code::not_found) << kind;  // without data there is no topic to look at
          } else {
            EXPECT_TRUE(error.code == Code::corrupt || error.code == Code::no_permission)
                << kind << ' ' << opener.what << ": " << error.text;
            EXPECT_NE(error.text.find(file.string()), std::string::npos)
                << kind << ' ' << opener.what << ": " << error.text;
          }
          EXPECT_EQ(status_of(file).st_ino, inode) << kind << ' ' << opener.what;
        }
        EXPECT_EQ(bytes_of(elsewhere), "text");
        fs::remove(data());
        fs::remove(control());
      }
    }
  }
}

// Row 44
TEST_F(FileSystemTest, WithoutStandardStreamsNoFileOfOursTakesTheirPlace) {
  auto child = Child::fork([&] {
    for (const int descriptor : {0, 1, 2}) ::close(descriptor);
    const Bus here = bus();
    auto out = here.publisher("t", {.topic = kSmall});
    auto in = here.subscriber("t", {.name = "s"});
    auto look = here.observer("t");
    for (int i = 0; i < 200; ++i) {
      if (!out.publish("message") || !in.receive() || here.topics().size() != 1) return 1;
      std::printf("noise that must not land in a ring\n");
      if (::write(1, "noise", 5) != -1 || errno != EBADF || ::write(2, "noise", 5) != -1) return 2;
    }
    while (out.try_publish("until it asks whether the reader lives")) {  // on a descriptor that it keeps
    }
    for (const int descriptor : {0, 1, 2}) {
      struct stat status {};
      if (::fstat(descriptor, &status) == 0) return 3;
    }
    while (in.try_receive()) {
    }
    here.remove_topic("t");
    return in.receive().status() == Code::topic_gone && look.status() == Code::ok ? 0 : 4;
  });
  EXPECT_EQ(child.wait(), 0);
}

// Row 47, and 25
TEST_F(FileSystemTest, ATopicMappedSeveralTimesInAProcessHasNoAddressInIt) {
  const Bus one = bus();
  const Bus other = bus();
  auto out = one.publisher("t", {.topic = kSmall});
  auto out_too = other.publisher("t");
  std::vector<ringway::Subscriber> readers;
  readers.reserve(4);
  for (int i = 0; i < 4; ++i) readers.push_back((i % 2 == 0 ? one : other).subscriber("t"));
  for (int i = 0; i < 3000; ++i) {
    const std::string text = "message " + std::to_string(i);
    ASSERT_TRUE((i % 2 == 0 ? out : out_too).publish(text));
    std::set<const std::byte*> places;
    for (auto& in : readers) {
      const auto message = in.receive();
      ASSERT_EQ(message.text(), text);
      places.insert(message.payload().data());
    }
    ASSERT_EQ(places.size(), readers.size());  // each has a mapping of its own
  }
}

// Row 48
TEST_F(FileSystemTest, DeviceAndInodeTellTwoTopicsOfOneNameApart) {
  bus().create_topic("t", kSmall);
  const auto outside = bus().topic("t");
  EXPECT_EQ(outside.device, status_of(data()).st_dev);
  EXPECT_EQ(outside.inode, status_of(data()).st_ino);
  EXPECT_EQ(outside.file_bytes, fs::file_size(data()) + fs::file_size(control()));
  const int status = with_private_tmpfs(directory(), "size=4m,mode=700", [&] {  // as a container has
    EXPECT_TRUE(bus().topics().empty());
    EXPECT_TRUE(bus().create_topic("t", kSmall));
    EXPECT_NE(bus().topic("t").device, outside.device);
    return 0;
  });
  NEEDS_PERMISSION(status);
}

}  // namespace

// A topic's two files in a scratch directory, and every call that opens a topic.

#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/scratch.hpp"

namespace ringway_test {

inline constexpr ringway::TopicOptions kSmall{.capacity_bytes = 32 << 10};
inline const std::set<std::string> kNothing;
inline const std::set<std::string> kWhole = {"t.control", "t.data"};

inline std::set<std::string> names_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    names.insert(entry.path().lexically_relative(directory).string());
  return names;
}

inline struct stat status_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Opener {
  const char* what;
  bool only_looks;  // creates nothing, mends nothing
  std::function<void(const ringway::Bus&)> open;
};

inline std::vector<Opener> openers() {
  using ringway::Bus;
  using std::chrono::milliseconds;
  return {
      {"publisher", false,
       [](const Bus& bus) {
         std::ignore = bus.publisher("t", {.attach_timeout = milliseconds(200), .topic = kSmall});
       }},
      {"subscriber", false,
       [](const Bus& bus) {
         std::ignore = bus.subscriber("t", {.attach_timeout = milliseconds(200), .topic = kSmall});
       }},
      {"create_topic", false, [](const Bus& bus) { bus.create_topic("t", kSmall); }},
      {"create_subscription", false,
       [](const Bus& bus) {
         bus.create_subscription("t", "s", {.attach_timeout = milliseconds(200), .topic = kSmall});
       }},
      {"observer", true, [](const Bus& bus) { std::ignore = bus.observer("t"); }},
      {"topic", true, [](const Bus& bus) { std::ignore = bus.topic("t"); }},
  };
}

class TopicFiles : public testing::Test {
 protected:
  const std::filesystem::path& directory() const { return scratch_.path(); }
  ringway::Bus bus() const { return ringway::Bus::at(directory().string()); }
  std::filesystem::path data() const { return directory() / "t.data"; }
  std::filesystem::path control() const { return directory() / "t.control"; }
  // Whatever was there before, the topic can be used now, and nothing lies beside it.
  void expect_works() const {
    auto in = bus().subscriber("t", {.topic = kSmall});
    EXPECT_TRUE(bus().publisher("t").publish("works"));
    const auto message = in.try_receive();
    EXPECT_EQ(message.text(), "works");
    EXPECT_EQ(names_in(directory()), kWhole);
  }

 private:
  ScratchDir scratch_;
};

}  // namespace ringway_test

// The `ringway` command on a fresh bus: a fixture.
//
// A command gets the bus by RINGWAY_DIR, as a shell would have it. Conditions are waited for under the test's watchdog.

#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ringway/ringway.hpp"
#include "support/child.hpp"
#include "support/scratch.hpp"

namespace ringway_test {

// A file opened for a child; closed at the end.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    EXPECT_GE(descriptor_, 0) << path;
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(descriptor_); }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

class ToolTest : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  // Runs `ringway WORDS...` to its end.
  Output tool(const Words& words, std::string_view input = {}) const {
    return run(argv(words), input, {.environment = environment()});
  }
  // Starts it; descriptors as in `options`.
  Child start(const Words& words, SpawnOptions options = {}) const {
    options.environment = environment();
    return Child::spawn(argv(words), options);
  }
  // Runs a line of shell with the command in $R.
  Output shell(const std::string& line, std::string_view input = {}) const {
    return run({"sh", "-c", line}, input, {.environment = environment()});
  }

  // What a listing gives with --json.
  nlohmann::json listing(const Words& words, int status = 0) const {
    const Output output = tool(words);
    EXPECT_EQ(output.status, status) << output.out << output.err;
    return nlohmann::json::parse(output.out);
  }
  // The one of a listing with that id; null if there is none.
  static nlohmann::json find(const nlohmann::json& array, const std::string& id) {
    for (const nlohmann::json& one : array)
      if (one["id"] == id) return one;
    return {};
  }
  // A process that attaches, says so, and then stands still until it is killed.
  template <class Attach>
  Child attached(Attach attach) const {
    Pipe done;
    Child child = Child::fork([&] {
      auto handle = attach(ringway::Bus::at(directory()));
      done.signal();
      for (;;) ::pause();
      return 0;
    });
    done.close_write_end();
    EXPECT_TRUE(done.await());
    return child;
  }

  const ringway::Bus& bus() const { return bus_; }
  std::string directory() const { return scratch_.path() / "bus"; }
  std::string path(const std::string& name) const { return scratch_.path() / name; }

  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  std::string read(const std::string& name) const {
    std::ostringstream bytes;
    bytes << std::ifstream(path(name), std::ios::binary).rdbuf();
    return bytes.str();
  }

  template <class Condition>
  static void await(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kWatchdog;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the watchdog ended the wait";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  // Until `count` subscriptions of the topic have a live owner.
  void await_attached(const std::string& topic, std::size_t count = 1) const {
    await([&] {
      for (const auto& one : bus().topics()) {
        if (one.name != topic) continue;
        std::size_t attached = 0;
        for (const auto& subscription : one.subscriptions) attached += subscription.attached ? 1 : 0;
        return attached >= count;
      }
      return false;
    });
  }
  // Until the file holds so much.
  void await_bytes(const std::string& name, std::size_t bytes) const {
    await([&] { return std::filesystem::file_size(path(name)) >= bytes; });
  }

  // "message 0\nmessage 1\n..."
  static std::string numbered_lines(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += "message " + std::to_string(i) + '\n';
    return text;
  }
  // As --binary has it: the length, little-endian, and the message.
  static std::string with_length(std::string_view message) {
    std::string text;
    for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(message.size() >> shift & 0xFF);
    return text.append(message);
  }

 private:
  static Words argv(const Words& words) {
    Words all = {program("ringway")};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  Words environment() const { return {"RINGWAY_DIR=" + directory(), "R=" + program("ringway")}; }

  ScratchDir scratch_;
  ringway::Bus bus_ = ringway::Bus::at(directory());
};

inline bool contains(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

}  // namespace ringway_test

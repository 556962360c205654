// A program in a real terminal: tmux, gone with the test.

#pragma once

#include <string>

#include "support/tool.hpp"

namespace ringway_test {

class TerminalTest : public ToolTest {
 protected:
  void SetUp() override {
    if (run({"tmux", "-V"}).status != 0) GTEST_SKIP() << "tmux is not installed";
  }
  void TearDown() override { tmux("kill-server"); }

  // Runs a line of shell, with the command in $R and the bus in RINGWAY_DIR.
  void open_terminal(int columns, const std::string& command) const {
    const std::string environment = "RINGWAY_DIR=" + directory() + " TERM=screen R=$R ";
    const std::string size = "-x " + std::to_string(columns) + " -y 24 ";
    ASSERT_EQ(tmux("new-session -d " + size + "'env " + environment + command + "'").status, 0);
  }
  Output tmux(const std::string& words) const { return shell("tmux -S " + path("tmux") + " -f /dev/null " + words); }
  std::string screen() const { return tmux("capture-pane -p").out; }
  void press(const std::string& keys) const { tmux("send-keys " + keys); }
  void await_on_screen(const std::string& words) const {
    await([&] { return screen().find(words) != std::string::npos; });
    if (HasFatalFailure()) ADD_FAILURE() << "not on the screen: " << words << "\n" << screen();
  }
};

}  // namespace ringway_test

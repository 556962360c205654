// The man pages and the shells' completion, as the shells and groff take them.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

#include "support/terminal.hpp"

namespace {

using ringway_test::contains;
using ringway_test::Output;
using ringway_test::program;

class ManualTest : public ringway_test::ToolTest {};
class ZshTest : public ringway_test::TerminalTest {};

TEST_F(ManualTest, HasEveryCommandAndOption) {
  const Output man = tool({"manual", "man"});
  const Output bash = tool({"manual", "bash"});
  for (const Words& command :
       {Words{"pub"}, Words{"sub"}, Words{"ls"}, Words{"info"}, Words{"top"}, Words{"observe"}, Words{"create"},
        Words{"rm"}, Words{"drain"}, Words{"where"}, Words{"check"}, Words{"gc"}, Words{"doctor"}, Words{"demo"},
        Words{"subscription", "create"}, Words{"subscription", "info"}, Words{"subscription", "seek"},
        Words{"subscription", "rm"}, Words{"subscription", "ls"}}) {
    const std::string name = command.size() == 1 ? command[0] : command[0] + ' ' + command[1];
    EXPECT_TRUE(contains(man.out, "\n.SS " + name + "\n")) << name;
    EXPECT_TRUE(contains(bash.out, '"' + name + "\")")) << name;
    Words asked = command;
    asked.emplace_back("--help");
    const Output help = tool(asked);
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(contains(help.out, "Usage:")) << help.out;
    EXPECT_TRUE(contains(help.out, "Example")) << help.out;
  }
  EXPECT_TRUE(contains(man.out, "\\-\\-max\\-blocked"));
}

// Those that the build has made, as they are installed.
TEST_F(ManualTest, GroffHasNothingAgainstThePages) {
  if (ringway_test::run({"groff", "--version"}).status != 0) GTEST_SKIP() << "groff is not installed";
  const auto complaints = [&](const std::string& page) {
    const Output output = ringway_test::run({"groff", "-man", "-Tutf8", "-ww", "-z", page});
    EXPECT_EQ(output.status, 0);
    return output.err;
  };
  std::size_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(program("../share"))) {
    if (entry.path().extension() != ".1") continue;
    ++pages;
    EXPECT_EQ(complaints(entry.path()), "") << entry.path();
    const std::string text = ringway_test::run({"groff", "-man", "-Tutf8", "-P-cbou", entry.path()}).out;
    for (const char* words : {"NAME", "SYNOPSIS", "OPTIONS", "RINGWAY_DIR", "SEE ALSO"})
      EXPECT_TRUE(contains(text, words)) << words << "\n" << text;
    const bool daemon = entry.path().stem() == "ringwayd";
    EXPECT_TRUE(contains(text, daemon ? "gc = \"10min\"" : "--max-blocked TIME")) << text;
  }
  EXPECT_GE(pages, 1U);
  write("wrong.1", ".TH X 1\n.NOSUCH\n");
  EXPECT_NE(complaints(path("wrong.1")), "");
}

TEST_F(ManualTest, BashCompletesCommandsOptionsAndTopics) {
  write("completion", tool({"manual", "bash"}).out);
  bus().create_topic("quotes");
  bus().create_topic("other");
  const std::string complete = "PATH=$(dirname $R):$PATH; . " + path("completion") + "; COMP_WORDS=(ringway ";
  const auto completed = [&](const std::string& words, int at) {
    return shell("bash -c '" + complete + words + "); COMP_CWORD=" + std::to_string(at) +
                 "; _ringway; echo ${COMPREPLY[@]}'")
        .out;
  };
  EXPECT_EQ(completed("obs", 1), "observe\n");
  EXPECT_EQ(completed("info q", 2), "quotes\n");
  EXPECT_EQ(completed("info quotes --w", 3), "--watch\n");
  EXPECT_EQ(completed("subscription se", 2), "seek\n");
  EXPECT_EQ(completed("sub quotes --group g --max-a", 5), "--max-attempts\n");
}

// A real zsh in a real terminal, with the file where the installation puts it.
TEST_F(ZshTest, CompletesCommandsOptionsAndTopics) {
  if (ringway_test::run({"zsh", "--version"}).status != 0) GTEST_SKIP() << "zsh is not installed";
  bus().create_topic("quotes");
  std::filesystem::create_directory(path("functions"));
  std::filesystem::copy(program("../share/_ringway"), path("functions"));
  write(".zshrc",
        "PATH=$(dirname $R):$PATH\nfpath=($ZDOTDIR/functions $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
        "PS1='ready> '\n");
  open_terminal(120, "ZDOTDIR=" + path("") + " zsh -d -i");
  await_on_screen("ready>");
  for (const auto& [typed, completed] :
       {std::pair("ringway obs", "ringway observe "), std::pair("ringway info qu", "ringway info quotes "),
        std::pair("ringway check --max-l", "ringway check --max-lag "),
        std::pair("ringway subscription se", "ringway subscription seek ")}) {
    press(std::string("-l '") + typed + "'");
    await_on_screen(typed);
    press("Tab");
    press("-l .");  // so that what lies behind the cursor is seen
    await_on_screen(std::string(completed) + ".");
    press("C-u C-l");
  }
}

}  // namespace

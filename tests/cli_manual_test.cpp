// The man pages and the shells' completion, as the shells and groff take them.

#include <gtest/gtest.h>

#include <string>

#include "support/tool.hpp"

namespace {

using ringway_test::contains;
using ringway_test::Output;

class ManualTest : public ringway_test::ToolTest {};

TEST_F(ManualTest, TheManualAndTheCompletionsHaveEveryCommand) {
  const Output man = tool({"manual", "man"});
  const Output bash = tool({"manual", "bash"});
  for (const char* command : {"pub", "sub", "ls", "info", "top", "observe", "create", "rm", "drain", "where", "check",
                              "gc", "doctor", "demo"}) {
    EXPECT_TRUE(contains(man.out, std::string("\n.SS ") + command + "\n")) << command;
    EXPECT_TRUE(contains(bash.out, std::string("\"") + command + "\")")) << command;
    const Output help = tool({command, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(contains(help.out, "Usage:")) << help.out;
  }
  EXPECT_TRUE(contains(man.out, "\\-\\-max\\-blocked"));
  write("completion", bash.out);
  bus().create_topic("quotes");
  EXPECT_EQ(tool({"create", "other"}).status, 0);
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
}

}  // namespace

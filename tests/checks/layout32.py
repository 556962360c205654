"""A 32-bit program has the same layout: compiled with -m32, layout.hpp gives the signature that GOLDEN (layout_test.cpp) writes
down. Or it is refused there: clang++ has no lock-free 64-bit atomics for such machines.

Ends with 77 where the compiler has no 32-bit headers.

usage: layout32.py GOLDEN -- COMPILER [FLAG...] | --self-test -- COMPILER [FLAG...]
"""
import re
import subprocess
import sys
from pathlib import Path


def compiles(command, text):
    result = subprocess.run([*command, "-m32", "-fsyntax-only", "-x", "c++", "-"], input=text, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.returncode == 0, result.stdout


def program(signature):
    return ('#include "ringway/detail/layout.hpp"\n'
            f"static_assert(ringway::detail::layout_signature() == {signature}, \"signature\");\n")


def golden(text):
    found = re.findall(r"EXPECT_EQ\(layout_signature\(\), (0x[0-9A-F']+U?)\)", text)
    return found[0] if len(found) == 1 else None


separator = sys.argv.index("--")
command = sys.argv[separator + 1:]
if not compiles(command, "#include <atomic>\n#include <string>\n")[0]:
    print("needs the compiler's 32-bit headers (g++-multilib)")
    sys.exit(77)
if sys.argv[1] == "--self-test":
    assert golden("  EXPECT_EQ(layout_signature(), 0xCEC4'929CU) << x;\n") == "0xCEC4'929CU"
    assert golden("") is None
    good, output = compiles(command, program("1"))
    assert not good and "signature" in output, "a wrong signature was not found"
    sys.exit()
signature = golden(Path(sys.argv[1]).read_text())
good, output = compiles(command, program(signature)) if signature else (False, "no signature is written down there")
refused = len(re.findall(r"error:", output)) == 1 and "static_assert" in output and "is_always_lock_free" in output
if refused:
    print("refused by a static_assert: no lock-free 64-bit atomics")
if not good and not refused:
    print(f"{sys.argv[1]}: {output}")
    sys.exit(1)

"""FILE must not compile, for the reason that its first line names: `// expect: REGEX`, searched in the compiler's messages.

With -DRINGWAY_COMPILE_OK it must compile, so that it fails for that reason alone and not for a typing error.

usage: compile_fail.py FILE -- COMPILER [FLAG...] | --self-test -- COMPILER
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def run(command, path):
    # LC_ALL: messages in English with plain quotes. Only the messages count, not the source lines that the compiler echoes.
    result = subprocess.run([*command, "-fsyntax-only", str(path)], env={**os.environ, "LC_ALL": "C"}, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    messages = re.findall(r"^[^\n]*?(?:error|warning|note): (.*)$", result.stdout, re.M)
    return result.returncode == 0, "\n".join(messages), result.stdout


def problem(path, command):
    expect = re.match(r"// expect: (.+)\n", path.read_text())
    if not expect:
        return "the first line must be `// expect: REGEX`"
    compiles, _, output = run([*command, "-DRINGWAY_COMPILE_OK"], path)
    if not compiles:
        return f"does not compile with -DRINGWAY_COMPILE_OK:\n{output}"
    compiles, messages, output = run(command, path)
    if compiles:
        return "compiles, but must not"
    if not re.search(expect[1], messages):
        return f"no message matches {expect[1]}:\n{output}"
    return None


def self_test(command):
    bad = "#ifndef RINGWAY_COMPILE_OK\nint x = no_such_name;\n#endif\n"
    cases = {
        "// expect: no_such_name\n" + bad: None,
        "// expect: another_name\n" + bad: "no message matches",
        "// expect: COMPILE_OK|int x\n" + bad: "no message matches",
        "// expect: no_such_name\nint x;\n": "compiles, but must not",
        "// expect: no_such_name\nint x = no_such_name;\n": "does not compile with",
        bad: "the first line",
    }
    with tempfile.TemporaryDirectory() as scratch:
        for text, expected in cases.items():
            path = Path(scratch, "planted.cpp")
            path.write_text(text)
            got = problem(path, command)
            assert got is None if expected is None else got and got.startswith(expected), (text, expected, got)


separator = sys.argv.index("--")
command = sys.argv[separator + 1:]
if sys.argv[1] == "--self-test":
    self_test(command)
    sys.exit()
found = problem(Path(sys.argv[1]), command)
if found:
    print(f"{sys.argv[1]}: {found}")
    sys.exit(1)

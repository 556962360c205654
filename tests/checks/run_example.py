"""Runs an example on a bus of its own; it must exit 0 and print what STEM.expected says, if that file exists.

A line of the expected output that starts with `~ ` is a regular expression for a whole line, for numbers that differ from run to run.
STEM.input, if it exists, is the example's standard input. STEM.sh, if it exists, is run by bash instead, with the program as $1.

usage: run_example.py PROGRAM STEM | --self-test
"""
import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 100  # below the timeout that ctest has for this test, so that the scratch directory is removed


def same(expected, actual):
    expected, actual = expected.splitlines(), actual.splitlines()
    return len(expected) == len(actual) and all(
        re.fullmatch(want[2:], got) if want.startswith("~ ") else want == got for want, got in zip(expected, actual))


def run(command, given, seconds, env):
    """The exit code (None: it took too long) and the output. The whole process group is ended with it."""
    with subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return None, output
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return code, output


def problem(program, stem, seconds=SECONDS):
    base = os.environ.get("RINGWAY_TEST_DIR")
    if not base:  # by this name `dev` finds it, should we be killed
        base = f"/dev/shm/ringway-test.{os.getpid()}"
        os.mkdir(base, 0o700)
    try:
        with tempfile.TemporaryDirectory(dir=base, prefix="example.") as scratch:
            script, given = Path(f"{stem}.sh"), Path(f"{stem}.input")
            command = ["bash", str(script), program] if script.is_file() else [program]
            with open(given if given.is_file() else os.devnull, encoding="utf-8") as stdin:
                code, output = run(command, stdin, seconds, {**os.environ, "RINGWAY_DIR": f"{scratch}/bus"})
    finally:
        if "RINGWAY_TEST_DIR" not in os.environ:
            os.rmdir(base)
    if code is None:
        return f"still running after {seconds} s; it had printed:\n{output}"
    if code != 0:
        return f"exit code {code}; it had printed:\n{output}"
    expected = Path(f"{stem}.expected")
    if expected.is_file() and not same(expected.read_text(), output):
        diff = difflib.unified_diff(expected.read_text().splitlines(), output.splitlines(), "expected", "printed", lineterm="")
        return "\n".join(["not the expected output:", *diff])
    return None


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        stem, program = Path(scratch, "planted"), Path(scratch, "program")

        def got(text, expected, seconds=SECONDS):
            program.write_text("#!/bin/sh\n" + text)
            program.chmod(0o700)
            stem.with_suffix(".expected").write_text(expected)
            return (problem(str(program), stem, seconds) or "").split("\n")[0]

        assert got("echo a; echo 12 us", "a\n~ \\d+ us\n") == ""
        assert got("echo a", "b\n") == "not the expected output:"
        assert got("echo a", "a\nb\n") == "not the expected output:"
        assert got("echo x us", "~ \\d+ us\n") == "not the expected output:"
        assert got("echo a; exit 3", "a\n").startswith("exit code 3")
        assert got("sleep 60 & sleep 60", "", 0.2).startswith("still running")
        assert got('mkdir "$RINGWAY_DIR" && touch "$RINGWAY_DIR/left" && echo "$RINGWAY_DIR"', "~ .*\n") == ""


if sys.argv[1:] == ["--self-test"]:
    self_test()
    sys.exit()
found = problem(sys.argv[1], sys.argv[2])
if found:
    print(f"{sys.argv[1]}: {found}")
    sys.exit(1)

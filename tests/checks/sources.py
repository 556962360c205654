"""Every *.cpp below DIRECTORY is in LIST, the sources that some target builds.

usage: sources.py DIRECTORY LIST | --self-test
"""
import sys
import tempfile
from pathlib import Path


def orphans(directory, built):
    known = {Path(line) for line in built.splitlines() if line}
    return sorted(path for path in Path(directory).rglob("*.cpp") if path not in known)


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        known, planted = Path(scratch, "a_test.cpp"), Path(scratch, "deep", "planted.cpp")
        planted.parent.mkdir()
        known.touch()
        assert orphans(scratch, f"{known}\n") == []
        planted.touch()
        assert orphans(scratch, f"{known}\n") == [planted], "a planted file was not found"


if sys.argv[1:] == ["--self-test"]:
    self_test()
    sys.exit()
missing = orphans(sys.argv[1], Path(sys.argv[2]).read_text())
for path in missing:
    print(f"{path} is in no target: a test is tests/<name>_test.cpp, see tests/CMakeLists.txt")
sys.exit(1 if missing else 0)

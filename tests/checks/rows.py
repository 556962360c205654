"""The table of README (What can go wrong) and the tests agree.

Every test that a row names exists: in tests/*_test.cpp, as an example, a check of CMakeLists.txt, or a command of `dev`. Every test
whose comment begins with `// Row N` or `// Rows N, M` is named in those rows, unless a row ends with `...` (and more). Rows without
a test, and what is marked `(to come)`, are listed.

usage: rows.py ROOT | --self-test
"""
import re
import sys
import tempfile
from pathlib import Path

ROW = re.compile(r"^\| (\d+(?:\.\d+)?) \|.*\| ([^|]*) \|$", re.M)
TEST = re.compile(r"((?:^[ \t]*//[^\n]*\n)*)^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.M)
NUMBERS = re.compile(r"Rows? ((?:\d+(?:\.\d+)?(?:, and |, | and )?)+)")


def tests_in(root):
    """Name -> the rows that its comment gives."""
    tests = {}
    for path in sorted(root.glob("tests/*_test.cpp")):
        for comment, suite, name in TEST.findall(path.read_text()):
            text = re.sub(r"\s*\n\s*//\s*", " ", comment.strip()).removeprefix("//").strip()
            found = NUMBERS.match(text)
            tests[f"{suite}.{name}"] = re.findall(r"\d+(?:\.\d+)?", found[1]) if found else []
    return tests


def problems(root):
    """What is wrong, and what is worth knowing."""
    readme = (root / "tests/README.md").read_text()
    tests = tests_in(root)
    known = set(tests) | {f"Example.{path.stem}" for path in root.glob("examples/*.cpp")}
    known |= set(re.findall(r"(?:ringway_check\(|add_test\(NAME )(\w+\.\w+)", (root / "tests/CMakeLists.txt").read_text()))
    known |= {f"CompileFail.{path.stem}" for path in root.glob("tests/compile_fail/*.cpp")}
    for command in re.findall(r"^  ([a-z| ]+)\)$", (root / "dev").read_text(), re.M):
        known |= {f"`./dev {one}`" for one in command.split(" | ")}
    suites = {name.split(".")[0] for name in known}
    wrong, notes, cells = [], [], {}
    for number, cell in ROW.findall(readme):
        if number in cells:
            wrong.append(f"row {number} is there twice")
        cells[number] = cell
        if cell == "-":
            notes.append(f"row {number}: no test yet")
            continue
        for name in cell.removesuffix("...").strip().split(", "):
            if name.endswith(" (to come)"):
                notes.append(f"row {number}: {name}" + (", is there" if name.removesuffix(" (to come)") in known else ""))
            elif name not in known and not (name.endswith(".*") and name[:-2] in suites):
                wrong.append(f"row {number}: there is no {name}")
    if not cells:
        wrong.append("there is no table")
    for name, rows in tests.items():
        for number in rows:
            if number not in cells:
                wrong.append(f"{name}: there is no row {number}")
            elif not cells[number].endswith("...") and name not in cells[number].split(", "):
                wrong.append(f"{name} says row {number}, which does not name it")
    return wrong, notes


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for directory in ("tests/compile_fail", "examples"):
            (root / directory).mkdir(parents=True)
        (root / "examples/one.cpp").touch()
        (root / "tests/compile_fail/bad.cpp").touch()
        (root / "tests/CMakeLists.txt").write_text("ringway_check(Check.One x)\nadd_test(NAME Install.Two COMMAND\n")
        (root / "dev").write_text("case $command in\n  soak)\n    x\n    ;;\n  asan | tsan)\n")

        def count(rows, tests="// Row 1: a\n// b.\nTEST(A, B) {}\n"):
            table = "\n".join(f"| {number} | a | b | {cell} |" for number, cell in rows.items())
            (root / "tests/README.md").write_text(table + "\n")
            (root / "tests/a_test.cpp").write_text(tests)
            wrong, notes = problems(root)
            return len(wrong), len(notes)

        assert count({1: "A.B"}) == (0, 0)
        assert count({1: "A.B", 2: "-"}) == (0, 1)
        assert count({1: "A.B", "10.2": "Example.one, Check.One, Install.Two, CompileFail.*, `./dev tsan`"}) == (0, 0)
        assert count({1: "A.B", 2: "`./dev later`"}) == (1, 0)
        assert count({1: "A.B", 2: "`./dev later` (to come), `./dev soak` (to come)"}) == (0, 2)
        assert count({1: "A.B", 2: "A.Gone"}) == (1, 0)
        assert count({1: "A.B", 2: "Gone.*"}) == (1, 0)
        assert count({1: "-"}) == (1, 1), "a test that its row does not name"
        assert count({1: "Example.one ..."}) == (0, 0)
        assert count({2: "A.B"}) == (1, 0), "a row that is not there"
        two = "// Rows 1, 2 and 10.3: a\nTEST_F(A, B) {}\n\n// Row 3, and 4\nTEST_P(A,\n       C) {}\n\nTEST(A, D) {}\n"
        whole = {1: "A.B", 2: "A.B", "10.3": "A.B", 3: "A.C", 4: "A.C"}
        assert count(whole, two) == (0, 0)
        for number in whole:
            assert count({**whole, number: "A.D"}, two) == (1, 0), number
        assert count({}, "")[0] == 1, "no table"


if sys.argv[1:] == ["--self-test"]:
    self_test()
    sys.exit()
found, remarks = problems(Path(sys.argv[1]))
print("\n".join(remarks + found))
sys.exit(1 if found else 0)

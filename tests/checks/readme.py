"""Every fenced C++ block of README is verbatim a whole region of a program that is run by a test.

A region lies between the lines `// [readme: NAME]` and `// [end]` of EXAMPLES/*.cpp; its common indentation does not count. The program
needs an .expected file beside it, so that its output is compared.

usage: readme.py README EXAMPLES | --self-test
"""
import re
import sys
import tempfile
import textwrap
from pathlib import Path

BLOCK = re.compile(r"^([ \t]*)```[ \t]*(?:cpp|c\+\+|cc|cxx)\b[^\n]*\n(.*?)^\1```[ \t]*$", re.M | re.S | re.I)
REGION = re.compile(r"^[ \t]*// \[readme: ([^\]\n]+)\]\n(.*?)^[ \t]*// \[end\]$", re.M | re.S)


def problems(readme, examples):
    if not readme.is_file():
        return [f"{readme}: not there"]
    found, regions = [], {}
    for path in sorted(examples.glob("*.cpp")):
        text = path.read_text()
        matches = REGION.findall(text)
        if len(matches) != text.count("// [readme:") or len(matches) != text.count("// [end]"):
            found.append(f"{path}: a region is not closed, or closed twice")
        for _, body in matches:
            regions[textwrap.dedent(body)] = path
    text = readme.read_text()
    blocks = [(text.count("\n", 0, match.start()) + 1, match[2]) for match in BLOCK.finditer(text)]
    if not blocks:
        found.append(f"{readme}: has no C++ block")
    for line, body in blocks:
        path = regions.get(textwrap.dedent(body))
        if path is None:
            found.append(f"{readme}:{line}: the block is not a whole region of a file in {examples}")
        elif not path.with_suffix(".expected").is_file():
            found.append(f"{readme}:{line}: {path} has no .expected file, so its output is not compared")
    return found


def self_test():
    with tempfile.TemporaryDirectory() as scratch:
        readme, examples = Path(scratch, "README.md"), Path(scratch, "examples")
        examples.mkdir()
        program, expected = examples / "a.cpp", examples / "a.expected"
        good = "int main() {\n  // [readme: a]\n  one();\n    two();\n  // [end]\n}\n"

        def count(readme_text, program_text=good):
            readme.write_text(readme_text)
            program.write_text(program_text)
            return len(problems(readme, examples))

        block = "Text\n```cpp\none();\n  two();\n```\n"
        assert len(problems(readme, examples)) == 1, "no README"
        assert count(block) == 1, "no .expected"
        expected.touch()
        assert count(block) == 0
        assert count("1. Item\n   ```cpp\n   one();\n     two();\n   ```\n") == 0
        assert count("Text\n```sh\nls\n```\n") == 1, "no block"
        assert count("```cpp\none();\n```\n") == 1, "part of a region"
        assert count(block + block.replace("two", "three")) == 1, "another text"
        assert count(block, good.replace("// [end]", "")) == 2, "region not closed"


if sys.argv[1:] == ["--self-test"]:
    self_test()
    sys.exit()
found = problems(Path(sys.argv[1]), Path(sys.argv[2]))
print("\n".join(found))
sys.exit(1 if found else 0)

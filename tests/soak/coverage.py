"""What the soak has run of the ring and of the repair: lines hit, per file, over all processes that ended in order.

usage: coverage.py BUILD_DIRECTORY SOURCE_DIRECTORY MINUTES FILE...

Lists the lines that were never run. Fails if one of the repair's is among them and the soak had time enough for all.
"""
import collections
import json
import subprocess
import sys
from pathlib import Path

REPAIR = ("lib/repair.cpp", "lib/resolve.hpp")
ENOUGH = 10  # minutes: two are mostly enough for the rarest line


def main():
    build, source = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    minutes, files = float(sys.argv[3]), sys.argv[4:]
    hits = {name: collections.Counter() for name in files}
    for data in build.rglob("*.gcda"):
        text = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], cwd=build, capture_output=True, text=True,
                              check=True).stdout
        for line in text.splitlines():
            for file in json.loads(line)["files"]:
                path = (build / file["file"]).resolve()
                name = str(path.relative_to(source)) if path.is_relative_to(source) else None
                if name in hits:
                    for entry in file["lines"]:
                        hits[name][entry["line_number"]] += entry["count"]
    empty = [name for name in files if not hits[name]]
    missed = []
    for name in files:
        never = [line for line, count in sorted(hits[name].items()) if count == 0]
        total = len(hits[name])
        print(f"{name}: {total - len(never)} of {total} lines" + (f"; never: {', '.join(map(str, never))}" if never else ""))
        if name in REPAIR:
            missed += [f"{name}:{line}" for line in never]
    if empty:
        return f"no coverage of {', '.join(empty)}"
    if missed and minutes >= ENOUGH:
        return f"repair that {minutes:g} minutes have not run: {', '.join(missed)}"
    return 0


sys.exit(main())

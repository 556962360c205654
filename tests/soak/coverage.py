"""What the soak has run of the ring and of the repair: lines hit, per file, over all processes that ended in order.

usage: coverage.py BUILD_DIRECTORY SOURCE_DIRECTORY FILE...      lists the lines that were never run
"""
import collections
import json
import subprocess
import sys
from pathlib import Path


def main():
    build, source, files = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:]
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
    for name in files:
        never = [line for line, count in sorted(hits[name].items()) if count == 0]
        total = len(hits[name])
        print(f"{name}: {total - len(never)} of {total} lines" + (f"; never: {', '.join(map(str, never))}" if never else ""))
    return f"no coverage of {', '.join(empty)}" if empty else 0


sys.exit(main())

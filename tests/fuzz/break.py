"""Makes a copy of the tree whose readers believe every frame header, which the image target must find, and whose members do
not mark a job that a dead one may have handed out, which the jobs target must find.

usage: break.py DIRECTORY
"""
import shutil
import sys
from pathlib import Path

BROKEN = {
    "ring.hpp": ("  return extent <= memory.max_extent && memory.payload_offset + payload_bytes <= extent;\n",
                 "  return extent != 0 && payload_bytes != ~0ULL && memory.capacity != 0;\n"),
    "jobs.hpp": ("      word.again = true;\n", ""),
}

root, copy = Path(__file__).parents[2], Path(sys.argv[1])
for part in ("include", "lib", "tests", "cmake"):
    shutil.copytree(root / part, copy / part, dirs_exist_ok=True)
for part in ("CMakeLists.txt", "CMakePresets.json"):
    shutil.copy2(root / part, copy / part)
for name, (checked, broken) in BROKEN.items():
    header = copy / "include" / "ringway" / "detail" / name
    text = header.read_text()
    if text.count(checked) != 1:
        sys.exit(f"{header}: what is to be broken is not there; see {__file__}")
    header.write_text(text.replace(checked, broken))

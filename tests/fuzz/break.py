"""Makes a copy of the tree whose readers believe every frame header: what the image target must find.

usage: break.py DIRECTORY
"""
import shutil
import sys
from pathlib import Path

CHECKED = "  return extent <= memory.max_extent && memory.payload_offset + payload_bytes <= extent;\n"
BROKEN = "  return extent != 0 && payload_bytes != ~0ULL;\n"

root, copy = Path(__file__).parents[2], Path(sys.argv[1])
for part in ("include", "lib", "tests", "cmake"):
    shutil.copytree(root / part, copy / part, dirs_exist_ok=True)
for part in ("CMakeLists.txt", "CMakePresets.json"):
    shutil.copy2(root / part, copy / part)
header = copy / "include" / "ringway" / "detail" / "ring.hpp"
text = header.read_text()
if text.count(CHECKED) != 1:
    sys.exit(f"{header}: the check to be taken out is not there; see {__file__}")
header.write_text(text.replace(CHECKED, BROKEN))

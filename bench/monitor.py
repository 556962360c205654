"""What watching costs: of ringwayd processor time and memory of its own, with so many topics and one look a second; of `ringway top`
processor time a refresh, in a terminal of 80 x 24.

usage: bench/monitor.py [TOPICS] [SECONDS]     after `./dev test`, which builds the program that makes the topics
"""
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "tests/daemon"))
import support  # noqa: E402

support.bin_directory = root / "build/release/bin"


def ticks(process):
    return sum(int(field) for field in Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])


@contextlib.contextmanager
def busy_bus(topics):
    """A bus with so many topics; ten messages a second on each, and ten readers."""
    with support.Scene() as scene:
        maker = scene.start(support.bin_directory / "tests/topics_main", str(topics), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert maker.stdout.readline() == "ready\n"
        for i in range(10):
            scene.subscriber(f"t{10000 + i}", "reader")
        stop = threading.Event()

        def publish():
            while not stop.wait(0.1):
                maker.stdin.write("more\n")
                maker.stdin.flush()
                maker.stdout.readline()

        publishing = threading.Thread(target=publish)
        publishing.start()
        yield scene
        stop.set()
        publishing.join()


def measure(topics, seconds, ask):
    """Percent of a core, and MiB, while `ask(monitor)` runs once a second."""
    with busy_bus(topics) as scene:
        monitor = scene.monitor()
        for _ in range(3):
            time.sleep(1)
            ask(monitor)
        begin, used = time.monotonic(), ticks(monitor.process)
        while time.monotonic() - begin < seconds:
            time.sleep(1)
            ask(monitor)
        used, passed = ticks(monitor.process) - used, time.monotonic() - begin
        anon = int(re.search(r"RssAnon:\s*(\d+)", Path(f"/proc/{monitor.process.pid}/status").read_text())[1])
        return used / passed, anon / 1024


def measure_top(topics, seconds):
    """Milliseconds of processor time a refresh."""
    with busy_bus(topics) as scene:
        terminal, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        scene.environment["TERM"] = "xterm"
        top = scene.start(support.bin_directory / "ringway", "top", "--interval", "100ms", stdin=side, stdout=side)
        threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(terminal, 65536), b"")], daemon=True).start()
        time.sleep(2)
        begin, used = time.monotonic(), ticks(top)
        time.sleep(seconds)
        used, passed = (ticks(top) - used) / 100, time.monotonic() - begin
        return 1000 * used / ((passed - used) / 0.1)  # it looks 100 ms after the last look was done


count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
duration = float(sys.argv[2]) if len(sys.argv) > 2 else 20
for what, asked in (("nobody asks", lambda monitor: None),
                    ("scraped every second", lambda monitor: monitor.get("/metrics")),
                    ("a page is open", lambda monitor: (monitor.get("/api/v1/summary"), monitor.get("/api/v1/topic?name=t10000")))):
    share, memory = measure(count, duration, asked)
    print(f"{count} topics, {what}: {share:.2f} % of a core, RssAnon {memory:.1f} MiB", flush=True)
print(f"{count} topics, top: {measure_top(count, duration):.1f} ms a refresh", flush=True)

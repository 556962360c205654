"""What ringwayd costs: processor time and memory of its own, with so many topics and one look a second.

usage: bench/monitor.py [TOPICS] [SECONDS]     after `./dev test`, which builds the program that makes the topics
"""
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "tests/daemon"))
import support  # noqa: E402

support.bin_directory = root / "build/release/bin"


def ticks(process):
    return sum(int(field) for field in Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])


def measure(topics, seconds, ask):
    """Percent of a core, and MiB, while `ask(monitor)` runs once a second."""
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
        monitor = scene.monitor()
        for _ in range(3):
            time.sleep(1)
            ask(monitor)
        begin, used = time.monotonic(), ticks(monitor.process)
        while time.monotonic() - begin < seconds:
            time.sleep(1)
            ask(monitor)
        used, passed = ticks(monitor.process) - used, time.monotonic() - begin
        stop.set()
        publishing.join()
        anon = int(re.search(r"RssAnon:\s*(\d+)", Path(f"/proc/{monitor.process.pid}/status").read_text())[1])
        return used / passed, anon / 1024


count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
duration = float(sys.argv[2]) if len(sys.argv) > 2 else 20
for what, asked in (("nobody asks", lambda monitor: None),
                    ("scraped every second", lambda monitor: monitor.get("/metrics")),
                    ("a page is open", lambda monitor: (monitor.get("/api/v1/summary"), monitor.get("/api/v1/topic?name=t10000")))):
    share, memory = measure(count, duration, asked)
    print(f"{count} topics, {what}: {share:.2f} % of a core, RssAnon {memory:.1f} MiB")

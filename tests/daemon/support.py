"""What the tests of ringwayd share: a bus of its own, the programs, requests, and how a test is run or skipped.

A test is a function whose name reads as a sentence, in a file *_test.py; CMakeLists.txt finds it by `def Name(` at the start of a line.

usage: FILE BIN_DIRECTORY SOURCE_DIRECTORY NAME
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

WATCHDOG = 60  # seconds until a test that waits gives up
SKIPPED = 77

bin_directory, source_directory = Path(), Path()


class Skip(Exception):
    pass


def need(program, package):
    """The program's path; without it the test is skipped, but never in CI."""
    found = shutil.which(program)
    if found:
        return found
    raise Skip(f"there is no {program}; it is in Debian's package {package}")


def wait_for(condition, what, seconds=WATCHDOG):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"the watchdog ended the wait for {what}"
        time.sleep(0.02)


class Scene:
    """A bus in a directory of its own, and everything that runs there; all of it goes at the end."""

    def __enter__(self):
        base = os.environ.get("RINGWAY_TEST_DIR")
        if not base:  # by this name `dev` finds it, should we be killed
            base = f"/dev/shm/ringway-test.{os.getpid()}"
            os.makedirs(base, 0o700, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(dir=base, prefix="ringwayd."))
        self.bus = self.path / "bus"
        self.environment = {**os.environ, "RINGWAY_DIR": str(self.bus)}
        self.running = []
        return self

    def __exit__(self, failure, *_):
        for log in self.path.glob("*.log") if failure else ():
            print(f"--- {log.name}", log.read_text()[-8000:], sep="\n")
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass
        shutil.rmtree(self.path)
        if "RINGWAY_TEST_DIR" not in os.environ:
            self.path.parent.rmdir()

    def start(self, *command, **options):
        process = subprocess.Popen([str(one) for one in command], env=self.environment, text=True, **options)
        self.running.append(process)
        return process

    def ringway(self, *words, **options):
        """Runs the command to its end."""
        return subprocess.run([bin_directory / "ringway", *words], env=self.environment, text=True, check=True,
                              capture_output=True, timeout=WATCHDOG, **options)

    def subscriber(self, topic, name, *words):
        process = self.start(bin_directory / "ringway", "sub", topic, "--name", name, *words, stdout=subprocess.DEVNULL)
        wait_for(lambda: self.info(topic) and any(one["name"] == name and one["attached"] for one in self.info(topic)["subscriptions"]),
                 f"subscription {name}")
        return process

    def publisher(self, topic, name, per_second=None, line="x" * 60):
        """A publisher of lines, until it is stopped; at full speed, or at a rate."""
        process = self.start(bin_directory / "ringway", "pub", topic, "--name", name, stdin=subprocess.PIPE)

        def feed():
            try:
                while True:
                    process.stdin.write(line + "\n" if per_second else (line + "\n") * 1000)
                    process.stdin.flush()
                    if per_second:
                        time.sleep(1 / per_second)
            except (OSError, ValueError):
                pass  # it has ended

        threading.Thread(target=feed, daemon=True).start()
        return process

    def info(self, topic):
        got = subprocess.run([bin_directory / "ringway", "info", topic, "--json"], env=self.environment, text=True,
                             capture_output=True, timeout=WATCHDOG)
        return json.loads(got.stdout) if got.returncode == 0 else None

    def monitor(self, *words, program="ringwayd", before=(), **options):
        return Monitor(self, [*before, bin_directory / program, "--listen", "127.0.0.1:0", *words], options)


class Monitor:
    """A running ringwayd, on any free port."""

    def __init__(self, scene, command, options):
        self.log = scene.path / f"ringwayd.{len(scene.running)}.log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = scene.start(*command, stderr=log, **options)
        line = wait_for(lambda: self.said("http://") or self.process.poll() is not None and "ended", "ringwayd to listen")
        assert line != "ended", self.log.read_text()
        self.port = int(line.rsplit(":", 1)[1].rstrip("/\n"))

    def said(self, what):
        """The line of its log with these words."""
        return next((line for line in self.log.read_text().splitlines() if what in line), None)

    def request(self, path, method="GET", headers=None, body=None, timeout=WATCHDOG):
        """Status, headers, text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **options):
        status, _, text = self.request(path, **options)
        assert status == 200, (path, status, text)
        return text

    def json(self, path, **options):
        return json.loads(self.get(path, **options))

    def raw(self, receive_buffer=None):
        """A bare connection."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(WATCHDOG)
        connection.connect(("127.0.0.1", self.port))
        return connection


def main(tests):
    """Runs the test that the command line names."""
    global bin_directory, source_directory
    bin_directory, source_directory = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    signal.alarm(4 * WATCHDOG)
    try:
        tests[sys.argv[3]]()
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(1 if os.environ.get("CI") else SKIPPED)
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        sys.exit(1)

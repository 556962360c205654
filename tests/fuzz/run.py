"""Runs the fuzz targets and tells what they did.

usage: run.py PROGRAMS OUTPUT SECONDS [TARGET] | --broken PROGRAMS OUTPUT SECONDS

PROGRAMS holds the built targets (<name>_fuzz); the seeds lie beside this script, in corpus/<name>. New inputs go to
OUTPUT/corpus/<name> and are used again by the next run, inputs that fail to OUTPUT/<name>-*. The targets share
the SECONDS, two at a time. Exit 1 if any failed. --broken: the library is broken in two places, and the image and the jobs target must find that.
"""
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = {"image": 600, "header": 200, "model": 800, "jobs": 600}  # bytes of an input
MOST_MEMORY = 4096  # MiB
SLOWEST = 20  # seconds an input may take; loops are counted, and stopped long before


def check_seeds(programs, name):
    """The committed seeds are what the target writes now."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([programs / f"{name}_fuzz", "--write-seeds", scratch], check=True)
        written = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}
    kept = {path.name: path.read_bytes() for path in (HERE / "corpus" / name).iterdir()}
    if written != kept:
        sys.exit(f"tests/fuzz/corpus/{name} is stale: {programs}/{name}_fuzz --write-seeds tests/fuzz/corpus/{name}")


class Target:
    def __init__(self, programs, output, name, seconds):
        corpus = output / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = output / f"{name}.log"
        self.before = set(output.glob(f"{name}-*"))
        self.output = output
        self.seconds = seconds
        environment = dict(os.environ)
        environment["ASAN_OPTIONS"] = "detect_leaks=0:malloc_context_size=4:allocator_may_return_null=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [programs / f"{name}_fuzz", f"-max_total_time={seconds}", f"-max_len={LONGEST[name]}", "-entropic=0",
                 "-print_final_stats=1", "-reload=0", f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY}",
                 f"-dict={HERE / 'words.dict'}", f"-artifact_prefix={output}/{name}-", corpus, HERE / "corpus" / name],
                stdout=log, stderr=subprocess.STDOUT, env=environment)
        self.start = time.monotonic()

    def finish(self):
        try:
            self.process.wait(self.seconds + 300)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        text = self.log.read_text(errors="replace")
        took = max(time.monotonic() - self.start, 1)
        progress = re.findall(r"^#(\d+)\t.*cov: (\d+) ft: \d+ corp: (\d+)/", text, re.MULTILINE)
        executions, coverage, inputs = (int(number) for number in progress[-1]) if progress else (0, 0, 0)
        crashes = sorted(set(self.output.glob(f"{self.name}-*")) - self.before)
        self.failed = self.process.returncode != 0
        self.text = text
        print(f"{self.name:8} {executions:>11,} {executions / took:>9,.0f} {inputs:>8,} {coverage:>9,} {len(crashes):>8}",
              flush=True)
        if executions == 0 and not self.failed:
            sys.exit(f"{self.name} did nothing: {self.log}")
        if self.failed:
            reason = re.search(r"^.*(FAILED: |runtime error: |ERROR: ).*$", text, re.MULTILINE)
            print(f"  {reason.group(0) if reason else 'it ended with ' + str(self.process.returncode)}")
            for crash in crashes:
                print(f"  input: {crash}\n  again: build/fuzz/bin/{self.name}_fuzz {crash}")
            print(f"  all it said: {self.log}")
        return self.failed


def heading():
    print(f"{'target':8} {'executions':>11} {'a second':>9} {'inputs':>8} {'coverage':>9} {'failures':>8}", flush=True)


def run(programs, output, seconds, only):
    names = [only] if only else list(LONGEST)
    for name in names:
        check_seeds(programs, name)
    heading()
    share = max(1, seconds * 2 // len(names)) if len(names) > 1 else seconds
    waiting, running, failed = list(names), [], False
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(Target(programs, output, waiting.pop(0), share))
        done = next((target for target in running if target.process.poll() is not None), None)
        overdue = [target for target in running if time.monotonic() - target.start > target.seconds + 300]
        if done is None and not overdue:
            time.sleep(0.2)
            continue
        target = done or overdue[0]
        running.remove(target)
        failed = target.finish() or failed
    return failed


def run_broken(programs, output, seconds):
    heading()
    for name, what in (("image", "without RingReader::plausible a reader"), ("jobs", "without its mark a job")):
        target = Target(programs, output, name, seconds)
        target.finish()
        if not target.failed or not re.search(r"ERROR: AddressSanitizer|runtime error:|FAILED: ", target.text):
            sys.exit(f"{name}: the broken library was not caught: the fuzzer proves nothing")
        print(f"as it must: {what} is caught after {time.monotonic() - target.start:.0f} s")
        for crash in set(output.glob(f"{name}-*")) - target.before:
            crash.unlink()
    return False


if __name__ == "__main__":
    arguments = sys.argv[1:]
    broken = arguments[:1] == ["--broken"]
    if broken:
        arguments.pop(0)
    if len(arguments) not in (3, 4):
        sys.exit(__doc__)
    programs, output, seconds = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    only = arguments[3] if len(arguments) > 3 else ""
    if only and only not in LONGEST:
        sys.exit(f"no such target: {only}; there are {', '.join(LONGEST)}")
    output.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if (run_broken(programs, output, seconds) if broken else run(programs, output, seconds, only)) else 0)

"""What the programs print with --json is what docs/json.md says: every field, its type, and no other.

usage: json_fields.py RINGWAY DOCUMENT | --self-test
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
SECONDS = 100  # below the timeout that ctest has for this test


class Document:
    """The tables of the document: for each kind of object, the type of each field."""

    def __init__(self, text):
        self.kinds = {}
        self.commands = set()  # the kinds that the command prints; what follows is ringwayd's
        of_the_command, *_ = re.split(r"^# Of `ringwayd`", text, flags=re.M)
        for section in re.split(r"^## ", text, flags=re.M)[1:]:
            name, _, body = section.partition("\n")
            if f"## {name}\n" in of_the_command:
                self.commands.add(name)
            fields = {}
            inherited = re.search(r"^An? \[([a-z ]+)\]\([^)]*\), (?:and|but)", body, re.M)
            if inherited:
                fields.update(self.kinds[inherited[1]])
            for cells in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", body, re.M):
                fields[cells[0]] = re.sub(r"\[([a-z ]+)\]\(#[a-z-]+\)", r"\1", cells[1]).strip()
            assert fields, f"{name}: no table of fields"
            self.kinds[name] = fields
        self.met = set()

    def problems(self, value, kind, where="$"):
        """What is wrong with the value, in words."""
        if kind.endswith(" or null"):
            return [] if value is None else self.problems(value, kind.removesuffix(" or null"), where)
        if kind.startswith("list of "):
            if not isinstance(value, list):
                return [f"{where} is no list: {value!r}"]
            return [one for i, item in enumerate(value) for one in self.problems(item, kind.removeprefix("list of "), f"{where}[{i}]")]
        if kind.startswith("map of "):
            if not isinstance(value, dict):
                return [f"{where} is no object: {value!r}"]
            return [one for key, item in value.items() for one in self.problems(item, kind.removeprefix("map of "), f"{where}[{key}]")]
        if kind in PLAIN:
            right = isinstance(value, PLAIN[kind]) and isinstance(value, bool) == (kind == "boolean")
            return [] if right else [f"{where} is no {kind}: {value!r}"]
        if kind not in self.kinds:
            return [f"{where}: nothing says what `{kind}` is"]
        if not isinstance(value, dict):
            return [f"{where} is no object: {value!r}"]
        self.met.add(kind)
        fields = self.kinds[kind]
        found = [f"{where}.{name} is not documented under `{kind}`" for name in value.keys() - fields.keys()]
        found += [f"{where}.{name} is documented under `{kind}`, and not there" for name in fields.keys() - value.keys()]
        for name in fields.keys() & value.keys():
            found += self.problems(value[name], fields[name], f"{where}.{name}")
        return found

    def check(self, value, kind):
        assert not (found := self.problems(value, kind)), "\n".join(found)


def read(path):
    return Document(Path(path).read_text(encoding="utf-8"))


class Bus:
    """A bus of its own with something of everything on it."""

    def __init__(self, ringway):
        self.ringway = ringway
        self.base = os.environ.get("RINGWAY_TEST_DIR")
        if not self.base:  # by this name `dev` finds it, should we be killed
            self.base = f"/dev/shm/ringway-test.{os.getpid()}"
            os.makedirs(self.base, 0o700, exist_ok=True)
        self.path = tempfile.mkdtemp(dir=self.base, prefix="json.")
        self.environment = {**os.environ, "RINGWAY_DIR": f"{self.path}/bus"}
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
            process.communicate()
        shutil.rmtree(self.path)
        if "RINGWAY_TEST_DIR" not in os.environ:
            os.rmdir(self.base)

    def run(self, *words, status=0, **options):
        got = subprocess.run([self.ringway, *words], env=self.environment, text=True, capture_output=True, check=False, timeout=SECONDS, **options)
        assert got.returncode == status, (words, got)
        return got.stdout

    def listing(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options))

    def start(self, *words):
        self.running.append(subprocess.Popen([self.ringway, *words], env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
        return self.running[-1].stdin

    def wait_for(self, topic, condition):
        end = time.monotonic() + SECONDS / 2
        while not condition(self.listing("info", topic)):
            assert time.monotonic() < end, f"the watchdog ended the wait for {topic}"

    def populate(self):
        self.run("create", "quotes", "--capacity", "32KiB", "--latency", "--access", "publish=owner,observe=everyone")
        self.run("subscription", "create", "quotes", "billing")
        self.run("pub", "quotes", "--name", "feed", input="one\ntwo\n")
        self.run("sub", "quotes", "--name", "pricing", "--count", "2")
        self.run("create", "torn")
        self.run("create", "half")
        os.truncate(f"{self.path}/bus/torn.data", 10)
        os.remove(f"{self.path}/bus/half.data")
        self.run("pub", "jobs", input="one\n")
        self.run("pub", "poison", input="one\n")
        nobody, output = os.pipe()
        os.close(nobody)  # so that the attempt fails
        member = [self.ringway, "sub", "poison", "--group", "g", "--ack-after-output", "--max-attempts", "1", "--dead-letter", "dead"]
        subprocess.run(member, env=self.environment, stdout=output, check=True, timeout=SECONDS)
        os.close(output)
        self.run("sub", "poison", "--group", "g", "--timeout", "1ms", status=3)
        self.start("sub", "jobs", "--group", "workers")
        self.wait_for("jobs", lambda topic: any(one["members"] for one in topic["subscriptions"]))
        lines = self.start("pub", "quotes", "--name", "waits")
        lines.write(b"a line\n" * 1000)
        lines.flush()
        self.wait_for("quotes", lambda topic: any(one["waiting_ns"] for one in topic["publishers"]))


def check_commands(ringway, document):
    with Bus(ringway) as bus:
        bus.populate()
        shown = {
            ("ls",): "list of topic",
            ("info", "quotes"): "topic",
            ("info", "torn"): "topic",
            ("subscription", "ls"): "list of named subscription",
            ("subscription", "info", "quotes", "billing"): "named subscription",
            ("observe", "quotes", "--last", "1"): "message",
            ("observe", "dead", "--last", "1"): "message",
            ("doctor",): "list of finding",
            ("gc",): "list of leftover",
            ("where",): "place",
        }
        for words, kind in shown.items():
            document.check(bus.listing(*words), kind)
        document.check(bus.listing("check", "--max-lag", "0", status=1), "list of finding")
        commands = {words[0] if words[0] != "subscription" else " ".join(words[:2]) for words in shown} | {"check"}
        offered = dict(re.findall(r"\"([a-z ]+)\"\) words='([^']*)'", bus.run("manual", "bash")))
        if "bench" in offered:
            commands.add("bench")
            if len(os.sched_getaffinity(0)) > 1:
                document.check(bus.listing("bench"), "measurement")
        taking = {name for name, words in offered.items() if "--json" in words.split()}
        assert taking == commands, f"take --json and are not looked at here: {taking ^ commands}"
        not_met = document.commands - document.met
        assert not_met <= {"measurement", "figure"}, f"documented and never met: {not_met}"


def self_test():
    document = Document("# x\n## inner\n| `n` | integer | |\n## base\n| `s` | string | |\n| `i` | [inner](#inner) or null | |\n"
                        "## all\nA [base](#base), and:\n| `l` | list of number | |\n")
    good = {"s": "", "i": {"n": 1}, "l": [1, 2.5]}
    assert not document.problems(good, "all") and not document.problems({**good, "i": None}, "all")
    for bad in ({**good, "more": 1}, {"s": "", "i": None}, {**good, "s": 1}, {**good, "i": {"n": 1.5}}, {**good, "i": {"n": True}},
                {**good, "l": ["x"]}, {**good, "l": 1}, {**good, "i": {"n": 1, "m": 2}}, [], None):
        assert len(document.problems(bad, "all")) == 1 or bad in ([], None), bad
        assert document.problems(bad, "all"), bad


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    else:
        check_commands(sys.argv[1], read(sys.argv[2]))

"""What watching does to a bus: nothing."""
import json
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

import support
from support import Scene, wait_for


def TheBusIsOnlyRead():
    with Scene() as scene:
        scene.ringway("create", "orders", "--capacity", "32KiB")
        scene.ringway("subscription", "create", "orders", "billing")
        scene.ringway("pub", "orders", "--name", "desk", input="one\ntwo\n")
        files = sorted(scene.bus.iterdir())
        before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
        monitor = scene.monitor()
        wait_for(lambda: monitor.json("/api/v1/topic?name=orders")["rates"]["seconds"], "two looks")
        process = Path(f"/proc/{monitor.process.pid}")
        mapped = [line for line in (process / "maps").read_text().splitlines() if str(scene.bus) in line]
        assert mapped and all(line.split()[1] == "r--s" for line in mapped), mapped
        opened = [link for link in (process / "fd").iterdir() if os.readlink(link).startswith(str(scene.bus))]
        for link in opened:
            flags = int(re.search(r"flags:\s*(\d+)", (process / "fdinfo" / link.name).read_text())[1], 8)
            assert flags & os.O_ACCMODE == os.O_RDONLY, (link, oct(flags))
        inodes = {str(file.stat().st_ino) for file in files}
        locks = [line for line in Path("/proc/locks").read_text().splitlines() if line.split()[5].split(":")[-1] in inodes and "WRITE" in line]
        assert not locks, locks
        assert sorted(scene.bus.iterdir()) == files
        assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before


def MessagesFlowWhileItIsStoppedAndWhenItIsKilled():
    with Scene() as scene:
        scene.ringway("create", "orders", "--capacity", "32KiB")
        scene.ringway("subscription", "create", "orders", "billing")  # whoever starts first, nothing is overtaken
        for what in (signal.SIGSTOP, signal.SIGKILL):
            monitor = scene.monitor()
            hammering = threading.Event()

            def hammer():
                try:
                    while not hammering.is_set():
                        monitor.json("/api/v1/topics", timeout=1)
                except OSError:
                    pass

            asking = threading.Thread(target=hammer)
            asking.start()
            monitor.process.send_signal(what)
            got = scene.path / f"got.{what.name}"
            with open(got, "w", encoding="utf-8") as output:
                reader = scene.start(support.bin_directory / "ringway", "sub", "orders", "--name", "billing", "--count", "20000", stdout=output)
            lines = "".join(f"{i}\n" for i in range(20000))
            scene.ringway("pub", "orders", input=lines)  # many times the ring
            assert reader.wait(support.WATCHDOG) == 0 and got.read_text() == lines
            hammering.set()
            asking.join()
            monitor.process.kill()


class Instructions:
    """How many instructions a publish and a receive take, on a topic of its own for each count."""

    def __init__(self, scene):
        self.scene = scene
        self.topics = 0
        self.alone = self.beside(lambda topic: None)

    def beside(self, begin):
        """The count, once `begin(topic)` has started what is to make no difference."""
        self.topics += 1
        topic = f"t{self.topics}"
        counter = self.scene.start(support.bin_directory / "tests/instructions_main", topic, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert counter.stdout.readline() == "ready\n"
        begin(topic)
        return int(counter.communicate("go\n", timeout=support.WATCHDOG)[0])

    def of_a_sleepers_topic(self):
        """That a subscriber sleeps can be told from the count; so could what a watcher does, if it did anything."""
        return self.beside(lambda topic: (self.scene.subscriber(topic, "sleeper"), wait_for(
            lambda: any(one["sleeping"] for one in self.scene.info(topic)["subscriptions"]), "sleep")))


def InstructionsAreTheSameBesideTheMonitor():
    with Scene() as scene:
        instructions = Instructions(scene)
        config = scene.path / "ringwayd.toml"
        config.write_text("refresh = '100ms'\n")
        monitor = scene.monitor("--config", config)

        def seen(topic):
            def twice():
                status, _, text = monitor.request(f"/api/v1/topic?name={topic}")
                return status == 200 and json.loads(text)["rates"]["seconds"]

            wait_for(twice, "the monitor to look at it")

        assert instructions.beside(seen) == instructions.alone
        monitor.process.send_signal(signal.SIGSTOP)
        assert instructions.beside(lambda topic: None) == instructions.alone
        monitor.process.kill()
        assert instructions.beside(lambda topic: None) == instructions.alone
        assert instructions.of_a_sleepers_topic() != instructions.alone


def InstructionsAreTheSameBesideEveryCommandThatLooks():
    with Scene() as scene:
        instructions = Instructions(scene)
        ringway = support.bin_directory / "ringway"
        # Again and again until it is killed; each time it has gone through, a byte comes out.
        again = ["sh", "-c", '"$@" >/dev/null; printf .; while :; do "$@" >/dev/null; done', "sh"]
        once = {"ls": ["ls"], "info": ["info", "TOPIC"], "subscription ls": ["subscription", "ls"], "check": ["check"], "where": ["where"],
                "subscription info": ["subscription", "info", "TOPIC", "reader"], "gc": ["gc"], "doctor": ["doctor"],
                "observe --last": ["observe", "TOPIC", "--last", "5"]}
        long = {"info --watch": ["info", "TOPIC", "--watch"], "observe": ["observe", "TOPIC", "--from", "oldest"],
                "top": ["top", "--interval", "20ms"], "top TOPIC": ["top", "TOPIC", "--interval", "20ms"]}
        for name, words in {**once, **long}.items():
            terminal, side = pty.openpty()
            os.set_blocking(terminal, False)

            def look(topic, name=name, words=words, terminal=terminal, side=side):
                command = [ringway, *(topic if word == "TOPIC" else word for word in words)]
                watching = scene.start(*(again if name in once else []), *command, stdin=side, stdout=side, start_new_session=True)

                def shown():
                    try:
                        return os.read(terminal, 65536)
                    except BlockingIOError:
                        return b""

                wait_for(shown, f"{name} to show something")
                return watching

            scene.environment["TERM"] = "xterm"
            running = []
            assert instructions.beside(lambda topic: running.append(look(topic))) == instructions.alone, name
            os.killpg(running[0].pid, signal.SIGKILL)
            running.clear()
            if name in long:
                assert instructions.beside(lambda topic: (running.append(look(topic)), running[0].send_signal(signal.SIGSTOP))) == instructions.alone, name
                running.clear()
                assert instructions.beside(lambda topic: (running.append(look(topic)), running[0].kill(), running[0].wait())) == instructions.alone, name
            os.close(terminal)
            os.close(side)
        assert instructions.of_a_sleepers_topic() != instructions.alone


if __name__ == "__main__":
    support.main(globals())

"""ringwayd as a service: its configuration, its signals, its units, and that it leaves the bus alone."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import support
from support import Scene, need, wait_for


def check(scene, text, *words):
    """What --check-config says of a file with this text: exit code and output."""
    file = scene.path / "ringwayd.toml"
    file.write_text(text)
    got = subprocess.run([support.bin_directory / "ringwayd", "--config", file, "--check-config", *words], text=True, capture_output=True,
                         check=False, env=scene.environment, timeout=support.WATCHDOG)
    return got.returncode, (got.stdout + got.stderr).replace(str(scene.path), "DIR")


def AWrongConfigurationIsToldWithItsLine():
    with Scene() as scene:
        open_token, short_token = scene.path / "open", scene.path / "short"
        open_token.write_text("0123456789abcdef\n")
        open_token.chmod(0o644)
        short_token.write_text("secret\n")
        short_token.chmod(0o600)
        for text, told in (
                ("listen = '127.0.0.1'", 'DIR/ringwayd.toml:1: listen: is "127.0.0.1"; it must be an address and a port (0 to 65535)'),
                ("\nlisten = 'localhost:1'", 'DIR/ringwayd.toml:2: listen: is "localhost:1"; it must be an address'),
                ("listen = '127.0.0.1:65536'", "ringwayd.toml:1: listen: is"),
                ("listen = 9471", "ringwayd.toml:1: listen: is of type integer; it must be a string, as \"127.0.0.1:9471\""),
                ("listen = '0.0.0.0:9471'", 'ringwayd.toml:1: listen: is "0.0.0.0:9471", which other machines may reach; that needs a token'),
                ("listen = '[::]:9471'", "that needs a token"),
                ("buses = ['a',\n'b/c']", 'ringwayd.toml:2: buses: is "b/c"; it must be the name'),
                ("buses = 'a'", "ringwayd.toml:1: buses: is of type string; it must be a list of strings"),
                ("buses = ['a', 3]", "buses: has an element of type integer"),
                ("buses = ['a', 'b', 'a']", 'buses: is "a", which is the bus a again'),
                ("dirs = ['srv/bus']", 'dirs: is "srv/bus"; it must be a path from /'),
                ("refresh = '1ms'", 'refresh: is "1ms"; it must be from 100 ms to 60 s'),
                ("refresh = 'soon'", "refresh: `soon` is no time"),
                (f"token_file = '{open_token}'", 'token_file: is "DIR/open", whose mode is 0644; only its owner may read it: `chmod 600 DIR/open`'),
                (f"token_file = '{short_token}'", "token_file: is \"DIR/short\", whose first line has 6 characters; it must have 16 or more"),
                (f"token_file = '{scene.path}/none'", 'token_file: is "DIR/none": No such file or directory'),
                ("port = 9471", "ringwayd.toml:1: port: is no key; these are: listen, buses, dirs, hosts, token_file, refresh"),
                ("buses = ['a'\nlisten = 3", "ringwayd.toml:2: "),
                ("[web]\nlisten = 3", "ringwayd.toml:1: web: is no key")):
            code, output = check(scene, text)
            assert code == 2 and told in output, (text, code, output)
        code, output = check(scene, "listen = 3\nrefresh = 4\nport = 5")
        assert code == 2 and len(output.splitlines()) == 3, output  # all of it at once
        code, output = check(scene, "buses = ['a', 'b']\nlisten = '[::1]:9471'\nrefresh = '2s'\nhosts = ['x']\n")
        assert (code, output) == (0, "the configuration is good\n"), output
        open_token.chmod(0o600)
        assert check(scene, f"listen = '0.0.0.0:1'\ntoken_file = '{open_token}'")[0] == 0
        assert check(scene, "listen = '127.0.0.1:1'", "--listen", "0.0.0.0:1")[0] == 2  # the command line goes before the file
        got = subprocess.run([support.bin_directory / "ringwayd", "--config", scene.path / "none", "--check-config"], text=True,
                             capture_output=True, check=False, timeout=support.WATCHDOG)
        assert got.returncode == 2 and "none: " in got.stderr and "No such file" in got.stderr, got
        assert subprocess.run([support.bin_directory / "ringwayd", "--config", f"-{scene.path}/none", "--check-config"], stdout=subprocess.DEVNULL,
                              check=True, timeout=support.WATCHDOG)


def AnAddressThatIsTakenIsToldWithItsCause():
    with Scene() as scene:
        port = scene.monitor().port
        got = subprocess.run([support.bin_directory / "ringwayd", "--listen", f"127.0.0.1:{port}"], text=True, capture_output=True,
                             check=False, env=scene.environment, timeout=support.WATCHDOG)
        assert got.returncode == 1 and f"cannot listen on 127.0.0.1 port {port}: Address already in use" in got.stderr, got


class NotifySocket:
    """As systemd has it: what the service says about itself."""

    def __init__(self, scene):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"{scene.path}/notify")
        self.socket.settimeout(support.WATCHDOG)
        scene.environment["NOTIFY_SOCKET"] = f"{scene.path}/notify"

    def next(self):
        while True:
            said = self.socket.recv(4096).decode().splitlines()
            if said != ["WATCHDOG=1"]:
                return said


def TellsSystemdWhenItIsReadyReloadsAndStops():
    with Scene() as scene:
        scene.ringway("create", "orders")
        notify = NotifySocket(scene)
        config = scene.path / "ringwayd.toml"
        config.write_text(f"dirs = ['{scene.bus}']\n")
        monitor = scene.monitor("--config", config)
        assert notify.next() == ["READY=1"]
        assert len(monitor.json("/api/v1/topics")) == 1  # it had looked before it said so

        other = scene.path / "other"
        scene.ringway("--dir", str(other), "create", "invoices")
        token = scene.path / "token"
        token.write_text("0123456789abcdef\n")
        token.chmod(0o600)
        config.write_text(f"dirs = ['{scene.bus}', '{other}']\ntoken_file = '{token}'\n")
        monitor.process.send_signal(signal.SIGHUP)
        said = notify.next()
        assert said[0] == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=\d+", said[1]), said
        assert notify.next() == ["READY=1"]
        right = {"Authorization": "Bearer 0123456789abcdef"}
        assert monitor.request("/metrics")[0] == 401
        wait_for(lambda: len(monitor.json("/api/v1/topics", headers=right)) == 2, "the other bus")

        config.write_text("dirs = ['x']\n")  # wrong: everything stays
        monitor.process.send_signal(signal.SIGHUP)
        assert notify.next()[0] == "RELOADING=1" and notify.next() == ["READY=1"]
        wait_for(lambda: monitor.said("must be a path from /"), "the complaint")
        assert monitor.said("everything stays as it was")
        assert len(monitor.json("/api/v1/topics", headers=right)) == 2
        assert monitor.request("/metrics")[0] == 401

        monitor.process.send_signal(signal.SIGTERM)
        assert notify.next() == ["STOPPING=1"]
        assert monitor.process.wait(support.WATCHDOG) == 0


def SigtermLetsAnswersUnderWayEnd():
    with Scene() as scene:
        monitor = scene.monitor()
        size = int(monitor.request("/chart.js", "HEAD")[1]["Content-Length"])
        idle, slow = monitor.raw(), monitor.raw(receive_buffer=4096)
        slow.sendall(b"GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = slow.recv(1000)  # the answer is under way
        monitor.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""  # ended at once, while the other goes on
        assert monitor.process.poll() is None
        while more := slow.recv(65536):
            got += more
        assert len(got.split(b"\r\n\r\n", 1)[1]) == size
        assert monitor.process.wait(support.WATCHDOG) == 0
        for connection in (idle, slow):
            connection.close()


def TheUnitsAreWhatSystemdExpects():
    analyze = need("systemd-analyze", "systemd")
    with Scene() as scene:
        tree = scene.path / "tree"
        subprocess.run(["cmake", "--install", support.bin_directory.parent, "--prefix", tree, "--component", "ringwayd"], check=True,
                       stdout=subprocess.DEVNULL, timeout=support.WATCHDOG)
        assert (tree / "share/ringway/prometheus-alerts.yml").is_file()
        units = tree / "lib/systemd"
        for unit, user in ((units / "user/ringwayd.service", ["--user"]), (units / "system/ringwayd@.service", [])):
            text = unit.read_text()
            assert f"ExecStart={tree}/bin/ringwayd " in text, text
            file = str(unit).replace("@.", f"@{os.environ.get('USER', 'root')}.")
            if file != str(unit):
                os.link(unit, file)
            got = subprocess.run([analyze, *user, "--man=no", "verify", file], text=True, capture_output=True, check=False, timeout=support.WATCHDOG,
                                 env={**os.environ, "XDG_RUNTIME_DIR": str(scene.path)})
            ours = [line for line in got.stderr.splitlines() if "ringwayd" in line]
            assert not ours and got.returncode == 0, (unit, got)
            # The check can fail.
            Path(file).unlink()
            Path(file).write_text(text.replace("/bin/ringwayd ", "/bin/nothing ").replace("[Service]", "[Service]\nNoSuchThing=1"))
            got = subprocess.run([analyze, *user, "--man=no", "verify", file], text=True, capture_output=True, check=False, timeout=support.WATCHDOG,
                                 env={**os.environ, "XDG_RUNTIME_DIR": str(scene.path)})
            assert "NoSuchThing" in got.stderr and "nothing is not executable" in got.stderr, got.stderr


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


def PublishAndReceiveRunTheSameInstructionsBesideIt():
    with Scene() as scene:
        def instructions(topic, before):
            counter = scene.start(support.bin_directory / "tests/instructions_main", topic, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert counter.stdout.readline() == "ready\n"
            before(topic)
            return int(counter.communicate("go\n", timeout=support.WATCHDOG)[0])

        alone = instructions("alone", lambda topic: None)
        config = scene.path / "ringwayd.toml"
        config.write_text("refresh = '100ms'\n")
        monitor = scene.monitor("--config", config)

        def seen(topic):
            def twice():
                status, _, text = monitor.request(f"/api/v1/topic?name={topic}")
                return status == 200 and json.loads(text)["rates"]["seconds"]

            wait_for(twice, "the monitor to look at it")

        assert instructions("looked-at", seen) == alone
        monitor.process.send_signal(signal.SIGSTOP)
        assert instructions("stopped", lambda topic: None) == alone
        monitor.process.kill()
        assert instructions("killed", lambda topic: None) == alone
        # That a subscriber sleeps can be told from the count; so could what a monitor does, if it did anything.
        assert instructions("slept-on", lambda topic: (scene.subscriber(topic, "sleeper"), wait_for(
            lambda: any(one["sleeping"] for one in scene.info(topic)["subscriptions"]), "sleep"))) != alone


if __name__ == "__main__":
    support.main(globals())

"""ringwayd as a service: its configuration, its signals, its units, its duty."""
import json
import os
import pty
import re
import signal
import socket
import subprocess
from pathlib import Path

import support
from support import Scene, Skip, need, wait_for


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
                ("port = 9471", "ringwayd.toml:1: port: is no key; these are: listen, buses, dirs, hosts, token_file, refresh, gc"),
                ("gc = true", 'gc: is of type boolean; it must be a string, as "10min"'),
                ("gc = '1ms'", 'gc: is "1ms"; it must be from 1.0 s to'),
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


def ItEndsWithTheTerminalItWasStartedIn():
    with Scene() as scene:
        terminal, side = pty.openpty()
        # setsid makes the terminal its own, as a shell's window has it.
        monitor = scene.monitor(before=["setsid", "--ctty"], stdin=side)
        os.close(side)
        monitor.process.send_signal(signal.SIGHUP)  # the terminal is there: read the configuration again
        wait_for(lambda: monitor.said("configuration read again"), "the configuration to be read")
        os.close(terminal)
        assert monitor.process.wait(support.WATCHDOG) == 0


def TheUnitsAreWhatSystemdExpects():
    analyze = need("systemd-analyze", "systemd")
    with Scene() as scene:
        tree = scene.path / "tree"
        subprocess.run(["cmake", "--install", support.bin_directory.parent, "--prefix", tree, "--component", "ringwayd"], check=True,
                       stdout=subprocess.DEVNULL, timeout=support.WATCHDOG)
        assert (tree / "share/ringway/prometheus-alerts.yml").is_file()
        assert (tree / "share/man/man1/ringwayd.1").read_text().startswith(".TH RINGWAYD 1")
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
            if not user:  # what is to be added for the duty `gc`
                drop_in = Path(f"{file}.d")
                drop_in.mkdir()
                for text_of, right in (((tree / "share/ringway/ringwayd-gc.conf").read_text(), True), ("[Service]\nReadOnlyPath=\n", False)):
                    (drop_in / "gc.conf").write_text(text_of)
                    got = subprocess.run([analyze, "--man=no", "verify", file], text=True, capture_output=True, check=False, timeout=support.WATCHDOG)
                    assert ("gc.conf" not in got.stderr) == right, got.stderr
            # The check can fail.
            Path(file).unlink()
            Path(file).write_text(text.replace("/bin/ringwayd ", "/bin/nothing ").replace("[Service]", "[Service]\nNoSuchThing=1"))
            got = subprocess.run([analyze, *user, "--man=no", "verify", file], text=True, capture_output=True, check=False, timeout=support.WATCHDOG,
                                 env={**os.environ, "XDG_RUNTIME_DIR": str(scene.path)})
            assert "NoSuchThing" in got.stderr and "nothing is not executable" in got.stderr, got.stderr


def leave_something(scene):
    """What belongs to nobody, and what only looks like it; the names of the first."""
    def dies(*words):
        process = scene.start(support.bin_directory / "ringway", *words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        wait_for(lambda: scene.info(words[1]) and any(one["attached"] for one in scene.info(words[1])["subscriptions"]), words)
        process.kill()
        process.wait()

    scene.ringway("create", "half")
    (scene.bus / "half.data").unlink()
    scene.ringway("create", "passing", "--temporary")
    dies("sub", "passing")
    scene.ringway("create", "orders")
    scene.ringway("subscription", "create", "orders", "billing")
    dies("sub", "orders")
    scene.ringway("create", "unread")
    scene.ringway("pub", "unread", input="one\n")
    scene.ringway("create", "used", "--temporary")
    scene.subscriber("used", "reader")
    return ["half", "orders", "passing"]


def left_over(scene):
    return sorted(one["topic"] for one in json.loads(scene.ringway("gc", "--json").stdout))


def ItRemovesWhatBelongsToNobodyIfItIsToldToAndNotBefore():
    with Scene() as scene:
        left = leave_something(scene)
        assert left_over(scene) == left
        config = scene.path / "ringwayd.toml"
        config.write_text("refresh = '100ms'\n")
        monitor = scene.monitor("--config", config)
        wait_for(lambda: monitor.json("/api/v1/summary")["look"] > 20, "some looks")
        assert left_over(scene) == left  # off by default

        config.write_text("refresh = '100ms'\ngc = '1s'\n")
        monitor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not left_over(scene), "the rest to go")
        for topic in left:
            wait_for(lambda topic=topic: monitor.said(f"gc: {topic}: removed from"), f"a word about {topic}")
        there = {topic["name"]: topic for topic in json.loads(scene.ringway("ls", "--json").stdout)}
        assert sorted(there) == ["orders", "unread", "used"], there
        assert [one["name"] for one in there["orders"]["subscriptions"]] == ["billing"]
        assert scene.ringway("observe", "unread", "--last", "1").stdout == "one\n"

        config.write_text("refresh = '100ms'\n")  # and off again
        monitor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: monitor.log.read_text().count("configuration read again") == 2, "the configuration to be read")
        scene.ringway("create", "half")
        (scene.bus / "half.data").unlink()
        look = monitor.json("/api/v1/summary")["look"]
        wait_for(lambda: monitor.json("/api/v1/summary")["look"] > look + 20, "some looks")
        assert left_over(scene) == ["half"]


def WhatItMayNotRemoveIsToldOnce():
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a bus read-only")
    with Scene() as scene:
        left = leave_something(scene)
        config = scene.path / "ringwayd.toml"
        config.write_text("refresh = '100ms'\ngc = '1s'\n")
        # As the system unit has it.
        program = scene.path / "read-only"
        program.write_text(f"#!/bin/sh\nmount --bind {scene.bus} {scene.bus} && mount -o remount,bind,ro {scene.bus} &&\n"
                           f"exec {support.bin_directory}/ringwayd \"$@\"\n")
        program.chmod(0o755)
        if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
            raise Skip("may not make a mount namespace")
        monitor = scene.monitor("--config", config, program=program, before=["unshare", "-m"])
        wait_for(lambda: monitor.said("gc: half: "), "the complaint")
        assert "ringwayd-gc.conf" in monitor.said("gc: half: "), monitor.log.read_text()
        look = monitor.json("/api/v1/summary")["look"]
        wait_for(lambda: monitor.json("/api/v1/summary")["look"] > look + 25, "some looks")
        assert monitor.log.read_text().count("gc: half: ") == 1, monitor.log.read_text()
        assert left_over(scene) == left


if __name__ == "__main__":
    support.main(globals())

"""What ringwayd answers, to whom, and how it bears those who are slow, large or many."""
import json
import os
import subprocess
import sys
import threading
import time

import support
from support import Scene, wait_for

SLOW_CLIENTS = 50


def TopicsOfTheApiAreThoseOfTheCommandLine():
    with Scene() as scene:
        scene.ringway("create", "orders", "--capacity", "32KiB")
        scene.ringway("subscription", "create", "orders", "billing")
        scene.ringway("pub", "orders", "--name", "desk", input="one\ntwo\n")
        monitor = scene.monitor()

        def timeless(topic):
            return {key: value for key, value in topic.items() if key not in ("bus", "seen_ns", "rates", "history")}

        by_command = json.loads(scene.ringway("ls", "--json").stdout)
        listed = monitor.json("/api/v1/topics")
        assert [timeless(one) for one in listed] == [timeless(one) for one in by_command], (listed, by_command)
        one = monitor.json("/api/v1/topic?name=orders")
        assert timeless(one) == timeless(by_command[0]), (one, by_command)
        assert one["bus"] == str(scene.bus)
        assert set(one["history"]) == {"messages_per_second", "bytes_per_second", "lag_bytes"}, one["history"]
        assert list(one["history"]["lag_bytes"]) == ["billing"]
        brief = monitor.json("/api/v1/summary")["topics"][0]
        assert brief == {"bus": str(scene.bus), "name": "orders", "problem": "", "capacity_bytes": 32768, "messages": 2,
                         "messages_per_second": 0.0, "bytes_per_second": 0.0, "lag_bytes": 128, "publishers": 0,
                         "publishers_waiting": 0, "subscriptions": 1}, brief
        assert monitor.request("/api/v1/topic?name=nothing")[0] == 404
        assert monitor.request("/api/v1/topic")[0] == 404


def EveryFieldOfTheApiIsDocumented():
    sys.path.insert(0, str(support.source_directory / "tests/checks"))
    import json_fields
    document = json_fields.read(support.source_directory / "docs/json.md")
    with Scene() as scene:
        scene.ringway("create", "orders", "--capacity", "32KiB", "--latency")
        scene.subscriber("orders", "billing")
        scene.publisher("orders", "desk", 100)
        scene.ringway("create", "torn")
        os.truncate(scene.bus / "torn.data", 10)
        monitor = scene.monitor()
        wait_for(lambda: monitor.json("/api/v1/recent")["topics"][0]["recent"], "rates")
        for path, kind in (("buses", "list of bus"), ("topics", "list of seen topic"), ("topic?name=orders", "topic with history"),
                           ("topic?name=torn", "topic with history"), ("findings", "list of seen finding"), ("summary", "summary"), ("recent", "recent")):
            document.check(monitor.json(f"/api/v1/{path}"), kind)
        not_met = document.kinds.keys() - document.commands - document.met
        assert not not_met, f"documented and never met: {not_met}"
        status, _, text = monitor.request("/api/v1/nothing")
        assert status == 404 and list(json.loads(text)) == ["error"], text


def TheLatencyOfAGroupIsTold():
    with Scene() as scene:
        scene.ringway("create", "jobs", "--latency")
        monitor = scene.monitor()
        scene.start(support.bin_directory / "ringway", "sub", "jobs", "--group", "workers", stdout=subprocess.DEVNULL)
        scene.publisher("jobs", "desk", 100)

        def of_the_group():
            topic = monitor.json("/api/v1/topic?name=jobs")
            if not topic["subscriptions"]:
                return None
            return topic["subscriptions"][0]["latency"], topic["rates"]["subscriptions"][0]["latency"]

        wait_for(lambda: (seen := of_the_group()) and seen[1] and seen[0]["p99_ns"] and seen[1]["p99_ns"], "percentiles of both kinds")
        count = next(line for line in monitor.get("/metrics").splitlines() if "latency_seconds_count" in line)
        assert 'subscription="workers"' in count and float(count.split()[-1]) > 0, count


def ABusThatComesLaterIsSeenAndNeverMade():
    with Scene() as scene:
        later = scene.path / "later"
        scene.ringway("create", "orders")
        monitor = scene.monitor("--dir", str(scene.bus), "--dir", str(later))
        wait_for(lambda: monitor.json("/api/v1/summary")["look"] > 2, "more looks")
        assert not later.exists()
        buses = monitor.json("/api/v1/buses")
        assert [bus["topics"] for bus in buses] == [1, 0], buses
        assert buses[1]["problem"] == f"{later}: not there yet", buses
        assert f'ringway_bus_up{{bus="{later}"}} 0' in monitor.get("/metrics")
        scene.ringway("--dir", str(later), "create", "invoices")
        wait_for(lambda: [bus["problem"] for bus in monitor.json("/api/v1/buses")] == ["", ""], "the bus")
        assert [topic["name"] for topic in monitor.json("/api/v1/topics")] == ["orders", "invoices"]
        scene.ringway("--dir", str(later), "rm", "invoices", "--force")
        later.rmdir()
        wait_for(lambda: monitor.json("/api/v1/buses")[1]["problem"], "the bus to be missed")


def AThousandTopicsHaveLabelsAndTheRestIsOne():
    with Scene() as scene:
        maker = scene.start(support.bin_directory / "tests/topics_main", "1003", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert maker.stdout.readline() == "ready\n"
        monitor = scene.monitor()

        def values(metric):
            lines = [line for line in monitor.get("/metrics").splitlines() if line.startswith(metric + "{")]
            return {line.split('topic="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

        messages = values("ringway_topic_messages_total")
        assert len(messages) == 1001 and set(messages.values()) == {1.0, 3.0}, (len(messages), set(messages.values()))
        assert messages["other"] == 3
        assert "ringwayd_topics_summed_up 3" in monitor.get("/metrics")
        # A labelled one goes: its place is for a topic that comes, and the sum of the others only grows.
        scene.ringway("rm", "t10000", "--force")
        maker.stdin.write("more\n")
        maker.stdin.flush()
        assert maker.stdout.readline() == "more\n"
        messages = wait_for(lambda: (now := values("ringway_topic_messages_total")).get("other", 0) > 3 and now, "news of the others")
        assert "t10000" not in messages and messages["t10001"] == 2, messages
        assert messages["other"] == 6 and len(messages) == 1000, (messages["other"], len(messages))


def OnlyThoseWhoMayAreAnswered():
    with Scene() as scene:
        token = scene.path / "token"
        token.write_text("0123456789abcdef\n")
        token.chmod(0o600)
        config = scene.path / "ringwayd.toml"
        config.write_text(f'hosts = ["monitor.example"]\ntoken_file = "{token}"\n')
        monitor = scene.monitor("--config", str(config))
        right = {"Authorization": "Bearer 0123456789abcdef"}
        for path in ("/metrics", "/api/v1/summary", "/api/v1/topics", "/api/v1/topic?name=x", "/api/v1/findings", "/api/v1/buses", "/api/v1/recent"):
            for headers in ({}, {"Authorization": "Bearer 0123456789abcdeX"}, {"Authorization": "Bearer 0123456789abcdef0"}, {"Authorization": "Basic eDp5"}):
                status, got, text = monitor.request(path, headers=headers)
                assert status == 401 and got["WWW-Authenticate"] == "Bearer" and "token_file" in text, (path, headers, status, text)
            assert monitor.request(path, headers=right)[0] == (404 if "name=x" in path else 200), path
        for path in ("/", "/page.js", "/page.css", "/chart.js"):  # the page, which then asks for the token
            assert monitor.request(path)[0] == 200, path

        # A name that an attacker has pointed at us (DNS rebinding).
        for host, status in (("evil.example", 421), ("evil.example:9471", 421), ("localhost.evil.example", 421), ("", 421), ("127.0.0.1.evil.example", 421),
                             ("localhost", 200), ("localhost:80", 200), ("127.0.0.1", 200), ("10.1.2.3:9", 200), ("[::1]:9471", 200),
                             ("monitor.example:9471", 200)):
            assert monitor.request("/metrics", headers={**right, "Host": host})[0] == status, host
            assert monitor.request("/", headers={"Host": host})[0] == status, host

        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, got, _ = monitor.request("/metrics", method, right, body="x" * 100)
            assert status == 405 and got["Allow"] == "GET, HEAD", (method, status)
        assert monitor.request("/metrics", "GET", right, body="x")[0] == 413
        status, got, text = monitor.request("/metrics", "HEAD", right)
        assert status == 200 and int(got["Content-Length"]) > 100 and text == ""
        assert monitor.request("/", headers=right)[1]["Content-Security-Policy"].startswith("default-src 'none'")


def LargeAndEndlessRequestsAreEnded():
    with Scene() as scene:
        monitor = scene.monitor()
        for head in (b"GET /" + b"a" * 100_000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000,
                     b"\0" * 100_000, b"\r\n" * 100_000, b"GET"):
            with monitor.raw() as connection:
                answer = b""
                try:
                    connection.sendall(head)
                    while got := connection.recv(65536):
                        answer += got
                except ConnectionError:
                    pass  # ended while we still sent
                assert b"200 OK" not in answer, (head[:40], answer[:200])
        assert "ringwayd_looks_total" in monitor.get("/metrics")


def ConnectionsBeyondTheLimitMakeRoom():
    with Scene() as scene:
        monitor = scene.monitor()
        idle = [monitor.raw() for _ in range(200)]
        for _ in range(20):
            assert "ringwayd_looks_total" in monitor.get("/metrics")
        for connection in idle:
            connection.setblocking(False)

        def is_open(connection):
            try:
                return connection.recv(100) != b""
            except BlockingIOError:
                return True
            except ConnectionError:
                return False

        def closed():  # by threads that have yet to get to it; idle ones would not end before 10 s
            idle[:] = [connection for connection in idle if is_open(connection)]
            return len(idle) <= 100

        wait_for(closed, "100 of 200 idle connections to end", seconds=8)


def a_request_beside_slow_clients(program):
    """How long another request takes, and how many of the slow clients' answers were still under way."""
    with Scene() as scene:
        monitor = scene.monitor(program=program)
        size = int(monitor.request("/chart.js", "HEAD")[1]["Content-Length"])
        slow = [monitor.raw(receive_buffer=4096) for _ in range(SLOW_CLIENTS)]
        taken = [0] * SLOW_CLIENTS
        stop = threading.Event()

        def trickle():
            while not stop.wait(1):
                for i, connection in enumerate(slow):
                    connection.setblocking(False)
                    try:
                        taken[i] += len(connection.recv(1))
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        pass

        for connection in slow:
            connection.sendall(b"GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = threading.Thread(target=trickle)
        reader.start()
        time.sleep(2.5)
        begin = time.monotonic()
        try:
            assert "ringwayd_looks_total" in monitor.get("/metrics", timeout=5)
            seconds = time.monotonic() - begin
        except TimeoutError:
            seconds = 5
        stop.set()
        reader.join()
        # Of each, so much lies in the kernel or was taken; the rest the server still has.
        under_way = sum(count + 4096 * 2 + 65536 * 2 < size for count in taken)
        for connection in slow:
            connection.close()
        return seconds, under_way


def SlowClientsKeepNobodyWaiting():
    seconds, under_way = a_request_beside_slow_clients("ringwayd")
    assert under_way == SLOW_CLIENTS, under_way
    assert seconds < 1, seconds


def TheLibrarysThreadPoolKeepsOthersWaiting():
    seconds, _ = a_request_beside_slow_clients("tests/default_pool_main")
    assert seconds >= 1, f"answered after {seconds} s: the test above would not notice anything"


if __name__ == "__main__":
    support.main(globals())

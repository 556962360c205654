"""What Prometheus makes of ringwayd: its own tools and a server of its own."""
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import support
from support import Scene, need, wait_for


def promtool(*words, **options):
    return subprocess.run([need("promtool", "prometheus"), *words], text=True, capture_output=True, check=False, timeout=support.WATCHDOG, **options)


def rules():
    return support.source_directory / "daemons/install/prometheus-alerts.yml"


def busy(scene):
    scene.ringway("create", "orders", "--capacity", "32KiB", "--latency")
    scene.subscriber("orders", "billing")
    scene.publisher("orders", "desk", 100)
    return scene.monitor()


def PromtoolHasNothingAgainstTheMetrics():
    with Scene() as scene:
        monitor = busy(scene)
        text = wait_for(lambda: "ringway_subscription_lag" in (now := monitor.get("/metrics")) and now, "metrics")
        got = promtool("check", "metrics", input=text)
        assert got.returncode == 0 and not got.stderr, got
        bad = text.replace("ringway_topic_messages_total", "ringway_topic_messages")
        assert promtool("check", "metrics", input=bad).returncode != 0, "the check cannot fail"


def TheMetricsAreThoseOfTheDocumentation():
    with Scene() as scene:
        monitor = busy(scene)
        text = wait_for(lambda: "latency_seconds_count" in (now := monitor.get("/metrics")) and now, "metrics")
        kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
        page = (support.source_directory / "docs/monitor.md").read_text()
        documented = {}
        for line in page.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 6 and cells[1].startswith(("`ringway", "`process_")):
                documented[cells[1].split("{")[0].strip("`")] = cells[2]
        assert documented == kinds, {"only in the documentation": documented.items() - kinds.items(), "only there": kinds.items() - documented.items()}


def TheAlertsFireWhenTheyShould():
    got = promtool("check", "rules", str(rules()))
    assert got.returncode == 0, got
    alerts = {line.split("alert:")[1].strip() for line in rules().read_text().splitlines() if "alert:" in line}
    tests = Path(__file__).with_name("alerts_test.yml")
    tested = set(re.findall(r'alertname="(\w+)"', tests.read_text()))
    assert tested == alerts, tested ^ alerts
    with Scene() as scene:
        (scene.path / "prometheus-alerts.yml").write_text(rules().read_text())
        (scene.path / "alerts_test.yml").write_text(tests.read_text())
        got = promtool("test", "rules", "alerts_test.yml", cwd=scene.path)
        assert got.returncode == 0, got.stdout + got.stderr


def AServerScrapesIt():
    prometheus = need("prometheus", "prometheus")
    with Scene() as scene:
        monitor = busy(scene)
        config = scene.path / "prometheus.yml"
        config.write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules()}"]
scrape_configs:
  - job_name: ringway
    static_configs: [{{targets: ["127.0.0.1:{monitor.port}"]}}]
""")
        log = scene.path / "prometheus.log"
        with open(log, "w", encoding="utf-8") as output:
            scene.start(prometheus, f"--config.file={config}", f"--storage.tsdb.path={scene.path}/data", "--web.listen-address=127.0.0.1:0",
                        "--log.format=json", stderr=output)

        def address():
            for line in log.read_text().splitlines():
                said = json.loads(line)
                if said.get("component") == "web" and said.get("msg") == "Listening on":
                    return said["address"]
            return None

        base = f"http://{wait_for(address, 'prometheus to listen')}/api/v1/"

        def ready():
            try:
                with urllib.request.urlopen(base.replace("/api/v1/", "/-/ready"), timeout=support.WATCHDOG):
                    return True
            except urllib.error.HTTPError:
                return False

        def query(what):
            wait_for(ready, "prometheus to be ready")
            with urllib.request.urlopen(f"{base}query?{urllib.parse.urlencode({'query': what})}", timeout=support.WATCHDOG) as answer:
                return json.load(answer)["data"]["result"]

        rate = wait_for(lambda: query('rate(ringway_topic_messages_total{topic="orders"}[10s]) > 0'), "a rate")
        assert rate[0]["metric"]["bus"] == str(scene.bus), rate
        assert query("up")[0]["value"][1] == "1"
        assert query("histogram_quantile(0.5, ringway_subscription_latency_seconds_bucket)") is not None
        with urllib.request.urlopen(f"{base}rules", timeout=support.WATCHDOG) as answer:
            loaded = json.load(answer)["data"]["groups"][0]["rules"]
        assert all(rule["health"] != "err" for rule in loaded) and len(loaded) == rules().read_text().count("alert:"), loaded


if __name__ == "__main__":
    support.main(globals())

"""The page of ringwayd in a real browser: headless Chromium. Its screenshots are kept in build/<preset>/page/."""
import base64
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import support
from support import Scene, Skip, need, wait_for

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None


class Page:
    """A browser that shows the page."""

    def __init__(self, scene, monitor):
        if webdriver is None:
            raise Skip("there is no selenium; it is in Debian's package python3-selenium")
        options = webdriver.ChromeOptions()
        options.binary_location = need("chromium", "chromium")
        for flag in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-component-update",
                     "disable-sync", "disable-dev-shm-usage", "hide-scrollbars", f"user-data-dir={scene.path}/browser"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(need("chromedriver", "chromium-driver")), options=options)
        self.address = f"http://127.0.0.1:{monitor.port}/"
        self.driver.get(self.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def text(self, selector):
        # In one step: the page replaces elements while we look.
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", selector)

    def wait_for(self, selector, text):
        return wait_for(lambda: text in self.text(selector), f"`{text}` in {selector}, which has `{self.text(selector)}`")

    def press(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def look(self, width, scheme):
        command = self.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700})
        command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def screenshot(self, name, format="png"):
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        options = {"format": format, "captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        if format == "webp":
            options["quality"] = 80
        path = support.bin_directory.parent / "page" / f"{name}.{format}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))
        return path

    def fits(self):
        return self.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def screenshots(page, what):
    for device, width in (("desktop", 1240), ("phone", 390)):
        for scheme in ("light", "dark"):
            page.look(width, scheme)
            assert page.fits(), f"{what} is wider than {device}'s screen"
            page.screenshot(f"{what}-{device}-{scheme}")
    page.look(1240, "light")


def populate(scene):
    """Topics as a small trading house might have them."""
    scene.ringway("create", "orders", "--capacity", "32KiB")
    scene.ringway("create", "quotes/eu", "--capacity", "1MiB", "--latency")
    scene.ringway("create", "jobs", "--capacity", "256KiB")
    scene.ringway("create", "jobs.dead", "--capacity", "64KiB")
    scene.subscriber("quotes/eu", "pricing")
    scene.subscriber("quotes/eu", "recorder", "--lossy")
    scene.start(support.bin_directory / "ringway", "sub", "quotes/eu", "--group", "risk", stdout=subprocess.DEVNULL)
    scene.subscriber("jobs", "resizers")
    scene.publisher("quotes/eu", "feed-ffm", 120)
    scene.publisher("quotes/eu", "feed-par", 70)
    scene.publisher("jobs", "uploads", 25)
    scene.publisher("jobs.dead", "resizers", 2)


def ShowsWhatHappensOnABus():
    with Scene() as scene:
        scene.bus.mkdir(0o700)
        monitor = scene.monitor()
        with Page(scene, monitor) as page:
            page.look(1240, "light")
            page.wait_for("#topics tbody", "No topic here")
            page.wait_for("#findings", "Nothing needs attention")

            # Topics appear.
            populate(scene)
            for topic in ("orders", "quotes/eu", "jobs.dead"):
                page.wait_for("#topics tbody th", topic)

            # Rates move.
            rate = "#topics tbody tr:has(a[href*='quotes']) td:nth-child(3)"
            wait_for(lambda: page.text(rate) not in ("", "0"), "a rate that is not 0")
            first = page.text(rate)
            wait_for(lambda: page.text(rate) not in ("0", first), "another rate")

            # A stalled subscriber is named.
            billing = scene.subscriber("orders", "billing")
            desk = scene.publisher("orders", "desk")
            os.kill(billing.pid, signal.SIGSTOP)
            page.wait_for("#findings li", "subscription billing holds publisher desk back since")
            page.wait_for("#findings li", "owner stopped")
            page.wait_for("#findings li", "jobs.dead")  # it grows, and nobody reads it
            # A minute of charts is more to look at than ten seconds; but a test need not wait for it, unless told to.
            wait = 60 if "RINGWAY_UPDATE_DOCS" in os.environ else 0
            wait_for(lambda: monitor.json("/api/v1/summary")["look"] > wait, "that many looks", 10 + 2 * wait)
            screenshots(page, "overview")
            picture = page.screenshot("watching", "webp")
            if wait:
                shutil.copy(picture, support.source_directory / "docs")

            # By keyboard alone: filter, sort, open, go back.
            page.press("/")
            page.press("quotes")
            wait_for(lambda: page.text("#topics tbody th a") == "quotes/eu", "the filter")
            page.press("zz")
            page.wait_for("#topics tbody", "No topic has that in its name")
            page.press(*[Keys.BACKSPACE] * 8)
            for _ in range(2):
                page.driver.find_element(By.CSS_SELECTOR, "[data-sort=messages_per_second]").send_keys(Keys.ENTER)
            wait_for(lambda: page.driver.find_elements(By.CSS_SELECTOR, "th[aria-sort=ascending] [data-sort=messages_per_second]"), "the order")
            page.driver.find_element(By.CSS_SELECTOR, "#topics a[href*='orders']").send_keys(Keys.ENTER)
            page.wait_for("#detail-title", "orders")
            page.wait_for("#publishers tbody", "waits for subscription billing")
            page.wait_for("#subscriptions tbody", "stopped")

            # A killed publisher is shown dead.
            desk.kill()
            desk.wait()
            page.wait_for("#publishers tbody", "dead")  # and not just closed
            screenshots(page, "orders")
            page.press(Keys.ESCAPE)
            wait_for(lambda: page.text("#overview"), "the overview")
            os.kill(billing.pid, signal.SIGCONT)
            wait_for(lambda: "billing" not in page.text("#findings"), "the finding to go")

            page.driver.find_element(By.CSS_SELECTOR, "#topics a[href*='quotes']").click()
            page.wait_for("#subscriptions tbody", "recorder")
            group = re.compile(r"risk\s*group, [0-9]+ held\s*1 member.*?[0-9.]+ [nµum]?s, [0-9.]+ [nµum]?s", re.S)
            wait_for(lambda: group.search(page.text("#subscriptions tbody")), "the latency of a group")
            screenshots(page, "quotes")

            # The monitor goes away, and the page says so.
            monitor.process.kill()
            page.wait_for("#live", "no answer for")
            wrong = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE" and "ERR_CONNECTION" not in entry["message"]]
            assert not wrong, wrong


def AsksForTheToken():
    with Scene() as scene:
        token = scene.path / "token"
        token.write_text("0123456789abcdef\n")
        token.chmod(0o600)
        scene.ringway("create", "orders")
        monitor = scene.monitor("--token-file", token)
        with Page(scene, monitor) as page:
            page.look(1240, "light")
            page.wait_for("#token", "asks for a token")
            page.press("wrong", Keys.ENTER)
            page.wait_for("#token-wrong", "That is not the token")
            page.press(*[Keys.BACKSPACE] * 5, "0123456789abcdef", Keys.ENTER)
            page.wait_for("#topics tbody th", "orders")


if __name__ == "__main__":
    support.main(globals())

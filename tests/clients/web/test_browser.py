"""The dashboard in headless Chromium: an administrator's walk, hostile texts, both widths."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed (requirements/dev.in)"
)
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support import expected_conditions as expected  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium: apt-get install chromium chromium-driver"
)
PATIENCE_S = 60
WIDTHS = pytest.mark.parametrize("width", [1280, 390])
HOSTILE = "<img src=x onerror=document.title='pwned'>"
PAGES = ("/", "/tasks", "/tiers", "/requests", "/evaluations", "/policy", "/keys", "/caching", "/waste",
         "/savings", "/caching/prefixes", "/playground", "/estimate?prefix=3000")  # fmt: skip


class World:
    """A simulator, a gateway, and a signed-in browser."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.simulator = live.Process(folder, "simulator", "--port", "0", "--speed", "0")
        extra = '[server]\nadmin_secret = "env:ADMIN_SECRET"\n'
        toml = live.config("anthropic_messages", self.simulator.port, extra=extra)
        self.gateway = live.Gateway(folder / "g", toml, {"ADMIN_SECRET": "open-sesame"})
        port = self.gateway.admin
        assert live.wait_for(lambda: live.request(port, "GET", "/healthz").status == 200, PATIENCE_S)
        self.base = f"http://127.0.0.1:{port}"
        self.browser = browser

    def go(self, path: str) -> None:
        self.browser.get(self.base + path)

    def until(self, condition: Any) -> Any:
        """What `condition(browser)` gives once it is true; a page that is just being left may refuse."""
        return WebDriverWait(self.browser, PATIENCE_S, ignored_exceptions=[WebDriverException]).until(
            condition
        )

    def find(self, css: str) -> Any:
        return self.until(lambda b: b.find_element(By.CSS_SELECTOR, css))

    def click(self, css: str) -> None:
        """Clicks it once, when it is there and can be clicked."""

        def clicked(browser: Any) -> bool:
            browser.find_element(By.CSS_SELECTOR, css).click()
            return True

        self.until(clicked)

    def evaluated(self) -> str:
        """The id of a run in which whatever is said is right: haiku is as good as opus."""
        rows = [f"I was charged twice for order {number}.,." for number in range(90)]
        (self.gateway.folder / "suite.csv").write_text("\n".join(["input,target", *rows]))
        said = ("--tiers", "haiku,opus", "--task", "moderation", "--scorer", "regex", "--json")
        done = self.gateway.command("eval", "suite.csv", *said)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["run"])

    def text(self) -> str:
        return str(self.until(lambda b: b.find_element(By.CSS_SELECTOR, "main").text))

    def wait(self, words: str) -> None:
        self.until(lambda b: words in b.find_element(By.TAG_NAME, "body").text)

    def size(self, width: int, dark: bool) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    made = World(tmp_path_factory.mktemp("browser"), browser)
    made.go("/tasks")
    made.find("#secret").send_keys("open-sesame")
    made.find("form button.primary").click()
    made.wait("classification")
    browser.set_page_load_timeout(PATIENCE_S)
    yield made
    browser.quit()
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


@WIDTHS
def test_a_key_is_made_shown_once_used_and_revoked(world: World, width: int) -> None:
    world.size(width, False)
    name = f"{HOSTILE} {width}"
    world.go("/keys")
    world.find("#name").send_keys(name)
    world.find("#budget_usd").send_keys("5")
    world.click("form[action='/keys'] button.primary")
    secret = world.find("#secret-text").text
    body = {"model": "task/qa", "messages": [{"role": "user", "content": HOSTILE}], "max_tokens": 20}
    got = live.post(world.gateway.port, "/v1/chat/completions", body, secret, {"x-tierwise-tags": HOSTILE})
    assert got.status == 200
    world.browser.refresh()
    world.until(lambda b: secret not in b.page_source and b.find_elements(By.ID, "name"))
    quoted = name.replace("'", chr(92) + "'")
    assert len(world.browser.find_elements(By.CSS_SELECTOR, f"button[aria-label='Revoke {quoted}']")) == 1
    assert HOSTILE[:30] in world.text()
    world.go("/requests")
    world.find("#id").send_keys(got.headers["x-tierwise-exchange"])
    world.click("form.filters button.primary")
    world.until(lambda b: got.headers["x-tierwise-exchange"] in b.current_url)
    world.click("td a.id")
    world.wait("The terms add up")
    assert HOSTILE in world.text()
    world.go("/keys")
    world.click(f"button[aria-label='Revoke {quoted}']")
    world.until(expected.alert_is_present()).accept()
    world.wait("is revoked")
    assert live.post(world.gateway.port, "/v1/chat/completions", body, secret).status == 401
    assert "pwned" not in world.browser.title


@WIDTHS
def test_the_playground_answers_side_by_side_and_the_calls_are_found(world: World, width: int) -> None:
    world.size(width, True)
    world.go("/playground")
    world.find("#prompt").send_keys(f"Write of ledgers {HOSTILE}")
    world.until(lambda b: len(b.find_elements(By.CSS_SELECTOR, "output.quote:not(:empty)")) == 4)
    assert world.find("output.quote").text.startswith("$0.0000")
    world.click("#send")
    world.until(lambda b: len(b.find_elements(By.CSS_SELECTOR, ".answer .cost")) == 2)
    costs = [each.text for each in world.browser.find_elements(By.CSS_SELECTOR, ".answer .cost")]
    assert all(cost.startswith("$") for cost in costs)
    assert all(each.text for each in world.browser.find_elements(By.CSS_SELECTOR, ".answer .said"))
    world.click(".answer a")
    world.wait("Waterfall")
    assert "playground" in world.text()


@WIDTHS
def test_a_verdict_is_proposed_planned_and_put_in_force(world: World, width: int) -> None:
    run = world.evaluated()
    world.size(width, False)
    world.go("/evaluations")
    world.click(f"a[href='/evaluations/{run}']")
    world.wait("good enough")
    world.click("a.button")
    world.wait(f"{run}/haiku")
    world.click("#plan")
    world.wait("Plan: the last 7 days")
    assert f"{run}/haiku" in world.find("#text").get_attribute("value")
    world.click("#apply")
    world.wait("Written.")

    def in_force(_: Any) -> bool:
        world.go("/tasks")
        return run in world.text() or "measured" in world.text()

    world.until(in_force)


@WIDTHS
def test_a_log_is_priced(world: World, width: int, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("input_tokens,output_tokens\n800,50\n900,10\n")
    world.size(width, False)
    world.go("/estimate")
    world.find("#file").send_keys(str(tmp_path / "calls.csv"))
    world.until(lambda b: "800,50" in b.find_element(By.ID, "log").get_attribute("value"))
    world.click("#price-log")
    world.wait("calls.csv: 2 calls")
    assert "$0.002" in world.find("#log-result").text


def test_a_policy_is_applied_and_a_second_admin_meets_the_conflict(world: World) -> None:
    first = world.browser.current_window_handle
    world.go("/policy")
    world.browser.switch_to.new_window("tab")
    world.go("/policy")
    for tier in ("haiku", "sonnet"):
        area = world.find("#text")
        area.clear()
        area.send_keys(f'[[rule]]\ntask = "vision"\ntiers = ["{tier}", "opus"]\n')
        world.find("form[action='/policy'] button.primary").click()
        if tier == "haiku":
            world.wait("Written.")
            world.browser.close()
            world.browser.switch_to.window(first)
    world.wait("was changed by someone else")
    assert '"haiku"' in world.find("pre").text
    world.find("form[action='/policy'] button.primary").click()
    world.wait("Written.")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_page_fits_and_is_labelled(world: World, width: int, dark: bool) -> None:
    world.size(width, dark)
    for path in PAGES:
        world.go(path)
        found = world.browser.execute_script(
            """const q = (css) => [...document.querySelectorAll(css)];
            const words = (e) => e.ariaLabel || e.title || e.textContent.trim();
            const nameless = (e) => !(e.labels && e.labels.length || words(e));
            return {wide: document.documentElement.scrollWidth,
              unnamed: q('input:not([type=hidden]),select,textarea,button,a').filter(nameless).length,
              tables: q('table').filter(t => !t.caption).length, main: q('main').length, h1: q('h1').length,
              charts: q('svg[role=img]').filter(s => !s.hasAttribute('aria-label')).length,
              twice: q('[id]').length - new Set(q('[id]').map(e => e.id)).size,
              shapeless: q('input[pattern]').filter(e => !e.title).length,
              dark: getComputedStyle(document.body).backgroundColor}"""
        )
        assert found["wide"] <= width, path
        wrong = {name: found[name] for name in ("unnamed", "tables", "charts", "twice", "shapeless")}
        assert not any(wrong.values()), (path, wrong)
        assert (found["main"], found["h1"]) == (1, 1), path
        assert (found["dark"] == "rgb(16, 19, 24)") == dark, path


def test_the_theme_is_kept_and_the_keyboard_reaches_the_content(world: World) -> None:
    world.size(1280, False)
    world.go("/")
    world.find("#theme").click()
    world.find("#theme").click()
    assert world.find("#theme").text == "Theme: dark"
    world.go("/tasks")
    assert world.browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    world.find("#theme").click()
    world.go("/tasks")
    world.browser.switch_to.active_element.send_keys("\ue004")
    assert world.browser.switch_to.active_element.text == "Skip to the content"


def test_nothing_broke_the_content_policy(world: World) -> None:
    lines = [line for line in world.browser.get_log("browser") if line["level"] == "SEVERE"]
    assert not [line for line in lines if "409" not in line["message"]], json.dumps(lines)

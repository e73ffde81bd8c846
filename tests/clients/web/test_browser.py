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
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium: apt-get install chromium chromium-driver"
)
HOSTILE = "<img src=x onerror=document.title='pwned'>"
PAGES = ("/", "/tasks", "/tiers", "/requests", "/evaluations", "/policy", "/keys", "/caching", "/waste",
         "/playground", "/estimate?prefix=3000")  # fmt: skip


class World:
    """A simulator, a gateway, and a signed-in browser."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.simulator = live.Process(folder, "simulator", "--port", "0", "--speed", "0")
        extra = '[server]\nadmin_secret = "env:ADMIN_SECRET"\n'
        toml = live.config("anthropic_messages", self.simulator.port, extra=extra)
        self.gateway = live.Gateway(folder / "g", toml, {"ADMIN_SECRET": "open-sesame"})
        port = self.gateway.arguments[self.gateway.arguments.index("--admin-port") + 1]
        assert live.wait_for(lambda: live.request(int(port), "GET", "/healthz").status == 200)
        self.base = f"http://127.0.0.1:{port}"
        self.browser = browser

    def go(self, path: str) -> None:
        self.browser.get(self.base + path)

    def find(self, css: str) -> Any:
        return WebDriverWait(self.browser, 10).until(lambda b: b.find_element(By.CSS_SELECTOR, css))

    def text(self) -> str:
        return str(self.find("main").text)

    def wait(self, words: str) -> None:
        patient = WebDriverWait(self.browser, 15, ignored_exceptions=[StaleElementReferenceException])
        patient.until(lambda b: words in b.find_element(By.TAG_NAME, "body").text)

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
    yield made
    browser.quit()
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


def test_a_key_is_made_shown_once_used_and_revoked(world: World) -> None:
    world.go("/keys")
    world.find("#name").send_keys(HOSTILE)
    world.find("#budget_usd").send_keys("5")
    world.find("form[action='/keys'] button.primary").click()
    secret = world.find("#secret-text").text
    body = {"model": "task/qa", "messages": [{"role": "user", "content": HOSTILE}], "max_tokens": 20}
    got = live.post(world.gateway.port, "/v1/chat/completions", body, secret, {"x-tierwise-tags": HOSTILE})
    assert got.status == 200
    world.go("/keys")
    assert secret not in world.browser.page_source
    assert HOSTILE[:30] in world.text()
    world.go("/requests")
    world.find("td a.id").click()
    world.wait("The terms add up")
    assert HOSTILE in world.text()
    world.go("/keys")
    world.find(f"button[aria-label='Revoke {HOSTILE.replace(chr(39), chr(92) + chr(39))}']").click()
    world.browser.switch_to.alert.accept()
    world.wait("is revoked")
    assert live.post(world.gateway.port, "/v1/chat/completions", body, secret).status == 401
    assert "pwned" not in world.browser.title


def test_the_playground_answers_side_by_side_and_the_calls_are_found(world: World) -> None:
    world.go("/playground")
    world.find("#prompt").send_keys(f"Write of ledgers {HOSTILE}")
    world.find("#send").click()
    WebDriverWait(world.browser, 20).until(
        lambda b: len(b.find_elements(By.CSS_SELECTOR, ".answer .cost")) == 2
    )
    costs = [each.text for each in world.browser.find_elements(By.CSS_SELECTOR, ".answer .cost")]
    assert all(cost.startswith("$") for cost in costs)
    assert all(each.text for each in world.browser.find_elements(By.CSS_SELECTOR, ".answer .said"))
    world.find(".answer a").click()
    world.wait("Waterfall")
    assert "playground" in world.text()


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
@pytest.mark.parametrize("width", [1280, 390])
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
              dark: getComputedStyle(document.body).backgroundColor}"""
        )
        assert found["wide"] <= width, path
        wrong = {name: found[name] for name in ("unnamed", "tables", "charts", "twice")}
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

"""docs/api.md and docs/dashboard.md: every path is told, and the calls they show work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import live
from tierwise.web.routes import PAGES, accesses

from .test_start import blocks, shell

API = (live.ROOT / "docs/api.md").read_text()
DASHBOARD = (live.ROOT / "docs/dashboard.md").read_text()


def test_every_path_is_told() -> None:
    told = set(re.findall(r"^### `(\w+ /[^`]*)`$", API, re.M))
    wanted = {f"{method} {path}" for method, path in accesses() if path.startswith("/api/v1/")}
    assert {path for path in wanted if "/local/" not in path} <= told


def test_every_page_of_the_menu_is_told() -> None:
    rows = "\n".join(re.findall(r"^\| (.*?) \|", DASHBOARD, re.M))
    assert not [page.nav for page in PAGES if page.nav and page.nav not in rows]


@live.NEEDS_CURL
def test_the_calls_work(tmp_path: Path) -> None:
    toml = live.config("openai_chat", live.free_port(), extra='[server]\nadmin_secret = "env:ADMIN_SECRET"\n')
    made = live.Gateway(tmp_path / "g", toml, {"ADMIN_SECRET": "open-sesame"})
    assert live.wait_for(lambda: live.request(made.admin, "GET", "/healthz").status == 200)
    [listed] = blocks(API)
    [overview] = blocks(DASHBOARD)
    for script, field in ((listed, "lines"), (overview, "today")):
        done = shell(script.replace(":4001", f":{made.admin}"), tmp_path, TIERWISE_ADMIN_SECRET="open-sesame")
        assert done.returncode == 0, done.stderr
        assert field in json.loads(done.stdout)
    assert made.stop() == 0

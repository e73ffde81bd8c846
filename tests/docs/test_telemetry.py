"""docs/telemetry.md: its configuration loads, its command runs, and it names every attribute that is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import live
from tierwise.config import load

from .test_start import blocks, shell

PAGE = (live.ROOT / "docs/telemetry.md").read_text()


def test_the_configuration_loads(tmp_path: Path) -> None:
    [text] = blocks(PAGE, "toml")
    (tmp_path / "tierwise.toml").write_text(text)
    settings = load(tmp_path / "tierwise.toml", {"OTLP_TEAM": "t"})
    assert settings.telemetry.otlp_endpoint == "http://127.0.0.1:4318"
    assert settings.secrets.otlp_headers == {"x-team": "t"}


def test_every_attribute_is_on_the_page() -> None:
    source = (live.ROOT / "src/tierwise/gateway/telemetry/otlp.py").read_text()
    sent = set(re.findall(r'"((?:tierwise|gen_ai)\.[a-z_.]+)"', source))
    assert len(sent) > 20
    assert not sorted(name for name in sent if f"`{name}`" not in PAGE)


def test_the_log_is_json(tmp_path: Path) -> None:
    [script] = blocks(PAGE)
    ports = f"--port {live.free_port()} --admin-port {live.free_port()} "
    script = script.replace("--log-format", f"{ports}--log-format")
    done = shell(
        script + "until grep -q Dashboard tierwise.log; do sleep 0.1; done\nsleep 1", tmp_path,
        ANTHROPIC_API_KEY="x",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in live.lines(tmp_path / "tierwise.log") if line.startswith("{")]
    assert all({"at", "level", "message"} <= set(line) for line in lines)

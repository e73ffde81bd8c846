"""Commands whose other end is away: nothing listens at a provider's address, or at a control port's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tierwise.cli import check, top

PROVIDER = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:UPSTREAM_KEY"
models = ["anthropic/claude-opus-4.7", "text-embedding-3-small", "anthropic/claude-haiku-4"]
"""


def test_a_provider_that_is_down_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tierwise.toml").write_text(PROVIDER)
    environ = {"UPSTREAM_KEY": "sk-canary"}
    result = CliRunner().invoke(check.command, ["--live", "--json"], env=environ, catch_exceptions=False)
    assert "sk-canary" not in result.output
    live = json.loads(result.stdout)["live"]
    assert result.exit_code == 1
    assert live[0]["ok"] is False
    assert "refused the connection" in live[0]["error"]


def test_top_does_without_a_control_port(tmp_path: Path) -> None:
    assert top.gateway(f"sqlite:///{tmp_path}/ledger.db", "http://127.0.0.1:1") is None

"""Commands that call no provider need no credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tierwise.cli.root import root

TOML = """
[server]
admin_secret = "env:NOBODY_SET_IT"
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:1/v1"
key = "env:NOBODY_SET_THIS"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6"]
"""
BODY = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NOBODY_SET_IT", raising=False)
    monkeypatch.delenv("NOBODY_SET_THIS", raising=False)
    (tmp_path / "body.json").write_text(json.dumps(BODY))
    path = tmp_path / "tierwise.toml"
    path.write_text(TOML)
    return path


@pytest.mark.parametrize("words", ["models", "estimate", "route {folder}/body.json", "policy show"])
def test_no_secret_is_needed_to_read(config: Path, words: str) -> None:
    said = [word.format(folder=config.parent) for word in words.split()]
    got = CliRunner().invoke(root, [*said, "--config", str(config), "--json"])
    assert got.exit_code == 0, got.output
    assert json.loads(got.stdout)


def test_what_else_is_wrong_is_still_told(config: Path) -> None:
    config.write_text(TOML.replace("dialect", "dialekt"))
    got = CliRunner().invoke(root, ["policy", "show", "--config", str(config)])
    assert got.exit_code != 0
    assert "dialekt" in f"{got.output}{got.exception}"

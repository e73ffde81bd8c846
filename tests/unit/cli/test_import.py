"""`tierwise import` from outside."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tierwise.cli.import_ import command
from tierwise.config import load
from tierwise.errors import ConfigError

YAML = """
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-5.4-mini, api_key: os.environ/MY_KEY, rpm: 5}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(YAML)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_stdout_is_a_configuration_and_stderr_the_list() -> None:
    result = run("litellm", "config.yaml")
    assert result.exit_code == 0
    Path("tierwise.toml").write_text(result.stdout)
    assert load(Path("tierwise.toml"), {"MY_KEY": "x"}).catalog.tiers["fast"].model == "openai/gpt-5.4-mini"
    assert "no equivalent: rpm of fast" in result.stderr


def test_output_is_written_once() -> None:
    assert run("litellm", "config.yaml", "--output", "new.toml").stdout == ""
    assert load(Path("new.toml"), {"MY_KEY": "x"}).catalog.tiers
    with pytest.raises(ConfigError, match="already there"):
        run("litellm", "config.yaml", "--output", "new.toml")


def test_json() -> None:
    found = json.loads(run("litellm", "config.yaml", "--json").stdout)
    assert found["toml"].startswith("# Made from a LiteLLM")
    assert found["lost"] == ["rpm of fast: limits stand on keys, not on deployments"]


def test_portkey_takes_its_task_from_the_file() -> None:
    target = {"provider": "openai", "api_key": "env.MY_KEY", "override_params": {"model": "gpt-5.4"}}
    Path("tickets.json").write_text(
        json.dumps({"targets": [target, {**target, "custom_host": "http://h/v1"}]})
    )
    Path("tierwise.toml").write_text(run("portkey", "tickets.json").stdout)
    assert load(Path("tierwise.toml"), {"MY_KEY": "x"}).policy.rules["tickets"].tiers == (
        "tickets",
        "tickets-2",
    )


def test_without_pyyaml_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="pyyaml") as told:
        run("litellm", "config.yaml")
    assert "tierwise[yaml]" in told.value.hint


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bad.yaml", "a: [", "is not YAML"),
        ("bad.json", "{", "is not JSON"),
        ("list.yaml", "- a", "holds no tables"),
    ],
)
def test_a_file_that_is_no_configuration(name: str, text: str, words: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        run("litellm", name)


def test_a_file_that_is_absent() -> None:
    with pytest.raises(ConfigError, match="no file") as refused:
        run("litellm", "nowhere.yaml")
    assert "file to import" in refused.value.hint

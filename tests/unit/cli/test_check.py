"""`tierwise check` from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tierwise.cli.check import command
from tierwise.cli.check_live import cheapest, words
from tierwise.config import load
from tierwise.errors import UpstreamStatus
from tierwise.upstream import Deployment

RIGHT = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:UPSTREAM_KEY"
models = ["anthropic/claude-opus-4.7", "text-embedding-3-small", "anthropic/claude-haiku-4"]
"""
KEYS = ("ANTHROPIC", "OPENAI", "GEMINI", "OPENROUTER", "OFOX")


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIERWISE_CONFIG", raising=False)
    for key in KEYS:
        monkeypatch.delenv(f"{key}_API_KEY", raising=False)


def run(toml: str, *arguments: str, environ: dict[str, str] | None = None) -> Result:
    if toml:
        Path("tierwise.toml").write_text(toml)
    environ = {"UPSTREAM_KEY": "sk-canary"} if environ is None else environ
    result = CliRunner().invoke(command, arguments, env=environ, catch_exceptions=False)
    assert "sk-canary" not in result.output
    return result


def told(toml: str, **named: Any) -> dict[str, Any]:
    result = run(toml, "--json", **named)
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    return found


def test_a_right_file_is_shown() -> None:
    result = run(RIGHT)
    assert result.exit_code == 0, result.output
    for line in (
        "provider  agg: openai_chat at http://127.0.0.1:9/v1, env:UPSTREAM_KEY, 3 models",
        "tier      haiku: agg/anthropic/claude-haiku-4",
        "tier      opus: agg/anthropic/claude-opus-4.7 (reference)",
        "task      classification: haiku, opus; unmeasured (prior)",
        "tierwise.toml is right",
    ):
        assert line in result.stdout.splitlines()


def test_json_says_the_same() -> None:
    found = told(RIGHT)
    assert found["ok"]
    assert found["file"] == "tierwise.toml"
    assert found["ladder"] == {"tiers": ["haiku", "opus"], "reference": "opus"}
    assert found["providers"][0]["known_models"] == 3
    assert any("sonnet is not served" in note for note in found["notes"])


def test_every_wrong_row_is_said_at_once() -> None:
    wrong = (
        RIGHT
        + '[[provider]]\nname = "b"\ndialect = "openai"\nbase_url = "http://b"\n'
        + '[[tier]]\nname = "t"\n[task.a]\nmargn = 1\n[task.b]\nalpha = "x"\n[servr]\n'
    )
    found = told(wrong)
    text = " | ".join(error["message"] + " " + (error["hint"] or "") for error in found["errors"])
    assert len(found["errors"]) == 5
    for each in ("provider[1]", "tier[0]", "'margn'", "task.b.alpha", "Did you mean 'server'"):
        assert each in text, text


def test_every_missing_secret_is_said_and_the_rest_is_shown() -> None:
    second = RIGHT.replace('"agg"', '"other"').replace("UPSTREAM_KEY", "OTHER_KEY").replace(":9", ":8")
    found = told(RIGHT + second, environ={})
    assert [("UPSTREAM_KEY" in e["message"], "OTHER_KEY" in e["message"]) for e in found["errors"]] == [
        (True, False),
        (False, True),
    ]
    assert [each["hint"] for each in found["errors"]] == ["Set UPSTREAM_KEY.", "Set OTHER_KEY."]
    assert [each["name"] for each in found["providers"]] == ["agg", "other"]


def test_an_error_of_meaning_is_said() -> None:
    found = told(RIGHT + '[[tier]]\nname = "t"\nmodel = "agg/nothing"\n')
    assert "no provider here serves 'agg/nothing'" in found["errors"][0]["message"]
    assert "providers" not in found


@pytest.mark.parametrize(
    ("toml", "arguments", "words"),
    [("a = ", (), "is not TOML"), ("", ("--config", "nowhere.toml"), "no file")],
)
def test_a_file_that_cannot_be_read(toml: str, arguments: tuple[str, ...], words: str) -> None:
    result = run(toml, *arguments)
    assert result.exit_code == 1
    assert words in result.stdout


def test_nothing_configured_is_no_error_and_says_what_to_do() -> None:
    result = run("", environ={})
    assert result.exit_code == 0
    assert "ANTHROPIC_API_KEY" in result.stdout
    assert "nothing is served: there is no provider" in result.stdout


def test_live_asks_the_cheapest_model_that_talks(tmp_path: Path) -> None:
    (tmp_path / "tierwise.toml").write_text(RIGHT)
    settings = load(tmp_path / "tierwise.toml", {"UPSTREAM_KEY": "x"})
    model = cheapest(settings.catalog.providers["agg"], settings)
    assert model is not None
    assert model.name == "agg/anthropic/claude-haiku-4"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('host = "0.0.0.0"', "server.host is 0.0.0.0, which needs an admin secret"),
        ('admin_host = "::"', "server.admin_host is ::, which needs an admin secret"),
        ('db = "mysql://x"', "server.db: 'mysql://x' names no ledger"),
        ('redis = "http://x"', "server.redis cannot be read"),
        ("port = 4000\nadmin_port = 4000", "server.port and server.admin_port are both 4000"),
    ],
)
def test_what_serve_would_refuse_is_wrong(table: str, said: str) -> None:
    found = told(f"[server]\n{table}\n{RIGHT}")
    assert [said in error["message"] for error in found["errors"]] == [True]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('shadow_tier = "haiku"', "haiku serves it already, and no other shadow_tier is named"),
        ('scorer = "normalized"', "There is no scorer 'normalized'. Did you mean 'normalised'?"),
    ],
)
def test_a_shadow_that_cannot_be_is_noted(row: str, said: str) -> None:
    text = f"{RIGHT}[task.qa]\nshadow_share = 0.1\nshadow_daily_usd = 2\n"
    assert "shadowed" not in run(text).output
    assert f"task qa is not shadowed: {said}" in " ".join(told(f"{text}{row}\n")["notes"])


def test_beyond_loopback_with_a_secret_is_right() -> None:
    toml = f'[server]\nhost = "0.0.0.0"\nadmin_secret = "env:ADMIN"\n{RIGHT}'
    assert told(toml, environ={"UPSTREAM_KEY": "sk-canary", "ADMIN": "open sesame"})["ok"]


@pytest.mark.parametrize("table", ["default", "task.tickets"])
def test_a_tier_twice_on_a_ladder_is_wrong(table: str) -> None:
    found = told(f'{RIGHT}[{table}]\nladder = ["haiku", "opus", "haiku"]\n')
    assert [error["message"] for error in found["errors"]] == [
        f"tierwise.toml: {table}.ladder has 'haiku' twice."
    ]


def test_what_says_how_answers_are_kept_of_which_none_is() -> None:
    kept = RIGHT + '[cache]\nembedding = "agg/text-embedding-3-small"\n[task.faq]\ncache_similarity = 0.9\n'
    (note,) = (note for note in told(kept)["notes"] if "task faq" in note)
    assert note == (
        "task faq: no answer of it is kept, so that its cache_similarity does nothing. "
        "Set its `cache = true`, or `[cache] on = true`."
    )
    assert not any("task faq" in note for note in told(kept + "cache = true\n")["notes"])
    on = kept.replace("[cache]\n", "[cache]\non = true\n")
    assert not any("task faq" in note for note in told(on)["notes"])
    assert any("task faq" in note for note in told(on + "cache = false\n")["notes"])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            404,
            "Asked at http://127.0.0.1:9/v1/chat/completions: is its base_url as the vendor's",
        ),
        (500, "the provider's words"),
    ],
)
def test_live_tells_where_it_asked_what_is_not_there(tmp_path: Path, status: int, said: str) -> None:
    (tmp_path / "tierwise.toml").write_text(RIGHT)
    settings = load(tmp_path / "tierwise.toml", {"UPSTREAM_KEY": "x"})
    provider = settings.catalog.providers["agg"]
    model = cheapest(provider, settings)
    assert model is not None
    error = UpstreamStatus(status, "the provider's words.")
    told = words(error, provider, Deployment(model, provider, "x"))
    assert said in told
    assert ("Asked at" in told) is (status == 404)

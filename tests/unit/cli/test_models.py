"""`tierwise models` from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli.models import command

AGGREGATOR = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:UPSTREAM_KEY"
models = [
  "anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7", "local/mystery",
]
"""
KEYS = ("ANTHROPIC", "OPENAI", "GEMINI", "OPENROUTER", "OFOX")


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIERWISE_CONFIG", raising=False)
    for key in KEYS:
        monkeypatch.delenv(f"{key}_API_KEY", raising=False)


def run(*arguments: str, config: str = "") -> str:
    if config:
        Path("tierwise.toml").write_text(config)
    result = CliRunner().invoke(command, arguments, env={"UPSTREAM_KEY": "sk-canary"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "sk-canary" not in result.output
    return result.output


def listed(config: str = "") -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in json.loads(run("--json", config=config))["models"]}


def test_the_text_fits_80_columns() -> None:
    for config in ("", AGGREGATOR):
        assert max(len(line) for line in run(config=config).splitlines()) <= 80


def test_the_published_catalog_is_shown_with_nothing_configured() -> None:
    models = listed()
    assert len(models) == 5
    haiku = models["anthropic/claude-haiku-4"]
    assert not haiku["served"]
    assert haiku["price"]["input"] == "1.00"
    assert haiku["price"]["cache_read"] == "0.10"
    assert haiku["price"]["source"]["date"] == "2026-04"
    assert [models[f"anthropic/claude-{m}"]["tier_ratio"] for m in ("haiku-4", "sonnet-4.6", "opus-4.7")] == [
        1,
        3,
        5,
    ]
    assert models["google/gemini-3.1-flash-lite"]["ratio"] == 1
    assert haiku["scores"]["MMLU"]["value"] == 78.2
    assert haiku["speed"]["ttft_ms"]["value"] == 120


def test_where_two_sources_disagree_both_are_shown() -> None:
    gpt = listed()["openai/gpt-5.4"]
    assert gpt["price"]["source"]["name"] == "genai-prices 0.2.3"
    assert (gpt["price"]["input"], gpt["price"]["output"]) == ("2.50", "15.00")
    assert gpt["price"]["steps"][0]["above"] == 272_000
    published = [price for price in gpt["other_prices"] if price["id"].startswith("published:")]
    assert (published[0]["input"], published[0]["output"]) == ("2.00", "8.00")
    text = run()
    assert "2.50 in, 15.00 out (genai-prices 0.2.3, 2026-11-22)" in text
    assert "2.00 in, 8.00 out" in text
    assert "272,000" in text


def test_the_two_doubtful_facts_are_marked_with_the_reason() -> None:
    text = run()
    assert "98.5*" in text
    assert "1.8 s†" in text
    joined = " ".join(text.split())
    assert "* MMMU, claude-opus-4.7: unusual" in joined
    assert "inconsistent: at 85 tokens/s an answer of 1,000 tokens takes 11.9 s" in joined
    for gap in ("-10.7", "-15.1", "-10.1", "-36.4", "-3.7"):
        assert f"{gap} pp" in text


def test_what_is_unknown_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    models = listed(AGGREGATOR)
    mystery = models["agg/local/mystery"]
    assert mystery["served"]
    assert mystery["price"] is None
    assert mystery["ratio"] is None
    assert mystery["context"] is None
    assert mystery["abilities"]["vision"] is None
    text = run()
    assert "price: agg/local/mystery" in text
    assert "unknown" in text


def test_a_served_model_is_not_listed_twice() -> None:
    models = listed(AGGREGATOR)
    assert "agg/anthropic/claude-haiku-4" in models
    assert "anthropic/claude-haiku-4" not in models
    assert models["agg/anthropic/claude-haiku-4"]["tier"] == "haiku"


def test_the_help_shows_an_example_that_runs() -> None:
    assert "tierwise models --json" in run("--help")

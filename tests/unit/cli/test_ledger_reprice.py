"""`ledger reprice`: the same catalog reproduces the ledger exactly, another says what differs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli import ledger as cli
from tierwise.errors import UnknownModel
from tierwise.ledger import open_ledger
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

M = 10**6
CONFIG = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:NOBODY_HAS_SET_THIS"
models = ["swift", "grand", "free"]
[[price]]
model = "agg/swift"
input = 1
output = 5
cache_read = 0.1
batch = 0.5
[[price]]
model = "agg/grand"
input = 10
output = 50
cache_read = 1
cache_write_1h = 20
batch = 0.5
"""
USAGE = Usage(input=1000, cache_read=500, output=100)
COST = 1000 * M + 500 * 100_000 + 100 * 5 * M


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Six calls at agg/swift: three alike, one batch, one unpriced, one cut off; prices for two models."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tierwise.toml").write_text(CONFIG)
    (tmp_path / "dearer.toml").write_text(CONFIG.replace("input = 1\n", "input = 2\n"))
    url = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(url, {})
        for n in range(3):
            await ledger.open(opened(f"a{n}", model="agg/swift", at_us=NOON + n))
            await ledger.close(closed(f"a{n}", COST, usage=USAGE))
        await ledger.open(opened("batch", model="agg/swift", kind="batch"))
        await ledger.close(closed("batch", COST // 2, usage=USAGE))
        await ledger.open(opened("dear", model="agg/swift"))
        hour = Usage(input=10, cache_write_1h=5, output=1)
        await ledger.close(closed("dear", None, usage=hour, unpriced="no price for cache_write_1h tokens"))
        await ledger.open(opened("gone", 77, model="agg/swift"))
        await ledger.sweep(2**62)
        await ledger.shutdown()

    asyncio.run(fill())
    return url


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(
        cli.command, ["reprice", *arguments], catch_exceptions=False, standalone_mode=False
    )
    return json.loads(done.output) if "--json" in arguments else done.output


def test_the_same_catalog_gives_what_was_recorded(world: str) -> None:
    total = run("--db", world, "--json")["total"]
    assert total["recorded_pico"] == total["repriced_pico"] == 3 * COST + COST // 2
    assert (total["calls"], total["compared"]) == (6, 4)
    assert (total["unpriced_before"], total["unpriced_now"], total["unknown"]) == (1, 1, 1)
    assert "cache_write_1h" in next(iter(total["why_unpriced"]))


def test_another_catalog_changes_only_its_price(world: str) -> None:
    made = run("--db", world, "--catalog", "dearer.toml", "--json")
    assert made["total"]["difference_pico"] == 3 * 1000 * M + 1000 * M // 2
    assert made["lines"][0]["group"] == "agg/swift"


def test_another_model_prices_the_same_tokens(world: str) -> None:
    total = run("--db", world, "--model", "agg/grand", "--json")["total"]
    dear = 1000 * 10 * M + 500 * M + 100 * 50 * M
    assert total["repriced_pico"] == 3 * dear + dear // 2
    assert total["unpriced_now"] == 0
    assert total["unpriced_before_found_pico"] == 10 * 10 * M + 5 * 20 * M + 50 * M
    said = run("--db", world, "--model", "agg/grand")
    assert "another model family counts" in said
    assert max(map(len, said.splitlines())) <= 110


def test_a_model_without_a_price_leaves_all_out_and_says_so(world: str) -> None:
    total = run("--db", world, "--model", "agg/free", "--json")["total"]
    assert (total["compared"], total["repriced_pico"], total["unpriced_now"]) == (0, 0, 5)
    assert "left out: 5 calls would be unpriced" in run("--db", world, "--model", "agg/free")


def test_a_model_nobody_knows_is_an_error_with_the_nearest(world: str) -> None:
    with pytest.raises(UnknownModel, match="swft"):
        run("--db", world, "--model", "agg/swft")


def test_grouping_and_span(world: str) -> None:
    assert {line["group"] for line in run("--db", world, "--by", "day", "--json")["lines"]} >= {"2026-11-22"}
    assert run("--db", world, "--until", "2026-11-22", "--json")["total"]["calls"] == 0

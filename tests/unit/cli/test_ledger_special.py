"""`report --savings`, `report --waste` and `cache advise`, as a user sees them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli import cache
from tierwise.cli import ledger as cli
from tierwise.costing.edits import SeenEdit
from tierwise.ledger import open_ledger
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

DOLLAR = 10**12


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """40 routed calls at $1 ($5 at the reference), 40 held out at $5, a judge call, an abandoned one, and a
    cached pair of the price library's haiku.
    """
    monkeypatch.chdir(tmp_path)
    made = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(made, {})

        async def one(name: str, cost: int, said: dict[str, Any], **end: Any) -> None:
            await ledger.open(opened(name, **said))
            await ledger.close(closed(name, cost, **end))

        for n in range(40):
            cost = DOLLAR + n % 3
            await one(f"r{n}", cost, {}, reference_pico=5 * DOLLAR, asked_pico=3 * DOLLAR)
            await one(f"h{n}", 5 * cost, {"tags": ("holdout",), "tier": "dear"}, reference_pico=5 * DOLLAR)
        await one("judge", 7, {"kind": "judge"})
        await one("left", DOLLAR, {"task": "gone"}, outcome="cancelled")
        model = {"model": "anthropic/claude-haiku-4-5", "session": "s\x1b[31m1"}
        write, read = Usage(10, cache_write_5m=10**6), Usage(10, 10**6)
        await one("w", 9, model, usage=write, at_us=NOON)
        await one("x", 9, model, usage=read, at_us=NOON + 60_000_000)
        await ledger.shutdown()

    asyncio.run(fill())
    return made


def run(command: Any, *arguments: str) -> str:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert "\x1b" not in done.output
    return done.output


def test_savings_with_a_holdout_have_an_interval(url: str) -> None:
    made = json.loads(run(cli.command, "report", "--savings", "--json", "--db", url))["savings"]
    task = made["holdout"]["classify"]
    assert (task["held"], task["routed"]) == (40, 41)  # the session is one draw
    low, high = task["interval"]
    assert low < task["saved_pico"] < high
    assert made["overhead_pico"] == {"judge": 7}
    said = run(cli.command, "report", "--savings", "--db", url)
    assert "routing saved" in said
    assert "overhead: $0.000000 on judge" in said


def test_without_a_holdout_no_cause_is_claimed(url: str) -> None:
    said = run(cli.command, "report", "--savings", "--db", url, "--until", "2026-11-01")
    assert "against the reference tier: unknown" in said
    assert "not a causal estimate" in said


def test_waste_names_its_calls(url: str) -> None:
    made = json.loads(run(cli.command, "report", "--waste", "--json", "--db", url))["waste"]
    abandoned = next(one for one in made if one["kind"] == "abandoned")
    assert (abandoned["calls"], abandoned["pico"], abandoned["examples"]) == (1, DOLLAR, ["ex_left"])
    assert "e.g. ex_left" in run(cli.command, "report", "--waste", "--db", url)
    assert "no waste found" in run(cli.command, "report", "--waste", "--db", url, "--until", "2026-11-01")


def test_cache_advice_for_a_session(url: str) -> None:
    made = json.loads(run(cache.command, "advise", "--json", "--db", url))
    one = next(series for series in made["series"] if series["group"].startswith("session"))
    assert one["saved_pico"] == 10**6 * (900_000 - 250_000)
    assert (one["wasted_at_least"], one["wasted_at_most"]) == (0, 0)
    assert one["break_even"] == {"5m": 0.277778, "1h": 1.111111}
    said = run(cache.command, "advise", "--db", url)
    assert "$0.6500" in said
    assert "taken to share one prefix" in said
    assert "no call with prompt tokens" in run(cache.command, "advise", "--db", url, "--until", "2026-11-01")


def test_an_edit_between_prefixes_that_calls_share_is_told(url: str) -> None:
    series = json.loads(run(cache.command, "advise", "--json", "--db", url))["series"][0]
    assert series["advice"] != "fix"
    times = ("2026-11-22T10:00:00Z",) * 2
    orders = [
        SeenEdit(series["key"], task, "m", "tools[0]", 0, "order", "{xx", "{xxx", 5, *times, "ex_x")
        for task in (series["task"], "elsewhere")
    ]

    async def keep() -> None:
        ledger = open_ledger(url, {})
        ledger.keep_edits(orders)
        await ledger.shutdown()

    asyncio.run(keep())
    said = run(cache.command, "advise", "--db", url)
    assert said.count("its beginning changes now and then") == 1
    assert "tools[0], character 0: the same members in another order, 5 times" in said

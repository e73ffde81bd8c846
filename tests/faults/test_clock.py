"""The machine's clock jumps: rows keep their order, budgets their days, sums their rows."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from live import config
from postgres import postgres  # noqa: F401  a fixture
from stores import STORES, Stores
from tierwise import serve
from tierwise.clock import new_id
from tierwise.config import Settings, load
from tierwise.config.policyfile import RuleBlock, VerdictBlock, write_policy
from tierwise.errors import BudgetRefused
from tierwise.ledger import open_ledger
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import verify as rollup_verify
from tierwise.nouns import Budget
from unit.ledger.made import NOON, closed, opened

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    return STORES[request.param](tmp_path, request)


async def test_a_clock_that_jumps_charges_each_call_to_its_own_day_and_loses_none(
    place: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", 8)
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 250, "day"))
    # Forward a day, back two, forward a year, back to now: two calls of 100 fit into each day.
    days = [0, 1, 0, 1, -1, 365, -1, 365, 0]
    for n, day in enumerate(days):
        at = NOON + day * DAY_US
        row = opened(f"a{n}", 100, "key:k", at_us=at)
        if days[:n].count(day) == 2:
            with pytest.raises(BudgetRefused):
                await ledger.open(row)
            continue
        await ledger.open(row)
        # The clock goes back while the call runs.
        await ledger.close(closed(f"a{n}", 100, at_us=at - HOUR_US))
        ledger.roll()
    report = place.read().report("day")
    assert {line.group: line.spend_pico for line in report.lines} == dict.fromkeys(
        ("2026-11-21", "2026-11-22", "2026-11-23", "2027-11-22"), 200
    )
    hour = place.read().report("task", NOON - HOUR_US, NOON)
    assert hour.all.spend_pico == 200
    events = [(row["event"], row["attempt"]) for row in place.read().rows()]
    assert events == [(event, f"a{n}") for n in range(8) for event in ("open", "close")]
    assert place.read().verify() == []
    await ledger.shutdown()


def test_ids_made_when_the_clock_goes_back_are_still_their_own() -> None:
    made = [new_id("ex", NOON - n) for n in range(1000)]
    assert len(set(made)) == 1000


async def test_evidence_expires_under_a_gateway_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [NOON + DAY_US // 2 - 1]
    for room in ("serve", "config.load", "gateway.snapshot"):
        monkeypatch.setattr(sys.modules[f"tierwise.{room}"], "now_us", lambda: at[0])
    monkeypatch.setattr(serve, "_WATCH_S", 0.01)
    readers: list[threading.Thread] = []

    def read(path: Path | None, environ: Mapping[str, str]) -> Settings:
        readers.append(threading.current_thread())
        return load(path, environ)

    monkeypatch.setattr(serve, "load", read)
    rows = config("openai_chat", 1, ["anthropic/claude-haiku-4"], '[[tier]]\nname = "swift"\n')
    (tmp_path / "tierwise.toml").write_text(rows + 'model = "agg/anthropic/claude-haiku-4"\n')
    found = VerdictBlock("switch", 0.0, (-0.01, 0.01), 0.95, 900, "newcombe", "2026-08-25",
                         expires="2026-11-23", cheap="swift")  # fmt: skip
    write_policy(tmp_path / "policy.toml", [RuleBlock("qa", ["swift"], found)])
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", {})
    options, environ = serve.Options(config=tmp_path / "tierwise.toml"), {"UPSTREAM_KEY": "sk"}
    running = serve.Running(options, load(options.config, environ), ledger)
    watching = asyncio.create_task(serve._watch(running, environ))

    async def until(state: str) -> None:
        while running.gate.snapshot.policy.rules["qa"].state != state:
            await asyncio.sleep(0.01)

    await asyncio.wait_for(until("measured"), 60)
    at[0] += 1
    await asyncio.wait_for(until("expired"), 60)
    assert running.gate.snapshot.table.tasks["qa"].evidence.startswith("expired: ")
    # A large configuration takes a second: the calls go on meanwhile.
    assert readers
    assert threading.main_thread() not in readers
    watching.cancel()
    await running.alerts.close()
    await ledger.shutdown()

"""The machine's clock jumps: rows keep their order, budgets their days, sums their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from postgres import postgres  # noqa: F401  a fixture
from stores import STORES, Stores
from tierwise.clock import new_id
from tierwise.errors import BudgetRefused
from tierwise.ledger import rollup_step, rollup_verify
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

"""Every promise of the ledger, broken by hand in the file: verify must name the first bad row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import verify as rollup_verify
from tierwise.ledger.rollups.tally import DAY
from tierwise.nouns import Budget
from unit.ledger.made import NOON, closed, opened

DAY_US = 86_400_000_000


@pytest.fixture
async def path(url: str) -> str:
    ledger: Ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**6))
    for name in ("a", "b", "c"):
        await ledger.open(opened(name, 100, "key:k"))
        await ledger.close(closed(name, 60))
    await ledger.open(opened("d", 100, "key:k"))
    await ledger.sweep(2**62)
    await ledger.close(closed("d", 70))
    await ledger.open(opened("e", 100))
    await ledger.open(opened("f", 100, "key:k"))
    database = url.removeprefix("sqlite:///")
    copy = database + ".copy"
    source, target = sqlite3.connect(database), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    await ledger.shutdown()
    return copy


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (
            "UPDATE close_rows SET cost_pico = cost_pico + 1 WHERE seq = 4",
            "event 4 (close of attempt b): the row is not",
        ),
        (
            "UPDATE open_rows SET tier = 'dear' WHERE attempt = 'e'",
            "event 10 (open of attempt e): the row is not",
        ),
        ("UPDATE close_rows SET output = 6 WHERE seq = 2", "event 2 (close of attempt a): the row is not"),
        (
            "DELETE FROM close_rows WHERE seq = 4",
            "event 5 (open of attempt c): the row is not as it was written",
        ),
        ("DELETE FROM open_rows WHERE attempt = 'b'", "event 4 (close of attempt of event 3)"),
        ("DELETE FROM open_rows WHERE attempt = 'f'", "reserved is 100, its rows sum to 0"),
        (
            "UPDATE budget_window SET spent = '1'",
            "budget key:k (window 1 from 0): spent is 1, its rows sum to 250",
        ),
        ("UPDATE budget_window SET reserved = '99'", "reserved is 99, its rows sum to 100"),
        ("UPDATE budget_window SET reserved = '1O0'", "reserved is 1O0, its rows sum to 100"),
        ("DELETE FROM budget_window", "budget window 1: charged by events, but not in the ledger"),
        ("UPDATE correction_rows SET cost_pico = 0", "event 9 (correction of attempt d): the row is not"),
        ("INSERT INTO epochs VALUES (99, 0, 1, 1000)", "event 10 (open of attempt e): never closed"),
    ],
)
async def test_tampering_is_found(path: str, tamper: str, said: str) -> None:
    reader = read_ledger(f"sqlite:///{path}")
    assert reader.verify() == []
    database = sqlite3.connect(path)
    assert database.execute(tamper).rowcount > 0
    database.commit()
    database.close()
    problems = reader.verify()
    assert problems
    assert said in problems[0]


async def test_a_damaged_file_is_said(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    assert read_ledger(f"sqlite:///{path}").verify()


async def test_a_day_is_compared_once_its_rows_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that verify keeps the sums of a few days at once, not of years."""
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", 8)
    ledger: Ledger = open_ledger(url, {})
    for n in range(40):
        at_us = NOON + n // 4 * DAY_US
        await ledger.open(opened(f"a{n}", at_us=at_us))
        await ledger.close(closed(f"a{n}", at_us=at_us))
    while ledger.roll():
        pass
    steps: list[object] = []

    def told(name: str, say: Callable[[tuple[Any, ...]], object]) -> None:
        real = getattr(rollup_verify, name)
        monkeypatch.setattr(rollup_verify, name, lambda *given: (steps.append(say(given)), real(*given))[1])

    told("sliced", lambda given: "read")
    told("_kept", lambda given: given[2:])
    assert read_ledger(url).verify() == []
    first = NOON // DAY_US
    days = [(DAY, (first + n, first + n + 1)) for n in range(10)]
    assert [step for step in steps if step in days] == days
    # Eight events are four calls: a day.
    assert [steps[: steps.index(day)].count("read") for day in days] == [8 * (n + 1) for n in range(10)]
    await ledger.shutdown()

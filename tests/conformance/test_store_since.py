"""Rows of a stretch of time: every one of them, whatever the clock did, and no walk past all the others."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from postgres import postgres  # noqa: F401  a fixture
from stores import Stores, place  # noqa: F401  a fixture
from tierwise.clock import rfc3339
from tierwise.ledger import open_ledger, read_ledger
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import verify as rollup_verify
from tierwise.ledger.sqlite import reader as sqlite_reader
from unit.ledger.made import NOON, closed, opened

HOUR_US = 3_600_000_000


def jumping(draw: random.Random) -> int:
    """Hours by which the clock is wrong: seldom, and then far."""
    return draw.choice((0, 0, 0, 0, 0, -30, 30, 9000))


@pytest.mark.parametrize("seed", range(3))
async def test_no_row_is_missed(
    place: Stores,  # noqa: F811
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls over days, some still open, some that end late, at a clock that jumps: partly rolled up."""
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", 8)
    draw = random.Random(seed)
    ledger = place.open()
    waiting: list[Any] = []
    for n in range(60):
        at = NOON + n * HOUR_US // 2 + jumping(draw) * HOUR_US
        await ledger.open(opened(f"a{n}", at_us=at))
        waiting.append(closed(f"a{n}", 5, at_us=at + draw.choice((1, 10**6, 3 * HOUR_US, -2 * HOUR_US))))
        while waiting and draw.random() < 0.6:
            await ledger.close(waiting.pop(draw.randrange(len(waiting))))
    while ledger.roll():
        pass
    await ledger.open(opened("last", at_us=NOON))
    reader = place.read()
    every = list(reader.rows())
    moments = [NOON + draw.randrange(-9, 80) * HOUR_US // 2 + draw.randrange(-1, 2) for _ in range(12)]
    for since in (None, *moments):
        for until in (None, *moments[:4]):
            low, high = rfc3339(since or 0), rfc3339(until) if until else "9"
            wanted = [row for row in every if low <= row["at"] < high]
            assert list(reader.rows(since, until)) == wanted, (since, until)
    assert reader.verify() == []


async def test_older_rows_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", 8)
    monkeypatch.setattr(sqlite_reader, "PAGE", 8)
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    for n in range(200):
        await ledger.open(opened(f"a{n}", at_us=NOON + n * HOUR_US))
        await ledger.close(closed(f"a{n}", 5, at_us=NOON + n * HOUR_US + 1))
    while ledger.roll():
        pass
    said: list[str] = []
    connect = sqlite_reader.read_only

    def traced(path: Any) -> Any:
        database = connect(path)
        database.set_trace_callback(said.append)
        return database

    monkeypatch.setattr(sqlite_reader, "read_only", traced)
    reader = read_ledger(url)

    def read(since_us: int | None, until_us: int | None = None) -> tuple[int, int]:
        said.clear()
        rows = len(list(reader.rows(since_us, until_us)))
        return rows, sum("AS event" in statement for statement in said)

    assert read(None) == (400, 50)
    assert read(NOON + 190 * HOUR_US) == (20, 3)
    rows, pages = read(NOON + 50 * HOUR_US, NOON + 60 * HOUR_US)
    assert rows == 20
    assert pages <= 4
    await ledger.shutdown()

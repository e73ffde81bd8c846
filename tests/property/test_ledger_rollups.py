"""Roll-ups: whatever was opened, closed, corrected and rolled up, and in whatever order, a report is what the
rows say, and `verify` notices when it would not be.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

import tierwise.ledger.rollups.durations as durations
import tierwise.ledger.rollups.step as steps
import tierwise.ledger.rollups.verify as checks
from postgres import postgres  # noqa: F401  a fixture
from stores import STORES, Stores, rolled
from tierwise.errors import StoreError
from tierwise.ledger import By, Ledger, Line, Report
from tierwise.ledger.report import Quantiles, quantiles
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

HOUR_US = 3_600_000_000
SLICE = 32
TAGS = ("x", "y", 'nul \x00 and "quotes"')
OUTCOMES = ("ok", "ok", "ok", "error", "truncated", "cancelled")


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    for room in (steps, checks):
        monkeypatch.setattr(room, "SLICE", SLICE)
    monkeypatch.setattr(durations, "FEW", 4)
    return STORES[request.param](tmp_path, request)


class Traffic:
    """Random calls: some never closed, some swept and then closed late, some from another hour or day."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.draw = random.Random(seed)
        self.open: list[str] = []
        self.count = 0
        self.projects = {"gone": ""}
        for name, project in (("one", "acme"), ("two", "acme"), ("three", "other")):
            self.projects[ledger.create_key(name, project=project)[0].id] = project

    def at(self) -> int:
        ago = self.draw.choice((0, 0, 0, 1, 25, 24 * 40)) * HOUR_US
        return NOON - ago + self.draw.randrange(2 * HOUR_US)

    async def act(self) -> None:
        draw = self.draw
        if not self.open or draw.random() < 0.5:
            name = f"a{self.count}"
            self.count += 1
            self.open.append(name)
            said: dict[str, Any] = {
                "task": draw.choice(("qa", "code", "")), "tier": draw.choice(("swift", "sure")),
                "model": draw.choice(("m1", "m2")), "key": draw.choice(sorted(self.projects)),
                "tags": tuple(draw.sample(TAGS, draw.randrange(3))), "at_us": self.at(),
                "kind": draw.choice(("call", "call", "shadow")), "price_id": draw.choice(("p", "p", "")),
            }  # fmt: skip
            await self.ledger.open(opened(name, draw.choice((0, 10**9, 2**62)), **said))
        elif draw.random() < 0.02:
            # What was swept is closed late, or never.
            await self.ledger.sweep(NOON + 10**12)
        else:
            name = self.open.pop(draw.randrange(len(self.open)))
            cost = draw.choice((None, 0, draw.randrange(10**9), draw.randrange(2**62)))
            await self.ledger.close(
                closed(
                    name, cost, at_us=self.at(), outcome=draw.choice(OUTCOMES),
                    unpriced="" if cost is not None else "no price",
                    usage=Usage(
                        input=draw.choice((0, 7, 2**40)), cache_read=draw.randrange(9),
                        source=draw.choice(("reported", "estimated")),
                    ),
                    ttft_us=draw.choice((None, draw.randrange(10**7))),
                    total_us=draw.choice((draw.randrange(10**9), 2_340_000)),
                    asked_pico=draw.choice((None, draw.randrange(10**9))),
                    reference_pico=draw.choice((None, 2**61)),
                )
            )  # fmt: skip


def at_us(row: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(row["at"]).astimezone(UTC).timestamp() * 1e6 + 0.5)


def groups_of(row: dict[str, Any], by: str) -> list[str]:
    return [row["at"][:10]] if by == "day" else row["tags"] if by == "tag" else [row[by]]


def expected(rows: list[dict[str, Any]], by: str, since: int, until: int) -> dict[str, tuple[Any, ...]]:
    """Calls, errors, swept, unpriced, estimated, input, spend and saving by group, from the export."""
    booked: dict[str, dict[str, Any]] = {}
    found: dict[str, list[int]] = defaultdict(lambda: [0] * 9)
    for row in rows:
        if row["event"] == "open":
            continue
        at = at_us(row)
        first = booked.setdefault(row["attempt"], row)
        if not since <= at < until:
            continue
        late = row["event"] == "correction"
        unpriced = bool(row["unpriced"]) - (first["cost_pico"] is None) if late else row["cost_pico"] is None
        whole = row["cost_pico"] if not late else (first["cost_pico"] or 0) + row["cost_pico"]
        known = row["asked_pico"] is not None and (not row["unpriced"] if late else whole is not None)
        for group in groups_of(row, by):
            line = found[group]
            for place, amount in enumerate((
                not late, row["outcome"] in ("error", "truncated"), -1 if late else row["outcome"] == "swept",
                unpriced, (row["usage_source"] != "reported") - late, row["usage"]["input"],
                row["cost_pico"] or 0, known, row["asked_pico"] - whole if known else 0,
            )):  # fmt: skip
                line[place] += amount
    return {group: tuple(line) for group, line in found.items()}


def took(rows: list[dict[str, Any]], by: str, since: int, until: int) -> dict[str, tuple[Quantiles, ...]]:
    """Time to first token and total time of the calls that ended well, by group, from the export."""
    found: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row in rows:
        if row["event"] == "close" and row["outcome"] == "ok" and since <= at_us(row) < until:
            for group in groups_of(row, by):
                for held, name in zip(found[group], ("ttft_us", "total_us"), strict=True):
                    held += [row[name]] * (row[name] is not None)
    return {group: tuple(map(three_digits, held)) for group, held in found.items()}


def three_digits(micros: list[int]) -> Quantiles:
    exact = quantiles(micros)
    return Quantiles(exact.n, *map(cut, (exact.p50, exact.p95, exact.p99)))


def told(report: Report) -> dict[str, tuple[Any, ...]]:
    return {line.group: told_of(line) for line in report.lines}


def told_of(line: Line) -> tuple[Any, ...]:
    return (
        line.calls, line.errors, line.swept, line.unpriced, line.estimated, line.usage.input,
        line.spend_pico, line.asked.calls, line.asked.baseline_pico - line.asked.cost_pico,
    )  # fmt: skip


def cut(micros: int | None) -> int | None:
    if micros is None:
        return None
    digits = max(0, len(str(micros)) - 3)
    return micros // 10**digits * 10**digits


def odd(draw: random.Random) -> tuple[int, int]:
    """A span that cuts two hours, mostly with rows in them."""
    first, last = (NOON - ago * HOUR_US + draw.randrange(2 * HOUR_US)
                   for ago in draw.choice([(960, 0), (960, 25), (25, 0), (1, 0), (0, 0)]))  # fmt: skip
    return min(first, last), max(first, last)


@pytest.mark.parametrize("seed", range(4))
def test_a_report_is_what_the_rows_say_however_much_is_rolled_up(place: Stores, seed: int) -> None:
    asyncio.run(_compared(place, seed))


async def _compared(place: Stores, seed: int) -> None:
    ledger = place.open()
    traffic = Traffic(ledger, seed)
    draw = random.Random(-seed)
    spans = [
        (0, 2**62), (NOON, NOON + HOUR_US), (NOON - 25 * HOUR_US + 17, NOON + HOUR_US // 2),
        (NOON - 24 * 41 * HOUR_US, NOON), (NOON + 5, NOON + 6),
    ]  # fmt: skip
    for _ in range(6):
        for _ in range(60):
            await traffic.act()
        for _ in range(draw.randrange(4)):
            ledger.roll()
        rows = list(place.read().rows())
        for row in rows:
            row["project"] = traffic.projects[row["key"]]
        for by in get_args(By):
            for since, until in (draw.choice(spans), odd(draw)):
                report = place.read().report(by, since, until)
                assert told(report) == expected(rows, by, since, until), (by, since, until)
                whole = expected(rows, "kind", since, until).values()
                assert told_of(report.all) == tuple(map(sum, zip(*whole, strict=True))) or not whole
                times = {line.group: (line.ttft, line.total) for line in report.lines if line.total.n}
                assert times == took(rows, by, since, until), (by, since, until)
        for row in rows:
            del row["project"]
        for since, until in spans:
            within = [row for row in rows if since <= at_us(row) < until]
            assert list(place.read().rows(since, until)) == within, (since, until)
    while ledger.roll():
        pass
    well = [row["total_us"] for row in rows if row["event"] == "close" and row["outcome"] == "ok"]
    assert place.read().report("task").all.total == three_digits(well)
    assert place.read().verify() == []
    await ledger.shutdown()


async def test_verify_names_a_sum_that_is_not_its_rows(place: Stores) -> None:
    ledger = place.open()
    for n in range(40):
        await ledger.open(opened(f"a{n}", key="k'1"))
        await ledger.close(closed(f"a{n}", 5))
    await rolled(ledger, 2)
    assert place.read().verify() == []
    for change, said in (
        (
            "UPDATE rollup SET calls = calls + 1 WHERE facet = 0 AND step = 1",
            "roll-up of the day from 2026-11-22",
        ),
        ("UPDATE rollup SET cost_low = cost_low - 1 WHERE facet = 1 AND step = 0", 'key "k\'1" ok: cost is'),
        ("DELETE FROM rollup WHERE step = 2 AND facet = 0", "calls is 0, its rows sum to 32"),
        ("DELETE FROM rollup_latency WHERE step = 0", "total time n is 0"),
        ("UPDATE rollup_span SET first_seq = 9", "its events are said to be (9, "),
    ):
        undo = _altered(place, change)
        assert any(said in problem for problem in place.read().verify()), (change, place.read().verify())
        undo()
    assert place.read().verify() == []
    await ledger.shutdown()


def _altered(place: Stores, change: str) -> Any:
    """Makes a change behind the ledger's back, and gives what takes it back."""
    tables = ("rollup", "rollup_latency", "rollup_span")
    url = place.url.removeprefix("sqlite:///")
    database: Any
    if place.shared:
        import psycopg

        database = psycopg.connect(url, options="-c search_path=tierwise", autocommit=True)
    else:
        database = sqlite3.connect(url, isolation_level=None)
    mark = "%s" if place.shared else "?"
    before = {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    database.execute(change)

    def undo() -> None:
        for table, rows in before.items():
            database.execute(f"DELETE FROM {table}")
            cursor = database.cursor()
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(rows[0]))})", rows)
        database.close()

    return undo


@pytest.mark.parametrize("seed", range(3))
async def test_a_crash_between_slices_or_within_one_loses_and_doubles_nothing(
    place: Stores, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`crash` is what kill -9 leaves; a slice whose writing fails halfway is what a full disk leaves."""
    draw = random.Random(seed)
    ledger = place.open()
    traffic = Traffic(ledger, seed)
    whole = steps.insert
    for _ in range(8):
        for _ in range(40):
            await traffic.act()
        broken = draw.choice(("rollup_group", "rollup", "rollup_latency", "rollup_span", ""))

        def cut(flavour: Any, table: str, *terms: Any, broken: str = broken) -> str:
            return "INSERT INTO nowhere VALUES (1)" if table == broken else whole(flavour, table, *terms)

        monkeypatch.setattr(steps, "insert", cut)
        with suppress(StoreError):
            ledger.roll()
        monkeypatch.setattr(steps, "insert", whole)
        if draw.random() < 0.7:
            ledger.roll()
        if draw.random() < 0.4:
            ledger = traffic.ledger = place.crash()
    while ledger.roll():
        pass
    rows = list(place.read().rows())
    assert told(place.read().report("key")) == expected(rows, "key", 0, 2**62)
    assert place.read().verify() == []
    for each in place.owned:
        await each.shutdown()


async def test_two_that_roll_up_at_once_count_once(place: Stores) -> None:
    ledger = place.open()
    other = place.open() if place.shared else ledger
    for n in range(200):
        await ledger.open(opened(f"a{n}"))
        await ledger.close(closed(f"a{n}", 5))

    def roll(one: Ledger) -> None:
        for _ in range(20):
            one.roll()

    await asyncio.gather(*[asyncio.to_thread(roll, one) for one in (ledger, other, ledger)])
    assert place.read().report("task").all.spend_pico == 1000
    assert place.read().verify() == []
    for each in place.owned:
        await each.shutdown()

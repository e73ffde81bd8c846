"""Savings and waste: whatever was opened, closed, swept, corrected and rolled up, and in whatever order, they
are what a walk over every exported row says, to the pico-dollar and with the same examples.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

import tierwise.costing.waste as wasted
import tierwise.ledger.rollups.step as steps
import tierwise.ledger.rollups.verify as checks
from postgres import postgres  # noqa: F401  a fixture
from stores import STORES, Stores
from tierwise.costing import Cost
from tierwise.costing.advice import all_series, by_stake
from tierwise.costing.savings import savings
from tierwise.costing.settled import Only, Settled, corrected
from tierwise.costing.waste import Kind, waste
from tierwise.ledger import Ledger, Reader, spilled
from tierwise.ledger.postgres import reader as postgres_reader
from tierwise.ledger.sqlite import reader as sqlite_reader
from tierwise.nouns import OUTPUT_LIMIT, Abilities, Price, Source, Usage
from unit.ledger.made import NOON, closed, opened

HOUR_US = 3_600_000_000
OUTCOMES = ("ok",) * 9 + ("error",) * 4 + ("truncated", "cancelled", "cached")
TASKS = ("qa", "code", "", 'nul \x00 and "quotes"', "\ufdd0")
KINDS = ("call",) * 12 + ("batch", "shadow", "judge", "eval")
PRICE = Price("p", Source("s", "2026-11-22"), 10, 1, 13, 20, 50, service_tiers={"flex": (1, 1)})
HELD = ("holdout", '"holdout', 'holdout"', "Holdout", "x\x00")


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    for room in (steps, checks):
        monkeypatch.setattr(room, "SLICE", 64)
    for room in (sqlite_reader, postgres_reader):
        monkeypatch.setattr(room, "PAGE", 50)
    monkeypatch.setattr(wasted, "LEAST_SERVED", 5)
    monkeypatch.setattr(spilled, "RUN", 50)
    return STORES[request.param](tmp_path, request)


class Traffic:
    """Random calls, most of them near each other, a tenth of them closed only after they were swept."""

    def __init__(self, ledger: Ledger, draw: random.Random, tags: tuple[str, ...]) -> None:
        self.ledger = ledger
        self.draw = draw
        self.tags = tags
        self.open: list[tuple[str, int]] = []
        self.count = 0

    def at(self) -> int:
        ago = self.draw.choice((0, 0, 0, 0, 1, 25)) * HOUR_US
        return NOON - ago + self.draw.randrange(8) * 1_000_000

    async def act(self) -> None:
        draw = self.draw
        if not self.open or draw.random() < 0.5:
            name = f"a{self.count}"
            self.count += 1
            at = self.at()
            self.open.append((name, at))
            said: dict[str, Any] = {
                "task": draw.choice(TASKS), "tier": "swift", "model": draw.choice(("m1", "m2", "m3")),
                "key": draw.choice(("one", "one", "one", "two")), "kind": draw.choice(KINDS), "at_us": at,
                "tags": tuple(draw.sample(self.tags, draw.randrange(min(3, len(self.tags) + 1)))),
                "session": draw.choice(("", "", "s")), "prefix": draw.choice(("", "p1", "p2", f"u{name}")),
                "stream": draw.random() < 0.1, "price_id": draw.choice(("p", "p", "")),
            }  # fmt: skip
            await self.ledger.open(opened(name, draw.choice((0, 10**9, 2**62)), **said))
        elif draw.random() < 0.03:
            await self.ledger.sweep(NOON + 10**12)
        else:
            await self.close(*self.open.pop(draw.randrange(len(self.open))))

    async def close(self, name: str, at: int) -> None:
        draw = self.draw
        cost = draw.choice((None, 0, 7, draw.randrange(10**9), draw.randrange(10**9), draw.randrange(2**62)))
        usage = Usage(
            input=draw.choice((100, 500, 500, 500)), cache_read=draw.choice((0, 0, 0, 300)), output=9,
            cache_write_5m=draw.choice((0, 0, 0, 200)), cache_write_1h=draw.choice((0, 0, 0, 400)),
            extra=draw.choice(({}, {}, {"web \x00": 2})), source=draw.choice(("reported", "estimated")),
            service_tier=draw.choice(("", "", "flex")),
        )  # fmt: skip
        took = draw.choice((1_000_000, 1_500_000))
        await self.ledger.close(
            closed(
                name, cost, at_us=draw.choice((at + took, at + took, self.at())), total_us=took, usage=usage,
                outcome=draw.choice(OUTCOMES), unpriced="" if cost is not None else "no price",
                error=("", OUTPUT_LIMIT, "x")[int(name[1:]) % 3],
                asked_pico=draw.choice((None, draw.randrange(10**9))),
                reference_pico=draw.choice((None, 2**61)),
            )
        )  # fmt: skip


def cost_at(call: Settled, model: str) -> Cost:
    """A price of its own for every model and bucket; some are not known."""
    usage = call.usage
    if model == "m3" and call.task == "code":
        return Cost(None, "unknown")
    tokens = usage.input * 10 + usage.cache_read + 13 * usage.cache_write_5m + 20 * usage.cache_write_1h
    return Cost((tokens + 50 * usage.output) * {"m1": 1, "m2": 5, "m3": 9}[model])


def able(call: Settled) -> Abilities:
    return Abilities(cache_lifetime_s=1800) if call.model == "m2" else Abilities()


def settled(rows: Iterable[Mapping[str, Any]]) -> Iterator[Settled]:
    """The finished calls in `rows`, of the shape of `ledger export --jsonl`."""
    return corrected((row["event"] == "correction", exported(row)) for row in rows if row["event"] != "open")


def exported(row: Mapping[str, Any]) -> Settled:
    usage = Usage(
        **row["usage"],
        extra=row.get("usage_extra") or {},
        source=row["usage_source"],
        service_tier=row.get("service_tier") or "",
    )
    same = (
        "attempt",
        "exchange",
        "model",
        "provider",
        "cost_pico",
        "outcome",
        "key",
        "task",
        "tier",
        "stream",
    )
    maybe = (
        "unpriced",
        "error",
        "asked",
        "session",
        "prefix",
        "total_us",
        "served_model",
        "asked_pico",
        "reference_pico",
    )
    at = datetime.fromisoformat(row["at"]) - datetime(1970, 1, 1, tzinfo=UTC)
    return Settled(
        at_us=at // timedelta(microseconds=1),
        day=row["at"][:10],
        usage=usage,
        kind=row.get("kind") or "call",
        tags=tuple(row.get("tags") or ()),
        known=row["outcome"] != "swept",
        **{name: row[name] for name in same},
        **{name: row[name] for name in maybe if row.get(name) is not None},
    )


def compare(reader: Reader, since: int | None, until: int | None) -> tuple[int, set[str]]:
    every = list(settled(reader.rows(since, until)))
    assert list(reader.finished(since, until)) == every
    plain = savings(every)
    summed = reader.savings(since, until)
    held = plain.arms or any("holdout" in call.tags for call in every)
    assert summed == (None if held else plain)
    found = waste(lambda only: reader.finished(since, until, only), cost_at)
    assert found == waste(lambda _: every, cost_at)
    assert found == waste(lambda only: reader.finished(since, until, only), cost_at, aside=spilled.spilled)
    series = sorted(
        all_series(reader.finished(since, until), lambda _: PRICE, able, spilled.spilled), key=by_stake
    )
    assert series == sorted(all_series(every, lambda _: PRICE, able), key=by_stake)
    assert sum(each.calls for each in series) == sum(1 for call in every if call.known and call.usage.prompt)
    asked = Only(("call", "eval"), ("ok",), TASKS[3:])
    few = list(reader.finished(since, until, asked))
    assert [each for each in few if wanted(each)] == [each for each in every if wanted(each)]
    return len(plain.arms), {each.kind for each in found}


def wanted(call: Settled) -> bool:
    plain = call.kind in ("call", "eval") and call.outcome == "ok"
    return plain and call.task in TASKS[3:]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tags", [HELD, HELD[1:]], ids=["held out", "none held out"])
def test_savings_and_waste_are_what_a_walk_over_every_row_says(
    place: Stores, seed: int, tags: tuple[str, ...]
) -> None:
    asyncio.run(_compared(place, random.Random(seed), tags))


async def _compared(place: Stores, draw: random.Random, tags: tuple[str, ...]) -> None:
    ledger = place.open()
    traffic = Traffic(ledger, draw, tags)
    arms, kinds = 0, set[str]()
    for _ in range(3):
        for _ in range(300):
            await traffic.act()
        for _ in range(draw.randrange(8)):
            ledger.roll()
        at = NOON + draw.randrange(10) * 1_000_000
        spans = [(None, None), (at, None), (None, at), (at - HOUR_US, at), (at - 25 * HOUR_US, at + HOUR_US)]
        for span in spans:
            now = compare(place.read(), *span)
            arms, kinds = max(arms, now[0]), kinds | now[1]
    # Every kind of waste was there, and calls held out where some carried the tag.
    assert (arms > 0, kinds) == ("holdout" in tags, set(get_args(Kind)))
    await ledger.shutdown()


async def test_a_correction_counts_with_its_sweep_or_not_at_all(place: Stores) -> None:
    """A call that was swept and closed an hour later: seen from spans with both, with either, with none."""
    ledger = place.open()
    terms = {"asked_pico": 900, "reference_pico": 700}
    for name, cost in (("a", 60), ("b", None), ("c", 0), ("d", 10)):
        await ledger.open(opened(name, 100, kind="shadow" if name == "d" else "call"))
        await ledger.sweep(NOON + 10**9)
        why = "" if cost is not None else "no price"
        for outcome in ("cached",) if name == "c" else ("ok",):
            late = closed(name, cost, at_us=NOON + 10**12, outcome=outcome, unpriced=why, **terms)
            await ledger.close(late)
    rows = [row for row in place.read().rows() if row["event"] != "open"]
    assert [row["event"] for row in rows] == ["close", "correction"] * 4
    made = place.read().savings()
    assert made is not None
    assert (made.served, made.unpriced, made.overhead) == (2, 1, {"shadow": 10})
    assert (made.asked.calls, made.asked.unknown, made.asked.baseline_pico) == (1, 1, 900)
    for middle in (NOON + 10**12 - 1, NOON + 10**12, NOON + 10**12 + 1):
        for span in ((None, None), (None, middle), (middle, None), (0, 1)):
            compare(place.read(), *span)
    await ledger.shutdown()

"""Roll-ups: what the ledger's rows add up to by hour, day and 32 days, so that a report reads thousands of
sums and not millions of rows.

They are made behind the calls, a slice of rows at a time, and hold every event up to a number, `rolled`. A
report adds the rows after it, and those of an hour it cuts, so it is always exact and current.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from .durations import Durations

HOUR_US = 3_600_000_000
STEPS = (HOUR_US, 24 * HOUR_US, 32 * 24 * HOUR_US)
"""The widths of the sums kept: a step's number is its place here, a period's its start over the width."""
HOUR, DAY, BLOCK = range(3)
SLICE = 65_536
"""Events of one slice: numbers after a multiple of it, up to the next."""

Facet = Literal["route", "key", "tag"]
FACETS: dict[Facet, tuple[str, ...]] = {
    "route": ("task", "tier", "model", "kind"),
    "key": ("key",),
    "tag": ("tag",),
}
"""What sums are kept by, with the outcome. Apart from each other: numbers of groups add up, not multiply."""
NUMBERS: dict[Facet, int] = {"route": 0, "key": 1, "tag": 2}

COUNTS = ("calls", "unpriced", "estimated", "asked_calls", "reference_calls")
TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
AMOUNTS = (*TOKENS, "cost", "asked", "asked_cost", "reference", "reference_cost")
"""Amounts may outgrow 64 bits: each is kept as a sum of billions and a sum of what is left."""
HALF = 10**9
SUMS = (*COUNTS, *AMOUNTS)
COLUMNS = (*COUNTS, *(f"{name}_{half}" for name in AMOUNTS for half in ("high", "low")))
AT = {name: place for place, name in enumerate(SUMS)}


class Group(NamedTuple):
    """What sums are kept by. `words` are in the order of FACETS."""

    facet: Facet
    words: tuple[str, ...]
    outcome: str

    @property
    def digest(self) -> str:
        """Its name in the ledger: words may be longer than an index takes."""
        return blake2b(msgspec.json.encode(self), digest_size=16).hexdigest()


def tags_of(stored: str) -> tuple[str, ...]:
    """The tags in a row's JSON array. What Postgres cannot hold was put back into it unescaped."""
    return _tags(stored.replace("\x00", "\\u0000")) if stored != "[]" else ()


_tags = msgspec.json.Decoder(tuple[str, ...]).decode


class Tally:
    """Sums in the order of SUMS, and how long the calls that ended well took."""

    __slots__ = ("sums", "total", "ttft")

    def __init__(self) -> None:
        self.sums = [0] * len(SUMS)
        self.ttft = Durations()
        self.total = Durations()

    def add(self, columns: Sequence[Any]) -> None:
        """Adds a row of COLUMNS."""
        sums = self.sums
        for place, _ in enumerate(COUNTS):
            sums[place] += int(columns[place])
        halves = iter(columns[len(COUNTS) :])
        for place in range(len(COUNTS), len(SUMS)):
            sums[place] += int(next(halves)) * HALF + int(next(halves))

    def merge(self, other: Tally) -> None:
        """Adds another tally."""
        for place, amount in enumerate(other.sums):
            self.sums[place] += amount
        self.ttft.merge(other.ttft)
        self.total.merge(other.total)

    def columns(self) -> list[int]:
        """The sums as a row of COLUMNS."""
        row = self.sums[: len(COUNTS)]
        for amount in self.sums[len(COUNTS) :]:
            high = abs(amount) // HALF * (1 if amount >= 0 else -1)
            row += [high, amount - high * HALF]
        return row


class Period(NamedTuple):
    """One period of one step."""

    step: int
    start: int


class Slice(NamedTuple):
    """What the events numbered after `low` up to `high` add up to, by hour and group, and where each hour's
    events lie: their first and last number."""

    low: int
    high: int
    hours: dict[int, dict[Group, Tally]]
    spans: dict[int, tuple[int, int]]

    def periods(self) -> Iterator[tuple[Period, dict[Group, Tally]]]:
        """The sums of every hour, day and block the slice touches."""
        for step, width in enumerate(STEPS):
            found: dict[int, dict[Group, Tally]] = {}
            for hour, groups in self.hours.items():
                held = found.setdefault(hour * HOUR_US // width, {})
                for group, tally in groups.items():
                    held.setdefault(group, Tally()).merge(tally)
            for start, held in found.items():
                yield Period(step, start), held


class Plan(NamedTuple):
    """How a span of time is put together: `whole` periods (step, first, one after the last) of which sums are
    kept, and `cut` stretches (from, until) of hours that must be read row by row."""

    whole: list[tuple[int, int, int]]
    cut: list[tuple[int, int]]


def plan(since_us: int, until_us: int, coarsest: int = BLOCK) -> Plan:
    """The fewest periods that make up [since_us, until_us)."""
    width = STEPS[coarsest]
    first, after = -(-since_us // width), until_us // width
    if first >= after:
        if coarsest == HOUR:
            return Plan([], [(since_us, until_us)] if since_us < until_us else [])
        return plan(since_us, until_us, coarsest - 1)
    found = Plan([(coarsest, first, after)], [])
    for edge in ((since_us, first * width), (after * width, until_us)):
        if edge[0] < edge[1]:
            if coarsest == HOUR:
                found.cut.append(edge)
            else:
                part = plan(*edge, coarsest - 1)
                found.whole.extend(part.whole)
                found.cut.extend(part.cut)
    return found

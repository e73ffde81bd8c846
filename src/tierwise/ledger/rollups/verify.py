"""Checks that the roll-ups are the sums of the rows, at one instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from .read import Sums, pieces
from .sql import Ask, Flavour, durations_query, sums_query
from .step import sliced
from .tally import BLOCK, COLUMNS, DAY, FACETS, HOUR, HOUR_US, NUMBERS, SLICE, STEPS, SUMS, Group, Tally

Fingerprints = dict[Group, list[int]]
"""A group's sums, with its durations boiled down to their number, sum and sum of squares: what must agree."""
_DURATIONS = ("n", "sum", "sum of squares")
_NAMES = (*SUMS, *(f"{what} {name}" for what in ("time to first token", "total time") for name in _DURATIONS))
_STEP = ("hours", "day", "block of 32 days")
_SPANS = "SELECT hour, first_seq, last_seq FROM rollup_span"
_HOURS = STEPS[DAY] // STEPS[HOUR]
_PARTS = 8
"""Rows are read by parts of a slice."""


def stale(ask: Ask, flavour: Flavour) -> Iterator[str]:
    """What the roll-ups say and their rows do not, about the oldest first: every group's sums by hour, day
    and block; where the events of an hour lie.

    A day is compared, and forgotten, once its last event has passed: a year of many keys has millions of
    sums.
    """
    sums = Sums(ask, flavour)
    stored = {int(hour): (int(first), int(last)) for hour, first, last in ask(_SPANS, {})}
    spans: dict[int, tuple[int, int]] = {}
    days, blocks = (_Waiting(stored, step, _starts(ask, flavour, step)) for step in (DAY, BLOCK))
    for numbers in pieces(0, sums.rolled, max(1, SLICE // _PARTS)):
        made = sliced(ask, flavour, numbers)
        for hour, groups in made.hours.items():
            _add(days.rows.setdefault(hour // _HOURS, {}), groups.items())
        for hour, (first, last) in made.spans.items():
            known = spans.get(hour, (first, last))
            spans[hour] = (min(first, known[0]), max(last, known[1]))
        yield from _compared(ask, flavour, days, blocks, numbers[1])
    yield from _compared(ask, flavour, days, blocks, None)
    for hour in sorted(spans.keys() | stored.keys()):
        if spans.get(hour) != stored.get(hour):
            where = f"the hour from {_when(hour * HOUR_US)}"
            yield f"{where}: its events are said to be {stored.get(hour)}, but are {spans.get(hour)}"


class _Waiting:
    """The sums of the rows of periods of one step that are not compared yet, by period."""

    def __init__(self, spans: dict[int, tuple[int, int]], step: int, starts: set[int]) -> None:
        self.rows: dict[int, Fingerprints] = {}
        self._left = starts
        self._ends: dict[int, int] = {}
        for hour, (_, last) in spans.items():
            start = hour * HOUR_US // STEPS[step]
            self._ends[start] = max(last, self._ends.get(start, 0))

    def over(self, reached: int | None) -> list[tuple[int, Fingerprints]]:
        """Takes out the periods whose events all lie up to `reached`; None: all, those without rows too."""
        starts = [start for start in self.rows if reached is None or self._ends.get(start, 0) <= reached]
        self._left -= self.rows.keys()
        if reached is None:
            starts += self._left
        return [(start, self.rows.pop(start, {})) for start in sorted(starts)]


def _compared(
    ask: Ask, flavour: Flavour, days: _Waiting, blocks: _Waiting, reached: int | None
) -> Iterator[str]:
    """What is wrong in the days and blocks that are over."""
    for day, rows in days.over(reached):
        hours = _kept(ask, flavour, HOUR, (day * _HOURS, (day + 1) * _HOURS))
        yield from _differences(hours, rows, HOUR, day)
        yield from _differences(_kept(ask, flavour, DAY, (day, day + 1)), rows, DAY, day)
        held = blocks.rows.setdefault(day * STEPS[DAY] // STEPS[BLOCK], {})
        for group, made in rows.items():
            held[group] = [a + b for a, b in zip(held.get(group, [0] * len(made)), made, strict=True)]
    for block, rows in blocks.over(reached):
        yield from _differences(_kept(ask, flavour, BLOCK, (block, block + 1)), rows, BLOCK, block)


def _starts(ask: Ask, flavour: Flavour, step: int) -> set[int]:
    asked = flavour.text("SELECT DISTINCT start FROM rollup WHERE facet = 0 AND step = :step")
    return {int(start) for (start,) in ask(asked, {"step": step})}


def _kept(ask: Ask, flavour: Flavour, step: int, span: tuple[int, int]) -> Fingerprints:
    found: dict[Group, Tally] = {}
    for facet, words in FACETS.items():
        given = {"facet": NUMBERS[facet], "step": step, "first": span[0], "after": span[1]}
        end = len(words) + 1
        for row in ask(sums_query(flavour, words, by_start=False), given):
            group = Group(facet, tuple(row[1:end]), row[end])
            found.setdefault(group, Tally()).add(row[end + 1 : end + 1 + len(COLUMNS)])
        for row in ask(durations_query(flavour, words), given):
            tally = found.setdefault(Group(facet, tuple(row[1:end]), "ok"), Tally())
            tally.ttft.add_packed(row[end])
            tally.total.add_packed(row[end + 1])
    made: Fingerprints = {}
    _add(made, found.items())
    return made


def _add(found: Fingerprints, tallies: Iterable[tuple[Group, Tally]]) -> None:
    for group, tally in tallies:
        made = [*tally.sums]
        for counts in (tally.ttft.counts(), tally.total.counts()):
            made += [sum(took**power * calls for took, calls in counts.items()) for power in range(3)]
        known = found.get(group)
        found[group] = made if known is None else [a + b for a, b in zip(known, made, strict=True)]


def _differences(kept: Fingerprints, rows: Fingerprints, step: int, start: int) -> Iterator[str]:
    nothing: list[Any] = [0] * len(_NAMES)
    begins = start * STEPS[max(step, DAY)]
    for group in sorted(kept.keys() | rows.keys()):
        for name, said, summed in zip(
            _NAMES, kept.get(group, nothing), rows.get(group, nothing), strict=True
        ):
            if said != summed:
                what = " ".join([*map(repr, group.words), group.outcome])
                where = f"roll-up of the {_STEP[step]} from {_when(begins)[:10]}, {group.facet} {what[:200]}"
                yield f"{where}: {name} is {said}, its rows sum to {summed}"
                break


def _when(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()

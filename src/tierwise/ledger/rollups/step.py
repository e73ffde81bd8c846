"""One slice of rows becomes sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from .read import Sums, add_row
from .sql import Ask, Flavour, Stretch, insert, rows_of, spans_query
from .tally import COLUMNS, FACETS, HOUR_US, NUMBERS, SLICE, STEPS, Facet, Group, Slice, Tally, tags_of

WriteMany = Callable[[str, Sequence[tuple[Any, ...]]], int]
"""Runs one statement for each row of values; how many rows it changed."""

_encode = msgspec.json.Encoder().encode
_WORDS = tuple(word for words in FACETS.values() for word in words)
_IDS = "SELECT digest, id FROM rollup_group"
_KEPT = (
    "SELECT r.grp, r.ttft, r.total FROM rollup_latency r"
    " WHERE r.facet = :facet AND r.step = :step AND r.start = :start AND r.grp IN "
)
MOST_ROWS = 32_768
"""What one slice changes: SQLite writes so many in a tenth of a second, in which no call is written."""
_MOST_HALVED = 6


class Change(NamedTuple):
    """What one slice changes in the roll-ups."""

    low: int
    high: int
    groups: list[tuple[Any, ...]]
    sums: list[tuple[Any, ...]]
    latencies: list[tuple[Any, ...]]
    spans: list[tuple[Any, ...]]


class Stride:
    """How many events are rolled up at once: a SLICE, or a part of it where keys and tags are so many that
    writing their sums would hold up the calls."""

    def __init__(self) -> None:
        self._halved = 0

    def waiting(self, sums: Sums, safe: int) -> tuple[int, int] | None:
        """The slice to roll up next; None: no whole one among the events up to the number `safe`."""
        size = max(1, SLICE >> self._halved)
        high = sums.rolled - sums.rolled % size + size
        return (sums.rolled, high) if high <= safe else None

    def next(self, ask: Ask, flavour: Flavour, safe: int | None = None) -> Change | None:
        """What the next slice changes, at the snapshot `ask` sees; None while there is no whole one among the
        events up to the number `safe` (unsaid: all)."""
        sums = Sums(ask, flavour)
        while (numbers := self.waiting(sums, sums.top if safe is None else safe)) is not None:
            made = sliced(ask, flavour, numbers)
            if self._suits(made):
                return change_of(made, ask, flavour)
        return None

    def _suits(self, made: Slice) -> bool:
        # Of each step at most as many sums change as of the hours, and as many durations.
        rows = 2 * len(STEPS) * sum(map(len, made.hours.values()))
        if rows > MOST_ROWS and self._halved < _MOST_HALVED:
            while rows > MOST_ROWS and self._halved < _MOST_HALVED:
                self._halved, rows = self._halved + 1, rows // 2
            return False
        if rows < MOST_ROWS // 4 and self._halved:
            self._halved -= 1
        return True


def sliced(ask: Ask, flavour: Flavour, numbers: tuple[int, int]) -> Slice:
    """What the events of a slice add up to: the rows are read once, for every facet."""
    hours: dict[int, dict[Group, Tally]] = {}
    for row in rows_of(ask, flavour, tuple(FACETS), [Stretch(*numbers)], HOUR_US):
        groups, part = hours.setdefault(int(row[0]), {}), Tally()
        add_row(part, row[len(_WORDS) + 2 :])
        for facet, words in _worded(row[1 : len(_WORDS) + 1]):
            groups.setdefault(Group(facet, words, row[len(_WORDS) + 1]), Tally()).merge(part)
    given = {"low": numbers[0], "high": numbers[1], "width": HOUR_US}
    spans = {int(hour): (first, last) for hour, first, last in ask(spans_query(flavour), given)}
    return Slice(*numbers, hours, spans)


def _worded(values: Sequence[str]) -> Iterator[tuple[Facet, tuple[str, ...]]]:
    """The facets that a row with these values of _WORDS belongs to, with its words there: one of each, and
    one for each tag."""
    said = dict(zip(_WORDS, values, strict=True))
    for facet, words in FACETS.items():
        if words != ("tag",):
            yield facet, tuple([said[word] for word in words])
        else:
            yield from ((facet, (tag,)) for tag in tags_of(said["tag"]))


def change_of(made: Slice, ask: Ask, flavour: Flavour) -> Change:
    """What the slice changes, at the snapshot `ask` sees."""
    groups = {group.digest: group for held in made.hours.values() for group in held}
    known_ids = flavour.text(f"{_IDS} WHERE digest IN {flavour.member}")
    ids = {digest: int(id) for digest, id in ask(known_ids, {"listed": _encode(list(groups)).decode()})}
    following = int(ask("SELECT coalesce(max(id), 0) + 1 FROM rollup_group", {})[0][0])
    change = Change(made.low, made.high, [], [], [], [])
    known: dict[Group, int] = {}
    for digest, group in groups.items():
        if digest not in ids:
            ids[digest] = following
            change.groups.append((following, digest, *_named(group), group.outcome))
            following += 1
        known[group] = ids[digest]
    for period, held in made.periods():
        for group, tally in held.items():
            place = (NUMBERS[group.facet], *period, known[group])
            change.sums.append((*place, *tally.columns()))
        for facet in FACETS:
            timed = {known[g]: t for g, t in held.items() if g.facet == facet and t.total}
            if timed:
                _time(change, timed, (NUMBERS[facet], *period), ask, flavour)
    change.spans.extend((hour, *span) for hour, span in made.spans.items())
    return change


def _named(group: Group) -> list[str]:
    said = dict(zip(FACETS[group.facet], group.words, strict=True))
    return [said.get(word, "") for word in _WORDS]


def _time(
    change: Change, timed: dict[int, Tally], place: tuple[int, int, int], ask: Ask, flavour: Flavour
) -> None:
    """Adds to the change the durations of one period, those kept before included."""
    given: dict[str, Any] = dict(zip(("facet", "step", "start"), place, strict=True))
    given["listed"] = _encode([*map(str, timed)]).decode()
    listed = f"(SELECT CAST(m.value AS bigint) FROM {flavour.member} m)"  # noqa: S608  our own words
    for id, ttft, total in ask(flavour.text(_KEPT + listed), given):
        timed[id].ttft.add_packed(ttft)
        timed[id].total.add_packed(total)
    change.latencies.extend((*place, id, t.ttft.packed(), t.total.packed()) for id, t in timed.items())


def write_change(change: Change, write: WriteMany, flavour: Flavour) -> bool:
    """Writes the change in the transaction that `write` is in. False: another process rolled this slice up
    meanwhile, and nothing may be kept of it."""
    mark = flavour.mark
    guard = f"UPDATE rollup_state SET rolled = {mark} WHERE rolled = {mark}"  # noqa: S608
    if write(guard, [(change.high, change.low)]) != 1:
        return False
    added = ", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in COLUMNS)
    period = "ON CONFLICT (facet, step, start, grp) DO UPDATE SET"
    lowest = (
        "ON CONFLICT (hour) DO UPDATE SET first_seq = CASE WHEN rollup_span.first_seq < excluded.first_seq"
        " THEN rollup_span.first_seq ELSE excluded.first_seq END,"
        " last_seq = CASE WHEN rollup_span.last_seq > excluded.last_seq"
        " THEN rollup_span.last_seq ELSE excluded.last_seq END"
    )
    for table, rows, conflict in (
        ("rollup_group", change.groups, ""),
        ("rollup", change.sums, f"{period} {added}"),
        ("rollup_latency", change.latencies, f"{period} ttft = excluded.ttft, total = excluded.total"),
        ("rollup_span", change.spans, lowest),
    ):
        if rows:
            write(insert(flavour, table, len(rows[0]), conflict), rows)
    return True

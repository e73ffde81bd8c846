"""Sums over any stretch of time: from the roll-ups where they reach, else from the rows, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, structs

from ..periods import FOREVER_US
from .sql import Ask, Flavour, Stretch, durations_query, rows_of, sums_query
from .tally import BLOCK, COLUMNS, FACETS, HOUR_US, NUMBERS, SLICE, STEPS, Facet, Plan, Tally, plan, tags_of

PIECE = 4 * SLICE
"""Events summed by one query where nothing is rolled up: what it lists of durations stays small."""


class Wanted(Struct, frozen=True):
    """Which sums: by some of a facet's words and the outcome, of calls that ended in [since_us, until_us).

    `by`: the number of the step whose periods are told apart; None: one for all. `timed`: with durations.
    By tag there are also slots without words, of all calls: one has several tags, or none.
    """

    facet: Facet
    words: tuple[str, ...]
    since_us: int = 0
    until_us: int = FOREVER_US
    by: int | None = None
    timed: bool = False


class Slot(Struct, frozen=True):
    """What a tally is of. `start` is the number of its period; 0 where periods are not told apart."""

    start: int
    words: tuple[str, ...]
    outcome: str


Tallies = dict[Slot, Tally]


class Sums:
    """Sums at one instant of one database. `ask` must see one snapshot."""

    def __init__(self, ask: Ask, flavour: Flavour) -> None:
        self._ask = ask
        self._flavour = flavour
        self.rolled = int(ask("SELECT rolled FROM rollup_state", {})[0][0])
        self.top = max(self.rolled, int(ask(flavour.top, {})[0][0] or 0))

    def of(self, wanted: Wanted) -> Tallies:
        """The sums wanted, of every row there is."""
        planned = self.plan(wanted)
        found = self._kept(wanted, planned)
        stretches = self._cut(planned)
        for low, high in pieces(self.rolled, self.top):
            stretches.append(Stretch(low, high, wanted.since_us, wanted.until_us))
            self._add_rows(found, wanted, stretches)
            stretches = []
        self._add_rows(found, wanted, stretches)
        return found

    def stored(self, wanted: Wanted) -> Tallies:
        """The sums wanted, of the rows up to the number `rolled`."""
        planned = self.plan(wanted)
        found = self._kept(wanted, planned)
        self._add_rows(found, wanted, self._cut(planned))
        return found

    def plan(self, wanted: Wanted) -> Plan:
        """How the stretch of time is put together."""
        return plan(wanted.since_us, wanted.until_us, BLOCK if wanted.by is None else wanted.by)

    def rows(self, facet: Facet, stretches: Sequence[Stretch], width: int) -> Any:
        """See `rows_of`."""
        return rows_of(self._ask, self._flavour, (facet,), stretches, width)

    def _kept(self, wanted: Wanted, planned: Plan) -> Tallies:
        found: Tallies = {}
        for step, first, after in planned.whole:
            given = {"facet": NUMBERS[wanted.facet], "step": step, "first": first, "after": after}
            self._add_kept(found, wanted, given)
            if wanted.facet == "tag":
                whole = structs.replace(wanted, facet="route", words=())
                self._add_kept(found, whole, {**given, "facet": NUMBERS["route"]})
        return found

    def _cut(self, planned: Plan) -> list[Stretch]:
        """Where the rows of the hours are that must be read row by row."""
        found = []
        for since, until in planned.cut:
            hours = {"first": since // HOUR_US, "last": (until - 1) // HOUR_US}
            low, high = self._ask(self._flavour.text(_SPAN), hours)[0]
            if low is not None:
                found.append(Stretch(low - 1, min(high, self.rolled), since, until))
        return found

    def _add_kept(self, found: Tallies, wanted: Wanted, given: dict[str, Any]) -> None:
        count, by_start = len(wanted.words), wanted.by is not None
        ratio = 1 if wanted.by is None else STEPS[wanted.by] // STEPS[given["step"]]
        for row in self._ask(sums_query(self._flavour, wanted.words, by_start), given):
            slot = Slot(int(row[0]) // ratio, tuple(row[1 : count + 1]), row[count + 1])
            _tally(found, slot).add(row[count + 2 :])
        if not wanted.timed:
            return
        for row in self._ask(durations_query(self._flavour, wanted.words), given):
            start = int(row[0]) // ratio if by_start else 0
            tally = _tally(found, Slot(start, tuple(row[1 : count + 1]), "ok"))
            tally.ttft.add_packed(row[count + 1])
            tally.total.add_packed(row[count + 2])

    def _add_rows(self, found: Tallies, wanted: Wanted, stretches: Sequence[Stretch]) -> None:
        if not stretches:
            return
        names = FACETS[wanted.facet]
        places = [names.index(word) + 1 for word in wanted.words]
        width = FOREVER_US if wanted.by is None else STEPS[wanted.by]
        for row in self.rows(wanted.facet, stretches, width):
            said = [tuple([row[place] for place in places])]
            if wanted.facet == "tag":
                said = [(), *((tag,) for tag in tags_of(row[1]))]
            for words in said:
                slot = Slot(int(row[0]), words, row[len(names) + 1])
                add_row(_tally(found, slot), row[len(names) + 2 :])


class Horizon:
    """Up to which number every event can be seen. Postgres numbers events before they are committed, SQLite
    as they are.
    """

    def __init__(self) -> None:
        self._settled = 0
        self._asked: tuple[int, int] | None = None

    def settle(self, newest: int, running: tuple[int, int]) -> int:
        """The settled number. A number is, once all transactions have ended that ran when it was the newest.

        `newest` was drawn before `running` was asked: the oldest transaction that runs, the next to begin.
        """
        oldest, following = running
        if self._asked is not None and oldest >= self._asked[1]:
            self._settled, self._asked = max(self._settled, self._asked[0]), None
        if oldest >= following:
            self._settled = max(self._settled, newest)
        elif self._asked is None:
            self._asked = (newest, following)
        return self._settled


_SPAN = "SELECT min(first_seq), max(last_seq) FROM rollup_span WHERE hour >= :first AND hour <= :last"


def pieces(low: int, high: int, size: int = PIECE) -> Iterator[tuple[int, int]]:
    """Stretches of at most `size` numbers that make up those after `low` up to `high`."""
    for first in range(low, high, size):
        yield first, min(first + size, high)


def add_row(tally: Tally, row: Any) -> None:
    """Adds what `rows_of` gives after the outcome."""
    tally.add(row[: len(COLUMNS)])
    tally.ttft.add_listed(row[len(COLUMNS)])
    tally.total.add_listed(row[len(COLUMNS) + 1])


def _tally(found: Tallies, slot: Slot) -> Tally:
    tally = found.get(slot)
    if tally is None:
        tally = found[slot] = Tally()
    return tally

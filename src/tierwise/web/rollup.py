"""Rollup: the ledger's sums by hour and day, for pages: the roll-ups kept in the ledger, and what came since,
counted once and kept in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tierwise.clock import tick_us
from tierwise.ledger.periods import FOREVER_US
from tierwise.ledger.rollups.read import Horizon, Wanted, add_row, pieces
from tierwise.ledger.rollups.read import Sums as Stored
from tierwise.ledger.rollups.sql import Ask, Stretch
from tierwise.ledger.rollups.tally import AT, DAY, FACETS, HOUR, SLICE, STEPS, Facet, Tally

from .history import History

HOUR_US, DAY_US = STEPS[HOUR], STEPS[DAY]
PIECE = SLICE
"""Events counted by one question: tenths of a second."""
BACKLOG = 8 * SLICE
"""Above so many events the server's own rolling up is waited for."""
BUDGET_S = 0.4
_MOST_KEPT = 12
"""Ranges that are remembered, the newest: pages ask for six, which begin anew every hour or day."""

SUMS = (
    "calls", "unpriced", "estimated", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output",
    "cost", "compared", "reference", "compared_cost", "asked",
)  # fmt: skip
_NAMED = {"compared": "reference_calls", "compared_cost": "reference_cost"}
_PLACES = [AT[_NAMED.get(name, name)] for name in SUMS]


class Slot(NamedTuple):
    """What sums are kept by. `start_us` is the beginning of an hour or a day (UTC)."""

    start_us: int
    tier: str
    model: str
    task: str
    kind: str
    outcome: str


class KeySlot(NamedTuple):
    """What sums are kept by for keys, per day."""

    start_us: int
    key: str
    outcome: str


Sums = list[int]
_Raw = tuple[int, tuple[str, ...], str]
_Tallies = dict[_Raw, Sums]


class Rollup:
    """Sums of one ledger. Every method may be called from any thread."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._lock = threading.Lock()
        self._horizon = Horizon()
        self._rolled = self._counted = self._top = -1
        self._kept: dict[tuple[Facet, int, int], _Tallies] = {}
        self._since: dict[Facet, _Tallies] = {}
        self._fresh: dict[Facet, _Tallies] = {}
        self._complete = False

    def refresh(self, budget_s: float = BUDGET_S) -> None:
        """Counts what is new, for so long at most. Raises StoreError."""
        with self._lock, self._history.asking() as ask:
            self._count(ask, budget_s)

    @property
    def complete(self) -> bool:
        """Whether everything is counted."""
        return self._complete

    @property
    def progress(self) -> float:
        """The counted share of the ledger, 0..1."""
        return 1.0 if self._complete or self._top <= 0 else min(1.0, self._counted / self._top)

    def slots(self, since_us: int, hourly: bool = False) -> Iterator[tuple[Slot, Sums]]:
        """Groups that begin at `since_us` or later, by hour or by day. Raises StoreError."""
        step = HOUR if hourly else DAY
        for (start, (task, tier, model, kind), outcome), sums in self._from("route", step, since_us).items():
            yield Slot(start * STEPS[step], tier, model, task, kind, outcome), sums

    def key_slots(self, since_us: int) -> Iterator[tuple[KeySlot, Sums]]:
        """Days by key that begin at `since_us` or later. Raises StoreError."""
        for (start, (key,), outcome), sums in self._from("key", DAY, since_us).items():
            yield KeySlot(start * DAY_US, key, outcome), sums

    def _from(self, facet: Facet, step: int, since_us: int) -> dict[Any, Sums]:
        first = -(-since_us // STEPS[step])
        with self._lock, self._history.asking() as ask:
            stored = self._count(ask, BUDGET_S)
            kept = self._kept.get((facet, step, first))
            if kept is None:
                wanted = Wanted(facet, FACETS[facet], first * STEPS[step], FOREVER_US, by=step)
                kept = _plain(stored, wanted)
                while len(self._kept) >= _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[facet, step, first] = kept
            found = {raw: sums[:] for raw, sums in kept.items()}
            for part in (self._since, self._fresh):
                for (hour, words, outcome), sums in part.get(facet, {}).items():
                    start = hour * HOUR_US // STEPS[step]
                    if start >= first:
                        _merge(found, (start, words, outcome), sums)
            return found

    def _count(self, ask: Ask, budget_s: float) -> Stored:
        """Brings what is in memory to the instant that `ask` sees."""
        flavour = self._history.flavour
        before, stored = self._top, Stored(ask, flavour)
        settled = self._top = stored.top
        if flavour.running:
            oldest, following = ask(flavour.running, {})[0]
            settled = min(self._horizon.settle(before, (oldest, following)), stored.top)
        if stored.rolled != self._rolled:
            self._rolled = self._counted = stored.rolled
            self._kept, self._since = {}, {}
        self._fresh, self._complete = {}, False
        if stored.top - stored.rolled > BACKLOG:
            return stored
        until = tick_us() + int(budget_s * 1e6)
        for low, high in pieces(self._counted, settled, PIECE):
            if tick_us() > until:
                return stored
            _add(stored, (low, high), self._since)
            self._counted = high
        for numbers in pieces(self._counted, stored.top, PIECE):
            _add(stored, numbers, self._fresh)
        self._complete = True
        return stored


def total(groups: Iterator[tuple[Any, Sums]], keep: Callable[[Any], bool] = lambda slot: True) -> Sums:
    """All sums of the groups kept, in the order of SUMS."""
    result = [0] * len(SUMS)
    for slot, sums in groups:
        if keep(slot):
            for number, amount in enumerate(sums):
                result[number] += amount
    return result


def _add(stored: Stored, numbers: tuple[int, int], found: dict[Facet, _Tallies]) -> None:
    for facet in ("route", "key"):
        groups, count = found.setdefault(facet, {}), len(FACETS[facet])
        for row in stored.rows(facet, [Stretch(*numbers)], HOUR_US):
            tally = Tally()
            add_row(tally, row[count + 2 :])
            _merge(groups, (int(row[0]), tuple(row[1 : count + 1]), row[count + 1]), _picked(tally))


def _plain(stored: Stored, wanted: Wanted) -> _Tallies:
    """The sums stored, and only these."""
    return {
        (slot.start, slot.words, slot.outcome): _picked(tally)
        for slot, tally in stored.stored(wanted).items()
    }


def _picked(tally: Tally) -> Sums:
    return [tally.sums[place] for place in _PLACES]


def _merge(groups: dict[Any, Sums], slot: Any, sums: Sums) -> None:
    known = groups.get(slot)
    if known is None:
        groups[slot] = sums[:]
        return
    for number, amount in enumerate(sums):
        known[number] += amount

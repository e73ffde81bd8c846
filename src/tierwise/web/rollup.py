"""Rollup: the ledger's sums by hour and day, kept in memory and in step, so that five million rows cost one
pass.

Filled newest first by SQL in small pieces (SQLite works outside Python's lock), in a thread that starts with
the first question; what has come since the last question is added at the next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tierwise.clock import now_us, tick_us
from tierwise.errors import StoreError

from .history import History, last_seq

log = logging.getLogger("tierwise")

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
PIECE = 50_000
"""Events of one piece: tens of milliseconds."""
HOURS_KEPT = 24 * 8
_HALF = 10**9
_PAUSE_S = 0.005
_MOST_GROUPS = 400_000

SUMS = (
    "calls", "unpriced", "estimated", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output",
    "cost", "compared", "reference", "compared_cost",
)  # fmt: skip


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
Group = tuple[Slot | KeySlot, Sums]


def _columns(row: str, cost: str, whole: str) -> str:
    # No honest call has 10^12 tokens; cutting there keeps SQLite's sums within 64 bits.
    tokens = [
        f"sum(min({row}.{name}, 1000000000000))"
        for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    ]
    known = f"({row}.reference_pico IS NOT NULL AND {whole} IS NOT NULL)"
    amounts = [f"coalesce({cost}, 0)", f"iif({known}, {row}.reference_pico, 0)", f"iif({known}, {whole}, 0)"]
    halves = [f"sum({amount} / {_HALF}), sum({amount} % {_HALF})" for amount in amounts]
    return ", ".join([*tokens, halves[0], f"sum({known})", *halves[1:]])


_SPAN = "WHERE r.seq > :low AND r.seq <= :high"
_CLOSED = f"""
    SELECT {{group}}, r.outcome, count(*), sum(r.cost_pico IS NULL), sum(r.usage_source <> 'reported'),
        {_columns("r", "r.cost_pico", "r.cost_pico")}
    FROM close_rows r JOIN open_rows o ON o.seq = r.open_seq {_SPAN} GROUP BY {{by}}
"""  # noqa: S608
_FINAL = "iif(r.unpriced = '', coalesce(c.cost_pico, 0) + coalesce(r.cost_pico, 0), NULL)"
# A correction gives its call back to the outcome it really had, and takes the sweep's booking back.
_CORRECTED = f"""
    SELECT {{group}}, r.outcome, count(*), sum(r.unpriced <> ''), sum(r.usage_source <> 'reported'),
        {_columns("r", _FINAL, _FINAL)}
    FROM correction_rows r JOIN open_rows o ON o.seq = r.open_seq
        JOIN close_rows c ON c.open_seq = r.open_seq {_SPAN} GROUP BY {{by}}
"""  # noqa: S608
_TAKEN_BACK = f"""
    SELECT {{group}}, c.outcome, -count(*), -sum(c.cost_pico IS NULL), -count(*), 0, 0, 0, 0, 0,
        -sum(coalesce(c.cost_pico, 0) / {_HALF}), -sum(coalesce(c.cost_pico, 0) % {_HALF}), 0, 0, 0, 0, 0
    FROM correction_rows r JOIN open_rows o ON o.seq = r.open_seq
        JOIN close_rows c ON c.open_seq = r.open_seq {_SPAN} GROUP BY {{by}}
"""  # noqa: S608
_BY_HOUR = (f"r.at_us / {HOUR_US}, o.tier, o.model, o.task, o.kind", "1, 2, 3, 4, 5, 6")
_BY_KEY = (f"r.at_us / {DAY_US}, o.key", "1, 2, 3")


class Rollup:
    """Sums of one ledger. Every method may be called from any thread."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._lock = threading.Lock()
        self._hours: dict[Slot, Sums] = {}
        self._days: dict[Slot, Sums] = {}
        self._keys: dict[KeySlot, Sums] = {}
        self._low = self._high = -1
        self._from_us: int | None = None
        self._thread: threading.Thread | None = None
        self._fault = ""

    def refresh(self, budget_s: float = 0.4) -> None:
        """Adds what is new, and starts filling in what is old. Raises StoreError."""
        with self._lock:
            with self._history.connected() as database:
                top = last_seq(database)
            if self._high < 0:
                self._low = self._high = top
                self._from_us = None
            until = tick_us() + int(budget_s * 1e6)
            while self._high < top and tick_us() < until:
                self._add(self._high, min(self._high + PIECE, top))
                self._high = min(self._high + PIECE, top)
            while self._low > 0 and tick_us() < until:
                self._backward()
            if self._low > 0 and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._fill, name="rollup", daemon=True)
                self._thread.start()

    def covers(self, since_us: int) -> bool:
        """Whether everything since then is counted."""
        return self._low == 0 or (self._from_us is not None and self._from_us <= since_us)

    @property
    def progress(self) -> float:
        """The counted share of the ledger, 0..1."""
        return 1 - self._low / self._high if self._high > 0 else 1.0

    def slots(self, since_us: int, hourly: bool = False) -> Iterator[tuple[Slot, Sums]]:
        """Groups that begin at `since_us` or later: hours of the last eight days, or days of all."""
        return self._from(self._hours if hourly else self._days, since_us)

    def key_slots(self, since_us: int) -> Iterator[tuple[KeySlot, Sums]]:
        """Days by key that begin at `since_us` or later."""
        return self._from(self._keys, since_us)

    def _from(self, groups: dict[Any, Sums], since_us: int) -> Iterator[tuple[Any, Sums]]:
        with self._lock:
            return iter([(slot, sums[:]) for slot, sums in groups.items() if slot.start_us >= since_us])

    def _fill(self) -> None:
        """Goes on backwards until the beginning, a piece at a time, letting questions in between."""
        pause = threading.Event()
        try:
            while self._low > 0:
                with self._lock:
                    self._backward()
                pause.wait(_PAUSE_S)
        except StoreError as error:
            log.warning("the dashboard's sums are not complete: %s", error.sentence())

    def _backward(self) -> None:
        low = max(0, self._low - PIECE)
        self._add(low, self._low)
        self._low = low
        with self._history.connected() as database:
            first = database.execute(
                "SELECT at_us FROM close_rows WHERE seq > ? ORDER BY seq LIMIT 1", (low,)
            ).fetchone()
        self._from_us = first[0] if first else self._from_us

    def _add(self, low: int, high: int) -> None:
        span = {"low": low, "high": high}
        found: list[tuple[bool, tuple[Any, ...]]] = []
        with self._history.connected(30.0) as database:
            for query in (_CLOSED, _CORRECTED, _TAKEN_BACK):
                for by_hour, (group, by) in ((True, _BY_HOUR), (False, _BY_KEY)):
                    rows = database.execute(query.format(group=group, by=by), span)
                    found += [(by_hour, row) for row in rows]
        oldest_us = now_us() - HOURS_KEPT * HOUR_US
        for by_hour, row in found:
            if by_hour:
                hour, sums = row[0] * HOUR_US, _joined(row[6:])
                _merge(self._days, Slot(hour - hour % DAY_US, *row[1:6]), sums)
                if hour >= oldest_us:
                    _merge(self._hours, Slot(hour, *row[1:6]), sums)
            else:
                _merge(self._keys, KeySlot(row[0] * DAY_US, row[1], row[2]), _joined(row[3:]))
        self._forget(oldest_us)

    def _forget(self, oldest_us: int) -> None:
        if len(self._hours) > _MOST_GROUPS:
            self._hours = {slot: sums for slot, sums in self._hours.items() if slot.start_us >= oldest_us}


def total(groups: Iterator[tuple[Any, Sums]], keep: Callable[[Any], bool] = lambda slot: True) -> Sums:
    """All sums of the groups kept, in the order of SUMS."""
    result = [0] * len(SUMS)
    for slot, sums in groups:
        if keep(slot):
            for number, amount in enumerate(sums):
                result[number] += amount
    return result


def _joined(row: tuple[Any, ...]) -> Sums:
    """A query's columns in the order of SUMS, with the halves of amounts joined."""
    values = [int(value or 0) for value in row]
    amount = [values[8] * _HALF + values[9], values[10], values[11] * _HALF + values[12]]
    return [*values[:8], *amount, values[13] * _HALF + values[14]]


def _merge(groups: dict[Any, Sums], slot: Any, sums: Sums) -> None:
    known = groups.get(slot)
    if known is None:
        groups[slot] = sums[:]
        return
    for number, amount in enumerate(sums):
        known[number] += amount

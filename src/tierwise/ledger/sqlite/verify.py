"""Checks that every promise of the ledger holds in a database, from its rows alone."""

from __future__ import annotations

import heapq
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from operator import itemgetter
from zlib import crc32

import msgspec

from ..rollups.sql import SQLITE
from ..rollups.verify import stale
from ..rows import OPEN_NAMES, Row, as_written
from .rollup import asking

ENOUGH = 20
"""Problems listed before the search stops."""
_encode = msgspec.json.Encoder().encode


def problems(database: sqlite3.Connection) -> Iterator[str]:
    """What is wrong, in order of commit, at one instant of the database:

    the file itself; each event's place in the chain; a CLOSE or correction without its OPEN; a second
    CLOSE; amounts out of range; an attempt still open though its process is gone; then, per budget window,
    reserved = sum of open reservations and spent = sum of closed costs and corrections; then the roll-ups.
    """
    check = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        yield f"the database file is damaged: {check}"
    audit = _Audit()
    for row in heapq.merge(
        _events(database, "open_rows", "open"),
        _events(database, "close_rows", "close"),
        _events(database, "correction_rows", "correction"),
        key=itemgetter(1),
    ):
        yield from audit.event(row)
    first = database.execute("SELECT first_seq FROM epochs ORDER BY epoch DESC LIMIT 1").fetchone()
    yield from audit.ends(first[0] if first else 0)
    yield from audit.windows(database)
    yield from stale(asking(database), SQLITE)


class _Audit:
    """Carries the sums while the events pass once, in order."""

    def __init__(self) -> None:
        self.chain = 0
        self.open: dict[int, Row] = {}
        self.swept: dict[int, tuple[str, str]] = {}
        self.reserved: dict[str, int] = defaultdict(int)
        self.spent: dict[str, int] = defaultdict(int)

    def event(self, row: Row) -> Iterator[str]:
        event, seq, link = row[0], row[1], row[-1]
        attempt = row[2] if event == "open" else self._attempt(row[2])
        where = f"event {seq} ({event} of attempt {attempt})"
        if crc32(_encode(as_written(row[1:-1])), self.chain) != link:
            yield f"{where}: the row is not as it was written, or a row before it was added or removed"
        self.chain = link
        if event == "open":
            self.open[seq] = (attempt, row[16], row[14])
            if row[14] < 0:
                yield f"{where}: a reservation of {row[14]} pico-dollars"
        elif event == "close":
            yield from self._close(row, where)
        else:
            yield from self._correct(row, where)

    def ends(self, first_seq: int) -> Iterator[str]:
        for seq, (attempt, windows, reserved) in self.open.items():
            if seq < first_seq:
                yield f"event {seq} (open of attempt {attempt}): never closed, though its process is gone"
            for window in _ids(windows):
                self.reserved[window] += reserved

    def windows(self, database: sqlite3.Connection) -> Iterator[str]:
        known = set()
        for id, scope, start, reserved, spent in database.execute(
            "SELECT id, scope, start_us, reserved, spent FROM budget_window ORDER BY id"
        ):
            known.add(str(id))
            for word, stored, summed in (
                ("reserved", reserved, self.reserved[str(id)]),
                ("spent", spent, self.spent[str(id)]),
            ):
                if stored != str(summed):  # amounts are texts, and a damaged one is no number
                    where = f"budget {scope} (window {id} from {start})"
                    yield f"{where}: {word} is {stored}, its rows sum to {summed}"
        for window in sorted((self.reserved.keys() | self.spent.keys()) - known):
            yield f"budget window {window}: charged by events, but not in the ledger"

    def _close(self, row: Row, where: str) -> Iterator[str]:
        found = self.open.pop(row[2], None)
        if found is None:
            yield f"{where}: no open attempt {row[2]}, or it was closed before"
            return
        if row[4] == "swept":
            self.swept[row[2]] = (found[0], found[1])
        cost = row[14]
        if cost is not None and cost < 0:
            yield f"{where}: a cost of {cost} pico-dollars"
        for window in _ids(found[1]):
            self.spent[window] += cost or 0

    def _correct(self, row: Row, where: str) -> Iterator[str]:
        found = self.swept.pop(row[2], None)
        if found is None:
            yield f"{where}: the attempt was not swept, or was corrected before"
            return
        for window in _ids(found[1]):
            self.spent[window] += row[14]

    def _attempt(self, open_seq: int) -> str:
        found = self.open.get(open_seq) or self.swept.get(open_seq)
        return found[0] if found else f"of event {open_seq}"


def _events(database: sqlite3.Connection, table: str, event: str) -> Iterator[Row]:
    columns = f"{', '.join(OPEN_NAMES)}, chain" if event == "open" else "*"
    for row in database.execute(f"SELECT {columns} FROM {table} ORDER BY seq"):  # noqa: S608  our own names
        yield (event, *row)


def _ids(windows: str) -> list[str]:
    return windows.split(",") if windows else []

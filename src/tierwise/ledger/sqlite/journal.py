"""Posting: a batch of OPEN and CLOSE rows becomes one transaction, or nothing at all, in the store and in
memory alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from zlib import crc32

import msgspec

from ...clock import now_us
from ...errors import BudgetRefused, StoreError, TierwiseError
from ...nouns import Budget, Close, Open
from ..budgets import Book, Window
from ..rows import OPEN_NAMES, Row, close_values, open_values, storable, swept, tamed_close

_OPENING = ", ".join((*OPEN_NAMES, "chain"))
INSERT_OPEN = f"INSERT INTO open_rows ({_OPENING}) VALUES (?{',?' * len(OPEN_NAMES)})"  # noqa: S608
INSERT_CLOSE = "INSERT INTO close_rows VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
INSERT_CORRECTION = INSERT_CLOSE.replace("close_rows", "correction_rows")
UPSERT_WINDOW = (
    "INSERT INTO budget_window VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE"
    " SET reserved = excluded.reserved, spent = excluded.spent"
)
WINDOW_BY_ID = (
    "SELECT id, scope, period, zone, start_us, end_us, reserved, spent FROM budget_window WHERE id = ?"
)
WINDOW_AT = WINDOW_BY_ID.replace("id = ?", "scope = ? AND period = ? AND zone = ? AND start_us = ?")
_UNCLOSED = Open.__struct_fields__[:13]
UNCLOSED = (
    "SELECT seq, exchange, attempt, at_us, key, task, tier, model, provider, dialect_in, dialect_out, stream,"
    " price_id, reserved_pico, windows FROM open_rows o WHERE seq >= ?"
    " AND NOT EXISTS (SELECT 1 FROM close_rows c WHERE c.open_seq = o.seq) ORDER BY seq"
)
LAST_EVENT = (
    "SELECT seq, chain FROM open_rows WHERE seq = (SELECT max(seq) FROM open_rows)"
    " UNION ALL SELECT seq, chain FROM close_rows WHERE seq = (SELECT max(seq) FROM close_rows)"
    " UNION ALL SELECT seq, chain FROM correction_rows WHERE seq = (SELECT max(seq) FROM correction_rows)"
)
LATE = (
    "SELECT o.seq, o.windows, c.outcome, c.cost_pico, k.seq FROM open_rows o"
    " LEFT JOIN close_rows c ON c.open_seq = o.seq LEFT JOIN correction_rows k ON k.open_seq = o.seq"
    " WHERE o.attempt = ?"
)

_encode = msgspec.json.Encoder().encode


class Live:
    """An attempt that is open: its OPEN, the event's number, and the windows it was reserved on."""

    __slots__ = ("row", "seq", "windows")

    def __init__(self, seq: int, row: Open, windows: tuple[Window, ...]) -> None:
        self.seq = seq
        self.row = row
        self.windows = windows


class Journal:
    """The events' count and chain, the open attempts and the budget book, in step with the database's last
    commit.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        """Reads where the ledger stands. Attempts without a CLOSE come back as `live`."""
        self.database = database
        self._seq, self._chain = last_event(database)
        next_window = database.execute("SELECT coalesce(max(id), 0) + 1 FROM budget_window").fetchone()[0]
        self.book = Book(next_window, self._find_window, self._load_window)
        for budget in stored_budgets(database):
            self.book.set(budget, now_us())
        self.live: dict[str, Live] = {}
        for found in database.execute(UNCLOSED, (closed_below(database),)).fetchall():
            seq, *opened, windows = found
            row = msgspec.convert(dict(zip(_UNCLOSED, opened, strict=True)), Open, strict=False)
            self.live[row.attempt] = Live(seq, row, self._windows(windows))
        self._new_opens: list[Row] = []
        self._new_closes: list[Row] = []
        self._new_corrections: list[Row] = []
        self._opened: list[str] = []
        self._closed: dict[str, Live] = {}

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._seq

    @property
    def oldest_open(self) -> int:
        """Every OPEN with a smaller number has its CLOSE."""
        return min((live.seq for live in self.live.values()), default=self._seq + 1)

    def commit(self, rows: Sequence[Open | Close]) -> list[TierwiseError | None]:
        """Posts rows in one transaction and gives, for each, None or why it alone was refused.

        Raises what SQLite or a row that cannot be written raises; then nothing was posted, here or in the
        database.
        """
        before, held = (self._seq, self._chain), False
        verdicts: list[TierwiseError | None] = []
        database = self.database
        try:
            database.execute("BEGIN IMMEDIATE")
            for row in rows:
                verdicts.append(self._open(row) if isinstance(row, Open) else self._close(row))
            self._write(database)
            database.execute("COMMIT")
            held = True
        finally:
            if held:
                self.book.keep()
                self._forget()
            else:
                self._seq, self._chain = before
                self._undo()
        return verdicts

    def expired(self, before_us: int) -> list[Open]:
        """Attempts still open that were opened before then."""
        return [live.row for live in self.live.values() if live.row.at_us < before_us]

    def _open(self, row: Open) -> TierwiseError | None:
        if row.attempt in self.live or row.attempt in self._closed:
            return StoreError(
                f"Attempt {row.attempt} is already open.", "Every attempt needs an id of its own."
            )
        try:
            windows = self.book.reserve(row.scopes, row.at_us, row.reserved_pico)
        except BudgetRefused as refusal:
            return refusal
        self._seq = seq = self._seq + 1
        if len(windows) == 1:
            charged = windows[0].name
        else:
            charged = ",".join([window.name for window in windows])
        values = open_values(seq, row, charged)
        self._chain = crc32(_encode(values), self._chain)
        self._new_opens.append((*values, self._chain))
        self.live[row.attempt] = Live(seq, row, windows)
        self._opened.append(row.attempt)
        return None

    def _close(self, row: Close) -> TierwiseError | None:
        if not storable(row):
            row = tamed_close(row)
        live = self.live.pop(row.attempt, None)
        if live is None:
            return self._late(row)
        self._closed[row.attempt] = live
        self.book.settle(live.windows, live.row.reserved_pico, row.cost_pico or 0)
        self._new_closes.append(self._settled(live.seq, row))
        return None

    def _late(self, row: Close) -> TierwiseError | None:
        """A CLOSE without an open attempt: a correction if it was swept, else refused."""
        if row.outcome == "swept":
            return None
        found = self.database.execute(LATE, (row.attempt,)).fetchone()
        if row.attempt in self._closed or (found and (found[2] != "swept" or found[4])):
            return StoreError(f"Attempt {row.attempt} is already closed.", "Each attempt is closed once.")
        if not found:
            return StoreError(
                f"Attempt {row.attempt} was never opened.", "Commit its OPEN before it goes upstream."
            )
        if row.cost_pico is None and not row.unpriced:
            row = msgspec.structs.replace(row, unpriced="no reason given")
        change = (row.cost_pico or 0) - (found[3] or 0)
        self.book.settle(self._windows(found[1]), 0, change)
        values = self._settled(found[0], msgspec.structs.replace(row, cost_pico=change))
        # In the same batch a second late CLOSE must not find this attempt free.
        self._new_corrections.append(values)
        self._write_corrections(self.database)
        return None

    def _settled(self, open_seq: int, row: Close) -> Row:
        self._seq = seq = self._seq + 1
        values = close_values(seq, open_seq, row)
        self._chain = crc32(_encode(values), self._chain)
        return (*values, self._chain)

    def _write(self, database: sqlite3.Connection) -> None:
        if self._new_opens:
            database.executemany(INSERT_OPEN, self._new_opens)
        if self._new_closes:
            database.executemany(INSERT_CLOSE, self._new_closes)
        changed = self.book.changed()
        if changed:
            database.executemany(UPSERT_WINDOW, changed)

    def _write_corrections(self, database: sqlite3.Connection) -> None:
        database.executemany(INSERT_CORRECTION, self._new_corrections)
        self._new_corrections.clear()

    def _undo(self) -> None:
        self.book.undo()
        self.live.update(self._closed)
        for attempt in self._opened:
            self.live.pop(attempt, None)
        self._forget()
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")

    def _forget(self) -> None:
        self._new_opens.clear()
        self._new_closes.clear()
        self._new_corrections.clear()
        self._opened.clear()
        self._closed.clear()

    def _windows(self, ids: str) -> tuple[Window, ...]:
        return tuple(self.book.window(int(id)) for id in ids.split(",") if id)

    def _find_window(self, budget: Budget, start_us: int) -> Window | None:
        return window_at(self.database, budget, start_us)

    def _load_window(self, id: int) -> Window:
        found = self.database.execute(WINDOW_BY_ID, (id,)).fetchone()
        if found is None:
            raise StoreError(
                f"Budget window {id} is missing from the ledger.", "Run `tierwise ledger verify`."
            )
        return _window_from(found)


def window_at(database: sqlite3.Connection, budget: Budget, start_us: int) -> Window | None:
    """A budget's window that begins at `start_us`; None when nothing was charged to it yet."""
    found = database.execute(WINDOW_AT, (budget.scope, budget.period, budget.zone, start_us)).fetchone()
    return _window_from(found) if found else None


def _window_from(row: Row) -> Window:
    """A window as it is stored."""
    budget = Budget(scope=row[1], cap_pico=0, period=row[2], zone=row[3])
    window = Window(row[0], budget, (row[4], row[5]))
    window.reserved, window.spent = int(row[6]), int(row[7])
    return window


def stored_budgets(database: sqlite3.Connection) -> list[Budget]:
    """Every budget, by scope."""
    return [
        Budget(scope, int(cap), period, zone, int(soft) if soft is not None else None)
        for scope, cap, period, zone, soft in database.execute(
            "SELECT scope, cap, period, zone, soft FROM budget ORDER BY scope"
        )
    ]


def last_event(database: sqlite3.Connection) -> tuple[int, int]:
    """Number and chain of the last event; zeros for an empty ledger."""
    found = database.execute(LAST_EVENT).fetchall()
    return max(found, default=(0, 0))


def closed_below(database: sqlite3.Connection) -> int:
    """OPEN events numbered below this have their CLOSE: written now and then, so that a start need not look
    at them.
    """
    found = database.execute("SELECT value FROM meta WHERE name = 'closed_below'").fetchone()
    return int(found[0]) if found else 0


def booked(row: Open) -> int | None:
    """What a swept attempt is booked at: its whole reservation, an upper bound; None when it had no price."""
    return row.reserved_pico if row.price_id or row.reserved_pico else None


def sweep_rows(rows: Sequence[Open], at_us: int) -> list[Close]:
    """The CLOSE of each attempt whose owner is gone."""
    return [swept(row, at_us, booked(row)) for row in rows]

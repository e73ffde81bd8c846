"""Roll-ups in SQLite: sums are taken on a connection that only reads, and written in one short transaction of
the one that writes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

from ...errors import StoreError
from ..rollups.sql import SQLITE, Ask, Rows
from ..rollups.step import Change, Stride, WriteMany, write_change


def asking(database: sqlite3.Connection) -> Ask:
    """Asks on this connection."""

    def ask(query: str, given: dict[str, Any]) -> Rows:
        return database.execute(query, given).fetchall()

    return ask


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    database = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA query_only = ON")
    return database


def unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    """The error of a ledger that such a connection could not read."""
    hint = "Check the file and its disk."
    if not os.access(path.parent, os.W_OK):
        hint = (
            "SQLite writes beside the file to read it, and this user may not: run as the server's user, or "
            "read a copy that `tierwise ledger backup` made."
        )
        with suppress(OSError):
            if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
                hint = (
                    "SQLite writes beside the file to read it, and the file system is read-only: copy it "
                    "and its -wal, where there is one, to a folder that may be written, and read that."
                )
    return StoreError(f"The ledger {path} cannot be read: {error}.", hint)


def next_change(connect: Callable[[], sqlite3.Connection], stride: Stride) -> Change | None:
    """What the next slice of rows changes; None while there is no whole one."""
    with closing(connect()) as database:
        database.execute("BEGIN")
        return stride.next(asking(database), SQLITE)


def post_change(held: AbstractContextManager[sqlite3.Connection], change: Change) -> None:
    """Writes it, or nothing of it."""
    with held as database:
        write = _writing(database)
        try:
            database.execute("BEGIN IMMEDIATE")
            if write_change(change, write, SQLITE):
                database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")


def _writing(database: sqlite3.Connection) -> WriteMany:
    return lambda statement, rows: database.executemany(statement, rows).rowcount

"""The files of a SQLite ledger: connecting to them, and whether those a process writes are still the ones at
their paths. What is removed or replaced under a process can be written on for ever, and is lost with it.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ...errors import StoreError

Number = tuple[int, int]


class Place:
    """Where a ledger's files are now: the database and its log."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._log = database.with_name(database.name + "-wal")
        self._numbers = number(self._database), number(self._log)

    def moved(self) -> bool:
        """Whether another file, or none, has come to the database's path."""
        return number(self._database) != self._numbers[0]

    def without_log(self) -> bool:
        """Whether another file, or none, has come to the log's path."""
        return number(self._log) != self._numbers[1]


def number(file: Path | int) -> Number | None:
    """What tells a file from every other, whatever its name; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes the ledger at `path`, which it makes where there is none. Raises StoreError,
    sqlite3.Error, OSError.
    """
    # The file holds key digests: this user only.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        database.close()
        raise StoreError(
            f"{path} is on a file system without shared memory.", "Keep the ledger on a local disk."
        )
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("PRAGMA journal_size_limit = 67108864")
    database.execute("PRAGMA cache_size = -8192")
    # With the first page that is read there is a log.
    database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return database

"""The database behind batches: a SQLite file beside the ledger's, or tables in the ledger's Postgres.

A file of its own, because bodies of a hundred megabytes must not wait in the ledger's one connection. It is
opened only by the process that owns the ledger, so that it has one writer too.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ..clock import now_us
from ..errors import StoreError
from ..ledger.location import database_path, is_shared, require_postgres
from .schema import Database, Value, migrate


class Engine(Protocol):
    """Used by one thread at a time."""

    shared: bool

    def transaction(self) -> Any:
        """A Database as a with block: committed at its end, undone by an exception. StoreError."""

    def now_us(self) -> int:
        """The time all owners agree on."""

    def close(self) -> None:
        """Lets go of the database."""


def exists(url: str) -> bool:
    """Whether something may have been kept for the ledger at `url`."""
    return is_shared(url) or file_of(url).exists()


def file_of(url: str) -> Path:
    """The SQLite file beside the ledger's: `ledger.db` → `ledger-batches.db`."""
    path = database_path(url)
    return path.with_name(f"{path.stem}-batches{path.suffix}")


def open_engine(url: str) -> Engine:
    """The Engine for the ledger at `url`, its shape brought up to date. Raises StoreError."""
    if not is_shared(url):
        return SqliteEngine(file_of(url))
    require_postgres()
    from .postgres_engine import PostgresEngine

    return PostgresEngine(url)


class SqliteEngine:
    """One SQLite file with one connection."""

    shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        # Bodies are in it: this user only.
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._connection = sqlite3.connect(
                path, timeout=5.0, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A row that was paid for is worth the wait for the disk.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA journal_size_limit = 67108864")
        except sqlite3.Error as error:
            raise _unusable(path, error) from None
        with self.transaction() as database:
            migrate(database, "BLOB")

    def now_us(self) -> int:
        """See Engine."""
        return now_us()

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """See Engine."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield _Sqlite(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from None
        finally:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """See Engine."""
        self._connection.close()


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def count(self, sql: str, values: Sequence[Value] = ()) -> int:
        with closing(self._connection.execute(sql, values)) as cursor:
            return cursor.rowcount

    def many(self, sql: str, values: Sequence[Sequence[Value]]) -> None:
        self._connection.executemany(sql, values)


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"The batches in {path} cannot be used: {error}.", "Look at its disk.")

"""Roll-ups in Postgres: the replica that comes first takes the next slice, the others leave it."""

from __future__ import annotations

from typing import Any

import psycopg

from ..rollups.read import Horizon, Sums
from ..rollups.sql import POSTGRES, Ask, Rows
from ..rollups.step import Stride, WriteMany, write_change
from .link import Terms, connected
from .text import marked, restored

ROLLING = 0x74696572726F6C6C
"""The advisory lock's number: one replica rolls up at a time."""
STATEMENT_MS = 120_000
LOOKING_UP = (
    "-c jit=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off"
    " -c max_parallel_workers_per_gather=0"
)
"""The rows of a slice are few beside the ledger: each one's OPEN is looked up, never all of them read."""

Database = psycopg.Connection[tuple[Any, ...]]


def asking(database: Database, restore: bool = True) -> Ask:
    """Asks on this connection. `restore`: words as they were before they were stored."""

    def ask(query: str, given: dict[str, Any]) -> Rows:
        found = database.execute(query.encode(), given or None).fetchall()
        return [restored(row) if marked(row) else row for row in found] if restore else found

    return ask


class Roller:
    """This replica's part: knows up to which number every event is there to see."""

    def __init__(self) -> None:
        self._horizon = Horizon()
        self._settled = 0
        self._stride = Stride()
        self._asked: Database | None = None

    def waits(self, database: Database) -> bool:
        """Whether a whole slice of events waits. On a connection in autocommit mode."""
        if database is not self._asked:
            # Perhaps another server, which gives numbers that were settled at the one before to other events.
            self._asked, self._horizon = database, Horizon()
        ask = asking(database)
        newest = int(ask(POSTGRES.top, {})[0][0])
        oldest, following = ask(POSTGRES.running, {})[0]
        self._settled = self._horizon.settle(newest, (oldest, following))
        return self._stride.waiting(Sums(ask, POSTGRES), self._settled) is not None

    def roll(self, terms: Terms) -> bool:
        """Rolls up one slice; False: another replica does it, or there is none."""
        slow = {**terms, "options": f"{terms['options']} -c statement_timeout={STATEMENT_MS} {LOOKING_UP}"}
        with connected(slow) as database:
            # Of the session, not of the transaction: the next one must see what this one wrote.
            held = database.execute("SELECT pg_try_advisory_lock(%s)", (ROLLING,)).fetchone()
            if not held or not held[0]:
                return False
            database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with database.transaction():
                change = self._stride.next(asking(database, restore=False), POSTGRES, self._settled)
                return change is not None and write_change(change, _writing(database), POSTGRES)


def _writing(database: Database) -> WriteMany:
    def write(statement: str, rows: Any) -> int:
        with database.cursor() as cursor:
            cursor.executemany(statement.encode(), rows)
            return cursor.rowcount

    return write

"""Numbered changes of the database's shape, oldest first. A change that was released is never edited: add
another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ...clock import now_us
from ...errors import StoreError
from ..rollups.sql import SQLITE, tables

Migration = Callable[[sqlite3.Connection], None]

_OPENING = """
    seq INTEGER PRIMARY KEY, attempt TEXT NOT NULL UNIQUE, exchange TEXT NOT NULL, at_us INTEGER NOT NULL,
    key TEXT NOT NULL, task TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,
    dialect_in TEXT NOT NULL, dialect_out TEXT NOT NULL, stream INTEGER NOT NULL, price_id TEXT NOT NULL,
    reserved_pico INTEGER NOT NULL, scopes TEXT NOT NULL, windows TEXT NOT NULL, asked TEXT NOT NULL,
    route TEXT NOT NULL, session TEXT NOT NULL, tags TEXT NOT NULL, kind TEXT NOT NULL, chain INTEGER NOT NULL
"""
_SETTLEMENT = """
    seq INTEGER PRIMARY KEY, open_seq INTEGER NOT NULL UNIQUE, at_us INTEGER NOT NULL, outcome TEXT NOT NULL,
    status INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL, extra TEXT NOT NULL, usage_source TEXT NOT NULL, cost_pico INTEGER,
    unpriced TEXT NOT NULL, error TEXT NOT NULL, ttft_us INTEGER, total_us INTEGER NOT NULL,
    upstream_us INTEGER NOT NULL, served_model TEXT NOT NULL, asked_pico INTEGER, reference_pico INTEGER,
    losses TEXT NOT NULL, service_tier TEXT NOT NULL, chain INTEGER NOT NULL
"""
_RECORD = "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at_us INTEGER NOT NULL)"


def m001_events_and_budgets(database: sqlite3.Connection) -> None:
    """Append-only events (opens, closes, corrections share one count, `seq`, in order of commit), budgets,
    keys.

    `chain` is the CRC-32 of a row's values, started with the chain of the event before it.
    """
    for table in (
        "meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "epochs (epoch INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, pid INTEGER NOT NULL,"
        " first_seq INTEGER NOT NULL)",
        f"open_rows ({_OPENING})",
        f"close_rows ({_SETTLEMENT})",
        f"correction_rows ({_SETTLEMENT})",
        "budget (scope TEXT PRIMARY KEY, cap TEXT NOT NULL, period TEXT NOT NULL, zone TEXT NOT NULL,"
        " soft TEXT)",
        "budget_window (id INTEGER PRIMARY KEY, scope TEXT NOT NULL, period TEXT NOT NULL,"
        " zone TEXT NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, reserved TEXT NOT NULL,"
        " spent TEXT NOT NULL, UNIQUE (scope, period, zone, start_us))",
        "keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, hint TEXT NOT NULL,"
        " project TEXT NOT NULL, rpm INTEGER, tpm INTEGER, max_concurrent INTEGER, strict INTEGER NOT NULL,"
        " created_us INTEGER NOT NULL, revoked_us INTEGER)",
        "audit (seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, act TEXT NOT NULL, subject TEXT NOT NULL,"
        " note TEXT NOT NULL)",
    ):
        database.execute(f"CREATE TABLE {table}")
    database.execute("CREATE INDEX close_rows_at ON close_rows (at_us)")


def m002_prefix(database: sqlite3.Connection) -> None:
    """The digest of the cached prefix. NULL in rows that were written before: their chain is without it."""
    database.execute("ALTER TABLE open_rows ADD COLUMN prefix TEXT")


def m003_rollups(database: sqlite3.Connection) -> None:
    """What the rows add up to, empty at first: it is made behind the calls."""
    for statement in tables(SQLITE, "INTEGER"):
        database.execute(statement)


def m004_without_times(database: sqlite3.Connection) -> None:
    """The index of when calls ended: the roll-ups know where an hour's rows are, and every call paid for
    it."""
    database.execute("DROP INDEX close_rows_at")


def m005_hours_of_opens(database: sqlite3.Connection) -> None:
    """Where the OPEN rows of an hour are, too, of those rolled up before it was noted with the others."""
    database.execute(
        "INSERT INTO rollup_span SELECT at_us / 3600000000, min(seq), max(seq) FROM open_rows"
        " WHERE seq <= (SELECT rolled FROM rollup_state) GROUP BY 1"
        " ON CONFLICT (hour) DO UPDATE SET first_seq = min(first_seq, excluded.first_seq),"
        " last_seq = max(last_seq, excluded.last_seq)"
    )


MIGRATIONS: tuple[Migration, ...] = (
    m001_events_and_budgets, m002_prefix, m003_rollups, m004_without_times, m005_hours_of_opens,
)  # fmt: skip


def migrate(
    database: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS, *, upgrade: bool = True
) -> int:
    """Brings a database up to this version and gives how many changes were made. Without `upgrade` only a new
    one: raises StoreError for one of an older version.

    Each change and its record are one transaction: a crash between two leaves the database at the one
    before. The connection must be in autocommit mode. Raises StoreError for a database of a newer version
    or of another program.
    """
    done = version(database)
    _refuse_foreign(database, done, len(migrations))
    if done and not upgrade:
        refuse_older(done, len(migrations))
    for number, change in enumerate(migrations[done:], done + 1):
        database.execute("BEGIN IMMEDIATE")
        try:
            if number == 1:
                database.execute(_RECORD)
            change(database)
            database.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, change.__name__, now_us()))
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")
    return len(migrations) - done


def require_current(database: sqlite3.Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """For readers: raises StoreError unless the database has exactly this version's shape."""
    done = version(database)
    _refuse_foreign(database, done, len(migrations))
    refuse_older(done, len(migrations))


def require_known(database: sqlite3.Connection) -> None:
    """Raises StoreError unless the database is a ledger of this version or an older one."""
    _refuse_foreign(database, version(database), len(MIGRATIONS))


def version(database: sqlite3.Connection) -> int:
    """How many migrations a database has had; 0 for a new one."""
    if not _tables(database, "migrations"):
        return 0
    return int(database.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])


def refuse_older(done: int, known: int) -> None:
    """Raises StoreError for a ledger, on either store, that lacks some of the migrations known."""
    if done < known:
        raise StoreError(
            "The ledger has an older shape than this version reads.",
            "Start `tierwise serve` once: it migrates.",
        )


def refuse_newer(done: int, known: int) -> None:
    """Raises StoreError for a ledger, on either store, that has had more migrations than are known."""
    if done > known:
        raise StoreError(
            f"The ledger was written by a newer tierwise (shape {done}; this version knows {known}).",
            "Upgrade tierwise, or use another --db.",
        )


def _refuse_foreign(database: sqlite3.Connection, done: int, known: int) -> None:
    refuse_newer(done, known)
    if not done and _tables(database, "%"):
        raise StoreError("This database belongs to another program.", "Give --db a file of its own.")


def _tables(database: sqlite3.Connection, like: str) -> int:
    found = database.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE ?", (like,)
    )
    return int(found.fetchone()[0])

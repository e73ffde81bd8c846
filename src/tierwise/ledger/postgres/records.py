"""Keys, budgets, words and the audit trail in Postgres: the small tables, by parameters only.

Every change of a key or a budget takes the next number of its kind, so that a replica asks only for what
it has not seen. The counter's row lock puts the numbers in order of commit.
"""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from msgspec import convert

from ...clock import now_us
from ...nouns import Budget, Key
from ..budgets import Balance
from ..periods import window_of
from .migrations import MIGRATING
from .text import restored, stored

Database = psycopg.Connection[tuple[Any, ...]]
CHANNEL = "tierwise"
"""What replicas listen to: a word is sent on it whenever keys or budgets change."""
BUDGETS_SINCE = (
    "SELECT m.value, b.scope, b.cap, b.period, b.zone, b.soft FROM meta m LEFT JOIN budget b"
    " ON b.version > %s WHERE m.name = 'budgets_version'"
)
_KEYS = "id, name, digest, hint, project, rpm, tpm, max_concurrent, strict, created_us, revoked_us"
_SAVE_KEY = (
    "INSERT INTO keys VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) ON CONFLICT (id) DO UPDATE SET"
    " name = excluded.name, project = excluded.project, rpm = excluded.rpm, tpm = excluded.tpm,"
    " max_concurrent = excluded.max_concurrent, strict = excluded.strict,"
    # A key once revoked stays so, whatever another replica still knew of it.
    " revoked_us = coalesce(keys.revoked_us, excluded.revoked_us), version = excluded.version"
)


BEHIND = "SELECT 1 FROM event_seq WHERE last_value < (SELECT sum(events) FROM epochs)"
"""Gives a row where the sequence that numbers events has not come as far as there are events, so that numbers
would be given twice: a restore over a ledger puts it back, and logical replication leaves it out.
"""


def recount(database: Database) -> bool:
    """Puts the sequence of events behind the newest one; whether it was not there."""
    if not database.execute(BEHIND).fetchall():
        return False
    with database.transaction():
        database.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
        database.execute("SET LOCAL statement_timeout = 0")
        # One statement: what it sees of the rows is older than what it sees of the sequence.
        found = database.execute(
            "SELECT setval('event_seq', newest) FROM (SELECT last_value, (SELECT max(seq) FROM"
            " (SELECT max(seq) AS seq FROM open_rows UNION ALL SELECT max(seq) FROM close_rows"
            " UNION ALL SELECT max(seq) FROM correction_rows) e) AS newest FROM event_seq) n"
            " WHERE newest > last_value"
        )
        return found.rowcount > 0


def load_keys(database: Database, after: int = 0) -> tuple[list[Key], int]:
    """Keys changed after that number, oldest first, and the number now."""
    with database.transaction():
        # The number first: a key that changes in between is then seen twice rather than never.
        number = _number(database, "keys_version")
        found = database.execute(
            f"SELECT {_KEYS} FROM keys WHERE version > %s ORDER BY created_us, id".encode(), (after,)
        ).fetchall()
    names = Key.__struct_fields__
    return [convert(dict(zip(names, restored(row), strict=True)), Key, strict=False) for row in found], number


def save_key(database: Database, key: Key) -> None:
    """Adds or changes a key and tells every replica. Belongs in a transaction."""
    row = (
        key.id, stored(key.name), key.digest, key.hint, stored(key.project), key.rpm, key.tpm,
        key.max_concurrent, int(key.strict), key.created_us, key.revoked_us, _next(database, "keys_version"),
    )  # fmt: skip
    database.execute(_SAVE_KEY, row)
    database.execute("SELECT pg_notify(%s, 'keys')", (CHANNEL,))


def save_budget(database: Database, budget: Budget) -> None:
    """Adds or replaces a budget: the next batch of every replica is posted under it."""
    row = (
        stored(budget.scope), budget.cap_pico, budget.period, budget.zone, budget.soft_pico,
        _next(database, "budgets_version"),
    )  # fmt: skip
    database.execute(
        "INSERT INTO budget VALUES (%s,%s,%s,%s,%s,%s) ON CONFLICT (scope) DO UPDATE SET cap = excluded.cap,"
        " period = excluded.period, zone = excluded.zone, soft = excluded.soft, version = excluded.version",
        row,
    )


def remove_budget(database: Database, scope: str) -> bool:
    """Takes a budget out of force for every replica; whether there was one.

    The row stays, with a cap that none can have: a replica asks only for rows of a newer version.
    """
    found = database.execute(
        "UPDATE budget SET cap = -1, version = %s WHERE scope = %s AND cap >= 0",
        (_next(database, "budgets_version"), stored(scope)),
    )
    return found.rowcount > 0


def budget_of(row: tuple[Any, ...]) -> Budget:
    """A budget from its columns scope, cap, period, zone, soft."""
    scope, cap, period, zone, soft = restored(row)
    return Budget(scope, int(cap), period, zone, None if soft is None else int(soft))


def balances(database: Database, at_us: int, scope: str | None = None) -> list[Balance]:
    """Every budget, or that of one scope, and where it stands at `at_us`, by scope."""
    found: list[Balance] = []
    with database.transaction():
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = database.execute(
            "SELECT scope, cap, period, zone, soft FROM budget WHERE (%s::text IS NULL OR scope = %s)"
            ' AND cap >= 0 ORDER BY scope COLLATE "C"',
            (None if scope is None else stored(scope), None if scope is None else stored(scope)),
        ).fetchall()
        for row in rows:
            budget = budget_of(row)
            start, end = window_of(budget.period, budget.zone, at_us)
            sums = database.execute(
                "SELECT reserved, spent FROM budget_window WHERE scope = %s AND period = %s AND zone = %s"
                " AND start_us = %s",
                (row[0], budget.period, budget.zone, start),
            ).fetchone() or (0, 0)
            found.append(Balance(budget, start, end, int(sums[0]), int(sums[1])))
    return found


def audit(database: Database, act: str, subject: str, note: str) -> None:
    """Records an administrator's act."""
    database.execute(
        "INSERT INTO audit (at_us, act, subject, note) VALUES (%s,%s,%s,%s)",
        (now_us(), act, stored(subject), stored(note)),
    )


def word(database: Database, name: str, make: Callable[[], str]) -> str:
    """The word under `name`; where there is none, one is made. Of two replicas at once, the first is kept."""
    found = known_word(database, name)
    if found is None:
        database.execute("INSERT INTO meta VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, make()))
        found = known_word(database, name)
    assert found is not None
    return found


def known_word(database: Database, name: str) -> str | None:
    """The word under `name`, None where there is none."""
    found = database.execute("SELECT value FROM meta WHERE name = %s", (name,)).fetchone()
    return None if found is None else str(found[0])


def replace_word(database: Database, name: str, value: str) -> None:
    """Stores a word under `name`."""
    database.execute(
        "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _number(database: Database, name: str) -> int:
    found = database.execute("SELECT value FROM meta WHERE name = %s", (name,)).fetchone()
    return int(found[0]) if found else 0


def _next(database: Database, name: str) -> int:
    found = database.execute(
        "UPDATE meta SET value = (value::bigint + 1)::text WHERE name = %s RETURNING value", (name,)
    ).fetchone()
    assert found is not None
    return int(found[0])

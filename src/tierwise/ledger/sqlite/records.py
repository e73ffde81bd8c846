"""Keys, budgets, words and the audit trail: the small tables, by parameters only."""

from __future__ import annotations

import sqlite3

from msgspec import convert

from ...clock import now_us
from ...nouns import Budget, Key


def load_keys(database: sqlite3.Connection) -> list[Key]:
    """Every key, oldest first."""
    found = database.execute(
        "SELECT id, name, digest, hint, project, rpm, tpm, max_concurrent, strict, created_us, revoked_us"
        " FROM keys ORDER BY created_us, id"
    )
    # The columns have the noun's names; `strict` is stored as 0 or 1.
    return [convert(dict(zip(Key.__struct_fields__, row, strict=True)), Key, strict=False) for row in found]


def save_key(database: sqlite3.Connection, key: Key) -> None:
    """Adds or replaces a key."""
    database.execute(
        "INSERT OR REPLACE INTO keys VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            key.id, key.name, key.digest, key.hint, key.project, key.rpm, key.tpm, key.max_concurrent,
            int(key.strict), key.created_us, key.revoked_us,
        ),
    )  # fmt: skip


def save_budget(database: sqlite3.Connection, budget: Budget) -> None:
    """Adds or replaces a budget. Amounts as text: they outgrow 64 bits."""
    soft = None if budget.soft_pico is None else str(budget.soft_pico)
    database.execute(
        "INSERT OR REPLACE INTO budget (scope, cap, period, zone, soft) VALUES (?,?,?,?,?)",
        (budget.scope, str(budget.cap_pico), budget.period, budget.zone, soft),
    )


def remove_budget(database: sqlite3.Connection, scope: str) -> bool:
    """Deletes a budget; whether there was one."""
    return database.execute("DELETE FROM budget WHERE scope = ?", (scope,)).rowcount > 0


def audit(database: sqlite3.Connection, act: str, subject: str, note: str) -> None:
    """Records an administrator's act."""
    database.execute(
        "INSERT INTO audit (at_us, act, subject, note) VALUES (?,?,?,?)", (now_us(), act, subject, note)
    )


def word(database: sqlite3.Connection, name: str) -> str | None:
    """The word stored under `name`."""
    found = database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def replace_word(database: sqlite3.Connection, name: str, value: str) -> None:
    """Stores a word under `name`."""
    database.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

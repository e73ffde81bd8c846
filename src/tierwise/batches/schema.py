"""Numbered changes of the shape of what is kept about batches, oldest first. A change that was released is
never edited: add another.

`{bytes}` is the database's word for raw bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..clock import now_us
from ..errors import StoreError

Value = str | int | bytes | None

_M001 = (
    "CREATE TABLE batch_files (id TEXT PRIMARY KEY, key TEXT NOT NULL, at_us BIGINT NOT NULL,"
    " filename TEXT NOT NULL, purpose TEXT NOT NULL, size BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
    " batch TEXT NOT NULL, part TEXT NOT NULL, content {bytes})",
    "CREATE INDEX batch_files_key ON batch_files (key, at_us)",
    "CREATE TABLE batches (id TEXT PRIMARY KEY, key TEXT NOT NULL, surface TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, state TEXT NOT NULL, at_us BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
    " input_file TEXT NOT NULL, output_file TEXT NOT NULL, error_file TEXT NOT NULL,"
    " headers TEXT NOT NULL, metadata TEXT NOT NULL, errors TEXT NOT NULL, started_us BIGINT,"
    " cancel_us BIGINT, ended_us BIGINT, owner TEXT NOT NULL, lease_us BIGINT NOT NULL)",
    "CREATE INDEX batches_key ON batches (key, at_us)",
    "CREATE INDEX batches_state ON batches (state)",
    "CREATE TABLE batch_rows (batch TEXT NOT NULL, n BIGINT NOT NULL, custom_id TEXT NOT NULL,"
    " state TEXT NOT NULL, tries BIGINT NOT NULL, after_us BIGINT NOT NULL, job TEXT NOT NULL,"
    " request {bytes}, page {bytes}, result {bytes}, PRIMARY KEY (batch, n))",
    "CREATE INDEX batch_rows_state ON batch_rows (batch, state, after_us)",
    "CREATE TABLE batch_jobs (id TEXT PRIMARY KEY, batch TEXT NOT NULL, provider TEXT NOT NULL,"
    " model TEXT NOT NULL, at_us BIGINT NOT NULL, state TEXT NOT NULL, upstream TEXT NOT NULL,"
    " input_file TEXT NOT NULL)",
    "CREATE INDEX batch_jobs_batch ON batch_jobs (batch)",
)
# Rows are taken in their order: without this, each look at a long batch would sort all that wait.
_M002 = (
    "DROP INDEX batch_rows_state",
    "CREATE INDEX batch_rows_next ON batch_rows (batch, state, n)",
)
_M003 = ("ALTER TABLE batches ADD COLUMN output_keep_us BIGINT",)
# Files in pieces: one that was held whole was held several times over.
_M004 = (
    "CREATE TABLE batch_pieces (file TEXT NOT NULL, n BIGINT NOT NULL, content {bytes} NOT NULL,"
    " PRIMARY KEY (file, n))",
)

SHAPES: tuple[tuple[str, ...], ...] = (_M001, _M002, _M003, _M004)
_RECORD = "batch_migrations (number BIGINT PRIMARY KEY, at_us BIGINT NOT NULL)"


class Database(Protocol):
    """One transaction. SQL is written with `?`."""

    def run(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """The rows a statement gives."""

    def count(self, sql: str, values: Sequence[Value] = ()) -> int:
        """How many rows a statement changed."""

    def many(self, sql: str, values: Sequence[Sequence[Value]]) -> None:
        """One statement for many rows of values."""


def migrate(database: Database, word_for_bytes: str) -> None:
    """Brings the shape up to date, within the caller's transaction. StoreError for a newer one."""
    database.run(f"CREATE TABLE IF NOT EXISTS {_RECORD}")
    done = database.run("SELECT coalesce(max(number), 0) FROM batch_migrations")[0][0]
    if done > len(SHAPES):
        raise StoreError(
            f"The batches were written by a newer tierwise (shape {done}; this version knows {len(SHAPES)}).",
            "Upgrade tierwise.",
        )
    for number, statements in enumerate(SHAPES[done:], done + 1):
        for statement in statements:
            database.run(statement.format(bytes=word_for_bytes))
        database.run("INSERT INTO batch_migrations VALUES (?, ?)", (number, now_us()))

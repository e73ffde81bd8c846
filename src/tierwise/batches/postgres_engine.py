"""Batches in the ledger's Postgres: the same schema, tables of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from ..errors import StoreError
from ..ledger.postgres.link import SCHEMA, connected, terms_of, unusable
from .schema import Database, Value, migrate

_STATEMENT_MS = 120_000
_MIGRATING = 0x7469657277626174
"""The advisory lock's number: one replica changes the shape at a time."""


class PostgresEngine:
    """One connection, made anew after it was lost."""

    shared = True

    def __init__(self, url: str) -> None:
        # A file of a hundred megabytes takes its time.
        self._terms = terms_of(url, _STATEMENT_MS)
        self._connection = connected(self._terms)
        with self.transaction() as database:
            database.run("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
            database.run(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            migrate(database, "BYTEA")

    def now_us(self) -> int:
        """See Engine: the server's clock."""
        with self.transaction() as database:
            return int(database.run("SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint")[0][0])

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """See Engine."""
        if self._connection.closed:
            self._connection = connected(self._terms)
        try:
            with self._connection.transaction():
                yield _Postgres(self._connection)
        except psycopg.Error as error:
            with suppress(psycopg.Error):
                if self._connection.broken:
                    self._connection.close()
            raise unusable(self._terms, error) from None

    def close(self) -> None:
        """See Engine."""
        with suppress(psycopg.Error, StoreError):
            self._connection.close()


class _Postgres:
    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def run(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(_theirs(sql), values)
        return cursor.fetchall() if cursor.description is not None else []

    def count(self, sql: str, values: Sequence[Value] = ()) -> int:
        return self._connection.execute(_theirs(sql), values).rowcount

    def many(self, sql: str, values: Sequence[Sequence[Value]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_theirs(sql), values)


def _theirs(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()

"""Rows of batches, as they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .records import Row
from .schema import Database, Value

_ADD = (
    "INSERT INTO batch_rows (batch, n, custom_id, state, tries, after_us, job, request)"
    " VALUES (?, ?, ?, 'queued', 0, 0, '', ?)"
)
_AT_ONCE = 1 << 20
"""How much rows ask that are written at once, bytes."""


def add_rows(database: Database, rows: Iterable[Row]) -> None:
    """Keeps new rows; only some of them are held at a time."""
    some: list[tuple[Value, ...]] = []
    size = 0
    for row in rows:
        some.append((row.batch, row.n, row.custom_id, row.request))
        size += len(row.request) + len(row.custom_id)
        if size > _AT_ONCE:
            database.many(_ADD, some)
            some, size = [], 0
    if some:
        database.many(_ADD, some)


def read_row(row: Sequence[Any]) -> Row:
    """A Row of its columns: batch, n, custom_id, request, tries, page."""
    batch, n, custom_id, request, tries, page = row
    return Row(batch, n, custom_id, bytes(request or b""), tries, bytes(page or b""))

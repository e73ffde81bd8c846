"""How an input file becomes the rows of its batch: a piece at a time, so that no other batch waits for long.

Until the last row is there the batch stays `validating`, in which nobody takes rows; those that a crash
leaves are forgotten when validation begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from .contents import Cut
from .records import File, Row
from .rows import add_rows
from .schema import Database
from .store import LEASE_US, BatchStore, held_by


class Reading(Protocol):
    """How an input file is read."""

    errors: list[dict[str, Any]]
    """What is wrong with it; where anything is, no row may be asked."""

    @property
    def over(self) -> bool:
        """Whether enough is wrong that the rest need not be read."""

    def rows(self, lines: Iterable[bytes]) -> list[Row]:
        """The rows of the file's next lines."""

    def end(self) -> None:
        """There are no more lines."""


async def begin(store: BatchStore, owner: str, id: str, file: File, reading: Reading) -> None:
    """Keeps the rows of a batch that has none yet; it is in progress then. It is not where `reading` finds
    errors, and where the batch was cancelled meanwhile or is the owner's no more."""
    text = Cut()
    async for piece in store.content(file):
        rows = await asyncio.to_thread(reading.rows, text.feed(piece))
        if reading.over:
            return
        if not await store.do(partial(_added, owner, id, rows)):
            return
    rows = reading.rows(text.rest())
    reading.end()
    if not reading.errors and await store.do(partial(_added, owner, id, rows)):
        await store.do(partial(_started, owner, id))


async def forget(store: BatchStore, owner: str, id: str) -> bool:
    """Deletes the rows of a batch that were kept while its file was read; False: it is not the owner's."""

    def work(database: Database, now: int) -> bool:
        if not held_by(database, now, owner, id):
            return False
        database.count("DELETE FROM batch_rows WHERE batch = ?", (id,))
        return True

    return await store.do(work)


def _added(owner: str, id: str, rows: Sequence[Row], database: Database, now: int) -> bool:
    if not _validating(database, now, owner, id):
        return False
    add_rows(database, rows)
    return True


def _started(owner: str, id: str, database: Database, now: int) -> None:
    if _validating(database, now, owner, id):
        database.count("UPDATE batches SET started_us = ?, state = 'in_progress' WHERE id = ?", (now, id))


def _validating(database: Database, now: int, owner: str, id: str) -> bool:
    """Renews the lease of a batch; whether it is the owner's and was not cancelled."""
    return (
        database.count(
            "UPDATE batches SET lease_us = ? WHERE id = ? AND owner = ? AND state = 'validating'",
            (now + LEASE_US, id, owner),
        )
        > 0
    )

"""Providers' own batches that hold rows of ours: what is kept of them."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from .records import Job, Row
from .rows import read_row
from .schema import Database
from .store import BatchStore, held_by

_FIELDS = Job.__struct_fields__


MOST_BYTES = 16 << 20
"""How much the rows of one job ask, unless it is one row alone: they are held several times over while they
are handed over."""


async def fresh(store: BatchStore, batch: str, after: int, most: int) -> list[Row]:
    """Queued rows that were never asked, after row number `after`, without taking them: `most`, and
    MOST_BYTES, or one. Their sizes are read first."""

    def work(database: Database, now: int) -> list[Row]:
        which = "FROM batch_rows WHERE batch = ? AND n > ? AND state = 'queued' AND tries = 0"
        last, size = after, 0
        for n, length in database.run(
            f"SELECT n, length(request) {which} ORDER BY n LIMIT ?", (batch, after, most)
        ):
            size += length
            if size > MOST_BYTES and last > after:
                break
            last = n
        found = database.run(
            f"SELECT batch, n, custom_id, request, tries, page {which} AND n <= ? ORDER BY n",
            (batch, after, last),
        )
        return [read_row(row) for row in found]

    return await store.do(work)


async def assign(store: BatchStore, owner: str, job: Job, rows: Sequence[Row]) -> bool:
    """Gives rows, with their pages, to a new job; False: the batch is not the owner's any more."""

    def work(database: Database, now: int) -> bool:
        if not held_by(database, now, owner, job.batch):
            return False
        marks = ", ".join("?" * len(_FIELDS))
        database.run(f"INSERT INTO batch_jobs ({', '.join(_FIELDS)}) VALUES ({marks})", structs.astuple(job))
        database.many(
            "UPDATE batch_rows SET state = 'sent', job = ?, page = ? WHERE batch = ? AND n = ?",
            [(job.id, row.page, row.batch, row.n) for row in rows],
        )
        return True

    return await store.do(work)


async def save(store: BatchStore, job: Job) -> None:
    """How far a job has come."""

    def work(database: Database, now: int) -> None:
        database.count(
            "UPDATE batch_jobs SET state = ?, upstream = ?, input_file = ? WHERE id = ?",
            (job.state, job.upstream, job.input_file, job.id),
        )

    await store.do(work)


async def unfinished(store: BatchStore, batch: str) -> list[Job]:
    """The jobs of a batch that have not ended."""

    def work(database: Database, now: int) -> list[Job]:
        found = database.run(
            f"SELECT {', '.join(_FIELDS)} FROM batch_jobs WHERE batch = ? AND state <> 'ended' ORDER BY id",
            (batch,),
        )
        return [Job(*row) for row in found]

    return await store.do(work)


async def held(store: BatchStore, job: Job) -> dict[int, Row]:
    """The rows of a job whose end is not known yet, by number."""

    def work(database: Database, now: int) -> dict[int, Row]:
        found = database.run(
            "SELECT batch, n, custom_id, request, tries, page FROM batch_rows"
            " WHERE batch = ? AND job = ? AND state = 'sent'",
            (job.batch, job.id),
        )
        return {row.n: row for row in map(read_row, found)}

    return await store.do(work)

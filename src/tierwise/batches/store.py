"""BatchStore: what the gateway asks of the database behind batches, off the event loop.

A batch has one owner at a time: a process with a lease on it. The lease is taken and renewed in the database,
by its clock, so that of several replicas one works a batch.
"""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec

from ..errors import StoreError, TooLarge
from . import contents
from .engine import Engine, exists, open_engine
from .lines import forget_lines, lines_of, piece_of
from .records import ACTIVE, Batch, Counts, File, Job, Page, Row, RowState
from .rows import add_rows, read_row
from .schema import Database, Value

LEASE_US = 30_000_000
_BATCH = Batch.__struct_fields__
_FILE = File.__struct_fields__
_JSON = ("headers", "metadata", "errors")
_ACTIVE = ", ".join(f"'{state}'" for state in ACTIVE)
_OPEN = "('queued', 'running', 'sent')"
_TAKE = (
    "SELECT batch, n, custom_id, request, tries, page FROM batch_rows"
    " WHERE batch = ? AND state = 'queued' AND after_us <= ? ORDER BY n LIMIT ?"
)
_WAITING = (
    "SELECT batch, n, custom_id, NULL, tries, NULL FROM batch_rows"
    " WHERE batch = ? AND state = 'queued' ORDER BY n LIMIT ?"
)
_MOST_LISTED = 100
T = TypeVar("T")


class BatchStore:
    """Everything of one ledger's batches. Opened when it is first needed; every call may raise StoreError."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(1, "tierwise-batches")

    def used(self) -> bool:
        """Whether anything may be there: a process that never had a batch need not look."""
        return self.opened or exists(self._url)

    @property
    def opened(self) -> bool:
        """Whether it was needed yet."""
        return self._engine is not None

    @property
    def shared(self) -> bool:
        """Whether other processes may put batches there. Known once it was opened."""
        return self._engine is not None and self._engine.shared

    async def close(self) -> None:
        """Waits for what is being written."""

        def last() -> None:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

        await asyncio.get_running_loop().run_in_executor(self._thread, last)
        self._thread.shutdown()

    async def do(self, work: Callable[[Database, int], T]) -> T:
        """`work` in one transaction, given the time."""

        def there() -> T:
            if self._engine is None:
                self._engine = open_engine(self._url)
            now = self._engine.now_us()
            with self._engine.transaction() as database:
                return work(database, now)

        # A caller that goes away does not undo what it asked for.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, there))

    # --- files

    async def add_file(self, file: File, content: bytes | memoryview, most_bytes: int) -> None:
        """Keeps a file. TooLarge when all of the key's files would be more than `most_bytes`."""

        def work(database: Database, now: int) -> None:
            held = database.run(
                "SELECT coalesce(sum(size), 0) FROM batch_files WHERE key = ? AND batch = ''", (file.key,)
            )[0][0]
            if held + file.size > most_bytes:
                raise TooLarge(
                    f"This key's files would be more than {most_bytes} bytes.",
                    "Delete files no longer needed.",
                )
            _insert(database, "batch_files", _FILE, [_values(file)])
            contents.keep(database, file.id, content)

        await self.do(work)

    async def file(self, key: str, id: str) -> File | None:
        """A file of that key that has not expired."""

        def work(database: Database, now: int) -> File | None:
            found = database.run(
                f"SELECT {', '.join(_FILE)} FROM batch_files WHERE id = ? AND key = ? AND expires_us > ?",
                (id, key, now),
            )
            return File(*found[0]) if found else None

        return await self.do(work)

    async def files(self, key: str, purpose: str, page: Page) -> tuple[list[File], bool]:
        """A page of a key's files, and whether more follow."""
        limited = " AND purpose = ?" if purpose else ""

        def work(database: Database, now: int) -> tuple[list[File], bool]:
            return _page(
                database,
                f"SELECT {', '.join(_FILE)} FROM batch_files WHERE key = ? AND expires_us > ?{limited}",
                [key, now, *([purpose] if purpose else [])],
                page,
                lambda row: File(*row),
            )

        return await self.do(work)

    async def content(self, file: File) -> AsyncIterator[bytes]:
        """A file that was uploaded, in pieces. StoreError where it is deleted meanwhile."""
        left, n = file.size, 0
        while left > 0:
            piece = await self.do(partial(contents.piece_of_file, file.id, n))
            left, n = left - len(piece), n + 1
            yield piece

    async def delete_file(self, key: str, id: str) -> bool:
        """Whether there was such a file. Of its batch's rows stays what became of them."""
        return await self.do(lambda database, now: _forget_files(database, "id = ? AND key = ?", (id, key)))

    # --- batches

    async def add_batch(self, batch: Batch, rows: Iterable[Row] = ()) -> None:
        """Keeps a new batch, with its rows where they are known already; they are gone through once."""

        def work(database: Database, now: int) -> None:
            fields = (*_BATCH, "owner", "lease_us")
            _insert(database, "batches", fields, [(*_values(batch), "", 0)])
            add_rows(database, rows)

        await self.do(work)

    async def batch(self, key: str | None, id: str) -> Batch | None:
        """A batch of that key; of any key where it is None."""

        def work(database: Database, now: int) -> Batch | None:
            whose = "" if key is None else " AND key = ?"
            found = database.run(
                f"SELECT {', '.join(_BATCH)} FROM batches WHERE id = ?{whose}",
                (id,) if key is None else (id, key),
            )
            return _read_batch(found[0]) if found else None

        return await self.do(work)

    async def batches(self, key: str, surface_like: str, page: Page) -> tuple[list[Batch], bool]:
        """A page of a key's batches in dialects whose names begin so, and whether more follow."""

        def work(database: Database, now: int) -> tuple[list[Batch], bool]:
            return _page(
                database,
                f"SELECT {', '.join(_BATCH)} FROM batches WHERE key = ? AND surface LIKE ?",
                [key, f"{surface_like}%"],
                page,
                _read_batch,
            )

        return await self.do(work)

    async def counts(self, ids: Sequence[str]) -> dict[str, Counts]:
        """Rows of each batch by what became of them."""

        def work(database: Database, now: int) -> dict[str, Counts]:
            found: dict[str, dict[str, int]] = {id: {} for id in ids}
            marks = ", ".join("?" * len(ids))
            for batch, state, count in database.run(
                f"SELECT batch, state, count(*) FROM batch_rows WHERE batch IN ({marks})"
                " GROUP BY batch, state", tuple(ids),
            ) if ids else ():  # fmt: skip
                name = "working" if state in ("queued", "running", "sent") else state
                found[batch][name] = found[batch].get(name, 0) + int(count)
            return {id: Counts(**counted) for id, counted in found.items()}

        return await self.do(work)

    async def lines(self, batch: str, part: str = "") -> AsyncIterator[bytes]:
        """Every row's result line in the order of the requests, or those of a file's part; in pieces of
        PIECE_BYTES at most, or of one line. StoreError where they are deleted meanwhile."""
        left, last = await self.do(lambda database, now: lines_of(database, batch, part)[0]), 0
        while left > 0:
            last, lines = await self.do(partial(piece_of, batch, part, last))
            if not lines:
                raise StoreError("These results were deleted while they were sent.", "They are gone.")
            left -= len(lines)
            yield b"".join(lines)

    async def cancel(self, id: str) -> None:
        """Asks for the end of a batch that has not ended."""

        def work(database: Database, now: int) -> None:
            database.count(
                "UPDATE batches SET state = 'cancelling', cancel_us = ? WHERE id = ?"
                " AND state IN ('validating', 'in_progress')",
                (now, id),
            )

        await self.do(work)

    async def delete_batch(self, key: str, id: str) -> None:
        """Forgets a batch that has ended, with its rows and files."""

        def work(database: Database, now: int) -> None:
            if database.count(
                f"DELETE FROM batches WHERE id = ? AND key = ? AND state NOT IN ({_ACTIVE})", (id, key)
            ):
                _forget_rows(database, id)

        await self.do(work)

    async def purge(self, keep_us: int) -> None:
        """Deletes files that have expired, and batches that ended longer ago than `keep_us`."""

        def work(database: Database, now: int) -> None:
            old = database.run(
                "SELECT id FROM batches WHERE ended_us IS NOT NULL AND ended_us < ?", (now - keep_us,)
            )
            for (id,) in old:
                database.count("DELETE FROM batches WHERE id = ?", (id,))
                _forget_rows(database, id)
            _forget_files(database, "expires_us <= ?", (now,))

        await self.do(work)

    # --- the owner's work

    async def claim(self, owner: str, most: int, trusts: Callable[[], bool]) -> list[Batch]:
        """Takes batches that are to be worked and that no living process works; rows that a dead one had
        under way are queued again. `trusts`, asked at the store: whether a lease that is over tells that its
        owner is dead; otherwise only those that nobody owns are taken."""

        def work(database: Database, now: int) -> list[Batch]:
            # Of a file that is not shared, whoever else owned a batch is dead.
            before = (now if trusts() else 1) if self.shared else 2**62
            free = f"state IN ({_ACTIVE}) AND owner <> ? AND lease_us < ?"
            found = database.run(
                f"SELECT {', '.join(_BATCH)} FROM batches WHERE {free} ORDER BY id LIMIT ?",
                (owner, before, most),
            )
            taken = []
            for row in found:
                batch = _read_batch(row)
                if database.count(
                    f"UPDATE batches SET owner = ?, lease_us = ? WHERE id = ? AND {free}",
                    (owner, now + LEASE_US, batch.id, owner, before),
                ):
                    database.count(
                        "UPDATE batch_rows SET state = 'queued' WHERE batch = ? AND state = 'running'",
                        (batch.id,),
                    )
                    taken.append(batch)
            return taken

        return await self.do(work)

    async def mine(self, owner: str, id: str) -> Batch | None:
        """The batch, its lease renewed; None where it is another's, or nobody's, by now."""

        def work(database: Database, now: int) -> Batch | None:
            if not held_by(database, now, owner, id):
                return None
            return _read_batch(
                database.run(f"SELECT {', '.join(_BATCH)} FROM batches WHERE id = ?", (id,))[0]
            )

        return await self.do(work)

    async def renew(self, owner: str) -> set[str]:
        """Keeps the owner's leases for as long again; gives the ids of the batches that are still its own."""

        def work(database: Database, now: int) -> set[str]:
            mine = f"owner = ? AND state IN ({_ACTIVE})"
            database.count(f"UPDATE batches SET lease_us = ? WHERE {mine}", (now + LEASE_US, owner))
            return {id for (id,) in database.run(f"SELECT id FROM batches WHERE {mine}", (owner,))}

        return await self.do(work)

    async def release(self, owner: str, id: str = "") -> None:
        """Gives the owner's batches up, or that one: they may be taken at once."""
        only = " AND id = ?" if id else ""

        def work(database: Database, now: int) -> None:
            values = (owner, id) if id else (owner,)
            database.count(f"UPDATE batches SET owner = '', lease_us = 0 WHERE owner = ?{only}", values)

        await self.do(work)

    async def take(self, owner: str, id: str, most: int) -> list[Row]:
        """Queued rows whose time has come, as under way from now on; none of a batch that is not the
        owner's."""

        def work(database: Database, now: int) -> list[Row]:
            if not held_by(database, now, owner, id):
                return []
            rows = [read_row(row) for row in database.run(_TAKE, (id, now, most))]
            database.many(
                "UPDATE batch_rows SET state = 'running' WHERE batch = ? AND n = ?",
                [(row.batch, row.n) for row in rows],
            )
            return rows

        return await self.do(work)

    async def put_back(self, row: Row, after_s: float) -> None:
        """Queues a row again, to be taken after so many seconds."""

        def work(database: Database, now: int) -> None:
            database.count(
                "UPDATE batch_rows SET state = 'queued', job = '', page = NULL, tries = ?, after_us = ?"
                " WHERE batch = ? AND n = ? AND state IN ('running', 'sent')",
                (row.tries, now + round(after_s * 1e6), row.batch, row.n),
            )

        await self.do(work)

    async def settle(self, ended: Sequence[tuple[Row, bytes]], state: RowState) -> None:
        """What became of rows, each with its line of the results. The first word holds."""

        def work(database: Database, now: int) -> None:
            database.many(
                "UPDATE batch_rows SET state = ?, result = ?, request = NULL, page = NULL"
                f" WHERE batch = ? AND n = ? AND state IN {_OPEN}",
                [(state, line, row.batch, row.n) for row, line in ended],
            )

        await self.do(work)

    async def waiting(self, id: str) -> tuple[int, int, float]:
        """Rows queued and rows in providers' batches; seconds until the first queued one's time comes."""

        def work(database: Database, now: int) -> tuple[int, int, float]:
            queued, first = database.run(
                "SELECT count(*), min(after_us) FROM batch_rows WHERE batch = ? AND state = 'queued'", (id,)
            )[0]
            sent = database.run("SELECT count(*) FROM batch_rows WHERE batch = ? AND state = 'sent'", (id,))[
                0
            ][0]
            return int(queued), int(sent), max(0.0, ((first or now) - now) / 1e6)

        return await self.do(work)

    async def queued(self, id: str, most: int) -> list[Row]:
        """Rows that wait, without taking them and without what they ask."""
        return await self.do(
            lambda database, now: [read_row(row) for row in database.run(_WAITING, (id, most))]
        )

    async def finish(self, batch: Batch, files: Sequence[File] = ()) -> None:
        """The end of a batch: its last state and its output files, whose sizes are found here."""

        def work(database: Database, now: int) -> None:
            for file in files:
                _, size = lines_of(database, file.batch, file.part)
                kept = msgspec.structs.replace(file, size=size)
                _insert(database, "batch_files", _FILE, [_values(kept)])
            database.count(
                "UPDATE batches SET state = ?, errors = ?, output_file = ?, error_file = ?, ended_us = ?,"
                " owner = '' WHERE id = ?",
                (batch.state, _json(batch.errors), batch.output_file, batch.error_file, now, batch.id),
            )

        await self.do(work)

    async def census(self) -> dict[str, int]:
        """Rows by state, of batches that have not ended."""

        def work(database: Database, now: int) -> dict[str, int]:
            return {
                state: int(count)
                for state, count in database.run(
                    "SELECT state, count(*) FROM batch_rows WHERE batch IN"
                    f" (SELECT id FROM batches WHERE state IN ({_ACTIVE})) GROUP BY state"
                )
            }

        return await self.do(work)


def held_by(database: Database, now: int, owner: str, id: str) -> bool:
    """Renews the lease of a batch; whether it is the owner's. Nobody else gets it before the transaction
    ends."""
    return (
        database.count(
            "UPDATE batches SET lease_us = ? WHERE id = ? AND owner = ?", (now + LEASE_US, id, owner)
        )
        > 0
    )


def _page(
    database: Database, select: str, values: list[Any], page: Page, read: Callable[[Any], T]
) -> tuple[list[T], bool]:
    """Ids sort by time, so that they are the cursor."""
    limit = max(1, min(page.limit, _MOST_LISTED * 100))
    backwards = bool(page.before)
    ascending = page.oldest_first != backwards
    edge = page.before or page.after
    if edge:
        select += f" AND id {'>' if ascending else '<'} ?"
        values.append(edge)
    select += f" ORDER BY id {'ASC' if ascending else 'DESC'} LIMIT ?"
    found = [read(row) for row in database.run(select, (*values, limit + 1))]
    more = len(found) > limit
    found = found[:limit]
    return (found[::-1] if backwards else found), more


def _insert(database: Database, table: str, fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    marks = ", ".join("?" * len(fields))
    database.many(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", rows)


def _forget_files(database: Database, which: str, values: Sequence[Value]) -> bool:
    """Whether there were any. An output file's lines are results of rows."""
    found = database.run(f"SELECT id, batch, part FROM batch_files WHERE {which}", values)
    for id, batch, part in found:
        database.count("DELETE FROM batch_files WHERE id = ?", (id,))
        contents.forget(database, id)
        if part:
            forget_lines(database, batch, part)
    return bool(found)


def _forget_rows(database: Database, batch: str) -> None:
    for table in ("batch_rows", "batch_jobs", "batch_files"):
        database.count(f"DELETE FROM {table} WHERE batch = ?", (batch,))


def _values(record: Batch | File | Job) -> tuple[Any, ...]:
    return tuple(
        _json(getattr(record, name)) if name in _JSON else getattr(record, name)
        for name in record.__struct_fields__
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _read_batch(row: Sequence[Any]) -> Batch:
    fields = dict(zip(_BATCH, row, strict=True))
    for name in _JSON:
        fields[name] = msgspec.json.decode(fields[name])
    return msgspec.convert(fields, Batch)

"""The Postgres store: any number of replicas write one ledger and share its budgets exactly.

Each replica has one connection that writes, on its event loop: while one batch is on its way, rows queue and
become the next. More connections would only wait for each other, for the replica's epoch and the budgets'
windows. Rare acts (keys, budgets) have a connection of their own, the keeper's thread another.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from ...clock import now_us, tick_us
from ...errors import StoreError, TierwiseError
from ...nouns import Budget, Close, Key, Open
from ..budgets import Balance, cap_text
from ..opening import Opening, again, lost
from ..rows import check_open, swept, tamed
from ..sqlite.journal import booked, sweep_rows
from .journal import PostgresJournal
from .keeper import PostgresKeeper, sweep_dead
from .link import OF_THE_ROW, connected, first_line, place_of, terms_of, unreachable, unusable
from .migrations import migrate
from .records import (
    audit,
    balances,
    load_keys,
    recount,
    remove_budget,
    replace_word,
    save_budget,
    save_key,
    word,
)
from .rollup import Roller

log = logging.getLogger("tierwise")

BATCH = 256
MOST_QUEUED = 50_000
"""CLOSE rows kept while Postgres is away: some 100 MB, and minutes of a busy replica."""
SLOW_S = 3.0
"""A batch that takes longer means that Postgres hangs: calls are refused until it answers."""
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0
SHUTDOWN_TRIES = 4
LEASE_S = 15.0
BROKEN = (psycopg.Error, OSError, TimeoutError)

Entry = tuple[Open | Close, asyncio.Future[None] | None]


class PostgresStore:
    """Implements Store on one Postgres database, beside other replicas."""

    def __init__(self, url: str, upgrade: bool = True) -> None:
        """Connects, migrates, and sweeps what dead replicas left open. StoreError."""
        self.terms = {"target_session_attrs": "read-write", **terms_of(url)}
        self._gate = threading.Lock()
        self._database: psycopg.Connection[tuple[Any, ...]] | None = None
        self._journal = PostgresJournal(self.terms)
        self._keeper: PostgresKeeper | None = None
        self._roller = Roller()
        self._queue: list[Entry] = []
        self._doubtful: list[Open] = []
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fault: StoreError | None = None
        self._retry_s = 0.0
        self._failing_us = 0
        self._probing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        try:
            with self._held() as database:
                migrate(database, upgrade=upgrade)
                if recount(database):
                    log.warning("the sequence of the ledger's events was behind its rows: put right")
                sweep_dead(database, LEASE_S)
        except TierwiseError:
            self.release()
            raise

    def follow(self, learn: Callable[[list[Key], bool], None]) -> None:
        """Starts the keeper: from now on `learn` is told, from its thread, of keys that any replica changed,
        and of every key, which it says, after each connection.

        It also renews this replica's lease and sweeps replicas whose lease is over.
        """
        self._keeper = PostgresKeeper(self.terms, self._journal, learn, self._doubt, LEASE_S)
        self._keeper.start()

    def open(self, row: Open) -> Awaitable[None]:
        """See Store. The row is written even if the waiting task is cancelled; it is swept at no cost if
        never closed.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            check_open(row)
            if self._closing:
                raise _shut_down()
            if self._fault is not None:
                raise again(self._fault)
        except StoreError as error:
            future.set_exception(error)
            return future
        self._queue.append((row, future))
        self._wake()
        return Opening(future, row, self._abandon)

    def close(self, row: Close) -> Awaitable[None]:
        """See Store. While Postgres is away at most MOST_QUEUED rows are kept; beyond, a row is refused."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closing:
            future.set_exception(_shut_down())
        elif len(self._queue) >= MOST_QUEUED:
            future.set_exception(
                StoreError(
                    f"{MOST_QUEUED} closed calls wait for the ledger already: this one is not kept.",
                    "It is swept at its reservation later. Look at Postgres.",
                )
            )
        else:
            self._queue.append((row, future))
            if self._fault is None:
                self._wake()
        return future

    async def sweep(self, before_us: int) -> int:
        """See Store: attempts of this replica. Those of others are swept when their lease is over."""
        expired = [live.row for live in self._journal.live.values() if live.row.at_us < before_us]
        rows = sweep_rows(expired, now_us())
        await asyncio.gather(*[self.close(row) for row in rows])
        return len(rows)

    def load_keys(self) -> list[Key]:
        """See Store."""
        with self._held() as database:
            return load_keys(database)[0]

    def save_key(self, key: Key, budget: Budget | None, act: str) -> None:
        """See Store. Other replicas know of it at once, within 2 s at the latest."""
        with self._held() as database, database.transaction():
            save_key(database, key)
            if budget is not None:
                save_budget(database, budget)
            audit(database, act, key.id, key.name)

    def save_budget(self, budget: Budget) -> Balance:
        """See Store. In force for every replica's calls from the next batch on."""
        with self._held() as database:
            with database.transaction():
                save_budget(database, budget)
                audit(database, "budget set", budget.scope, cap_text(budget))
            return balances(database, now_us(), budget.scope)[0]

    def remove_budget(self, scope: str) -> bool:
        """See Store. Every replica's calls are free of it from the next batch on."""
        with self._held() as database, database.transaction():
            found = remove_budget(database, scope)
            if found:
                audit(database, "budget removed", scope, "")
            return found

    def balances(self) -> list[Balance]:
        """See Store."""
        with self._held() as database:
            return balances(database, now_us())

    def capped(self, scopes: Sequence[str]) -> str:
        """See Store."""
        return self._journal.capped(scopes)

    def word(self, name: str, make: Callable[[], str]) -> str:
        """See Store."""
        with self._held() as database:
            return word(database, name, make)

    def replace_word(self, name: str, value: str, act: str = "") -> None:
        """See Store."""
        with self._held() as database, database.transaction():
            replace_word(database, name, value)
            if act:
                audit(database, act, name, value)

    def backlog(self) -> tuple[int, int]:
        """See Store."""
        waiting = self._queue[:]
        return len(waiting), waiting[0][0].at_us if waiting else 0

    def failing_since(self) -> int:
        """See Store."""
        return self._failing_us

    def look(self) -> None:
        """See Store. The keeper does."""

    def roll(self) -> bool:
        """See Store. One replica does it at a time."""
        if self._closing:
            return False
        with self._held() as database:
            if not self._roller.waits(database):
                return False
        try:
            return self._roller.roll(self.terms)
        except psycopg.Error as error:
            raise unusable(self.terms, error) from None

    def announce(self, admin_url: str, token: str) -> None:
        """See Store: nobody need be asked, as every process may write."""
        if self._closing:
            raise _shut_down()

    async def shutdown(self) -> None:
        """See Store. A second call does nothing."""
        if self._closing:
            return
        self._closing = True
        failures = 0
        while (self._queue or self._writing) and failures < SHUTDOWN_TRIES:
            self._fault = None
            self._wake()
            if self._writing is not None:
                await self._writing
            if self._fault is not None:
                failures += 1
                await asyncio.sleep(RETRY_FIRST_S * failures)
        if self._timer is not None:
            self._timer.cancel()
        lost, self._queue = self._queue, []
        await self._journal.disconnect()
        await asyncio.to_thread(self._leave)
        if lost:
            raise StoreError(
                f"{len(lost)} closed calls could not be written to {place_of(self.terms)}.",
                "They are swept at their reservations when the ledger can be written.",
            )

    def release(self) -> None:
        """See Store."""
        self._closing = True
        if self._keeper is not None:
            self._keeper.stop()
        self._journal.cut()
        with self._gate:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _leave(self) -> None:
        """Ends the epoch: what it left open may be swept at once."""
        if self._keeper is not None:
            self._keeper.stop()
        if self._journal.epoch is not None:
            with suppress(StoreError), self._held(closing=True) as database:
                database.execute(
                    "UPDATE epochs SET ended = clock_timestamp(), closed_below = %s,"
                    " swept = CASE WHEN %s THEN clock_timestamp() END"
                    " WHERE epoch = %s AND ended IS NULL AND events >= %s",
                    (
                        self._journal.oldest_open,
                        not self._journal.live and not self._doubtful,
                        self._journal.epoch,
                        self._journal.events,
                    ),
                )
        self.release()

    def _wake(self) -> None:
        if self._writing is None:
            self._loop = asyncio.get_running_loop()
            self._writing = self._loop.create_task(self._write_all())

    def _doubt(self) -> None:
        """Postgres does not answer the keeper, in whose thread this is called: this side is to look too."""
        if self._loop is not None and not self._closing:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._probe)

    def _probe(self) -> None:
        """Finds out, where nobody waits for a row, whether the ledger can be written."""
        if self._fault is None and not self._closing:
            self._probing = True
            self._wake()

    async def _write_all(self) -> None:
        """Writes batch after batch until nothing is queued or Postgres fails."""
        loop = asyncio.get_running_loop()
        try:
            while (self._queue or self._doubtful or self._probing) and self._fault is None:
                batch = self._next_batch()
                slow = loop.call_later(SLOW_S, self._slow, batch)
                try:
                    await self._write(batch)
                finally:
                    slow.cancel()
        finally:
            self._writing = None
            if self._fault is not None and not self._closing:
                self._retry_s = min(max(self._retry_s * 2, RETRY_FIRST_S), RETRY_MOST_S)
                self._timer = loop.call_later(self._retry_s, self._retry)
            elif self._queue:
                # Queued between the last look and now.
                self._wake()

    def _next_batch(self) -> list[Entry]:
        """The longest beginning of the queue that names no attempt twice."""
        seen: set[str] = set()
        for row, _ in self._queue[:BATCH]:
            if row.attempt in seen:
                break
            seen.add(row.attempt)
        batch, self._queue = self._queue[: len(seen)], self._queue[len(seen) :]
        return batch

    async def _write(self, batch: list[Entry], again: bool = True) -> None:
        """One transaction; if a row of it cannot be written, one transaction each, so that it fails alone."""
        try:
            await self._settle_doubts()
            if not batch:
                await self._journal.beat()
            verdicts = await self._journal.commit([row for row, _ in batch])
        except OF_THE_ROW as error:
            await self._isolate(batch, error)
        except BROKEN as error:
            if self._journal.lost and again and self._fault is None:
                # A connection that was idle for long, or a server that was restarted: one more try at once.
                with suppress(*BROKEN):
                    rest = await self._unwritten(batch)
                    await self._write(rest, again=False)
                    return
            self._postpone(batch, error)
        except Exception as error:  # noqa: BLE001  # recorded: the future of the row that caused it
            await self._isolate(batch, error)
        else:
            self._fault = None
            self._retry_s = 0.0
            if self._failing_us:
                self._failing_us = 0
                log.info("the ledger can be written again")
            self._probing = False
            for (row, future), verdict in zip(batch, verdicts, strict=True):
                self._resolve(row, future, verdict)

    def _resolve(
        self, row: Open | Close, future: asyncio.Future[None] | None, verdict: TierwiseError | None
    ) -> None:
        if future is None:
            return
        if not future.done():
            if verdict is None:
                future.set_result(None)
            else:
                future.set_exception(verdict)
        elif isinstance(row, Open) and verdict is None and not future.cancelled():
            # Its caller was told that it failed, so nothing was sent.
            self._abandon(row)

    async def _unwritten(self, batch: list[Entry]) -> list[Entry]:
        """After the connection was lost in a batch: what of it is still to be written."""
        if not self._journal.unsure:
            return batch
        written = await self._journal.written([row for row, _ in batch])
        for row, future in batch:
            if row.attempt in written:
                self._resolve(row, future, None)
        return [entry for entry in batch if entry[0].attempt not in written]

    async def _settle_doubts(self) -> None:
        """OPEN rows whose callers were told that they failed: those that were written are swept at no
        cost.
        """
        if not self._doubtful:
            return
        written = await self._journal.written(self._doubtful)
        doubtful, self._doubtful = self._doubtful, []
        for row in doubtful:
            if row.attempt in written:
                self._abandon(row)

    async def _isolate(self, batch: list[Entry], error: Exception) -> None:
        if not batch:
            self._fail(error)
            return
        if len(batch) > 1:
            for entry in batch:
                if self._fault is None:
                    await self._write([entry])
                else:
                    self._postpone([entry], self._fault)
            return
        row, future = batch[0]
        if isinstance(error, psycopg.errors.UniqueViolation) and isinstance(row, Close):
            # Another replica closed it meanwhile, as this one seemed dead: this CLOSE is a late one.
            self._journal.live.pop(row.attempt, None)
            await self._write(batch)
            return
        tame = tamed(row)
        if tame != row:
            await self._write([(tame, future)])
            return
        lost(row, future, first_line(error))

    def _postpone(self, batch: Sequence[Entry], error: BaseException) -> None:
        """Postgres fails: OPEN rows are refused, CLOSE rows are owed and tried again by a timer until they
        hold.
        """
        if self._journal.unsure:
            self._doubtful += [row for row, _ in batch if isinstance(row, Open)]
        self._queue = [*batch, *self._queue]
        self._fail(error)

    def _slow(self, batch: list[Entry]) -> None:
        """No answer: nobody is kept waiting for it, though it may come."""
        self._fail(TimeoutError(f"no answer for {SLOW_S:.0f} s"))
        for _, future in batch:
            self._reject(future)

    def _fail(self, error: BaseException) -> None:
        """Tells everyone who waits in the queue; only its CLOSE rows stay."""
        if self._fault is None:
            words = unreachable if self._journal.lost else unusable
            self._fault = error if isinstance(error, StoreError) else words(self.terms, error)
            if not self._failing_us:
                self._failing_us = tick_us()
                log.warning("%s", self._fault.sentence())
        for _, future in self._queue:
            self._reject(future)
        owed: list[Entry] = [(row, None) for row, _ in self._queue if isinstance(row, Close)]
        self._queue = owed[:MOST_QUEUED]

    def _reject(self, future: asyncio.Future[None] | None) -> None:
        if future is not None and not future.done():
            assert self._fault is not None
            future.set_exception(again(self._fault))

    def _retry(self) -> None:
        self._timer = None
        self._fault = None
        self._probe()

    def _abandon(self, row: Open) -> None:
        """Nobody waited for this OPEN, so nothing was sent: unless its caller closed it, it is swept at no
        cost.
        """
        if self._closing:
            return
        waiting = any(entry[0] is row for entry in self._queue)
        if row.attempt in self._journal.live or waiting or self._writing is not None:
            # A row that is still on its way is closed behind it; one that never was, is refused unseen.
            self._queue.append((swept(row, now_us(), 0 if booked(row) is not None else None), None))
            if self._fault is None:
                self._wake()

    @contextmanager
    def _held(self, closing: bool = False) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """The connection for rare acts, to this thread alone."""
        with self._gate:
            if self._closing and not closing:
                raise _shut_down()
            try:
                yield self._rare()
            except psycopg.Error as error:
                raise unusable(self.terms, error) from None

    def _rare(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection for rare acts; another one where the last did not outlive its idleness."""
        if self._database is not None:
            with suppress(psycopg.Error):
                self._database.execute("SELECT 1")
            if self._database.closed:
                self._database = None
        if self._database is None:
            self._database = connected(self.terms)
        return self._database


def _shut_down() -> StoreError:
    return StoreError("The ledger is shut down.", "Open calls are swept when the lease of this replica ends.")

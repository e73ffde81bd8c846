"""The SQLite store: one connection writes and checkpoints; the rows of one event-loop tick are one
transaction.

Why not a writer thread: waking it for a row costs more than writing the row. Why one connection for
checkpoints too: SQLite before 3.51.3 can lose the log when two connections write and reset it at the same
moment. A checkpoint therefore borrows the connection in a thread while new rows queue, and the loop is
never blocked by it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from ...clock import now_us, tick_us
from ...errors import StoreError, TierwiseError
from ...nouns import Budget, Close, Key, Open
from ..budgets import Balance, cap_text
from ..location import database_path
from ..opening import Opening, again, lost
from ..rollups.step import Stride
from ..rows import check_open, swept, tamed
from .gate import FOREVER, HUNG, Gate
from .journal import Journal, booked, sweep_rows
from .lock import WriterLock
from .migrations import migrate
from .place import Place, connect
from .records import audit, load_keys, remove_budget, replace_word, save_budget, save_key, word
from .rollup import next_change, post_change, read_only

log = logging.getLogger("tierwise")

CHECKPOINT_PAGES = 4000
"""About 16 MB of log; a commit writes some 4 pages and one more for every 8 rows."""
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0
GATE_S = 0.001
GATHER_TURNS = 4
"""Turns of the event loop that a row waits at most for others to share its transaction."""
SHUTDOWN_TRIES = 8
BUSY_MS = 20
OF_THE_ROW = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
Entry = tuple[Open | Close, asyncio.Future[None] | None]


class SqliteStore:
    """Implements Store on one SQLite file."""

    def __init__(self, url: str, upgrade: bool = True) -> None:
        """Takes the lock, migrates, starts a new epoch and sweeps what dead ones left open. StoreLocked;
        StoreError.
        """
        self.path = database_path(url)
        self._lock: WriterLock | None = WriterLock(self.path)
        self._gate = Gate()
        self._queue: list[Entry] = []
        self._closing = False
        self._scheduled = False
        self._sweeping = False
        self._retry_s = 0.0
        self._failing_us = 0
        self._fault: StoreError | None = None
        self._weight = 0
        self._stride = Stride()
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None
        try:
            self._database = self._connected()
            migrate(self._database, upgrade=upgrade)
            self._journal = Journal(self._database)
            self._begin_epoch(self._database)
        except (sqlite3.Error, OSError) as error:
            self.release()
            why = error.strerror if isinstance(error, OSError) else error
            raise StoreError(
                f"The ledger {self.path} cannot be used: {why}.", "Check the file and its disk."
            ) from None
        except TierwiseError:
            self.release()
            raise

    def open(self, row: Open) -> Awaitable[None]:
        """See Store. The row is written even if the waiting task is cancelled; it is swept at no cost if
        never closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
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
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._gather, loop, 0, 0)
        return Opening(future, row, self._abandon)

    def close(self, row: Close) -> Awaitable[None]:
        """See Store."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._closing:
            future.set_exception(_shut_down())
            return future
        self._queue.append((row, future))
        # While the store is failing, the retry timer writes: trying at every row would hold up the loop.
        if not self._scheduled and self._fault is None:
            self._scheduled = True
            loop.call_soon(self._gather, loop, 0, 0)
        return future

    async def sweep(self, before_us: int) -> int:
        """See Store. They are booked at their reservation, an upper bound; a CLOSE that comes later is a
        correction.
        """
        rows = sweep_rows(self._journal.expired(before_us), now_us())
        self._sweeping = True
        await asyncio.gather(*[self.close(row) for row in rows])
        return len(rows)

    def load_keys(self) -> list[Key]:
        """See Store."""
        with self._held() as database:
            return load_keys(database)

    def save_key(self, key: Key, budget: Budget | None, act: str) -> None:
        """See Store."""

        def write(database: sqlite3.Connection) -> None:
            save_key(database, key)
            if budget is not None:
                save_budget(database, budget)
            audit(database, act, key.id, key.name)

        self._administer(write, budget)

    def save_budget(self, budget: Budget) -> Balance:
        """See Store."""

        def write(database: sqlite3.Connection) -> None:
            save_budget(database, budget)
            audit(database, "budget set", budget.scope, cap_text(budget))

        self._administer(write, budget)
        with self._gate.turn():
            return self._journal.book.balance(budget.scope, now_us())

    def remove_budget(self, scope: str) -> bool:
        """See Store."""
        with self._held() as database:
            try:
                database.execute("BEGIN IMMEDIATE")
                found = remove_budget(database, scope)
                if found:
                    audit(database, "budget removed", scope, "")
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")
            self._journal.book.remove(scope)
            return found

    def balances(self) -> list[Balance]:
        """See Store."""
        with self._gate.turn():
            return self._journal.book.balances(now_us())

    def capped(self, scopes: Sequence[str]) -> str:
        """See Store."""
        return self._journal.book.capped(scopes)

    def word(self, name: str, make: Callable[[], str]) -> str:
        """See Store."""
        with self._held() as database:
            found = word(database, name)
        if found is None:
            found = make()
            self.replace_word(name, found)
        return found

    def replace_word(self, name: str, value: str, act: str = "") -> None:
        """See Store."""

        def write(database: sqlite3.Connection) -> None:
            replace_word(database, name, value)
            if act:
                audit(database, act, name, value)

        self._administer(write, None)

    def backlog(self) -> tuple[int, int]:
        """See Store."""
        waiting = self._queue[:]
        return len(waiting), waiting[0][0].at_us if waiting else 0

    def failing_since(self) -> int:
        """See Store."""
        return self._failing_us

    def look(self) -> None:
        """See Store."""
        if self._closing or self._fault is not None:
            return
        if not self._gate.acquire(blocking=False):
            if self._gate.look():
                self._flush(asyncio.get_running_loop())
            return
        try:
            self._stay()
        except (sqlite3.Error, StoreError) as error:
            self._postpone([], error, asyncio.get_running_loop())
        finally:
            self._gate.release()

    def roll(self) -> bool:
        """See Store. Only the sums are written on the connection that the calls use."""
        if self._closing:
            return False
        try:
            change = next_change(lambda: read_only(self.path), self._stride)
        except sqlite3.Error as error:
            raise StoreError(f"The ledger cannot be read: {error}.", "Look at its disk.") from None
        if change is None:
            return False
        post_change(self._held(), change)
        self._checkpoint()
        return True

    def announce(self, admin_url: str, token: str) -> None:
        """See Store."""
        if self._lock is None:
            raise _shut_down()
        self._lock.announce(admin_url, token)

    async def shutdown(self) -> None:
        """See Store. A second call does nothing."""
        if self._closing:
            return
        self._closing = True
        loop = asyncio.get_running_loop()
        failures = 0
        while self._queue and failures < SHUTDOWN_TRIES:
            self._fault = None
            self._flush(loop)
            failures += self._fault is not None
            await asyncio.sleep(RETRY_FIRST_S * failures if self._fault else GATE_S)
        lost, self._queue = self._queue, []
        await asyncio.to_thread(self.release)
        if lost:
            raise StoreError(
                f"{len(lost)} closed calls could not be written to {self.path}.",
                "The next start sweeps them and books their reservations.",
            )

    def release(self) -> None:
        """See Store."""
        self._closing = True
        if self._thread is not None:
            self._thread.shutdown()
        with self._gate.turn(FOREVER):
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int, turns: int) -> None:
        """Flushes once a turn of the loop has brought no more rows: a turn costs a microsecond or two, a
        transaction of its own twenty and more.
        """
        count = len(self._queue)
        if seen < count and turns < GATHER_TURNS:
            loop.call_soon(self._gather, loop, count, turns + 1)
        else:
            self._flush(loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        if not self._queue and (self._closing or not (self._retry_s or self._gate.hangs())):
            self._fault = None
            return
        if not self._gate.acquire(blocking=False):
            if self._gate.hangs() and not self._closing:
                batch, self._queue = self._queue, []
                self._postpone(batch, TimeoutError(HUNG), loop)
            else:
                self._scheduled = True
                loop.call_later(GATE_S, self._flush, loop)
            return
        try:
            batch, self._queue = self._queue, []
            apart, self._sweeping = self._sweeping and len(batch) > 1, False
            for part in [[entry] for entry in batch] if apart else [batch]:
                self._post(part, loop)
        finally:
            self._gate.release()
        if self._weight >= CHECKPOINT_PAGES and not self._closing:
            self._weight = 0
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "tierwise-checkpoint")
            self._thread.submit(self._checkpoint)

    def _post(self, batch: list[Entry], loop: asyncio.AbstractEventLoop) -> None:
        """One transaction; if a row of it cannot be written, one transaction each, so that it fails alone."""
        if self._fault is not None:
            self._postpone(batch, self._fault, loop)
            return
        try:
            if self._retry_s:
                self._stay()
            self._reconnect()
            if not batch and self._database is not None:
                # Nobody waits: whether the ledger can be written again is found out by a word of its own.
                replace_word(self._database, "closed_below", str(self._journal.oldest_open))
            verdicts = self._journal.commit([row for row, _ in batch])
        except OF_THE_ROW as error:
            self._isolate(batch, error, loop)
        except (sqlite3.Error, StoreError) as error:
            self._postpone(batch, error, loop)
        except Exception as error:  # noqa: BLE001  # recorded: the future of the row that caused it
            self._isolate(batch, error, loop)
        else:
            self._weight += 4 + len(batch) // 8
            self._fault = None
            if self._retry_s:
                self._retry_s = 0.0
                self._failing_us = 0
                log.info("the ledger can be written again")
            for (_, future), verdict in zip(batch, verdicts, strict=True):
                if future is not None and not future.done():
                    if verdict is None:
                        future.set_result(None)
                    else:
                        future.set_exception(verdict)

    def _isolate(self, batch: list[Entry], error: Exception, loop: asyncio.AbstractEventLoop) -> None:
        if not batch:
            self._postpone(batch, error, loop)
            return
        if len(batch) > 1:
            for entry in batch:
                self._post([entry], loop)
            return
        row, future = batch[0]
        tame = tamed(row)
        if tame != row:
            self._post([(tame, future)], loop)
            return
        lost(row, future, str(error))

    def _postpone(self, batch: list[Entry], error: Exception, loop: asyncio.AbstractEventLoop) -> None:
        """The store fails: OPEN rows are refused, CLOSE rows are owed and tried again by a timer until they
        hold.
        """
        fault = self._fault or StoreError(
            f"The ledger cannot be written: {error}.",
            "Look at its disk; calls resume by themselves when it can be.",
        )
        if self._fault is None:
            if not self._retry_s:
                self._failing_us = tick_us()
                log.warning("%s", fault.sentence())
            self._retry_s = min(max(self._retry_s * 2, RETRY_FIRST_S), RETRY_MOST_S)
            loop.call_later(self._retry_s, self._retry, loop)
        self._fault = fault
        for _, future in batch:
            if future is not None and not future.done():
                future.set_exception(again(fault))
        owed: list[Entry] = [(row, None) for row, _ in batch if isinstance(row, Close)]
        self._sweeping |= any(isinstance(row, Close) and row.outcome == "swept" for row, _ in owed)
        self._queue = owed + self._queue

    def _retry(self, loop: asyncio.AbstractEventLoop) -> None:
        self._fault = None
        self._flush(loop)

    def _abandon(self, row: Open) -> None:
        """Nobody waited for this OPEN, so nothing was sent: unless its caller closed it, it is swept at no
        cost.
        """
        if not self._closing and row.attempt in self._journal.live:
            self._sweeping = True
            self._queue.append((swept(row, now_us(), 0 if booked(row) is not None else None), None))
            if self._fault is None:
                self._flush(asyncio.get_running_loop())

    def _administer(self, write: Callable[[sqlite3.Connection], None], budget: Budget | None) -> None:
        """A rare write from any thread, in a transaction of its own. A budget is in force when it returns."""
        with self._held() as database:
            at_us = now_us()
            try:
                database.execute("BEGIN IMMEDIATE")
                write(database)
                if budget is not None:
                    self._journal.book.prepare(budget, at_us)
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")
            if budget is not None:
                self._journal.book.set(budget, at_us)

    def _checkpoint(self) -> None:
        """Moves the log into the database. Runs in a thread, which has the connection to itself meanwhile."""
        # A checkpoint that fails is tried again when the log has grown; no row depends on it.
        with suppress(sqlite3.Error, StoreError), self._gate.turn():
            if self._database is not None:
                self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                # The first write after it syncs the new log's head: better here than in the loop.
                replace_word(self._database, "closed_below", str(self._journal.oldest_open))

    def _begin_epoch(self, database: sqlite3.Connection) -> None:
        dead: Sequence[Open] = [live.row for live in self._journal.live.values()]
        for first in range(0, len(dead), 1000):
            self._journal.commit(sweep_rows(dead[first : first + 1000], now_us()))
        self._epoch = database.execute(
            "INSERT INTO epochs (at_us, pid, first_seq) VALUES (?, ?, ?)",
            (now_us(), os.getpid(), self._journal.seq + 1),
        ).lastrowid
        replace_word(database, "closed_below", str(self._journal.seq + 1))
        # A process that is killed again and again before its first checkpoint must not grow the log for ever.
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        database.execute(f"PRAGMA busy_timeout = {BUSY_MS:d}")

    def _stay(self) -> None:
        """Raises StoreError where the ledger's file was removed or replaced, or another process wrote it:
        what would be written now is lost, or wrong. Makes good what else was removed.
        """
        assert self._lock is not None
        if self._place.moved():
            raise StoreError(f"{self.path} was removed or replaced; put it back, or restart the server")
        self._lock.renew()
        self._reconnect()
        assert self._database is not None
        if self._database.execute("SELECT max(epoch) FROM epochs").fetchone()[0] != self._epoch:
            raise StoreError(f"another process has written {self.path}; restart the server")
        if self._place.without_log():
            # All of it is still open here: into the database with it, and begin another.
            if self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise StoreError(f"{self.path}-wal was removed while it was read")
            self._database.close()
            self._database = None
            self._reconnect()

    def _connected(self) -> sqlite3.Connection:
        database = connect(self.path)
        self._place = Place(self.path)
        return database

    def _reconnect(self) -> None:
        """After a failure that even a rollback did not survive, another connection; the journal is at the
        last commit.
        """
        if self._database is not None and not self._database.in_transaction:
            return
        if self._database is not None:
            self._database.close()
            self._database = None
        self._database = self._journal.database = self._connected()
        self._database.execute(f"PRAGMA busy_timeout = {BUSY_MS:d}")

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """The connection, to this thread alone. Waits for a commit or checkpoint under way."""
        with self._gate.turn():
            if self._closing:
                raise _shut_down()
            try:
                self._stay()
                assert self._database is not None
                yield self._database
            except sqlite3.Error as error:
                raise StoreError(
                    f"The ledger cannot be used: {error}.", "Look at its disk and try again."
                ) from None


def _shut_down() -> StoreError:
    return StoreError("The ledger is shut down.", "Open calls are swept at the next start.")

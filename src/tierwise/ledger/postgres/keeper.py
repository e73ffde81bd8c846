"""What a replica does beside its calls, in one thread with one connection: renews its lease, learns of keys
that others changed, makes tomorrow's tables, and sweeps replicas whose lease is over.

A thread, not tasks of the event loop: a loop that is busy for a while is not dead.
"""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from psycopg.errors import UniqueViolation

from ...clock import now_us
from ...errors import StoreError
from ...nouns import Key, Open
from ..rows import swept
from ..sqlite.journal import booked
from .journal import DAY_US, POST, Draft, Live, PostgresJournal
from .link import Terms, connected, first_line
from .migrations import DAYS, few_at_once, over
from .records import CHANNEL, load_keys

log = logging.getLogger("tierwise")

POLL_S = 2.0
"""Keys are looked at this often even when no notification comes."""
SWEEP_S = 5.0
SWEEPING = 0x7469657273776570
"""The advisory lock's number: one replica sweeps at a time."""
BATCH = 500
_OPENED = Open.__struct_fields__[:13]
_UNCLOSED = (
    f"SELECT {', '.join(_OPENED)}, seq, day, windows FROM open_rows o WHERE epoch = %s AND seq >= %s"
    " AND day {days} AND NOT EXISTS (SELECT 1 FROM close_rows c WHERE c.open_seq = o.seq AND c.day = o.day"
    " AND c.day {days}) ORDER BY seq LIMIT %s"
)
_DEAD = "swept IS NULL AND (ended IS NOT NULL OR beat < clock_timestamp() - make_interval(secs => %s))"

Database = psycopg.Connection[tuple[Any, ...]]


class PostgresKeeper:
    """The thread. `stop` ends it within a moment."""

    def __init__(
        self,
        terms: Terms,
        journal: PostgresJournal,
        learn: Callable[[list[Key], bool], None],
        doubt: Callable[[], None],
        lease_s: float,
    ) -> None:
        """`doubt` is called, from the thread, whenever Postgres did not answer."""
        self._terms = terms
        self._journal = journal
        self._learn = learn
        self._doubt = doubt
        self._lease_s = lease_s
        self._stopped = False
        self._told = False
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="tierwise-keeper", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, and waits for it unless Postgres keeps it waiting. A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._bell.close()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        said = False
        with self._ear:
            while not self._stopped:
                try:
                    with connected(self._terms) as database:
                        if said:
                            log.info("the ledger's Postgres answers again")
                        said = False
                        self._keep(database)
                except (psycopg.Error, StoreError, OSError) as error:
                    if not said and not self._stopped:
                        log.warning("the ledger's Postgres is away: %s", first_line(error))
                    said = True
                    self._doubt()
                    self._wait(None, 1.0)

    def _keep(self, database: Database) -> None:
        database.add_notify_handler(self._hear)
        database.execute(f"LISTEN {CHANNEL}".encode())
        # After Postgres was away every lease looks over: the others get one lease to come back.
        sweep_at = time.monotonic() + self._lease_s
        made = known = 0
        while not self._stopped:
            self._told = False
            # All of them first: a server that took over may lack what the one before had.
            every = not known
            keys, known = load_keys(database, known)
            if keys or every:
                self._learn(keys, every)
            if self._journal.epoch is not None:
                # Not at a server that took over without the last rows: its events have other numbers.
                events, below = self._journal.events, self._journal.oldest_open
                database.execute(
                    "UPDATE epochs SET beat = clock_timestamp(), closed_below = %s"
                    " WHERE epoch = %s AND ended IS NULL AND events >= %s",
                    (below, self._journal.epoch, events),
                )
            tomorrow = now_us() // DAY_US + 1
            if made != tomorrow:
                database.execute("SELECT ensure_day(%s)", (tomorrow,))
                made = tomorrow
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + SWEEP_S
                count = sweep_dead(database, self._lease_s)
                if count:
                    log.warning("%d calls of replicas that are gone were closed at their reservations", count)
            self._wait(database, POLL_S)

    def _hear(self, _: object) -> None:
        self._told = True

    def _wait(self, database: Database | None, seconds: float) -> None:
        """Until a notification, `stop`, or `seconds` are over."""
        # One that came with the answer to a query is no longer in the socket.
        if self._stopped or self._told:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if database is not None:
                selector.register(database.fileno(), selectors.EVENT_READ)
            selector.select(seconds)  # what came is read with the next query's answer


def sweep_dead(database: Database, lease_s: float) -> int:
    """Closes, as `swept`, the attempts of replicas that left or whose lease is over; how many.

    They are booked at their reservations, an upper bound. Nothing is done while another replica does it.
    """
    held = database.execute("SELECT pg_try_advisory_lock(%s)", (SWEEPING,)).fetchone()
    if not held or not held[0]:
        return 0
    count = 0
    try:
        for epoch, closed_below in database.execute(
            f"SELECT epoch, closed_below FROM epochs WHERE {_DEAD} ORDER BY epoch".encode(), (lease_s,)
        ).fetchall():
            # From here on `post` takes nothing more from it; if it lives, it begins another epoch.
            fenced = database.execute(
                f"UPDATE epochs SET ended = coalesce(ended, clock_timestamp()) WHERE epoch = %s AND {_DEAD}"
                .encode(), (epoch, lease_s),
            )  # fmt: skip
            if fenced.rowcount:
                for days in few_at_once(database.execute(DAYS.encode()).fetchall()):
                    count += _sweep_epoch(database, epoch, closed_below, over(_UNCLOSED, days))
                database.execute("UPDATE epochs SET swept = clock_timestamp() WHERE epoch = %s", (epoch,))
    finally:
        if not database.closed:
            database.execute("SELECT pg_advisory_unlock(%s)", (SWEEPING,))
    return count


def _sweep_epoch(database: Database, epoch: int, first: int, unclosed: str) -> int:
    count = raced = 0
    while True:
        found = database.execute(unclosed.encode(), (epoch, first, BATCH)).fetchall()
        if not found:
            return count
        draft, at_us = Draft(), now_us()
        for *opened, seq, day, windows in found:
            row = msgspec.convert(dict(zip(_OPENED, opened, strict=True)), Open, strict=False)
            draft.close(swept(row, at_us, booked(row)), Live(row, seq, day, tuple(windows)))
        try:
            database.execute(POST, (epoch, True, "", *draft.parameters()))
        except UniqueViolation:
            # Its owner lives after all and closed one of them meanwhile.
            raced += 1
            if raced > 5:
                raise
            continue
        count += len(found)

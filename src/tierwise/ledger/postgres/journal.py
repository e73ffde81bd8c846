"""Posting to Postgres: a batch of OPEN and CLOSE rows is one call of `post`, so one transaction and one
round trip.

The server decides what a budget allows, with the windows' rows locked; no lock is held while this process
does something else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from zlib import crc32

import msgspec
import psycopg
from psycopg import errors

from ...errors import StoreError, TierwiseError
from ...nouns import Close, Open
from ..rows import Row, close_values, open_values, storable, tamed_close
from .charges import FIND_WINDOW, MAKE_WINDOW, Charges, Spot, window_key
from .link import AGAIN, CONNECT_S, Terms
from .migrations import DAYS, few_at_once, over
from .records import BUDGETS_SINCE
from .text import storable_close, storable_open, suspect

log = logging.getLogger("tierwise")

Link = psycopg.AsyncConnection[tuple[Any, ...]]
DAY_US = 86_400_000_000
ANSWER_S = 12.0
"""Longer than the server lets a statement run."""
ROUNDS = 6
LATE = (
    "SELECT o.seq, o.day, o.windows, o.reserved_pico, c.outcome, c.cost_pico, k.seq FROM open_rows o"
    " LEFT JOIN close_rows c ON c.open_seq = o.seq AND c.day = o.day AND c.day {days}"
    " LEFT JOIN correction_rows k ON k.open_seq = o.seq WHERE o.attempt = %s AND o.day {days}"
)
POST = (
    "SELECT post_2(%s::bigint, %s::boolean, %s::text, %s::jsonb, %s::jsonb, %s::jsonb, %s::jsonb, %s::jsonb)"
)
BEGIN_EPOCH = "INSERT INTO epochs (host, pid) VALUES (%s, %s) RETURNING epoch, began"
WRITTEN_OPENS = "SELECT attempt, seq, day, windows FROM open_rows WHERE attempt = ANY (%s) AND day {days}"
WRITTEN_CLOSES = (
    "SELECT open_seq FROM close_rows WHERE open_seq = ANY (%s) AND outcome <> 'swept' AND day {days}"
)

_NO_CAP = str(10**40)
"""More than any cap: what was let through once is not refused when it is opened again."""

_encode = msgspec.json.Encoder().encode


class Live:
    """An attempt that is open: its OPEN, where that was written, and the windows it was reserved on."""

    __slots__ = ("day", "row", "seq", "windows")

    def __init__(self, row: Open, seq: int, day: int, windows: tuple[int, ...]) -> None:
        self.row = row
        self.seq = seq
        self.day = day
        self.windows = windows


class Said(msgspec.Struct):
    """What `post` answers. `refused`: number in the batch from 1, window, spent, reserved."""

    say: Literal["done", "fenced", "stale", "missing"]
    seqs: list[int] = []
    refused: list[tuple[int, int, str, str]] = []


class Draft:
    """A batch in the making: what `post` is given, with the rows it stands for."""

    def __init__(self) -> None:
        self.opens: list[tuple[Open, list[Spot]]] = []
        self.windows: list[tuple[int, ...]] = []
        self.open_values: list[bytes] = []
        self.close_values: list[bytes] = []
        self.correction_values: list[bytes] = []
        self.closed: list[str] = []
        self.charges: list[tuple[int, int, list[tuple[int, str]]]] = []
        self.changes: dict[int, list[int]] = {}

    def open(self, row: Open, spots: list[Spot], charged: list[tuple[int, str]]) -> None:
        """Adds an OPEN, charged on windows of these ids and caps."""
        ids = tuple([id for id, _ in charged])
        names = "{" + ",".join(map(str, ids)) + "}"
        day = row.at_us // DAY_US
        body = sealed(open_values(day, row, names))
        if suspect(body):
            body = sealed(open_values(day, storable_open(row), names))
        self.open_values.append(body)
        self.opens.append((row, spots))
        self.windows.append(ids)
        if charged:
            self.charges.append((len(self.opens), row.reserved_pico, charged))
            for id in ids:
                self.changes.setdefault(id, [0, 0])

    def close(self, row: Close, live: Live) -> None:
        """Adds the CLOSE of an attempt that is open."""
        self.close_values.append(settled(row, live.day, live.seq))
        self.closed.append(row.attempt)
        self.settle(live.windows, live.row.reserved_pico, row.cost_pico or 0)

    def settle(self, windows: Iterable[int], released: int, spent: int) -> None:
        """Takes `released` off the reservations of windows and books `spent` on them."""
        for id in windows:
            change = self.changes.setdefault(id, [0, 0])
            change[0] += released
            change[1] += spent

    def parameters(self) -> tuple[str, str, str, str, str]:
        """Changes, OPEN rows, charges, CLOSE rows and corrections, as JSON."""
        changes = [(id, str(released), str(spent)) for id, (released, spent) in self.changes.items()]
        return (
            _encode(changes).decode(), _array(self.open_values), _encode(self.charges).decode(),
            _array(self.close_values), _array(self.correction_values),
        )  # fmt: skip


def settled(row: Close, day: int, open_seq: int) -> bytes:
    """A CLOSE's columns as JSON. Raises what a row that cannot be written raises."""
    body = sealed(close_values(day, open_seq, row))
    return sealed(close_values(day, open_seq, storable_close(row))) if suspect(body) else body


def sealed(values: Row) -> bytes:
    """A row's columns as a JSON array, its CRC-32 last."""
    body = _encode(values)
    return b"%b,%d]" % (body[:-1], crc32(body))


class PostgresJournal:
    """One process's connection for writing, its epoch, and the attempts it has open. Belongs to one loop."""

    def __init__(self, terms: Terms) -> None:
        self.live: dict[str, Live] = {}
        self.epoch: int | None = None
        self.events = 0
        """So many events of this epoch, at least, are in the ledger: a server that has fewer lost some."""
        self.last_seq = 0
        self.unsure = False
        """Whether the connection broke while a batch was posted: nobody here knows if it was written."""
        self._terms = terms
        self._link: Link | None = None
        self._began: Any = None
        self._recognized = False
        self._stranded: dict[str, Open] = {}
        """OPEN rows of calls under way that a failover lost: to be written again before anything else."""
        self._charges = Charges()
        self._days: set[int] = set()

    @property
    def oldest_open(self) -> int:
        """Every OPEN of this epoch with a smaller number has its CLOSE. From any thread."""
        last = self.last_seq
        return min((live.seq for live in list(self.live.values())), default=last + 1)

    async def commit(self, rows: Sequence[Open | Close]) -> list[TierwiseError | None]:
        """Posts rows, no two of one attempt, and gives for each None or why it alone was refused.

        Raises psycopg.Error, TimeoutError, OSError, or what a row that cannot be encoded raises: then
        nothing was posted, unless `unsure`: then ask `written`.
        """
        await self._ready()
        return await self._commit(rows)

    async def _commit(self, rows: Sequence[Open | Close]) -> list[TierwiseError | None]:
        verdicts: list[TierwiseError | None] = [None] * len(rows)
        for _ in range(ROUNDS):
            draft, places = await self._draft(rows, verdicts)
            if not (draft.opens or draft.closed or draft.correction_values):
                return verdicts
            try:
                said = await self._post(draft)
            except AGAIN:
                continue
            if said.say == "done":
                self._take(draft, said, places, verdicts)
                return verdicts
            if said.say == "fenced":
                # Taken for dead: another replica sweeps, or swept, what this one had open.
                self.epoch = None
                self.live.clear()
                await self.connect()
            else:
                if said.say == "missing":
                    self._charges.forget_windows()
                await self._learn_budgets()
        raise TimeoutError("the ledger is changed too often by others")

    def capped(self, scopes: Sequence[str]) -> str:
        """The first of `scopes` that has a budget, "" where none has."""
        return self._charges.capped(scopes)

    @property
    def lost(self) -> bool:
        """Whether there is no connection."""
        return self._link is None or bool(self._link.closed)

    async def connect(self) -> None:
        """Connects where that is needed and begins an epoch where there is none."""
        if self.lost:
            async with asyncio.timeout(CONNECT_S + 1):
                self._link = await psycopg.AsyncConnection.connect(**self._terms, autocommit=True)
            self._link.prepare_threshold = 1
            self._recognized = False
        if self.epoch is not None and not self._recognized:
            await self._recognize()
        if self.epoch is None:
            found = await self._ask(BEGIN_EPOCH, socket.gethostname(), os.getpid())
            (self.epoch, self._began), self.events = found[0], 0
            await self._learn_budgets()
        self._recognized = True

    async def _recognize(self) -> None:
        """Another server may have taken over that lacks the last rows of the one before. Numbers of events
        known here may be others' there: this epoch ends, and what it had open is looked for by name."""
        found = await self._ask("SELECT events FROM epochs WHERE epoch = %s AND began = %s", *self._self())
        if found and found[0][0] >= self.events:
            return
        log.warning("the ledger's Postgres has lost rows that were written, as a failover can: going on")
        # What it has open here and was closed there is swept.
        await self._ask(
            "UPDATE epochs SET ended = clock_timestamp(), closed_below = 0 WHERE epoch = %s AND began = %s"
            " AND ended IS NULL",
            *self._self(),
        )
        self._stranded.update({attempt: live.row for attempt, live in self.live.items()})
        self.live.clear()
        self._charges, self._days = Charges(), set()
        self.epoch, self.last_seq = None, 0

    def _self(self) -> tuple[int | None, Any]:
        return self.epoch, self._began

    async def _ready(self) -> None:
        """Connects, and opens again what a failover lost while its call is under way."""
        await self.connect()
        if self._stranded:
            rows = list(self._stranded.values())
            there = await self._written(rows)
            await self._commit([row for row in rows if row.attempt not in there])
            self._stranded.clear()

    async def beat(self) -> None:
        """Renews the lease: the least that can be written. Raises what `commit` does."""
        await self.connect()
        await self._ask("UPDATE epochs SET beat = clock_timestamp() WHERE epoch = %s", self.epoch)

    async def disconnect(self) -> None:
        """Drops the connection, whatever state it is in."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def cut(self) -> None:
        """Drops the connection at once, from any thread."""
        link, self._link = self._link, None
        if link is not None:
            link.pgconn.finish()

    async def written(self, rows: Sequence[Open | Close]) -> set[str]:
        """Of rows that were being posted when the connection broke, the attempts whose row is written.

        Their OPEN rows are live from now on. Waits until the server has ended that transaction.
        """
        await self._ready()
        return await self._written(rows)

    async def _written(self, rows: Sequence[Open | Close]) -> set[str]:
        link = self._link
        assert link is not None
        opens = {row.attempt: row for row in rows if isinstance(row, Open)}
        closes = {self.live[row.attempt].seq: row.attempt for row in rows if row.attempt in self.live}
        days = {row.at_us // DAY_US for row in opens.values()}
        days |= {self.live[attempt].day for attempt in closes.values()}
        async with asyncio.timeout(ANSWER_S), link.transaction():
            await self._ask("SELECT 1 FROM epochs WHERE epoch = %s FOR UPDATE", self.epoch)
            found = await self._ask(over(WRITTEN_OPENS, days), list(opens))
            done = await self._ask(over(WRITTEN_CLOSES, days), list(closes))
        self.unsure = False
        for attempt, seq, day, windows in found:
            self.live[attempt] = Live(opens[attempt], seq, day, tuple(windows))
        ended = {closes[seq] for (seq,) in done}
        for attempt in ended:
            self.live.pop(attempt, None)
        return ended | {attempt for attempt, *_ in found}

    async def _draft(
        self, rows: Sequence[Open | Close], verdicts: list[TierwiseError | None]
    ) -> tuple[Draft, list[int]]:
        """The batch, and the place in `rows` of each of its OPENs."""
        draft, places = Draft(), []
        for place, row in enumerate(rows):
            if verdicts[place] is not None:
                continue
            if isinstance(row, Open):
                if row.attempt in self.live:
                    verdicts[place] = StoreError(
                        f"Attempt {row.attempt} is already open.", "Every attempt needs an id of its own."
                    )
                    continue
                spots, day = self._charges.spots(row), row.at_us // DAY_US
                if day not in self._days:
                    await self._ask("SELECT ensure_day(%s)", day)
                    self._days.add(day)
                charged = [await self._charge(spot) for spot in spots]
                if row.attempt in self._stranded:
                    charged = [(id, _NO_CAP) for id, _ in charged]
                draft.open(row, spots, charged)
                places.append(place)
                continue
            if not storable(row):
                row = tamed_close(row)
            live = self.live.get(row.attempt)
            if live is not None:
                draft.close(row, live)
            else:
                verdicts[place] = await self._late(draft, row)
        return draft, places

    async def _charge(self, spot: Spot) -> tuple[int, str]:
        """A window's id and cap. Makes the window at its first use."""
        id = self._charges.id_of(spot)
        if id is None:
            key = window_key(spot)
            await self._ask(MAKE_WINDOW, *key)
            id = int((await self._ask(FIND_WINDOW, *key[:4]))[0][0])
            self._charges.know(spot, id)
        return id, self._charges.cap(spot)

    async def _late(self, draft: Draft, row: Close) -> TierwiseError | None:
        """A CLOSE of no attempt of this process: a correction if it was swept, else refused."""
        for days in few_at_once(await self._ask(DAYS)):
            found = await self._ask(over(LATE, days), row.attempt)
            if found:
                break
        else:
            return StoreError(
                f"Attempt {row.attempt} was never opened.", "Commit its OPEN before it goes upstream."
            )
        seq, day, windows, reserved, outcome, cost, correction = found[0]
        if outcome is None:
            draft.close_values.append(settled(row, day, seq))
            draft.closed.append(row.attempt)
            draft.settle(windows, reserved, row.cost_pico or 0)
        elif row.outcome == "swept":
            return None
        elif outcome != "swept" or correction is not None:
            return StoreError(f"Attempt {row.attempt} is already closed.", "Each attempt is closed once.")
        else:
            if row.cost_pico is None and not row.unpriced:
                row = msgspec.structs.replace(row, unpriced="no reason given")
            change = (row.cost_pico or 0) - (cost or 0)
            body = settled(msgspec.structs.replace(row, cost_pico=change), day, seq)
            draft.correction_values.append(body)
            draft.settle(windows, 0, change)
        return None

    async def _post(self, draft: Draft) -> Said:
        version = self._charges.version if draft.opens else ""
        self.unsure = True
        try:
            found = await self._ask(POST, self.epoch, False, version, *draft.parameters())
        except psycopg.Error as error:
            self.unsure = self.lost
            if isinstance(error, errors.ReadOnlySqlTransaction):
                # This server became a standby: the next connection finds the one that may be written.
                await self.disconnect()
            raise
        self.unsure = False
        return msgspec.json.decode(found[0][0], type=Said)

    def _take(
        self, draft: Draft, said: Said, places: list[int], verdicts: list[TierwiseError | None]
    ) -> None:
        """What the server did, done here."""
        self.events += len(said.seqs) + len(draft.close_values) + len(draft.correction_values)
        refused = {no[0] - 1: no for no in said.refused}
        seqs = iter(said.seqs)
        for i, (row, spots) in enumerate(draft.opens):
            no = refused.get(i)
            if no is None:
                seq = next(seqs)
                self.live[row.attempt] = Live(row, seq, row.at_us // DAY_US, draft.windows[i])
                self.last_seq = seq
            else:
                spot = spots[draft.windows[i].index(no[1])]
                verdicts[places[i]] = self._charges.refused(row, spot, int(no[2]), int(no[3]))
        for attempt in draft.closed:
            self.live.pop(attempt, None)

    async def _learn_budgets(self) -> None:
        found = await self._ask(BUDGETS_SINCE, int(self._charges.version))
        if int(found[0][0]) < int(self._charges.version):
            found = await self._ask(BUDGETS_SINCE, -1)
        self._charges.learn(found)

    async def _ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement. A connection that gave no answer in time is dropped."""
        link = self._link
        if link is None:
            raise psycopg.OperationalError("the connection was closed")
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await link.execute(query.encode(), values)
                return await found.fetchall() if found.description else []
        except TimeoutError:
            await self.disconnect()
            raise


def _array(items: list[bytes]) -> str:
    return ("[" + b",".join(items).decode() + "]") if items else "[]"

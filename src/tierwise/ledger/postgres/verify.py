"""Checks that every promise of the ledger holds in Postgres, from its rows alone and at one instant."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import msgspec
import psycopg

from ..rollups.sql import POSTGRES
from ..rollups.verify import stale
from ..rows import as_written
from ..sqlite.verify import ENOUGH
from .migrations import CLOSE_COLUMNS, OPEN_COLUMNS
from .records import BEHIND
from .rollup import asking

Database = psycopg.Connection[tuple[Any, ...]]

_TABLES = (("open", "open_rows"), ("close", "close_rows"), ("correction", "correction_rows"))
_WHERE = "format('event %%s (%%s of attempt %%s): ', e.seq, '{event}', coalesce({attempt}, '?')) || "
_ITS_OPEN = "LEFT JOIN open_rows o ON o.seq = e.open_seq AND o.day = e.day"
_EVERY = (
    "(SELECT epoch, n, seq FROM open_rows UNION ALL SELECT epoch, n, seq FROM close_rows"
    " UNION ALL SELECT epoch, n, seq FROM correction_rows)"
)


def _checks() -> tuple[str, ...]:
    """Each gives the words of a problem, first bad row first."""
    close = _WHERE.format(event="close", attempt="o.attempt")
    correction = _WHERE.format(event="correction", attempt="o.attempt")
    opening = _WHERE.format(event="open", attempt="e.attempt")
    return (
        f"SELECT {close} 'no open attempt ' || e.open_seq FROM close_rows e {_ITS_OPEN}"
        " WHERE o.seq IS NULL ORDER BY e.seq",
        f"SELECT {correction} 'the attempt was not swept' FROM correction_rows e {_ITS_OPEN}"
        " LEFT JOIN close_rows c ON c.open_seq = e.open_seq AND c.day = e.day"
        " WHERE o.seq IS NULL OR c.outcome IS DISTINCT FROM 'swept' ORDER BY e.seq",
        f"SELECT {close} 'written before its open' FROM close_rows e {_ITS_OPEN}"
        " WHERE e.seq < o.seq ORDER BY e.seq",
        f"SELECT {opening} 'a reservation of ' || e.reserved_pico || ' pico-dollars' FROM open_rows e"
        " WHERE e.reserved_pico < 0 ORDER BY e.seq",
        f"SELECT {close} 'a cost of ' || e.cost_pico || ' pico-dollars' FROM close_rows e {_ITS_OPEN}"
        " WHERE e.cost_pico < 0 ORDER BY e.seq",
        f"SELECT {opening} 'the same attempt was opened before' FROM open_rows e"
        " WHERE e.attempt IN (SELECT attempt FROM open_rows GROUP BY attempt HAVING count(*) > 1)"
        " ORDER BY e.seq",
        f"SELECT {opening} 'never closed, though its process is gone' FROM open_rows e"
        " JOIN epochs p ON p.epoch = e.epoch AND p.swept IS NOT NULL"
        " WHERE NOT EXISTS (SELECT 1 FROM close_rows c WHERE c.open_seq = e.seq AND c.day = e.day)"
        " ORDER BY e.seq",
        # Without gaps, and as many as were committed: no row was added or removed.
        "SELECT format('epoch %%s: %%s events were written, %%s are there, the last is number %%s', p.epoch,"
        f" p.events, count(e.n), max(e.n)) FROM epochs p LEFT JOIN {_EVERY} e USING (epoch)"
        " GROUP BY p.epoch, p.events HAVING count(e.n) <> p.events OR coalesce(max(e.n), 0) <> p.events"
        " OR count(DISTINCT e.n) <> p.events ORDER BY p.epoch",
        "SELECT format('event %%s: of epoch %%s, which is not in the ledger', e.seq, e.epoch)"
        f" FROM {_EVERY} e"
        " WHERE NOT EXISTS (SELECT 1 FROM epochs p WHERE p.epoch = e.epoch) ORDER BY e.seq",
    )


_SUMS = """
    WITH held AS (
        SELECT w AS id, sum(o.reserved_pico) FILTER (WHERE c.seq IS NULL) AS reserved,
            sum(coalesce(c.cost_pico, 0) + coalesce(k.cost_pico, 0)) AS spent
        FROM open_rows o CROSS JOIN LATERAL unnest(o.windows) w
        LEFT JOIN close_rows c ON c.open_seq = o.seq AND c.day = o.day
        LEFT JOIN correction_rows k ON k.open_seq = o.seq
        GROUP BY 1)
    SELECT coalesce(b.id, h.id), b.scope, b.start_us, b.reserved, b.spent, coalesce(h.reserved, 0),
        coalesce(h.spent, 0)
    FROM budget_window b FULL JOIN held h ON h.id = b.id
    WHERE b.id IS NULL OR b.reserved <> coalesce(h.reserved, 0) OR b.spent <> coalesce(h.spent, 0)
    ORDER BY 1
"""

_encode = msgspec.json.Encoder().encode


def problems(database: Database) -> Iterator[str]:
    """What is wrong: rows that are not as they were written; rows added or removed; a CLOSE or correction
    without its OPEN; amounts out of range; an attempt still open though its process is gone; then, per
    budget window, reserved = sum of open reservations and spent = sum of closed costs and corrections; then
    the roll-ups.
    """
    for event, table in _TABLES:
        yield from _altered(database, event, table)
    for check in _checks():
        for (said,) in database.execute(f"{check} LIMIT {ENOUGH}".replace("%%", "%").encode()).fetchall():
            yield said
    if database.execute(BEHIND).fetchall():
        yield "the sequence of events is behind its rows, and would number some twice: restart the replicas"
    for id, scope, start, *sums in database.execute(_SUMS).fetchall():
        reserved, spent, held, booked = (None if amount is None else int(amount) for amount in sums)
        if scope is None:
            yield f"budget window {id}: charged by events, but not in the ledger"
            continue
        for word, stored, summed in (("reserved", reserved, held), ("spent", spent, booked)):
            if stored != summed:
                where = f"budget {scope} (window {id} from {start})"
                yield f"{where}: {word} is {stored}, its rows sum to {summed}"
    yield from stale(asking(database, restore=False), POSTGRES)


def _altered(database: Database, event: str, table: str) -> Iterator[str]:
    """Rows whose CRC-32 is another than that of their values."""
    columns = OPEN_COLUMNS if event == "open" else CLOSE_COLUMNS
    names = ", ".join(name if kind != "bigint[]" else f"{name}::text" for name, kind in columns)
    with database.cursor(table) as cursor:
        cursor.itersize = 5000
        for seq, *values, crc in cursor.execute(f"SELECT seq, {names} FROM {table} ORDER BY seq".encode()):
            if crc32(_encode(as_written(tuple(values)))) != crc:
                what = f"attempt {values[1]}" if event == "open" else f"event {values[1]}"
                yield f"event {seq} ({event} of {what}): the row is not as it was written"

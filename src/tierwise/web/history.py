"""History: what the dashboard asks of the ledger, on connections of its own, each question bounded in time.

Reads beside the writer. Every connection is read-only and gives up after STATEMENT_S.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tierwise.clock import tick_us
from tierwise.errors import StoreError
from tierwise.ledger import read_ledger
from tierwise.ledger.location import database_path, is_shared

STATEMENT_S = 4.0
SCANNED = 400_000
"""Events looked through by one search, newest first; the page says how far it got."""
_STEPS = 20_000
_ID = re.compile(r"ex_([0-9a-f]{6,12})[0-9a-f]{0,20}(?:-[0-9]+)?$")

_OPENED = (
    "seq", "exchange", "attempt", "at_us", "key", "task", "tier", "model", "provider", "dialect_in",
    "dialect_out", "stream", "price_id", "reserved_pico", "scopes", "asked", "route", "session", "tags",
    "kind",
)  # fmt: skip
_SETTLED = (
    "outcome", "status", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning",
    "extra", "usage_source", "cost_pico", "unpriced", "error", "ttft_us", "total_us", "upstream_us",
    "served_model", "asked_pico", "reference_pico", "losses", "service_tier",
)  # fmt: skip
_ROW = (
    f"SELECT {', '.join(f'o.{name}' for name in _OPENED)}, c.at_us AS closed_us,"  # noqa: S608
    f" {', '.join(f'c.{name}' for name in _SETTLED)}"
    " FROM open_rows o LEFT JOIN close_rows c ON c.open_seq = o.seq"
)
_NAMES = (*_OPENED, "closed_us", *_SETTLED)


class Wanted(Struct, frozen=True):
    """What to search for; "" is anything. `before` is where the last page ended, 0: the newest."""

    id: str = ""
    key: str = ""
    task: str = ""
    tier: str = ""
    outcome: str = ""
    before: int = 0
    limit: int = 50


class Found(Struct, frozen=True):
    """Attempts, newest first. `older` is the `before` of the next page, 0: the ledger's beginning was
    reached. `reached_us`: how far back was looked."""

    rows: list[dict[str, Any]]
    older: int
    reached_us: int | None


class History:
    """The ledger at `url`, read for people."""

    def __init__(self, url: str) -> None:
        """Raises StoreError when there is no ledger there that pages can be made from."""
        if is_shared(url):
            raise StoreError(
                "The dashboard does not read Postgres ledgers yet.",
                "Keys and budgets work here; for figures use `tierwise ledger report --by task`.",
            )
        self.path: Path = database_path(url)
        read_ledger(url).close()  # says what is wrong with the file, if anything is

    @contextmanager
    def connected(self, seconds: float = STATEMENT_S) -> Iterator[sqlite3.Connection]:
        """A read-only connection whose work stops after `seconds`. Raises StoreError with what to do."""
        database = None
        try:
            database = sqlite3.connect(
                f"{self.path.as_uri()}?mode=ro", uri=True, timeout=2.0, isolation_level=None
            )
            database.execute("PRAGMA query_only = ON")
            until = tick_us() + int(seconds * 1e6)
            database.set_progress_handler(lambda: int(tick_us() > until), _STEPS)
            yield database
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise StoreError(
                    f"The ledger did not answer within {seconds:.0f} s.",
                    "Choose a shorter range or narrower filters.",
                ) from None
            raise StoreError(f"The ledger cannot be read: {error}.", "Check the file and its disk.") from None
        except sqlite3.Error as error:
            raise StoreError(f"The ledger cannot be read: {error}.", "Check the file and its disk.") from None
        finally:
            if database is not None:
                database.close()

    def search(self, wanted: Wanted) -> Found:
        """Attempts that match, newest first."""
        with self.connected() as database:
            if wanted.id:
                return Found(self._by_id(database, wanted.id, wanted.limit), 0, None)
            top = wanted.before or last_seq(database) + 1
            floor = max(0, top - SCANNED)
            terms, given = _terms(wanted)
            given |= {"top": top, "floor": floor, "limit": wanted.limit}
            query = f"{_ROW} WHERE o.seq < :top AND o.seq >= :floor {terms} ORDER BY o.seq DESC LIMIT :limit"
            rows = [dict(zip(_NAMES, row, strict=True)) for row in database.execute(query, given)]
            full = len(rows) == wanted.limit
            older = rows[-1]["seq"] if full else floor
            at = database.execute(
                "SELECT at_us FROM open_rows WHERE seq >= ? ORDER BY seq LIMIT 1", (older,)
            ).fetchone()
            left = database.execute("SELECT 1 FROM open_rows WHERE seq < ? LIMIT 1", (older,)).fetchone()
            return Found(rows, older if left else 0, at[0] if at else None)

    def attempts(self, exchange: str) -> list[dict[str, Any]]:
        """The attempts of one exchange in order, corrections laid over; empty when there is none."""
        with self.connected() as database:
            rows = self._by_id(database, exchange, 100, whole=True)
            for row in rows:
                _correct(database, row)
            return sorted(rows, key=lambda row: int(row["seq"]))

    def timings(self, since_us: int, limit: int) -> list[tuple[Any, ...]]:
        """Newest first, of calls that ended well: at_us, tier, model, ttft_us, total_us, upstream_us,
        output tokens, stream."""
        with self.connected() as database:
            query = (
                "SELECT c.at_us, o.tier, o.model, c.ttft_us, c.total_us, c.upstream_us, c.output, o.stream"
                " FROM close_rows c JOIN open_rows o ON o.seq = c.open_seq"
                " WHERE c.seq > ? AND c.at_us >= ? AND c.outcome = 'ok' ORDER BY c.seq DESC LIMIT ?"
            )
            floor = max(0, last_seq(database) - 10 * limit)
            return database.execute(query, (floor, since_us, limit)).fetchall()

    def audits(self, limit: int = 30) -> list[tuple[int, str, str, str]]:
        """The administrators' last acts: at_us, act, subject, note."""
        with self.connected() as database:
            query = "SELECT at_us, act, subject, note FROM audit ORDER BY seq DESC LIMIT ?"
            return database.execute(query, (limit,)).fetchall()

    def _by_id(
        self, database: sqlite3.Connection, id_: str, limit: int, whole: bool = False
    ) -> list[dict[str, Any]]:
        # An attempt is called after its exchange.
        name = "attempt" if "-" in id_ else "exchange"
        given: dict[str, Any] = {"id": id_, "limit": limit}
        match = f"o.{name} = :id" if whole else f"substr(o.{name}, 1, length(:id)) = :id"
        span = span_of(id_)
        if span is not None:
            # An id begins with its time, and rows lie in order of time: only a span of them is read.
            given |= {
                "floor": _seq_at(database, span[0] - 60_000_000),
                "top": _seq_at(database, span[1] + 3_600_000_000),
            }
            match += " AND o.seq >= :floor AND o.seq <= :top"
        query = f"{_ROW} WHERE {match} ORDER BY o.seq DESC LIMIT :limit"
        return [dict(zip(_NAMES, row, strict=True)) for row in database.execute(query, given)]


def last_seq(database: sqlite3.Connection) -> int:
    """The number of the newest event."""
    tables = ("open_rows", "close_rows", "correction_rows")
    tops = [database.execute(f"SELECT max(seq) FROM {name}").fetchone()[0] for name in tables]  # noqa: S608
    return max(top or 0 for top in tops)


def span_of(id_: str) -> tuple[int, int] | None:
    """When an id, or one that begins so, was made: first and last microsecond. None: it does not say."""
    found = _ID.match(id_)
    if found is None:
        return None
    digits = found[1]
    return int(digits.ljust(12, "0"), 16) * 1000, int(digits.ljust(12, "f"), 16) * 1000 + 999


def _seq_at(database: sqlite3.Connection, at_us: int) -> int:
    """The number of the first OPEN at or after `at_us`, by halving: numbers and times rise together."""
    low, high = 0, last_seq(database) + 1
    while low < high:
        middle = (low + high) // 2
        found = database.execute(
            "SELECT seq, at_us FROM open_rows WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if found is None or found[1] >= at_us:
            high = middle
        else:
            low = int(found[0]) + 1
    return low


def _terms(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    terms, given = [], {}
    for name in ("key", "task"):
        if getattr(wanted, name):
            terms.append(f"AND o.{name} = :{name}")
            given[name] = getattr(wanted, name)
    if wanted.tier:
        terms.append("AND (o.tier = :tier OR (o.tier = '' AND o.model = :tier))")
        given["tier"] = wanted.tier
    if wanted.outcome == "running":
        terms.append("AND c.seq IS NULL")
    elif wanted.outcome:
        terms.append("AND c.outcome = :outcome")
        given["outcome"] = wanted.outcome
    return " ".join(terms), given


def _correct(database: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Lays a correction over its swept CLOSE: tokens and cost are differences, the rest stands anew."""
    names: Sequence[str] = ("at_us", *_SETTLED)
    found = database.execute(
        f"SELECT {', '.join(names)} FROM correction_rows WHERE open_seq = ?",  # noqa: S608
        (row["seq"],),
    ).fetchone()
    if found is None:
        return
    changed = dict(zip(names, found, strict=True))
    row["closed_us"] = changed.pop("at_us")
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"):
        changed[name] += row[name] or 0
    priced = not changed["unpriced"]
    changed["cost_pico"] = (row["cost_pico"] or 0) + (changed["cost_pico"] or 0) if priced else None
    row |= changed
    row["corrected"] = True

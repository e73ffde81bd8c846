"""Reading a SQLite ledger from any process or thread, beside its writer. Every call has a connection of its
own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from msgspec.json import decode

from ...clock import now_us, rfc3339, tick_us
from ...costing.savings import Savings
from ...costing.settled import EVERY, Only, Settled, corrected
from ...errors import StoreError
from ...nouns import Key, Prefixed
from ..budgets import Balance
from ..location import database_path
from ..periods import FOREVER_US, window_of
from ..report import By, Report
from ..report_made import make_report
from ..rollups.finished import asked_for, ended, finished_query
from ..rollups.read import Sums, pieces
from ..rollups.sql import SQLITE, Ask
from ..rollups.tally import HOUR_US
from ..rows import Row
from ..savings_made import make_savings
from .journal import last_event, stored_budgets, window_at
from .migrations import require_current
from .records import load_keys, word
from .rollup import asking, read_only, unreadable
from .verify import ENOUGH, problems

STEPS_A_LOOK = 20_000
"""SQLite's own steps, some milliseconds, between two looks at the clock."""
PAGE = 2000
"""Events read at once: a long read would keep the log from being moved into the database."""

_EVENT = """
    SELECT '{event}' AS event, e.seq AS seq, e.at_us, o.exchange, o.attempt, o.key, o.task, o.tier, o.model,
        o.provider, o.dialect_in, o.dialect_out, o.stream, o.price_id, o.reserved_pico, o.tags, o.asked,
        o.route, o.session, o.kind, o.scopes, o.prefix, {settled}
    FROM {source} WHERE e.seq > :low AND e.seq <= :high AND e.at_us >= :since AND e.at_us < :until
"""
PREFIXED = (
    "SELECT o.at_us, o.key, o.task, o.model, o.session, o.prefix,"
    " c.input + c.cache_read + c.cache_write_5m + c.cache_write_1h FROM open_rows o"
    " JOIN close_rows c ON c.open_seq = o.seq WHERE o.prefix <> '' AND o.kind = 'call' AND c.outcome = 'ok'"
)
SETTLED = (
    "outcome", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "extra",
    "usage_source", "cost_pico", "ttft_us", "total_us", "upstream_us", "status", "error", "unpriced",
    "losses", "served_model", "asked_pico", "reference_pico", "service_tier",
)  # fmt: skip


def _page_of_events() -> str:
    nothing, settled = ", ".join("NULL" for _ in SETTLED), ", ".join(f"e.{name}" for name in SETTLED)
    its_open = "JOIN open_rows o ON o.seq = e.open_seq"
    return (
        " UNION ALL ".join(
            [
                _EVENT.format(
                    event="open", settled=nothing, source="open_rows e JOIN open_rows o ON o.seq = e.seq"
                ),
                _EVENT.format(event="close", settled=settled, source=f"close_rows e {its_open}"),
                _EVENT.format(event="correction", settled=settled, source=f"correction_rows e {its_open}"),
            ]
        )
        + " ORDER BY seq"
    )


_PAGE_OF_EVENTS = _page_of_events()
_HOURS = "SELECT first_seq, last_seq FROM rollup_span WHERE hour BETWEEN ? AND ? ORDER BY first_seq"


def _stretches(database: sqlite3.Connection, since_us: int, until_us: int) -> list[tuple[int, int]]:
    """Where the events of [since_us, until_us) lie, at this moment: numbers after the first up to the second
    of each pair, in order and apart.

    The roll-ups tell where the events of each hour are, and so of a clock that jumped; what is not rolled up
    is always looked at.
    """
    database.execute("BEGIN")
    sums = Sums(asking(database), SQLITE)
    hours = (since_us // HOUR_US, (until_us - 1) // HOUR_US)
    found = database.execute(_HOURS, hours).fetchall()
    database.execute("COMMIT")
    if since_us == 0 and until_us == FOREVER_US:
        return [(0, sums.top)]
    made: list[tuple[int, int]] = []
    for first, last in [*found, (sums.rolled + 1, sums.top)]:
        if made and first - 1 <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        else:
            made.append((first - 1, last))
    return made


class SqliteReader:
    """Implements Reader on one SQLite file."""

    flavour = SQLITE

    def __init__(self, url: str) -> None:
        """Raises StoreError when the file is missing, foreign, or of another version."""
        self.path = database_path(url)
        if not self.path.exists():
            raise StoreError(
                f"There is no ledger at {self.path}.", "Give the server's --db, or start it once."
            )
        with self._connected():
            pass

    def rows(self, since_us: int | None = None, until_us: int | None = None) -> Iterator[dict[str, Any]]:
        """See Reader. What is committed while it runs is left out."""
        return map(exported, self._events(_PAGE_OF_EVENTS, (since_us, until_us), {}))

    def finished(
        self, since_us: int | None = None, until_us: int | None = None, only: Only = EVERY
    ) -> Iterator[Settled]:
        """See Reader. What is committed while it runs is left out."""
        query = finished_query(SQLITE, only)
        return corrected(ended(self._events(query, (since_us, until_us), asked_for(only))))

    def savings(self, since_us: int | None = None, until_us: int | None = None) -> Savings | None:
        """See Reader."""
        with self._connected() as database:
            database.execute("BEGIN")
            return make_savings(asking(database), SQLITE, since_us, until_us)

    def verify(self) -> list[str]:
        """See Reader. At most 20 problems."""
        try:
            with self._connected() as database:
                database.execute("BEGIN")
                return list(islice(problems(database), ENOUGH))
        except StoreError as error:
            return [error.message]

    def report(
        self, by: By, since_us: int | None = None, until_us: int | None = None, kind: str = ""
    ) -> Report:
        """See Reader. Raises BadRequest for an unknown grouping."""
        with self._connected() as database:
            database.execute("BEGIN")
            return make_report(asking(database), SQLITE, by, (since_us, until_us), kind)

    @contextmanager
    def asking(self, seconds: float) -> Iterator[Ask]:
        """See Reader."""
        try:
            with self._connected() as database:
                until = tick_us() + int(seconds * 1e6)
                database.set_progress_handler(lambda: int(tick_us() > until), STEPS_A_LOOK)
                database.execute("BEGIN")
                yield asking(database)
        except StoreError as error:
            if "interrupted" in error.message:
                raise too_slow(seconds) from None
            raise

    def keys(self) -> list[Key]:
        """See Reader."""
        with self._connected() as database:
            return load_keys(database)

    def balances(self) -> list[Balance]:
        """See Reader."""
        with self._connected() as database:
            database.execute("BEGIN")
            found = []
            for budget in stored_budgets(database):
                start, end = window_of(budget.period, budget.zone, now_us())
                window = window_at(database, budget, start)
                reserved, spent = (window.reserved, window.spent) if window else (0, 0)
                found.append(Balance(budget, start, end, reserved, spent))
            return found

    def word(self, name: str) -> str | None:
        """See Reader."""
        with self._connected() as database:
            return word(database, name)

    def prefixed(self, most: int) -> list[Prefixed]:
        """See Reader."""
        with self._connected() as database:
            found = database.execute(
                PREFIXED + " AND o.seq > ? ORDER BY o.seq", (last_event(database)[0] - most,)
            )
            return [Prefixed(*row) for row in found]

    def close(self) -> None:
        """See Reader: nothing is held between calls."""

    def _events(
        self, query: str, span: tuple[int | None, int | None], given: dict[str, str]
    ) -> Iterator[Row]:
        """The rows of a query by number and end of the events, a page at a time."""
        since, until = span[0] or 0, FOREVER_US if span[1] is None else span[1]
        with self._connected() as database:
            for stretch in _stretches(database, since, until):
                for low, high in pieces(*stretch, PAGE):
                    place = {"since": since, "until": until, "low": low, "high": high}
                    yield from database.execute(query, {**given, **place}).fetchall()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = None
        try:
            database = read_only(self.path)
            require_current(database)
            yield database
        except sqlite3.Error as error:
            raise unreadable(self.path, error) from None
        finally:
            if database is not None:
                database.close()


def too_slow(seconds: float) -> StoreError:
    """The error of a question that was given up."""
    return StoreError(
        f"The ledger did not answer within {seconds:.0f} s.", "Choose a shorter range or narrower filters."
    )


def exported(row: Row) -> dict[str, Any]:
    event, _, at_us, exchange, attempt, key, task, tier, model, provider, dialect_in, dialect_out = row[:12]
    stream, price_id, reserved, tags, asked, route, session, kind, scopes, prefix = row[12:22]
    settled = dict(zip(SETTLED, row[22:], strict=True))
    closed = event != "open"
    usage = {name: settled.pop(name) for name in SETTLED[1:7]}
    extra, losses = settled.pop("extra"), settled.pop("losses")
    # Of a hit the baseline is the call that was not made.
    saved = settled["asked_pico"] if settled["outcome"] == "cached" else None
    return {
        "event": event, "exchange": exchange, "attempt": attempt, "at": rfc3339(at_us), "key": key,
        "task": task, "tier": tier, "model": model, "provider": provider, "dialect_in": dialect_in,
        "dialect_out": dialect_out, "stream": bool(stream), "outcome": settled.pop("outcome"),
        "usage": usage if closed else None, "usage_source": settled.pop("usage_source"), "price_id": price_id,
        "cost_pico": settled.pop("cost_pico"), "reserved_pico": reserved, "ttft_us": settled.pop("ttft_us"),
        "total_us": settled.pop("total_us"), "upstream_us": settled.pop("upstream_us"), "tags": decode(tags),
        "kind": kind, "route": route, "asked": asked, "session": session, "scopes": decode(scopes),
        "prefix": prefix or "", "saved_pico": saved,
        "usage_extra": decode(extra) if closed else None, "losses": decode(losses) if closed else None,
        **settled,
    }  # fmt: skip

"""Reading a Postgres ledger from any process or thread. Every call has a connection of its own, and two are
held at most, so that a dashboard never takes from the calls what they need.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg
from msgspec.structs import replace

from ...clock import now_us
from ...costing.savings import Savings
from ...costing.settled import EVERY, Only, Settled, corrected
from ...errors import StoreError
from ...nouns import Key, Prefixed
from ..budgets import Balance
from ..periods import FOREVER_US
from ..report import By, Report
from ..report_made import make_report
from ..rollups.finished import asked_for, ended, finished_query
from ..rollups.read import Sums, pieces
from ..rollups.sql import POSTGRES, Ask
from ..rollups.tally import DAY, HOUR_US, STEPS
from ..rows import Row
from ..savings_made import make_savings
from ..sqlite.reader import PREFIXED, SETTLED, exported, too_slow
from ..sqlite.verify import ENOUGH
from .link import connected, terms_of, unusable
from .migrations import require_current
from .records import balances, known_word, load_keys
from .rollup import LOOKING_UP, asking
from .text import marked, restored, restored_event, stored
from .verify import problems

STATEMENT_MS = 60_000
AT_ONCE = 2
PAGE = 16_384
"""Events read at once."""
TURN_S = 30.0
_OPENED = (
    "o.exchange, o.attempt, o.key, o.task, o.tier, o.model, o.provider, o.dialect_in, o.dialect_out,"
    " o.stream, o.price_id, o.reserved_pico, o.tags, o.asked, o.route, o.session, o.kind, o.scopes,"
    " o.prefix"
)
_TEXTS = (
    "outcome", "extra", "usage_source", "error", "unpriced", "losses", "served_model", "service_tier",
)  # fmt: skip
_EVENT = (
    "SELECT '{event}' AS event, e.seq AS seq, e.at_us, {opened}, {settled} FROM {source}"
    " WHERE e.seq > %(low)s AND e.seq <= %(high)s AND e.at_us >= %(since)s AND e.at_us < %(until)s"
)
# The days at both ends are read, of those between them only where they begin and end.
_OPENED_IN = (
    "SELECT min(first), max(last) FROM ("
    "SELECT min(seq) AS first, max(seq) AS last FROM open_rows"
    " WHERE day IN (:since / :day, :until / :day) AND at_us >= :since AND at_us < :until UNION ALL "
    "SELECT min(seq), max(seq) FROM open_rows WHERE day > :since / :day AND day < :until / :day) found"
)
_ENDED_IN = "SELECT min(first_seq), max(last_seq) FROM rollup_span WHERE hour BETWEEN :first AND :last"


def _events() -> str:
    settled = ", ".join(f"e.{name}" for name in SETTLED)
    unsettled = ", ".join(f"NULL::{'text' if name in _TEXTS else 'bigint'}" for name in SETTLED)
    its_open = "JOIN open_rows o ON o.seq = e.open_seq AND o.day = e.day"
    parts = (
        ("open", unsettled, "open_rows e", _OPENED.replace("o.", "e.")),
        ("close", settled, f"close_rows e {its_open}", _OPENED),
        ("correction", settled, f"correction_rows e {its_open}", _OPENED),
    )
    return (
        " UNION ALL ".join(
            _EVENT.format(event=event, settled=values, source=source, opened=opened)
            for event, values, source, opened in parts
        )
        + " ORDER BY seq"
    )


_EVENTS = _events()
_RECENT = " AND o.seq > (SELECT last_value FROM event_seq) - %s ORDER BY o.seq DESC"
_PREFIXED = PREFIXED.replace("c.open_seq = o.seq", "c.open_seq = o.seq AND c.day = o.day") + _RECENT


def _stretches(ask: Ask, since_us: int, until_us: int) -> list[tuple[int, int]]:
    """Where the events of [since_us, until_us) lie: numbers after the first up to the second of each pair.

    OPEN rows are found by their day, the others by the roll-ups; what is not rolled up is always looked at.
    """
    sums = Sums(ask, POSTGRES)
    if since_us == 0 and until_us == FOREVER_US:
        return [(0, sums.top)]
    span = {"since": since_us, "until": until_us, "day": STEPS[DAY]}
    hours = {"first": since_us // HOUR_US, "last": (until_us - 1) // HOUR_US}
    ends = (*ask(POSTGRES.text(_OPENED_IN), span), *ask(POSTGRES.text(_ENDED_IN), hours))
    found = [(first - 1, last) for first, last in ends if first is not None]
    low = min((sums.rolled, *(low for low, _ in found)))
    high = max((low, *(high for _, high in found)))
    return [(low, sums.top)] if high >= sums.rolled else [(low, high), (sums.rolled, sums.top)]


class PostgresReader:
    """Implements Reader on one Postgres database."""

    flavour = POSTGRES

    def __init__(self, url: str) -> None:
        """Raises StoreError when the server cannot be reached, or its ledger is of another version."""
        # The first plan of a partitioned table costs as much as the query: no JIT on top of it.
        self._terms = terms_of(url, STATEMENT_MS)
        self._terms["options"] += " -c default_transaction_read_only=on -c jit=off"
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        with self._connected():
            pass

    def rows(self, since_us: int | None = None, until_us: int | None = None) -> Iterator[dict[str, Any]]:
        """See Reader. One instant of the ledger, in the order of writing: an OPEN before its CLOSE."""
        for row in self._events(_EVENTS, (since_us, until_us), {}):
            yield restored_event(exported(row)) if marked(row) else exported(row)

    def finished(
        self, since_us: int | None = None, until_us: int | None = None, only: Only = EVERY
    ) -> Iterator[Settled]:
        """See Reader. One instant of the ledger."""
        tasks = None if only.tasks is None else tuple(map(stored, only.tasks))
        query, given = finished_query(POSTGRES, only), asked_for(replace(only, tasks=tasks))
        found = self._events(query, (since_us, until_us), given)
        return corrected(ended(restored(row) if marked(row) else row for row in found))

    def savings(self, since_us: int | None = None, until_us: int | None = None) -> Savings | None:
        """See Reader."""
        with self._connected(LOOKING_UP) as database, database.transaction():
            return make_savings(asking(database), POSTGRES, since_us, until_us)

    def verify(self) -> list[str]:
        """See Reader. At most 20 problems."""
        try:
            with self._connected("-c statement_timeout=0") as database, database.transaction():
                return list(islice(problems(database), ENOUGH))
        except StoreError as error:
            return [error.sentence()]

    def report(
        self, by: By, since_us: int | None = None, until_us: int | None = None, kind: str = ""
    ) -> Report:
        """See Reader. Raises BadRequest for an unknown grouping."""
        with self._connected(LOOKING_UP) as database, database.transaction():
            return make_report(asking(database), POSTGRES, by, (since_us, until_us), kind)

    @contextmanager
    def asking(self, seconds: float) -> Iterator[Ask]:
        """See Reader."""
        try:
            with self._connected(LOOKING_UP) as database:
                database.execute(f"SET statement_timeout = {int(seconds * 1000)}".encode())
                with database.transaction():
                    yield asking(database)
        except StoreError as error:
            if isinstance(error.__context__, psycopg.errors.QueryCanceled):
                raise too_slow(seconds) from None
            raise

    def keys(self) -> list[Key]:
        """See Reader."""
        with self._connected() as database:
            return load_keys(database)[0]

    def balances(self) -> list[Balance]:
        """See Reader."""
        with self._connected() as database:
            return balances(database, now_us())

    def word(self, name: str) -> str | None:
        """See Reader."""
        with self._connected() as database:
            return known_word(database, name)

    def prefixed(self, most: int) -> list[Prefixed]:
        """See Reader."""
        with self._connected() as database:
            found = database.execute(_PREFIXED.encode(), (most,)).fetchall()
            return [Prefixed(*restored(row)) for row in reversed(found)]

    def close(self) -> None:
        """See Reader: nothing is held between calls."""

    def _events(
        self, query: str, span: tuple[int | None, int | None], given: dict[str, str]
    ) -> Iterator[Row]:
        """The rows of a query by number and end of the events, a page at a time."""
        since, until = span[0] or 0, FOREVER_US if span[1] is None else span[1]
        with self._connected(LOOKING_UP) as database, database.transaction():
            for stretch in _stretches(asking(database), since, until):
                for low, high in pieces(*stretch, PAGE):
                    place = {"since": since, "until": until, "low": low, "high": high}
                    yield from database.execute(query.encode(), {**given, **place}).fetchall()

    @contextmanager
    def _connected(self, options: str = "") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection whose transactions see one instant, with more of the server's `options`."""
        if not self._turns.acquire(timeout=TURN_S):
            raise StoreError("Too many reports are being made at once.", "Ask again in a moment.")
        try:
            terms = {**self._terms, "options": f"{self._terms['options']} {options}"}
            with connected(terms) as database:
                require_current(database)
                database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield database
        except psycopg.Error as error:
            raise unusable(self._terms, error) from None
        finally:
            self._turns.release()

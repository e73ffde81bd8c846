"""History: what the dashboard asks of the ledger, on connections of its own, each question bounded in time.

Reads beside the writer, in SQLite and Postgres. Every connection is read-only and gives up after STATEMENT_S.
"""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct

from tierwise.ledger import read_ledger
from tierwise.ledger.rollups.sql import Ask, Flavour
from tierwise.ledger.rollups.tally import HOUR_US
from tierwise.nouns import OUTPUT_LIMIT

STATEMENT_S = 4.0
COUNTING_S = 1.0
"""For what a page can do without."""
SCANNED = 400_000
"""Events looked through by one search, newest first; the page says how far it got."""
_ID = re.compile(r"ex_[0-9a-f]{6,32}(?:-[0-9]*)?$")
"""An id, or so much of its beginning that it says the hours."""

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
    f"SELECT {', '.join(f'o.{name}' for name in _OPENED)}, c.at_us AS closed_us,"
    f" {', '.join(f'c.{name}' for name in _SETTLED)}"
    " FROM open_rows o LEFT JOIN close_rows c ON c.open_seq = o.seq"
)
_NAMES = (*_OPENED, "closed_us", *_SETTLED)


class Wanted(Struct, frozen=True):
    """What to search for; empty is anything, of `keys` any one. `before` is where the last page ended,
    0: the newest."""

    id: str = ""
    keys: tuple[str, ...] = ()
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
        """Raises StoreError when there is no ledger there that can be read."""
        self._reader = read_ledger(url)
        self.flavour: Flavour = self._reader.flavour

    def asking(self, seconds: float = STATEMENT_S) -> AbstractContextManager[Ask]:
        """Questions at one instant; none takes longer than `seconds`. Raises StoreError with what to do."""
        return self._reader.asking(seconds)

    def search(self, wanted: Wanted) -> Found:
        """Attempts that match, newest first."""
        with self.asking() as ask:
            if wanted.id:
                return Found(self._corrected(ask, self._by_id(ask, wanted.id, wanted.limit)), 0, None)
            top = wanted.before or last_seq(ask, self.flavour) + 1
            floor = max(0, top - SCANNED)
            terms, given = _terms(wanted)
            given |= {"top": top, "floor": floor, "limit": wanted.limit}
            where = f"WHERE o.seq < :top AND o.seq >= :floor {terms} ORDER BY o.seq DESC LIMIT :limit"
            rows = self._corrected(ask, self._rows(ask, where, given))
            full = len(rows) == wanted.limit
            older = rows[-1]["seq"] if full else floor
            at = ask(self.flavour.text(_FIRST), {"seq": older})
            left = ask(self.flavour.text("SELECT 1 FROM open_rows WHERE seq < :seq LIMIT 1"), {"seq": older})
            return Found(rows, older if left else 0, at[0][1] if at else None)

    def attempts(self, exchange: str) -> list[dict[str, Any]]:
        """The attempts of one exchange in order, corrections laid over; empty when there is none."""
        with self.asking() as ask:
            rows = self._corrected(ask, self._by_id(ask, exchange, 100, whole=True))
            return sorted(rows, key=lambda row: int(row["seq"]))

    def timings(self, since_us: int, limit: int) -> list[tuple[Any, ...]]:
        """Newest first, of callers' own calls that ended well: at_us, tier, model, ttft_us, total_us,
        upstream_us, output tokens, stream. Shadow, judge and batch calls keep nobody waiting."""
        with self.asking() as ask:
            query = (
                "SELECT c.at_us, o.tier, o.model, c.ttft_us, c.total_us, c.upstream_us, c.output, o.stream"
                f" FROM close_rows c JOIN open_rows o ON o.seq = c.open_seq{self._same_day('o', 'c')}"
                " WHERE c.seq > :floor AND c.at_us >= :since AND c.outcome = 'ok' AND o.kind = 'call'"
                " ORDER BY c.seq DESC LIMIT :limit"
            )
            floor = max(0, last_seq(ask, self.flavour) - 10 * limit)
            return ask(self.flavour.text(query), {"floor": floor, "since": since_us, "limit": limit})

    def cut_short(self, since_us: int) -> tuple[int, int]:
        """Callers' own calls whose answers took every token they were allowed: how many, and what they cost,
        pico-dollars, as far as priced. Reads every CLOSE from then on: StoreError after COUNTING_S.
        """
        with self.asking(COUNTING_S) as ask:
            query = (
                "SELECT count(*), sum(c.cost_pico)"
                f" FROM close_rows c JOIN open_rows o ON o.seq = c.open_seq{self._same_day('o', 'c')}"
                " WHERE c.seq >= :floor AND c.at_us >= :since AND c.outcome = 'ok' AND c.error = :error"
                " AND o.kind = 'call'"
            )
            [(rolled,)] = ask("SELECT rolled FROM rollup_state", {})
            [(first,)] = ask(self.flavour.text(_HOURS_FROM), {"hour": since_us // HOUR_US})
            floor = min(int(rolled), int(rolled if first is None else first))
            given = {"floor": floor, "since": since_us, "error": OUTPUT_LIMIT}
            [(calls, pico)] = ask(self.flavour.text(query), given)
            return int(calls), int(pico or 0)

    def events(self) -> int:
        """How many events the ledger has, about: the number of the newest."""
        with self.asking() as ask:
            return last_seq(ask, self.flavour)

    def audits(self, limit: int = 30) -> list[tuple[Any, ...]]:
        """The administrators' last acts: at_us, act, subject, note."""
        with self.asking() as ask:
            query = "SELECT at_us, act, subject, note FROM audit ORDER BY seq DESC LIMIT :limit"
            return ask(self.flavour.text(query), {"limit": limit})

    def _by_id(self, ask: Ask, id_: str, limit: int, whole: bool = False) -> list[dict[str, Any]]:
        # An attempt is called after its exchange.
        name = "attempt" if "-" in id_ else "exchange"
        given: dict[str, Any] = {"id": id_, "limit": limit}
        match = f"o.{name} = :id" if whole else f"substr(o.{name}, 1, length(:id)) = :id"
        if not _ID.match(id_):
            return self._rows(ask, f"WHERE {match} ORDER BY o.seq DESC LIMIT :limit", given)
        # By the index of attempts, not by time: numbers and times do not rise together where a clock jumped.
        given["after"] = f"{id_}g"
        match += " AND o.attempt >= :id AND o.attempt < :after"
        rows = self._rows(ask, f"WHERE {match} ORDER BY o.attempt DESC LIMIT :limit", given)
        return sorted(rows, key=lambda row: -int(row["seq"]))

    def _corrected(self, ask: Ask, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with their corrections laid over; only a swept CLOSE may have one."""
        for row in rows:
            if row["outcome"] == "swept":
                _correct(ask, self.flavour, row)
        return rows

    def _rows(self, ask: Ask, where: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        query = self.flavour.text(f"{_ROW}{self._same_day('c', 'o')} {where}")
        return [dict(zip(_NAMES, row, strict=True)) for row in ask(query, given)]

    def _same_day(self, one: str, other: str) -> str:
        return self.flavour.same_day.format(one, other)


_FIRST = "SELECT seq, at_us FROM open_rows WHERE seq >= :seq ORDER BY seq LIMIT 1"
_HOURS_FROM = "SELECT min(first_seq) FROM rollup_span WHERE hour >= :hour"


# As in the sums, a corrected call has the outcome it really had.
_OUTCOME = (
    "CASE c.outcome WHEN 'swept' THEN coalesce("
    "(SELECT r.outcome FROM correction_rows r WHERE r.open_seq = o.seq), 'swept') ELSE c.outcome END"
)


def last_seq(ask: Ask, flavour: Flavour) -> int:
    """The number of the newest event."""
    return int(ask(flavour.top, {})[0][0] or 0)


def _terms(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    terms: list[str] = []
    given: dict[str, Any] = {}
    if wanted.keys:
        given |= {f"key{number}": key for number, key in enumerate(wanted.keys)}
        terms.append(f"AND o.key IN ({', '.join(f':key{number}' for number in range(len(wanted.keys)))})")
    if wanted.task:
        terms.append("AND o.task = :task")
        given["task"] = wanted.task
    if wanted.tier:
        terms.append("AND (o.tier = :tier OR (o.tier = '' AND o.model = :tier))")
        given["tier"] = wanted.tier
    if wanted.outcome == "running":
        terms.append("AND c.seq IS NULL")
    elif wanted.outcome:
        terms.append(f"AND {_OUTCOME} = :outcome")
        given["outcome"] = wanted.outcome
    return " ".join(terms), given


def _correct(ask: Ask, flavour: Flavour, row: dict[str, Any]) -> None:
    """Lays a correction over its swept CLOSE: tokens and cost are differences, the rest stands anew."""
    names: Sequence[str] = ("at_us", *_SETTLED)
    query = f"SELECT {', '.join(names)} FROM correction_rows WHERE open_seq = :seq"
    found = ask(flavour.text(query), {"seq": row["seq"]})
    if not found:
        return
    changed = dict(zip(names, found[0], strict=True))
    row["closed_us"] = changed.pop("at_us")
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"):
        changed[name] += row[name] or 0
    priced = not changed["unpriced"]
    changed["cost_pico"] = (row["cost_pico"] or 0) + (changed["cost_pico"] or 0) if priced else None
    row |= changed
    row["corrected"] = True

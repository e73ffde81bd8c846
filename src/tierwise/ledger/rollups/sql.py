"""The queries of roll-ups and reports, in the one SQL that SQLite and Postgres share."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from ..periods import FOREVER_US
from .tally import AMOUNTS, COLUMNS, COUNTS, FACETS, HALF, TOKENS, Facet

Rows = list[tuple[Any, ...]]
Ask = Callable[[str, dict[str, Any]], Rows]
"""Runs one query with `:name` parameters and gives its rows."""


class Flavour(Struct, frozen=True):
    """Where the two databases differ: `same_day` joins a partition to its own, `member` is one of the texts
    of a JSON array, `top` the number of the newest event, `running` the oldest running
    transaction and the next to begin (empty: numbers are drawn as they are committed), `mark` a parameter
    without a name,
    `clustered` keeps a table's rows in its key, `spanned` are the tables whose rows' hours are kept: Postgres
    finds OPEN rows by their day."""

    same_day: str
    listed: str
    member: str
    top: str
    blob: str
    running: str
    mark: str
    clustered: str
    spanned: tuple[str, ...]

    def text(self, query: str) -> str:
        """A query as this database's driver takes it."""
        if self.mark != "%s":
            return query
        return re.sub(r":([a-z]\w*)", r"%(\1)s", query.replace("%", "%%"))


SQLITE = Flavour(
    same_day="",
    listed="group_concat({0})",
    member="(SELECT value FROM json_each(:listed))",
    top="SELECT max(seq) FROM (SELECT max(seq) AS seq FROM open_rows"
    " UNION ALL SELECT max(seq) FROM close_rows UNION ALL SELECT max(seq) FROM correction_rows)",
    blob="BLOB",
    running="",
    mark="?",
    clustered=" WITHOUT ROWID",
    spanned=("open_rows", "close_rows", "correction_rows"),
)
POSTGRES = Flavour(
    same_day=" AND {0}.day = {1}.day",
    listed="string_agg(CAST({0} AS text), ',')",
    member="(SELECT value FROM json_array_elements_text(CAST(:listed AS json)) t(value))",
    top="SELECT last_value FROM event_seq",
    blob="bytea",
    running="SELECT CAST(CAST(pg_snapshot_xmin(s) AS text) AS bigint),"
    " CAST(CAST(pg_snapshot_xmax(s) AS text) AS bigint) FROM (SELECT pg_current_snapshot() AS s) now",
    mark="%s",
    clustered="",
    spanned=("close_rows", "correction_rows"),
)

_OWN = ", ".join(f"e.{name}" for name in TOKENS)
_FINAL = "coalesce(c.cost_pico, 0) + e.cost_pico"
# A correction gives its call to the outcome it really had, and takes back what the sweep had booked.
_POSTED = f"""
    SELECT e.open_seq, {{day}}, e.seq, e.at_us, e.outcome, 1 AS calls,
        CASE WHEN e.cost_pico IS NULL THEN 1 ELSE 0 END AS unpriced,
        CASE WHEN e.usage_source IN ('reported', 'cached') THEN 0 ELSE 1 END AS estimated, {_OWN},
        coalesce(e.cost_pico, 0) AS cost, e.cost_pico AS final, e.asked_pico, e.reference_pico,
        CASE WHEN e.outcome = 'ok' THEN e.ttft_us END AS ttft,
        CASE WHEN e.outcome = 'ok' THEN e.total_us END AS total
    FROM close_rows e WHERE {{within}}
    UNION ALL
    SELECT e.open_seq, {{day}}, e.seq, e.at_us, e.outcome, 1, CASE WHEN e.unpriced = '' THEN 0 ELSE 1 END,
        CASE WHEN e.usage_source IN ('reported', 'cached') THEN 0 ELSE 1 END, {_OWN}, {_FINAL},
        CASE WHEN e.unpriced = '' THEN {_FINAL} END, e.asked_pico, e.reference_pico, NULL, NULL
    FROM correction_rows e JOIN close_rows c ON c.open_seq = e.open_seq{{its_close}} WHERE {{within}}
    UNION ALL
    SELECT e.open_seq, {{day}}, e.seq, e.at_us, c.outcome, -1,
        CASE WHEN c.cost_pico IS NULL THEN -1 ELSE 0 END, -1, 0, 0, 0, 0, 0, 0, -coalesce(c.cost_pico, 0),
        NULL, NULL, NULL, NULL, NULL
    FROM correction_rows e JOIN close_rows c ON c.open_seq = e.open_seq{{its_close}} WHERE {{within}}
"""


def _cut(duration: str) -> str:
    """A duration cut to three significant digits, in SQL."""
    steps = [f"WHEN {duration} < {10 ** (n + 3)} THEN {duration} - {duration} % {10**n}" for n in range(16)]
    return f"CASE {' '.join(steps)} ELSE {duration} - {duration} % {10**16} END"


def _columns() -> str:
    sums = {name: f"s.{name}" for name in (*COUNTS[:3], *TOKENS, "cost")}
    for name in ("asked", "reference"):
        known = f"s.{name}_pico IS NOT NULL AND s.final IS NOT NULL"
        sums[f"{name}_calls"] = f"CASE WHEN {known} THEN 1 ELSE 0 END"
        sums[name] = f"CASE WHEN {known} THEN s.{name}_pico ELSE 0 END"
        sums[f"{name}_cost"] = f"CASE WHEN {known} THEN s.final ELSE 0 END"
    found = [f"sum({sums[name]})" for name in COUNTS]
    for name in AMOUNTS:
        # Division and remainder both cut toward zero: the halves add up for negative amounts too.
        found += [f"sum(({sums[name]}) / {HALF})", f"sum(({sums[name]}) % {HALF})"]
    return ", ".join(found)


_SUMMED = _columns()


class Stretch(NamedTuple):
    """Events numbered after `low` up to `high` that ended in [since, until)."""

    low: int
    high: int
    since: int = 0
    until: int = FOREVER_US


def rows_of(
    ask: Ask, flavour: Flavour, facets: Sequence[Facet], stretches: Sequence[Stretch], width: int
) -> Rows:
    """Sums of the rows of these stretches, none of which may share an event, by period of `width`, the words
    of these facets and outcome. Columns: start, words (tags as they are stored, a JSON array), outcome,
    COLUMNS, ttft and total listed.
    """
    # One query for all stretches, over the few days that have rows in them: planning one over each of a
    # year's days takes Postgres longer than reading the rows.
    given = {f"{name}_{n}": at for n, one in enumerate(stretches) for name, at in one._asdict().items()}
    within = " OR ".join(
        f"(e.seq > :low_{n} AND e.seq <= :high_{n} AND +e.at_us >= :since_{n} AND +e.at_us < :until_{n})"
        for n in range(len(stretches))
    )
    days: list[int] = []
    if flavour.same_day:
        parts = (f"SELECT e.day FROM {table} e WHERE {within}" for table in ("close_rows", "correction_rows"))
        days = [int(day) for (day,) in ask(flavour.text(" UNION ".join(parts)), given)]
        if not days:
            return []
    return ask(_sums_by(flavour, facets, f"({within})", days), {**given, "width": width})


def _sums_by(flavour: Flavour, facets: Sequence[Facet], within: str, days: Sequence[int]) -> str:
    words = ["o.tags" if word == "tag" else f"o.{word}" for facet in facets for word in FACETS[facet]]
    in_days = f" AND {{0}}.day IN ({', '.join(map(str, days))})" if days else ""
    its_close, its_open = (
        flavour.same_day.format(one, other) + in_days.format(one) for one, other in ("ce", "os")
    )
    posted = _POSTED.format(
        day="e.day" if days else "0 AS day", its_close=its_close, within=within + in_days.format("e")
    )
    lists = [flavour.listed.format(_cut(name)) for name in ("s.ttft", "s.total")]
    numbers = ", ".join(map(str, range(1, len(words) + 3)))
    return flavour.text(
        f"SELECT s.at_us / :width, {', '.join(words)}, s.outcome, {_SUMMED}, {', '.join(lists)}"
        f" FROM ({posted}) s JOIN open_rows o ON o.seq = s.open_seq{its_open}"
        f" GROUP BY {numbers}"
    )


def spans_query(flavour: Flavour) -> str:
    """The hours of the rows numbered after `:low` up to `:high`, with their first and last number."""
    parts = (f"SELECT at_us, seq FROM {table} WHERE seq > :low AND seq <= :high" for table in flavour.spanned)
    return flavour.text(
        f"SELECT e.at_us / :width, min(e.seq), max(e.seq) FROM ({' UNION ALL '.join(parts)}) e GROUP BY 1"
    )


def sums_query(flavour: Flavour, words: Sequence[str], by_start: bool) -> str:
    """Sums kept of `:facet` and `:step` from period `:first` up to before `:after`: start (0 unless
    `by_start`), words, outcome, COLUMNS."""
    named = ", ".join(f"g.{word}" for word in (*words, "outcome"))
    kept = ", ".join(f"sum(r.{name})" for name in COLUMNS)
    start = "r.start" if by_start else "0"
    numbers = ", ".join(map(str, range(1, len(words) + 3)))
    return flavour.text(
        f"SELECT {start}, {named}, {kept} FROM rollup r JOIN rollup_group g ON g.id = r.grp"
        " WHERE r.facet = :facet AND r.step = :step AND r.start >= :first AND r.start < :after"
        f" GROUP BY {numbers}"
    )


def durations_query(flavour: Flavour, words: Sequence[str]) -> str:
    """Durations kept of `:facet` and `:step` from `:first` to before `:after`: start, words, ttft, total."""
    named = "".join(f", g.{word}" for word in words)
    return flavour.text(
        f"SELECT r.start{named}, r.ttft, r.total FROM rollup_latency r JOIN rollup_group g ON g.id = r.grp"
        " WHERE r.facet = :facet AND r.step = :step AND r.start >= :first AND r.start < :after"
    )


def insert(flavour: Flavour, table: str, columns: int, conflict: str = "") -> str:
    """An INSERT of rows of so many columns."""
    return f"INSERT INTO {table} VALUES ({', '.join([flavour.mark] * columns)}) {conflict}"


def tables(flavour: Flavour, identity: str) -> tuple[str, ...]:
    """The statements that make the roll-ups' tables. `identity` is the type of a group's number."""
    sums = ", ".join(f"{name} bigint NOT NULL" for name in COLUMNS)
    period = "facet int NOT NULL, step int NOT NULL, start bigint NOT NULL, grp bigint NOT NULL"
    words = ", ".join(f"{word} text NOT NULL" for facet in FACETS.values() for word in facet)
    return (
        "CREATE TABLE rollup_state (rolled bigint NOT NULL)",
        "INSERT INTO rollup_state VALUES (0)",
        f"CREATE TABLE rollup_group (id {identity} PRIMARY KEY, digest text NOT NULL UNIQUE, {words},"
        " outcome text NOT NULL)",
        f"CREATE TABLE rollup ({period}, {sums}, PRIMARY KEY (facet, step, start, grp)){flavour.clustered}",
        f"CREATE TABLE rollup_latency ({period}, ttft {flavour.blob}, total {flavour.blob},"
        " PRIMARY KEY (facet, step, start, grp))",
        "CREATE TABLE rollup_span (hour bigint PRIMARY KEY, first_seq bigint NOT NULL,"
        " last_seq bigint NOT NULL)",
    )

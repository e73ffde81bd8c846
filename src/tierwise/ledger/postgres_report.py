"""The report's arithmetic in Postgres, whose sums are exact at any size."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from typing import Any

import psycopg
from msgspec import convert

from ..nouns import Usage
from .periods import FOREVER_US
from .postgres_text import restored
from .report import By, Line, Quantiles, Report, Saving

Database = psycopg.Connection[tuple[Any, ...]]
GROUPS: dict[By | None, tuple[str, str]] = {
    None: ("''", ""),
    "task": ("o.task", ""),
    "tier": ("o.tier", ""),
    "model": ("o.model", ""),
    "key": ("o.key", ""),
    "kind": ("o.kind", ""),
    "day": ("to_char(to_timestamp(s.at_us / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')", ""),
    "project": ("coalesce(y.project, '')", "LEFT JOIN keys y ON y.id = o.key"),
    "tag": ("t.value", "CROSS JOIN LATERAL json_array_elements_text(o.tags::json) t(value)"),
}  # fmt: skip
_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
_COUNTS = ("calls", "errors", "cancelled", "swept", "unpriced", "estimated")
_AMOUNTS = ", ".join(f"{{0}}.{name}" for name in _TOKENS)

# A correction changes what its swept CLOSE said: its amounts are differences, its counts take the old ones
# back.
_SETTLED = f"""
    SELECT c.open_seq, c.day, c.at_us, 1 AS calls, (c.outcome IN ('error', 'truncated'))::int AS errors,
        (c.outcome = 'cancelled')::int AS cancelled, (c.outcome = 'swept')::int AS swept,
        (c.cost_pico IS NULL)::int AS unpriced, (c.usage_source <> 'reported')::int AS estimated,
        {_AMOUNTS.format("c")}, coalesce(c.cost_pico, 0) AS cost, c.cost_pico AS final, c.asked_pico,
        c.reference_pico, c.ttft_us, c.total_us, c.outcome = 'ok' AS well
    FROM close_rows c WHERE c.at_us >= %(since)s AND c.at_us < %(until)s
    UNION ALL
    SELECT k.open_seq, k.day, k.at_us, 0, (k.outcome IN ('error', 'truncated'))::int,
        (k.outcome = 'cancelled')::int, -1, (k.unpriced <> '')::int - (c.cost_pico IS NULL)::int,
        (k.usage_source <> 'reported')::int - 1, {_AMOUNTS.format("k")}, k.cost_pico,
        CASE WHEN k.unpriced = '' THEN coalesce(c.cost_pico, 0) + k.cost_pico END, k.asked_pico,
        k.reference_pico, NULL, k.total_us, false
    FROM correction_rows k JOIN close_rows c ON c.open_seq = k.open_seq AND c.day = k.day
    WHERE k.at_us >= %(since)s AND k.at_us < %(until)s
"""
# A hair below the fraction: the nearest rank, whatever binary fractions make of 0.95 n.
_RANKS = "ARRAY[0.499999999999, 0.949999999999, 0.989999999999]"


def make_report(database: Database, by: By, since_us: int | None, until_us: int | None) -> Report:
    """The report over CLOSE rows from `since_us` (inclusive) to `until_us` (exclusive). Days are UTC."""
    span = {"since": since_us or 0, "until": FOREVER_US if until_us is None else until_us}
    labels = _labels(database) if by == "key" else {}
    lines = [_line(row, labels, by) for row in _grouped(database, by, span)]
    if by == "day":
        lines.sort(key=lambda line: line.group)
    else:
        lines.sort(key=lambda line: (-line.spend_pico, line.group))
    everything = [_line(row, {}, None) for row in _grouped(database, None, span)]
    nothing = Line("", "all", 0, 0, 0, 0, 0, 0, Usage(), 0, Saving(), Saving())
    return Report(by, since_us, until_us, tuple(lines), everything[0] if everything else nothing)


def _labels(database: Database) -> dict[str, str]:
    return {str(id): str(restored((name,))[0]) for id, name in database.execute("SELECT id, name FROM keys")}


def _grouped(database: Database, by: By | None, span: dict[str, int]) -> list[tuple[Any, ...]]:
    group, join = GROUPS[by]
    sums = [f"sum(s.{name})" for name in (*_COUNTS, *_TOKENS, "cost")]
    for baseline in ("s.asked_pico", "s.reference_pico"):
        known = f"FILTER (WHERE {baseline} IS NOT NULL AND s.final IS NOT NULL)"
        sums += [f"count(*) {known}", f"coalesce(sum({baseline}) {known}, 0)"]
        sums += [f"coalesce(sum(s.final) {known}, 0)"]
    for duration in ("s.ttft_us", "s.total_us"):
        known = f"FILTER (WHERE s.well AND {duration} IS NOT NULL)"
        sums += [f"count(*) {known}"]
        sums += [f"percentile_disc({_RANKS}) WITHIN GROUP (ORDER BY {duration}) {known}"]
    query = f"SELECT {group}, {', '.join(sums)} FROM ({_SETTLED}) s"
    join = f"JOIN open_rows o ON o.seq = s.open_seq AND o.day = s.day {join}" if by is not None else ""
    return database.execute(f"{query} {join} GROUP BY 1".encode(), span).fetchall()


def _line(row: tuple[Any, ...], labels: dict[str, str], by: By | None) -> Line:
    group, *sums = restored(row)
    counts, tokens, rest = sums[:6], sums[6:12], sums[12:]
    return Line(
        group,
        "all" if by is None else labels.get(group, group),
        **{name: int(count) for name, count in zip(_COUNTS, counts, strict=True)},
        usage=convert({name: int(count) for name, count in zip(_TOKENS, tokens, strict=True)}, Usage),
        spend_pico=int(rest[0]),
        asked=Saving(*map(int, rest[1:4])),
        reference=Saving(*map(int, rest[4:7])),
        ttft=_quantiles(rest[7], rest[8]),
        total=_quantiles(rest[9], rest[10]),
    )


def _quantiles(n: int, ranks: list[int] | None) -> Quantiles:
    """See Quantiles: a rank that too few samples bear is None."""
    if not ranks:
        return Quantiles()
    shown = [
        rank if n * (100 - hundredths) >= 400 else None
        for rank, hundredths in zip(ranks, (50, 95, 99), strict=True)
    ]
    return Quantiles(n, *shown)

"""The report's arithmetic in SQLite. Sums are taken in two halves, so that they may outgrow 64 bits, and
joined exactly.
"""

from __future__ import annotations

import sqlite3
from array import array
from typing import Any

from msgspec import convert

from ..nouns import Usage
from .periods import FOREVER_US
from .report import By, Line, Quantiles, Report, Saving, quantiles
from .rows import Row

GROUPS: dict[By | None, tuple[str, str]] = {
    None: ("''", ""),
    "task": ("o.task", ""),
    "tier": ("o.tier", ""),
    "model": ("o.model", ""),
    "key": ("o.key", ""),
    "kind": ("o.kind", ""),
    "day": ("date(s.at_us / 1000000, 'unixepoch')", ""),
    "project": ("coalesce(y.project, '')", "LEFT JOIN keys y ON y.id = o.key"),
    "tag": ("t.value", "JOIN json_each(o.tags) t"),
}
_HALF = 10**9
_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
_COUNTS = ("calls", "errors", "cancelled", "swept", "unpriced", "estimated")

# A correction changes what its swept CLOSE said: its amounts are differences, its counts take the old ones
# back.
_SETTLED = """
    SELECT c.open_seq, c.at_us, 1 AS calls, c.outcome IN ('error', 'truncated') AS errors,
        c.outcome = 'cancelled' AS cancelled, c.outcome = 'swept' AS swept, c.cost_pico IS NULL AS unpriced,
        c.usage_source <> 'reported' AS estimated, c.input, c.cache_read, c.cache_write_5m, c.cache_write_1h,
        c.output, c.reasoning, coalesce(c.cost_pico, 0) AS cost, c.cost_pico AS final, c.asked_pico,
        c.reference_pico
    FROM close_rows c WHERE c.at_us >= :since AND c.at_us < :until
    UNION ALL
    SELECT k.open_seq, k.at_us, 0, k.outcome IN ('error', 'truncated'), k.outcome = 'cancelled', -1,
        (k.unpriced <> '') - (c.cost_pico IS NULL), (k.usage_source <> 'reported') - 1, k.input, k.cache_read,
        k.cache_write_5m, k.cache_write_1h, k.output, k.reasoning, k.cost_pico,
        CASE WHEN k.unpriced = '' THEN coalesce(c.cost_pico, 0) + k.cost_pico END, k.asked_pico,
        k.reference_pico
    FROM correction_rows k JOIN close_rows c ON c.open_seq = k.open_seq
    WHERE k.at_us >= :since AND k.at_us < :until
"""


def make_report(database: sqlite3.Connection, by: By, since_us: int | None, until_us: int | None) -> Report:
    """The report over CLOSE rows from `since_us` (inclusive) to `until_us` (exclusive). Days are UTC."""
    span = {"since": since_us or 0, "until": FOREVER_US if until_us is None else until_us}
    lines = _lines(database, by, span)
    if by == "day":
        lines.sort(key=lambda line: line.group)
    else:
        lines.sort(key=lambda line: (-line.spend_pico, line.group))
    everything = _lines(database, None, span)
    nothing = Line("", "all", 0, 0, 0, 0, 0, 0, Usage(), 0, Saving(), Saving())
    return Report(by, since_us, until_us, tuple(lines), everything[0] if everything else nothing)


def _lines(database: sqlite3.Connection, by: By | None, span: dict[str, int]) -> list[Line]:
    group, join = GROUPS[by]
    sums = [f"sum(s.{name})" for name in _COUNTS]
    for name in (*_TOKENS, "cost"):
        sums += _halves(f"s.{name}")
    for baseline in ("s.asked_pico", "s.reference_pico"):
        known = f"({baseline} IS NOT NULL AND s.final IS NOT NULL)"
        sums += [
            f"sum({known})",
            *_halves(f"iif({known}, {baseline}, 0)"),
            *_halves(f"iif({known}, s.final, 0)"),
        ]
    # Only our own words are put together here; what a caller says comes as a parameter.
    query = f"SELECT {group}, {', '.join(sums)} FROM ({_SETTLED}) s"  # noqa: S608
    found = database.execute(
        f"{query} JOIN open_rows o ON o.seq = s.open_seq {join} GROUP BY 1", span
    ).fetchall()
    latencies = _latencies(database, by, span)
    labels = _labels(database) if by == "key" else {}
    return [_line(row, labels, latencies, by) for row in found]


def _line(
    row: Row, labels: dict[str, str], latencies: dict[Any, tuple[Quantiles, Quantiles]], by: By | None
) -> Line:
    group, rest = str(row[0]), iter(row[7:])

    def amount() -> int:
        return int(next(rest)) * _HALF + int(next(rest))

    tokens = {name: amount() for name in _TOKENS}
    spend = amount()
    asked, reference = (Saving(int(next(rest)), amount(), amount()) for _ in range(2))
    ttft, total = latencies.get(row[0], (Quantiles(), Quantiles()))
    return Line(
        group,
        "all" if by is None else labels.get(group, group),
        **dict(zip(_COUNTS, row[1:7], strict=True)),
        usage=convert(tokens, Usage),
        spend_pico=spend,
        asked=asked,
        reference=reference,
        ttft=ttft,
        total=total,
    )


def _latencies(
    database: sqlite3.Connection, by: By | None, span: dict[str, int]
) -> dict[Any, tuple[Quantiles, Quantiles]]:
    """Time to first token and total, of calls that ended well."""
    group, join = GROUPS[by]
    ttft: dict[Any, array[int]] = {}
    total: dict[Any, array[int]] = {}
    columns = f"{group}, s.ttft_us, s.total_us"
    query = f"SELECT {columns} FROM close_rows s JOIN open_rows o ON o.seq = s.open_seq"  # noqa: S608
    ended = "WHERE s.at_us >= :since AND s.at_us < :until AND s.outcome = 'ok'"
    for name, first, whole in database.execute(f"{query} {join} {ended}", span):
        if name not in total:
            ttft[name], total[name] = array("q"), array("q")
        total[name].append(whole)
        if first is not None:
            ttft[name].append(first)
    return {name: (quantiles(ttft[name]), quantiles(total[name])) for name in total}


def _labels(database: sqlite3.Connection) -> dict[str, str]:
    return {str(id): str(name) for id, name in database.execute("SELECT id, name FROM keys")}


def _halves(term: str) -> list[str]:
    # Division and remainder both cut toward zero: the halves add up for negative amounts too.
    return [f"sum({term} / {_HALF})", f"sum({term} % {_HALF})"]

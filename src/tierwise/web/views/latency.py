"""Tiers and latency: how fast each answers, over time, and whether it is being called."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tierwise.costing import price_at
from tierwise.ledger.report import Quantiles, quantiles

from ..seen import Spread
from ..shown import iso
from ..site import Site, now
from .ranges import Figures, Range, Ranged, Span, figures, groups_in, ordered_tiers, span_of

SAMPLE = 20_000
_STEPS = 24


class TierLine(Struct, frozen=True):
    """One tier. Quantiles are of the `sampled` newest successful calls, microseconds; None below 4 / (1 − q)
    samples. `tokens_per_s`: median decode speed of streams. `health`: ok, open (not being called) or unknown.
    """

    tier: str
    model: str
    provider: str
    reference: bool
    input_price: int | None
    output_price: int | None
    health: str
    why: str
    figures: Figures
    sampled: int
    ttft: Quantiles
    total: Quantiles
    tokens_per_s: float | None
    over_time: list[int | None]
    p95_over_time: list[int | None]
    p99_over_time: list[int | None]


class Tiers(Struct, frozen=True):
    """All tiers in the ladder's order, then "pinned". `over_time` holds each step's median total, in
    microseconds, from `starts_us[0]`, and beside it its P95 and P99; `sampled_from_us`: the oldest call
    sampled. Of the calls since the start, half spent at most `own_p50_us` in the gateway before they went
    upstream and 99 % at most `own_p99_us`; None: no call yet, or longer than is told apart.
    """

    span: Span
    range: Range
    tiers: list[TierLine]
    starts_us: list[int]
    sampled_from_us: int | None
    sample: int
    own_p50_us: int | None
    own_p99_us: int | None
    running: int
    most: int


def tiers(site: Site, asked: Ranged) -> Tiers:
    """Every tier's speed and health. Raises StoreError."""
    rollup = site.rollup
    span = span_of(asked.range, rollup)
    groups = groups_in(span, rollup)
    rows = site.history.timings(span.since_us, SAMPLE)
    width = max(1, (span.until_us - span.since_us) // _STEPS + 1)
    by_tier: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_tier.setdefault(row[1] or "pinned", []).append(row)
    seen = {slot.tier or "pinned" for slot, _ in groups} | set(by_tier)
    names = [*site.tier_order(), *ordered_tiers(site, seen - set(site.tier_order()))]
    lines = []
    for name in names:
        kept = [(slot, sums) for slot, sums in groups if (slot.tier or "pinned") == name]
        lines.append(_line(site, name, figures(kept), (by_tier.get(name, []), span.since_us, width)))
    admission, own = site.control.gate.admission, site.control.gate.metrics.calls.overhead_s
    return Tiers(
        span=span,
        range=asked.range,
        tiers=lines,
        starts_us=[span.since_us + step * width for step in range(_STEPS)],
        sampled_from_us=rows[-1][0] if rows else None,
        sample=len(rows),
        own_p50_us=_at_most(own, 0.5),
        own_p99_us=_at_most(own, 0.99),
        running=admission.running,
        most=admission.most,
    )


def _line(site: Site, name: str, sums: Figures, sampled: tuple[list[tuple[Any, ...]], int, int]) -> TierLine:
    rows, since_us, width = sampled
    tier = site.catalog.tiers.get(name)
    model = site.catalog.models.get(tier.model) if tier else None
    price = price_at(model.prices, iso(now())[:10]) if model else None
    health = site.health.get(tier.model) if tier else None
    total = array("q", [row[4] for row in rows])
    steps = _steps(rows, since_us, width)
    return TierLine(
        tier=name,
        model=tier.model if tier else "models named by the caller",
        provider=model.provider if model else "",
        reference=name == site.catalog.ladder.reference,
        input_price=price.input if price else None,
        output_price=price.output if price else None,
        health="unknown" if health is None else "open" if health.open else "ok",
        why=health.reason if health else "",
        figures=sums,
        sampled=len(rows),
        ttft=quantiles([row[3] for row in rows if row[3] is not None]),
        total=quantiles(total),
        tokens_per_s=_speed(rows),
        over_time=[sorted(step)[len(step) // 2] if step else None for step in steps],
        p95_over_time=[quantiles(step).p95 for step in steps],
        p99_over_time=[quantiles(step).p99 for step in steps],
    )


def _at_most(spread: Spread, part: float) -> int | None:
    """The bound below which that part of the counts lies, microseconds."""
    below, wanted = 0, sum(spread.counts) * part
    for bound, count in zip(spread.bounds, spread.counts[:-1], strict=True):
        below += count
        if below and below >= wanted:
            return round(bound * 1e6)
    return None


def _speed(rows: Sequence[tuple[Any, ...]]) -> float | None:
    """Median output tokens per second after the first content, of streams of at least 10 tokens."""
    speeds = sorted(
        row[6] * 1e6 / (row[4] - row[3])
        for row in rows
        if row[7] and row[3] is not None and row[6] >= 10 and row[4] - row[3] > 1000
    )
    return speeds[len(speeds) // 2] if len(speeds) >= 8 else None


def _steps(rows: Sequence[tuple[Any, ...]], since_us: int, width: int) -> list[list[int]]:
    """The totals of each step of the span."""
    steps: list[list[int]] = [[] for _ in range(_STEPS)]
    for row in rows:
        steps[min(_STEPS - 1, max(0, (row[0] - since_us) // width))].append(row[4])
    return steps

"""Estimate: what a workload would cost at every tier and published model, exactly."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tierwise.config import VENDORS, model_at, published
from tierwise.costing import (
    Workload,
    break_even_reads,
    cache_return,
    estimate,
    hit_rate_needed,
    poisson_hit_rate,
    price_at,
)
from tierwise.nouns import Model, Price, Provider

from ..shown import iso
from ..site import Site, now

_MINUTES_A_DAY = 1440


class Question(Struct, frozen=True):
    """A workload: calls a day, tokens of each, a prefix they share (0: none) and its time in a cache."""

    calls_per_day: Annotated[int, Meta(ge=1, le=10**9)] = 1000
    input: Annotated[int, Meta(ge=0, le=10**8)] = 800
    output: Annotated[int, Meta(ge=0, le=10**7)] = 50
    prefix: Annotated[int, Meta(ge=0, le=10**7)] = 0
    ttl: Literal["5m", "1h"] = "5m"
    days: Annotated[int, Meta(ge=1, le=3660)] = 30
    batch: bool = False


class Row(Struct, frozen=True):
    """One model. Pico-dollars; None: unpriced, and `unpriced` says why. `times`: cost over the least of all.

    `cached_pico` and `saved` (a share) are of the shared prefix in a cache at the hit rate reckoned;
    `break_even` reads per write; `for_80`: the hit rate that would save 80 %.
    """

    model: str
    tier: str
    served: bool
    input_price: int | None
    output_price: int | None
    day_pico: int | None
    total_pico: int | None
    cached_pico: int | None
    saved: float | None
    break_even: float | None
    for_80: float | None
    times: float | None
    unpriced: str


class Estimates(Struct, frozen=True):
    """Cheapest first, unpriced last. `hit_rate`: Poisson arrivals over the day, None without prefix."""

    asked: Question
    rows: list[Row]
    hit_rate: float | None
    bar_pico: int


def estimates(site: Site, asked: Question) -> Estimates:
    """The workload at every model served here and every published one."""
    today = iso(now())[:10]
    rate = poisson_hit_rate(asked.calls_per_day / _MINUTES_A_DAY, asked.ttl) if asked.prefix else None
    hits = min(asked.calls_per_day, round(asked.calls_per_day * rate)) if rate is not None else None
    rows = []
    for model, tier, served in models_of(site):
        rows.append(_row(asked, hits, (model, tier, served), price_at(model.prices, today)))
    known = [row.total_pico for row in rows if row.total_pico]
    least = min(known, default=None)
    rows = [
        Row(**{name: getattr(row, name) for name in row.__struct_fields__ if name != "times"},
            times=row.total_pico / least if least and row.total_pico else None)
        for row in rows
    ]  # fmt: skip
    rows.sort(key=lambda row: (row.total_pico is None, row.total_pico or 0, row.model))
    return Estimates(asked, rows, rate, max(known, default=0))


def _row(asked: Question, hits: int | None, named: tuple[Model, str, bool], price: Price | None) -> Row:
    model, tier, served = named
    work = Workload(
        asked.calls_per_day, asked.input, asked.output, asked.prefix, None, asked.ttl, asked.batch, asked.days
    )
    plain = estimate(work, price)
    cached = saved = None
    if hits is not None and price is not None:
        with_cache = Workload(
            asked.calls_per_day, asked.input, asked.output, asked.prefix, hits, asked.ttl, asked.batch,
            asked.days,
        )  # fmt: skip
        cached = estimate(with_cache, price).total_pico
        back = cache_return(price, asked.prefix, asked.calls_per_day, hits, asked.ttl, beside=asked.input)
        saved = float(back.saved) if back is not None else None
    prompt = asked.prefix + asked.input
    even = break_even_reads(price, asked.ttl, prompt) if price is not None and asked.prefix else None
    needed = _for_80(price, asked) if asked.prefix else None
    return Row(
        model=model.name,
        tier=tier,
        served=served,
        input_price=price.input if price else None,
        output_price=price.output if price else None,
        day_pico=plain.day_pico,
        total_pico=plain.total_pico,
        cached_pico=cached,
        saved=saved,
        break_even=float(even) if even is not None else None,
        for_80=needed,
        times=None,
        unpriced=plain.unpriced,
    )


def _for_80(price: Price | None, asked: Question) -> float | None:
    from fractions import Fraction

    prompt = asked.prefix + asked.input
    needed = hit_rate_needed(price, Fraction(4, 5), asked.ttl, prompt) if price is not None else None
    return float(needed) if needed is not None else None


def models_of(site: Site) -> list[tuple[Model, str, bool]]:
    """Models served here with their tier, then published ones that nothing here serves."""
    tier_of = {tier.model: name for name, tier in site.catalog.tiers.items()}
    found = [(model, tier_of.get(model.name, ""), True) for model in site.catalog.models.values()]
    served = {model.name for model, _, _ in found} | {model.name.partition("/")[2] for model, _, _ in found}
    makers = {vendor.name: vendor for vendor in VENDORS}
    for id_, figures in published().models.items():
        maker, _, rest = id_.partition("/")
        if id_ not in served and rest not in served and maker in makers:
            vendor = makers[maker]
            provider = Provider(vendor.name, vendor.dialect, vendor.base_url)
            found.append((model_at(provider, rest), figures.tier, False))
    return found

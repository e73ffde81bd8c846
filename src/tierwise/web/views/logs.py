"""Estimate of a log: what calls that were really made cost at every model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from tierwise.costing import price_at, read_calls, total_usage
from tierwise.nouns import Usage

from ..shown import iso
from ..site import Site, now
from .estimates import models_of
from .exchanges import BUCKETS

LONGEST = 8 << 20
_DAY_S = 86_400


class CallLog(Struct, frozen=True, forbid_unknown_fields=True):
    """A log of calls, CSV with a header line or JSON Lines: input_tokens, output_tokens, cache_read …, at. Of
    `ledger export --jsonl` the closed calls count."""

    text: Annotated[str, Meta(max_length=LONGEST, min_length=1)]
    name: Annotated[str, Meta(max_length=200)] = "the log"
    batch: bool = False


class LogRow(Struct, frozen=True):
    """One model. Pico-dollars; None: unpriced, and `unpriced` says why. `times`: cost over the least."""

    model: str
    tier: str
    served: bool
    total_pico: int | None
    times: float | None
    unpriced: str


class LogCost(Struct, frozen=True):
    """The log at every model, cheapest first, unpriced last. `days` it spans, 0: its calls have no times."""

    name: str
    calls: int
    days: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    rows: list[LogRow]
    bar_pico: int


def of_log(site: Site, asked: CallLog) -> LogCost:
    """What the calls cost, each priced by itself. Raises BadRequest naming the line that is wrong."""
    calls = read_calls(asked.text, asked.name)
    today = iso(now())[:10]
    summed = _sum(calls.usages)
    found = []
    for model, tier, served in models_of(site):
        price = price_at(model.prices, today)
        # Without long-context steps a price is the same for every call: their sum costs what they cost.
        usages = calls.usages if price is not None and price.steps else (summed,)
        total = total_usage(usages, price, asked.batch)
        found.append((total.pico is None, total.pico or 0, model.name, tier, served, total.unpriced))
    known = [pico for unpriced, pico, *_ in found if not unpriced]
    least = min((pico for pico in known if pico), default=None)
    rows = [
        LogRow(name, tier, served, None if blank else pico, pico / least if least and pico else None, why)
        for blank, pico, name, tier, served, why in sorted(found)
    ]
    span_s = max(calls.times_s) - min(calls.times_s) if calls.times_s else 0.0
    return LogCost(
        name=asked.name,
        calls=len(calls.usages),
        days=max(1, -(-int(span_s) // _DAY_S)) if calls.times_s else 0,
        input=summed.input,
        cache_read=summed.cache_read,
        cache_write=summed.cache_write_5m + summed.cache_write_1h,
        output=summed.output,
        rows=rows,
        bar_pico=max(known, default=0),
    )


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(**{bucket: sum(getattr(each, bucket) for each in usages) for bucket in BUCKETS})

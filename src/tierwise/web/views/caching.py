"""Caching and waste: what the ledger can say of money that prompt caches saved, and of money that bought
nothing.
"""

from __future__ import annotations

from fractions import Fraction

from msgspec import Struct

from tierwise.config import model_recorded
from tierwise.costing import break_even_reads, price_at
from tierwise.errors import StoreError
from tierwise.nouns import Price

from ..shown import iso, usd
from ..site import Site, now
from .ranges import Groups, Range, Ranged, Span, figures, groups_in, span_of

_WORTH_CACHING = 2000
_MOST = 100


class CacheLine(Struct, frozen=True):
    """A task at a model. `saved_pico`: reads and writes at today's prices against all of it as fresh input;
    None: a price is unknown. `break_even`: reads per write above which caching pays, None: unknown or never.
    """

    task: str
    model: str
    calls: int
    prompt: int
    cache_read: int
    cache_write: int
    share: float | None
    mean_prompt: int
    saved_pico: int | None
    could_save_pico: int | None
    break_even: float | None
    advice: str


class Caching(Struct, frozen=True):
    """Prompt caching by task and model, most prompt tokens first; `more` of them are not listed. `share` and
    `saved_pico` are of all.
    """

    span: Span
    range: Range
    lines: list[CacheLine]
    share: float | None
    saved_pico: int | None
    more: int = 0


class WasteLine(Struct, frozen=True):
    """Calls whose money bought nothing, or whose money is not known. `calls` None: too many to look at."""

    what: str
    calls: int | None
    cost_pico: int | None
    share: float | None
    why: str
    do: str
    link: str


class Waste(Struct, frozen=True):
    """What the ledger can say of waste. `spend_pico` is all spend of the span."""

    span: Span
    range: Range
    spend_pico: int
    wasted_pico: int
    lines: list[WasteLine]


def caching(site: Site, asked: Ranged) -> Caching:
    """What prompt caches did. Raises StoreError."""
    rollup = site.rollup
    span = span_of(asked.range, rollup)
    by: dict[tuple[str, str], Groups] = {}
    groups = groups_in(span, rollup)
    for slot, sums in groups:
        by.setdefault((slot.task, slot.model), []).append((slot, sums))
    lines = [_cache_line(site, task, model, found) for (task, model), found in by.items()]
    lines = sorted((line for line in lines if line.prompt), key=lambda line: -line.prompt)
    known = [line.saved_pico for line in lines if line.saved_pico is not None]
    saved, more = sum(known) if known else None, max(len(lines) - _MOST, 0)
    return Caching(span, asked.range, lines[:_MOST], figures(groups).cache_share, saved, more)


def _cache_line(site: Site, task: str, model_name: str, groups: Groups) -> CacheLine:
    sums = figures(groups)
    model = model_recorded(site.catalog, model_name)
    price = price_at(model.prices, iso(now())[:10]) if model else None
    minimum = (model.abilities.cache_minimum if model else None) or 1024
    mean = sums.prompt // sums.calls if sums.calls else 0
    could = _could_save(price, sums.input) if mean >= max(minimum, _WORTH_CACHING) else None
    even = break_even_reads(price) if price else None
    saved = _saved(price, groups)
    return CacheLine(
        task=task,
        model=model_name,
        calls=sums.calls,
        prompt=sums.prompt,
        cache_read=sums.cache_read,
        cache_write=sums.cache_write,
        share=sums.cache_share,
        mean_prompt=mean,
        saved_pico=saved,
        could_save_pico=could,
        break_even=float(even) if even is not None else None,
        advice=_advice(sums.cache_read, sums.cache_write, (mean, minimum, could, saved)),
    )


def _advice(read: int, write: int, known: tuple[int, int, int | None, int | None]) -> str:
    mean, minimum, could, saved = known
    if write and saved is not None and saved < 0:
        return (
            "Prefixes are written more often than they are read: caching costs more than it saves. "
            "Send calls that share a prefix closer together, or stop marking it."
        )
    if read:
        return "Working."
    if could:
        return (
            f"Prompts are long and nothing is cached. If most of each prompt is the same, mark it: at most "
            f"{usd(could)} of this range's fresh input would be saved."
        )
    if mean < minimum:
        short = f"Prompts average {mean:,} tokens, below the cacheable minimum of {minimum:,}."
        return f"{short} Longer ones alone can be cached: see By prefix."
    return "Nothing is cached. Mark a shared prefix if there is one."


def _saved(price: Price | None, groups: Groups) -> int | None:
    if price is None or price.input is None:
        return None
    total = Fraction(0)
    for slot, sums in groups:
        ratio = price.batch if slot.kind == "batch" else (1, 1)
        for tokens, rate in zip(
            sums[4:7], (price.cache_read, price.cache_write_5m, price.cache_write_1h), strict=True
        ):
            if tokens:
                if rate is None or ratio is None:
                    return None
                total += tokens * (price.input - rate) * Fraction(*ratio)
    return round(total)


def _could_save(price: Price | None, fresh: int) -> int | None:
    if price is None or price.input is None or price.cache_read is None:
        return None
    return fresh * (price.input - price.cache_read)


def waste(site: Site, asked: Ranged) -> Waste:
    """Money that bought nothing. Raises StoreError."""
    rollup = site.rollup
    span = span_of(asked.range, rollup)
    groups = groups_in(span, rollup)
    whole = figures(groups)
    lines = []
    for outcome, what, why, do in _OUTCOMES:
        some = figures(groups, lambda slot, outcome=outcome: slot.outcome == outcome)  # type: ignore[misc]
        part = some.spend_pico / whole.spend_pico if whole.spend_pico else None
        lines.append(
            WasteLine(what, some.calls, some.spend_pico, part, why, do, f"/requests?outcome={outcome}")
        )
    wasted = sum(line.cost_pico or 0 for line in lines)
    lines.append(
        WasteLine(
            "Unpriced calls", whole.unpriced, None, None,
            "No price is known for a bucket they used, so their cost is unknown, not zero.",
            "Add a [[price]] row for the model; `tierwise ledger reprice` prices what is past.", "",
        )
    )  # fmt: skip
    lines.append(
        WasteLine(
            "Estimated token counts", whole.estimated, None, None,
            "The provider did not report usage, or the call was cut: tokens are counted from bytes.",
            "Ask the provider for usage on streams (stream_usage = true).", "",
        )
    )  # fmt: skip
    lines.append(_cut_short(site, span, whole.spend_pico))
    return Waste(span, asked.range, whole.spend_pico, wasted, lines)


def _cut_short(site: Site, span: Span, spend_pico: int) -> WasteLine:
    """Not in the sum of what bought nothing: it is likely only, and part of an answer may serve."""
    why = "The answer took every token it was allowed: likely cut in mid-sentence."
    do = "Raise the output limit, or ask for shorter answers; `tierwise ledger report --waste` names some."
    try:
        calls, pico = site.history.cut_short(span.since_us)
    except StoreError:
        return WasteLine("Cut short", None, None, None, why, do, "")
    return WasteLine("Cut short", calls, pico, pico / spend_pico if spend_pico else None, why, do, "")


_OUTCOMES = (
    ("error", "Failed calls", "The provider answered with an error or not at all; some bill for that.",
     "Look at the errors; a tier that fails often should not come first."),
    ("truncated", "Broken streams", "The provider cut the answer after it had begun.",
     "Compare the providers' rates under Tiers and latency."),
    ("cancelled", "Cancelled by the client", "The client left early; what was made is billed.",
     "Raise client timeouts, or ask for shorter answers."),
    ("swept", "Lost in a crash", "The gateway stopped before these closed: booked at their reservation.",
     "`tierwise ledger reconcile` compares them with the provider's bill."),
)  # fmt: skip

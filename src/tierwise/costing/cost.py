"""Cost = the sum over disjoint buckets of tokens × price. Exact, in pico-dollars; what cannot be priced
says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from msgspec import Struct

from ..nouns import Price, PriceStep, Usage
from ..nouns.answer import LIST_PRICE_TIERS

BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")

_WHOLE = (1, 1)


class Cost(Struct, frozen=True):
    """`pico` in pico-dollars, None: unpriced, and `unpriced` says why in words."""

    pico: int | None
    unpriced: str = ""


def price_at(prices: Iterable[Price], day: str) -> Price | None:
    """The first of `prices` that holds on `day` (YYYY-MM-DD, UTC): `since` inclusive, `until` exclusive;
    None: none does.

    A Model lists the user's own prices first, then the price library's, then published figures, so the
    first outranks.
    """
    for price in prices:
        if (price.since is None or price.since <= day) and (price.until is None or day < price.until):
            return price
    return None


def small_call(price: Price | None) -> int | None:
    """Pico-dollars of 800 input and 50 output tokens, the support ticket of the catalog, by which tiers are
    ordered; None where that cannot be told."""
    if price is None or price.input is None or price.output is None:
        return None
    return 800 * price.input + 50 * price.output


def cost(usage: Usage, price: Price | None, batch: bool = False, service_tier: str | None = None) -> Cost:
    """What `usage` costs at `price`, pico-dollars, exactly.

    The long-context step is chosen by all prompt tokens, cached or not, and applies to the whole call.
    `batch` and `service_tier` (None: the one the usage was billed in) are exact ratios on every token
    bucket; a price may give one bucket its own under `TIER/bucket` (`flex/cache_read`, `batch/cache_read`).
    Other units (web searches …) keep their price unless they have such a ratio. Unpriced, never zero and
    never a default rate: a bucket with tokens whose price is unknown, an unknown discount, a negative count,
    and a discount that leaves a part of a pico-dollar.
    """
    if price is None:
        return Cost(None, "no price is known for this model")
    fault = _fault(usage)
    if fault:
        return Cost(None, fault)
    tier = (usage.service_tier if service_tier is None else service_tier).lower()
    tier = "" if tier in LIST_PRICE_TIERS else tier
    if batch or tier == "batch":
        if tier not in ("", "batch"):
            return Cost(None, f"no price for batch and service tier {tier!r} together in {price.id}")
        tier, ratio = "batch", price.batch
    else:
        ratio = price.service_tiers.get(tier) if tier else _WHOLE
    if ratio is None:
        return Cost(None, f"no price for {_spoken(tier)} in {price.id}")
    rates = step_at(price, usage.prompt)
    long = f">{rates.above}" if isinstance(rates, PriceStep) else ""
    total = Fraction(0)
    for bucket in BUCKETS:
        tokens = getattr(usage, bucket)
        if tokens:
            rate = getattr(rates, bucket)
            if rate is None:
                return Cost(None, f"no price for {bucket} tokens in {price.id}")
            total += Fraction(tokens * rate) * Fraction(*(_own(price, tier, bucket + long) or ratio))
    for unit, count in usage.extra.items():
        if count:
            if unit not in price.extra:
                return Cost(None, f"no price for {unit} in {price.id}")
            total += Fraction(count * price.extra[unit]) * Fraction(*(_own(price, tier, unit) or _WHOLE))
    if total.denominator != 1:
        return Cost(None, f"{_spoken(tier)} in {price.id} leaves a part of a pico-dollar")
    return Cost(total.numerator)


def step_at(price: Price, prompt_tokens: int) -> Price | PriceStep:
    """The prices of a call with this many prompt tokens: those of the highest step it is above, else the
    base ones.
    """
    found: Price | PriceStep = price
    for step in price.steps:
        if prompt_tokens > step.above:
            found = step
    return found


def _fault(usage: Usage) -> str:
    # A negative integer has its sign bit set, and `or` of the bits keeps it.
    bits = usage.input | usage.cache_read | usage.cache_write_5m | usage.cache_write_1h | usage.output
    if bits < 0 or any(count < 0 for count in usage.extra.values()):
        return "the provider reported a negative number of tokens"
    return ""


def _own(price: Price, tier: str, bucket: str) -> tuple[int, int] | None:
    return price.service_tiers.get(f"{tier}/{bucket}") if tier else None


def _spoken(tier: str) -> str:
    return "batch calls" if tier == "batch" else f"service tier {tier!r}"

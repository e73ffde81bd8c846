"""PricedModel: a Model's prices made ready, so that pricing a call takes well under a microsecond."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..nouns import Model, Outline, Price, Usage
from .bound import output_bound, upper_bound, writes_unasked
from .cost import Cost, cost, price_at

_DAY_US = 86_400_000_000
_NO_PRICE = Cost(None, "no price is known for this model")


def compile_price(price: Price | None) -> Callable[[Usage], Cost]:
    """A function that gives `cost(usage, price)` for standard calls, fast where the price has no
    long-context steps.
    """
    if price is None:
        return lambda _usage: _NO_PRICE
    known = price
    fresh, read, output = price.input, price.cache_read, price.output
    short, long = price.cache_write_5m, price.cache_write_1h
    if price.steps or fresh is None or output is None:
        return lambda usage: cost(usage, known)
    # An unknown rate stands as 0 only where its bucket is empty; otherwise the full function names it.
    rate_read, rate_short, rate_long = read or 0, short or 0, long or 0
    all_known = read is not None and short is not None and long is not None

    def fast(usage: Usage) -> Cost:
        a, r, s, w, o = (
            usage.input,
            usage.cache_read,
            usage.cache_write_5m,
            usage.cache_write_1h,
            usage.output,
        )
        if (
            usage.extra
            or usage.service_tier
            or (a | r | s | w | o) < 0
            or not (all_known or not (r or s or w))
        ):
            return cost(usage, known)
        return Cost(a * fresh + r * rate_read + s * rate_short + w * rate_long + o * output)

    return fast


class PricedModel:
    """A Model whose price of the day is looked up once a day and compiled.

    `at_us` is microseconds since 1970, UTC, in every method; the caller's clock decides which price holds.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._prices = model.prices
        self._most_output = model.abilities.max_output
        self._from_us = 0
        self._until_us = 0
        self._price: Price | None = None
        self._fast = compile_price(None)
        self._flat: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"PricedModel({self.model.name!r})"

    def price(self, at_us: int) -> Price | None:
        """The Price in force, None when none is known."""
        if not self._from_us <= at_us < self._until_us:
            self._turn(at_us)
        return self._price

    def price_id(self, at_us: int) -> str:
        """The id of the Price in force, "" when none is known."""
        price = self.price(at_us)
        return price.id if price is not None else ""

    def cost(self, usage: Usage, at_us: int, batch: bool = False, service_tier: str | None = None) -> Cost:
        """What `usage` costs, pico-dollars; see `costing.cost`."""
        if not self._from_us <= at_us < self._until_us:
            self._turn(at_us)
        if batch or service_tier is not None:
            return cost(usage, self._price, batch, service_tier)
        return self._fast(usage)

    def upper_bound(
        self, prompt_tokens: int, outline: Outline, at_us: int, default_output: int | None = None
    ) -> int:
        """Pico-dollars the call costs at most by estimate, 0 when it cannot be priced; see
        `costing.upper_bound`.
        """
        if not self._from_us <= at_us < self._until_us:
            self._turn(at_us)
        output = output_bound(outline, default_output, self._most_output)
        flat = self._flat
        if flat is not None and not outline.cache_marks and not outline.service_tier:
            return prompt_tokens * flat[0] + output * flat[1]
        return upper_bound(prompt_tokens, output, self._price, outline)

    def _turn(self, at_us: int) -> None:
        day = datetime.fromtimestamp(at_us // 1_000_000, UTC).date()
        self._price = price_at(self._prices, day.isoformat())
        self._fast = compile_price(self._price)
        # Fresh and answer rates where they are all that a plain call's bound depends on.
        price = self._price
        flat = price is not None and not price.steps and not writes_unasked(price)
        self._flat = (price.input or 0, price.output or 0) if price is not None and flat else None
        self._from_us = at_us - at_us % _DAY_US
        self._until_us = self._from_us + _DAY_US

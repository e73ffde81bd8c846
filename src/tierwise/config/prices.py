"""Which Prices a model has: the user's own over the price library's over published ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from msgspec import structs

from ..errors import ConfigError
from ..money import NotMoney, usd_per_million_to_pico, usd_to_pico
from ..nouns import Price, PriceStep, Provider, Source
from ..nouns.answer import LIST_PRICE_TIERS
from .facts import Published
from .library import Entry, library
from .rows import PriceRow
from .strict import nearest

# Other names under which the library's vendors are known.
_VENDORS = MappingProxyType(
    {
        "gemini": "google", "vertex": "google", "bedrock": "aws", "grok": "x-ai", "xai": "x-ai",
        "kimi": "moonshotai", "mistralai": "mistral", "meta-llama": "meta", "z-ai": "zai",
    }
)  # fmt: skip
_FAMILIES = (
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"^(gpt|o\d|chatgpt)"), "openai"),
    (re.compile(r"^gemini"), "google"),
)
_BY_DIALECT = MappingProxyType(
    {
        "anthropic_messages": "anthropic",
        "openai_chat": "openai",
        "openai_responses": "openai",
        "gemini": "google",
    }
)
_ABSURD_USD_PER_MILLION = 10_000
_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


def own_vendor(name: str, base_url: str) -> str | None:
    """The library's vendor that a provider is by its name or its URL, None: a place the library does not
    know.
    """
    known = library()
    named = _VENDORS.get(name.lower(), name.lower())
    return named if named in known.vendors else known.vendor_at(base_url)


def entry_of(provider: Provider, model_id: str) -> Entry | None:
    """What the price library has of `model_id` at `provider`.

    A provider the library knows is looked up there and nowhere else; any other is taken to charge the
    vendor's own price: the vendor of the id's prefix, of the model's family, or of the dialect.
    """
    known = library()
    prefix = model_id.partition("/")[0].lower()
    prefix = _VENDORS.get(prefix, prefix)
    bare = model_id.rpartition("/")[2]
    vendor = own_vendor(provider.name, provider.base_url)
    if vendor is not None:
        return known.find(vendor, model_id) or (known.find(vendor, bare) if prefix == vendor else None)
    if "/" in model_id:
        return known.find(prefix, bare) if prefix in known.vendors else None
    for pattern, family in _FAMILIES:
        if pattern.search(model_id.lower()):
            return known.find(family, model_id)
    return known.find(_BY_DIALECT[provider.dialect], model_id)


def merged(own: Sequence[Price], entry: Entry | None, figures: Published | None) -> tuple[Price, ...]:
    """All Prices of a model, the one that outranks first.

    Where the library's price lacks a cache bucket and otherwise agrees with the published one, the published
    figure fills it, and the id says so.
    """
    listed = entry.prices if entry else ()
    if figures is None:
        return (*own, *listed)
    return (*own, *(_filled(price, figures.price) for price in listed), figures.price)


def own_prices(rows: Iterable[PriceRow], name: str) -> dict[str, tuple[Price, ...]]:
    """`[[price]]` rows as Prices by the model they name. Raises ConfigError for what cannot be a price."""
    found: dict[str, list[Price]] = {}
    for number, row in enumerate(rows):
        price = _own_price(row, f"{name}: price[{number}] ({row.model})")
        for other in found.get(row.model, []):
            if _overlap(price, other):
                raise ConfigError(
                    f"{name}: two prices of {row.model} hold at the same time "
                    f"({_span(other)} and {_span(price)}).",
                    "Let the earlier one end with `until` on the day the later one begins.",
                )
        found.setdefault(row.model, []).append(price)
    return {model: tuple(prices) for model, prices in found.items()}


def _filled(price: Price, other: Price) -> Price:
    missing = {
        bucket: getattr(other, bucket)
        for bucket in _BUCKETS
        if getattr(price, bucket) is None and getattr(other, bucket) is not None
    }
    if not missing or price.steps or (price.input, price.output) != (other.input, other.output):
        return price
    return structs.replace(
        price,
        id=f"{price.id}+{other.id}",
        source=Source(
            f"{price.source.name}; {', '.join(missing)}: {other.source.name}, {other.source.date}",
            price.source.date,
        ),
        **missing,
    )


def _own_price(row: PriceRow, where: str) -> Price:
    if row.currency.upper() != "USD":
        raise ConfigError(
            f"{where}: unknown currency {row.currency!r}.", "Prices are in USD; convert it first."
        )
    since, until = _day(row.since, f"{where}.since"), _day(row.until, f"{where}.until")
    if since and until and since >= until:
        raise ConfigError(
            f"{where}: until {until} is not after since {since}.", "`until` is the first day without it."
        )
    if len({step.above for step in row.steps}) < len(row.steps) or any(step.above < 1 for step in row.steps):
        raise ConfigError(
            f"{where}.steps: `above` must be positive, and each its own.", "Write tokens of prompt."
        )
    if all(getattr(row, bucket) is None for bucket in _BUCKETS) and not row.extra:
        raise ConfigError(
            f"{where} says no price at all.", "Give at least input and output, USD per million tokens."
        )
    batch = _share(row.batch, f"{where}.batch")
    fresh, read, short, long, output = (_pico(getattr(row, b), f"{where}.{b}") for b in _BUCKETS)
    return Price(
        id=f"config:{row.model}@{since}" if since else f"config:{row.model}",
        source=Source("your configuration", since or ""),
        steps=tuple(
            PriceStep(step.above, **{b: _pico(getattr(step, b), f"{where}.steps.{b}") for b in _BUCKETS})
            for step in sorted(row.steps, key=lambda step: step.above)
        ),
        extra={unit: _unit(usd, f"{where}.extra.{unit}") for unit, usd in row.extra.items()},
        batch=batch,
        service_tiers=_tiers(row, where),
        since=since,
        until=until,
        input=fresh,
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output,
    )


def _pico(usd: Decimal | None, where: str) -> int | None:
    if usd is None:
        return None
    if not usd.is_finite() or usd < 0:
        raise ConfigError(
            f"{where} is {usd}: a price cannot be negative.", "Write USD per million tokens, 0 or more."
        )
    if usd > _ABSURD_USD_PER_MILLION:
        raise ConfigError(
            f"{where} is ${usd} per million tokens, more than ${_ABSURD_USD_PER_MILLION:,}.",
            "Write USD per million tokens, not per token or in cents.",
        )
    try:
        return usd_per_million_to_pico(usd)
    except NotMoney as error:
        raise ConfigError(f"{where}: {error}") from None


def _unit(usd: Decimal, where: str) -> int:
    if not usd.is_finite() or not 0 <= usd <= _ABSURD_USD_PER_MILLION:
        raise ConfigError(f"{where} is {usd}.", "Write USD for one unit, 0 or more.")
    try:
        return usd_to_pico(usd)
    except NotMoney as error:
        raise ConfigError(f"{where}: {error}") from None


def _share(share: Decimal | None, where: str) -> tuple[int, int] | None:
    if share is None:
        return None
    if not share.is_finite() or not 0 < share <= 1:
        raise ConfigError(
            f"{where} is {share}.", "Write the share of the price a batch call pays, such as 0.5."
        )
    exact = Fraction(share)
    return exact.numerator, exact.denominator


def _tiers(row: PriceRow, where: str) -> dict[str, tuple[int, int]]:
    """The ratio of each class of service. Raises ConfigError."""
    found: dict[str, tuple[int, int]] = {}
    for name, ratio in row.service_tiers.items():
        tier, _, bucket = name.lower().partition("/")
        at = f"{where}.service_tiers.{name}"
        if not tier or tier in LIST_PRICE_TIERS or (tier == "batch" and not bucket):
            raise ConfigError(
                f"{at}: {tier!r} is no class of its own.", "Name flex, priority or another; see batch."
            )
        if bucket and bucket not in (*_BUCKETS, *row.extra):
            raise ConfigError(f"{at}: there is no {bucket!r}.", nearest(bucket, (*_BUCKETS, *row.extra)))
        if not ratio.is_finite() or not 0 < ratio <= 100:
            raise ConfigError(f"{at} is {ratio}.", "Write what it costs of the price, such as 0.5 or 2.")
        exact = Fraction(ratio)
        found[name.lower()] = exact.numerator, exact.denominator
    return found


def _day(text: str | None, where: str) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ConfigError(f"{where} is {text!r}.", "Write a date as 2026-12-01.") from None


def _overlap(a: Price, b: Price) -> bool:
    return (a.until is None or (b.since or "") < a.until) and (b.until is None or (a.since or "") < b.until)


def _span(price: Price) -> str:
    return f"{price.since or 'always'} to {price.until or 'open'}"

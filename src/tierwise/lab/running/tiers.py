"""What can be measured: a tier or model of the configuration, a model at any URL, or recorded answers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from ...clock import now_us, rfc3339
from ...config import Settings, model_at, model_for, settings_text
from ...costing import price_at, small_call
from ...errors import SuiteError, UnknownModel
from ...http1 import Pool
from ...money import MILLION, pico_to_usd
from ...nouns import Ladder, Model, Price, Provider
from ...upstream import Deployment
from .asking import ChatTier, Knobs
from .recorded import RecordedTier
from .records import TierCard
from .replies import Answering


class Places(Struct, frozen=True):
    """Where tiers are looked for. With `base_url` every name is a model there; `settings` None: no
    configuration.
    """

    pool: Pool
    settings: Settings | None = None
    base_url: str = ""
    key: str = ""
    knobs: Knobs = Knobs()


def open_tiers(names: Sequence[str], places: Places) -> list[Answering]:
    """The tiers called so, in that order. `LABEL=` before a name calls it otherwise; `file:PATH` is recorded
    answers.

    Raises UnknownModel with the nearest names, SuiteError on two of one name.
    """
    found: list[Answering] = []
    for name in names:
        label, target = named(name)
        found.append(_open(label, target, places))
    labels = [each.card.name for each in found]
    doubled = {label for label in labels if labels.count(label) > 1}
    if doubled:
        raise SuiteError(f"Two tiers are called {min(doubled)!r}.", "Call one otherwise: LABEL=NAME.")
    return found


def named(name: str) -> tuple[str, str]:
    """(label, target) of a name as given: `cheap=vendor/model`, `haiku`, `file:answers.jsonl`."""
    label, equals, target = name.partition("=")
    if not equals:
        label, target = "", name
    label, target = label.strip(), target.strip()
    if not label and target.startswith("file:"):
        label = Path(target.removeprefix("file:")).name.partition(".")[0]
    return label or target.removeprefix("tier/"), target


def price_text(price: Price | None) -> str:
    """`1.00 in, 5.00 out USD per million (published…)`; "" when no price is known."""
    if price is None or price.input is None or price.output is None:
        return ""
    amounts = (
        f"{Decimal(pico_to_usd(rate * MILLION)).normalize():f}" for rate in (price.input, price.output)
    )
    return "{} in, {} out USD per million tokens ({})".format(*amounts, price.id)


def _open(label: str, target: str, places: Places) -> Answering:
    if target.startswith("file:"):
        return RecordedTier(label, Path(target.removeprefix("file:")))
    if places.base_url:
        return _at_url(label, target, places)
    if places.settings is None or not places.settings.catalog.providers:
        raise SuiteError(
            f"There is nobody to ask for {target!r}: no provider is configured.",
            "Set ANTHROPIC_API_KEY or another vendor's, write a tierwise.toml, or give --base-url.",
        )
    catalog = places.settings.catalog
    tier = catalog.tiers.get(target.removeprefix("tier/"))
    model = model_for(catalog, tier.model if tier else target)
    if model is None:
        names = [*catalog.tiers, *catalog.models, *catalog.aliases]
        near = difflib.get_close_matches(target, names, 3, 0.4)
        raise UnknownModel(
            f"There is no tier or model {target!r}.",
            f"Did you mean {', '.join(map(repr, near))}?" if near else f"Tiers: {', '.join(catalog.tiers)}.",
        )
    provider = catalog.providers[model.provider]
    deployment = Deployment(model, provider, places.settings.secrets.get(provider.name))
    price = _today(model)
    settings = tier.settings if tier else {}
    card = TierCard(
        label, "provider", model.name, price_text(price), target, settings=settings_text(settings)
    )
    return ChatTier(card, deployment, places.pool, places.knobs, settings)


def _at_url(label: str, target: str, places: Places) -> Answering:
    provider = Provider("base-url", "openai_chat", places.base_url)
    model = model_at(provider, target)
    known = _known_elsewhere(target, places)
    if not model.prices and known is not None:
        model = Model(model.name, model.provider, model.id, model.abilities, known.prices)
    deployment = Deployment(model, provider, places.key or None)
    card = TierCard(label, "url", target, price_text(_today(model)), target, places.base_url)
    return ChatTier(card, deployment, places.pool, places.knobs, {}, uncached=True)


def _known_elsewhere(name: str, places: Places) -> Model | None:
    """The Model our own configuration means by this name, for its price: the URL may be our gateway's."""
    if places.settings is None:
        return None
    catalog = places.settings.catalog
    tier = catalog.tiers.get(name.removeprefix("tier/"))
    return model_for(catalog, tier.model if tier else name)


def _today(model: Model) -> Price | None:
    return price_at(model.prices, rfc3339(now_us())[:10])


def ladder_order(
    names: Sequence[str], ladder: Sequence[str], prices: Mapping[str, Price | None]
) -> list[str]:
    """Tiers from cheap to dear: by the ladder where all are on it, else by the price of a small call, else as
    given.
    """
    if set(names) <= set(ladder):
        return sorted(names, key=list(ladder).index)
    known = {name: small_call(prices.get(name)) for name in names}
    if all(cost is not None for cost in known.values()):
        return sorted(names, key=lambda name: known[name] or 0)
    return list(names)


def reference_of(names: Sequence[str], ladder: Ladder, prices: Mapping[str, Price | None]) -> str:
    """The ladder's reference where all are on it and that is one of them, else the dearest. Raises SuiteError
    where some prices are unknown that would tell it.
    """
    unknown = [name for name in names if small_call(prices.get(name)) is None]
    ranked = set(names) <= set(ladder.tiers) and not ladder.guessed
    if not ranked and 0 < len(unknown) < len(names):
        raise SuiteError(
            f"No price of {unknown[0]} is known, so which tier is the dearest cannot be told.",
            "Say which to compare against: --reference NAME.",
        )
    if ranked and ladder.reference in names:
        return ladder.reference
    return ladder_order(names, ladder.tiers, prices)[-1]


def dearer_than(
    reference: str, names: Sequence[str], ladder: Sequence[str], prices: Mapping[str, Price | None]
) -> frozenset[str]:
    """The tiers known to cost more than the reference, by the ladder, else by the price of a small call."""
    if set(names) <= set(ladder):
        return frozenset(names[names.index(reference) + 1 :]) if reference in names else frozenset()
    costs = {name: small_call(prices.get(name)) for name in names}
    least = costs.get(reference)
    if least is None:
        return frozenset()
    return frozenset(name for name, cost in costs.items() if cost is not None and cost > least)

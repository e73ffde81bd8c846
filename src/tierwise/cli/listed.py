"""The models a command speaks of: those served here, and the published ones that are not; with prices
as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from ..clock import now_us, rfc3339
from ..config import VENDORS, Settings, model_at, model_for, model_of_vendor, published
from ..config.strict import nearest
from ..costing import price_at
from ..errors import UnknownModel
from ..money import MILLION
from ..nouns import Model, Price, Provider


class Listed(Struct, frozen=True):
    """A Model, whether it is served here, the tier it is here or in the published catalog, and today's
    Price.
    """

    model: Model
    served: bool
    tier: str
    price: Price | None

    @property
    def label(self) -> str:
        """How tables call it: what stands after the last `/`."""
        return self.model.name.rpartition("/")[2]


def listed_models(settings: Settings) -> list[Listed]:
    """Everything served, then the published models that nothing here serves."""
    today = rfc3339(now_us())[:10]
    tier_of = {tier.model: name for name, tier in settings.catalog.tiers.items()}
    found = [
        Listed(model, True, tier_of.get(model.name, ""), price_at(model.prices, today))
        for model in settings.catalog.models.values()
    ]
    served = {model.name.partition("/")[2] for model in settings.catalog.models.values()}
    served |= {model.name for model in settings.catalog.models.values()}
    for id_, figures in published().models.items():
        if id_ not in served and id_.partition("/")[2] not in served:
            model = model_at(_maker(id_), id_.partition("/")[2])
            found.append(Listed(model, False, figures.tier, price_at(model.prices, today)))
    return found


def tiers_of(listed: Sequence[Listed], settings: Settings) -> list[Listed]:
    """The models of the ladder, cheap to dear; of the published tiers where none is served."""
    ladder = settings.catalog.ladder.tiers
    if ladder:
        by_name = {each.model.name: each for each in listed}
        return [by_name[settings.catalog.tiers[tier].model] for tier in ladder]
    return [each for each in listed if each.tier]


def chosen(names: Sequence[str], listed: Sequence[Listed], settings: Settings) -> list[Listed]:
    """The models called `names`: tiers, model names, aliases, or published ids. Raises UnknownModel
    with the nearest.
    """
    today = rfc3339(now_us())[:10]
    found = []
    for name in names:
        match = [
            each for each in listed if name in (each.model.name, each.label, each.tier, f"tier/{each.tier}")
        ]
        model = match[0].model if match else model_for(settings.catalog, name) or _unserved(name)
        if model is None:
            known = [each.model.name for each in listed] + [each.tier for each in listed if each.tier]
            raise UnknownModel(f"There is no model {name!r}.", nearest(name, known))
        found.append(match[0] if match else Listed(model, False, "", price_at(model.prices, today)))
    return found


def ratios_of(listed: Sequence[Listed]) -> list[Fraction | None]:
    """Each one's price of a support ticket (800 input, 50 output tokens) over the least of all; None:
    unknown.
    """
    costs = [small_call(each.price) for each in listed]
    least = min((cost for cost in costs if cost), default=None)
    return [Fraction(cost, least) if cost is not None and least else None for cost in costs]


def small_call(price: Price | None) -> int | None:
    """Pico-dollars of the catalog's first workload's call, None: unknown."""
    work = published().workloads[0]
    if price is None or price.input is None or price.output is None:
        return None
    return work.input * price.input + work.output * price.output


def per_million(pico: int | None) -> str:
    """Pico-dollars a token as USD per million tokens, `unknown` for None."""
    if pico is None:
        return "unknown"
    usd = (Decimal(pico) / MILLION).normalize()
    return f"{usd:.{max(2, -int(usd.as_tuple().exponent))}f}"


def _maker(published_id: str) -> Provider:
    vendor = next(each for each in VENDORS if each.name == published_id.partition("/")[0])
    return Provider(vendor.name, vendor.dialect, vendor.base_url)


def _unserved(name: str) -> Model | None:
    """A model of a vendor that is not configured here, where its price is known."""
    model = model_of_vendor(name)
    return model if model is not None and model.prices else None

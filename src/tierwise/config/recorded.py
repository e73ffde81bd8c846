"""Recorded: the models that a ledger's rows name, as this configuration knows them today."""

from __future__ import annotations

from collections.abc import Callable

from ..costing import PricedModel
from ..nouns import Catalog, Model, Provider
from .models import model_at, model_for
from .providers import VENDORS


def model_recorded(catalog: Catalog, name: str) -> Model | None:
    """The Model of `provider/id` in a row, None when the catalog does not have it.

    One that is not there under its provider's name is a vendor's own, or is looked for by its id.
    """
    found = model_for(catalog, name)
    if found is not None:
        return found
    head, _, rest = name.partition("/")
    if head not in catalog.providers and (vendors := model_of_vendor(name)) is not None:
        return vendors
    return model_for(catalog, rest) if rest else None


def model_of_vendor(name: str) -> Model | None:
    """The Model of `vendor/id` at a vendor that need not be configured here, None for another vendor."""
    head, _, rest = name.partition("/")
    vendor = next((each for each in VENDORS if each.name == head), None)
    if vendor is None or not rest:
        return None
    return model_at(Provider(vendor.name, vendor.dialect, vendor.base_url), rest)


def prices_recorded(catalog: Catalog) -> Callable[[str], PricedModel | None]:
    """Model name in a row → its prices, each looked up once."""
    known: dict[str, PricedModel | None] = {}

    def find(name: str) -> PricedModel | None:
        if name not in known:
            model = model_recorded(catalog, name)
            known[name] = PricedModel(model) if model is not None else None
        return known[name]

    return find

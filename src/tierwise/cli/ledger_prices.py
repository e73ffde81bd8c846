"""Prices for calls already made: by a catalog, or at one model of it."""

from __future__ import annotations

from collections.abc import Callable

from ..config import Settings, prices_recorded
from ..costing import Cost, PricedModel
from ..costing.reprice import Pricer
from ..costing.settled import Settled
from .listed import chosen, listed_models


def pricer_of(settings: Settings, at_model: str | None = None) -> Pricer:
    """Prices a call by its own model in `settings`, or all by `at_model`: at the price of the call's day.

    Raises UnknownModel for an unknown `at_model`.
    """
    if at_model is not None:
        one = PricedModel(chosen([at_model], listed_models(settings), settings)[0].model)
        return lambda call: one.cost(call.usage, call.at_us, call.batch)
    find = prices_recorded(settings.catalog)
    return lambda call: cost_at(find, call, call.model)


def cost_at(find: Callable[[str], PricedModel | None], call: Settled, model: str) -> Cost:
    """What `call` would have cost at `model`; unpriced when the catalog does not have it."""
    priced = find(model)
    if priced is None:
        return Cost(None, f"{model} is not in this catalog")
    return priced.cost(call.usage, call.at_us, call.batch)

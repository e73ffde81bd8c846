"""Prices for calls already made: by a catalog, or at one model of it. Needs no credentials."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import VENDORS, Settings, load, model_at, model_for
from ..costing import Cost, PricedModel
from ..costing.reprice import Pricer
from ..costing.settled import Settled
from ..nouns import Model, Provider
from .listed import chosen, listed_models


class _Unkeyed(dict[str, str]):
    """An environment in which every credential is set: prices need none."""

    def get(self, key: str, default: Any = None) -> Any:
        place = key.startswith("TIERWISE") or key.endswith("_BASE_URL")
        return super().get(key) or (default if place else "unset")


def settings_for_prices(path: Path | None) -> Settings:
    """The Settings of `path` (None: as `serve` would find them), whether or not credentials are set."""
    return load(path, _Unkeyed(os.environ))


def models_of(settings: Settings) -> Callable[[str], PricedModel | None]:
    """A ledger's model name → its prices in `settings`, None when it is not in the catalog.

    A model that is not there under its provider's name is looked for by its id.
    """
    known: dict[str, PricedModel | None] = {}

    def find(name: str) -> PricedModel | None:
        if name not in known:
            model = _model(settings, name)
            known[name] = PricedModel(model) if model is not None else None
        return known[name]

    return find


def pricer_of(settings: Settings, at_model: str | None = None) -> Pricer:
    """Prices a call by its own model in `settings`, or all by `at_model`: at the price of the call's day.

    Raises UnknownModel for an unknown `at_model`.
    """
    if at_model is not None:
        one = PricedModel(chosen([at_model], listed_models(settings), settings)[0].model)
        return lambda call: one.cost(call.usage, call.at_us, call.batch)
    find = models_of(settings)
    return lambda call: cost_at(find, call, call.model)


def cost_at(find: Callable[[str], PricedModel | None], call: Settled, model: str) -> Cost:
    """What `call` would have cost at `model`; unpriced when the catalog does not have it."""
    priced = find(model)
    if priced is None:
        return Cost(None, f"{model} is not in this catalog")
    return priced.cost(call.usage, call.at_us, call.batch)


def _model(settings: Settings, name: str) -> Model | None:
    found = model_for(settings.catalog, name)
    if found is not None:
        return found
    head, _, rest = name.partition("/")
    vendor = next((each for each in VENDORS if each.name == head), None)
    if vendor is not None and rest and head not in settings.catalog.providers:
        return model_at(Provider(vendor.name, vendor.dialect, vendor.base_url), rest)
    return model_for(settings.catalog, rest) if rest else None

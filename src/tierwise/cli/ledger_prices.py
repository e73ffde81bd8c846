"""Prices for calls already made: by a catalog, or at one model of it. Needs no credentials."""

from __future__ import annotations

import os
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
        return super().get(key) or (default if key.startswith("TIERWISE") else "unset")


def settings_for_prices(path: Path | None) -> Settings:
    """The Settings of `path` (None: as `serve` would find them), whether or not credentials are set."""
    return load(path, _Unkeyed(os.environ))


def pricer_of(settings: Settings, at_model: str | None = None) -> Pricer:
    """Prices a call by its own model in `settings`, or all by `at_model`: at the price of the call's day.

    A model that is not in the catalog under its provider's name is looked for by its id. Raises UnknownModel
    for an unknown `at_model`.
    """
    known: dict[str, PricedModel | None] = {}
    if at_model is not None:
        one = PricedModel(chosen([at_model], listed_models(settings), settings)[0].model)
        return lambda call: one.cost(call.usage, call.at_us, call.batch)

    def price(call: Settled) -> Cost:
        if call.model not in known:
            model = _model(settings, call.model)
            known[call.model] = PricedModel(model) if model is not None else None
        priced = known[call.model]
        if priced is None:
            return Cost(None, f"{call.model} is not in this catalog")
        return priced.cost(call.usage, call.at_us, call.batch)

    return price


def _model(settings: Settings, name: str) -> Model | None:
    found = model_for(settings.catalog, name)
    if found is not None:
        return found
    head, _, rest = name.partition("/")
    vendor = next((each for each in VENDORS if each.name == head), None)
    if vendor is not None and rest and head not in settings.catalog.providers:
        return model_at(Provider(vendor.name, vendor.dialect, vendor.base_url), rest)
    return model_for(settings.catalog, rest) if rest else None

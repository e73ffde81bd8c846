"""The reports of `tierwise ledger report` that may need every call: savings and waste."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from ..config import prices_recorded
from ..costing import Cost
from ..costing.advice import short_life_s
from ..costing.savings import savings
from ..costing.settled import Only, Settled
from ..costing.waste import waste
from ..ledger import Reader
from ..ledger.spilled import spilled
from ..money import usd_text
from ..nouns import Abilities
from .ledger_prices import cost_at
from .ledger_savings import savings_json, show_savings, show_waste, waste_json
from .unkeyed import settings_for_prices

Span = tuple[int | None, int | None]


def show(reader: Reader, config: Path | None, span: Span, options: Mapping[str, Any], as_json: bool) -> None:
    """Prints `--savings`, `--waste` or both over the calls that ended within `span`."""

    def calls(only: Only) -> Iterable[Settled]:
        return reader.finished(*span, only)

    told: dict[str, Any] = {}
    if options["savings"]:
        saved = reader.savings(*span)
        if saved is None:
            saved = savings(reader.finished(*span))
        hits = reader.report("kind", *span).all
        told["savings"] = {
            **savings_json(saved),
            "response_cache": {"requests": hits.cached, "saved_pico": hits.cached_saved_pico},
        }
        if not as_json:
            show_savings(saved)
            if hits.cached:
                kept = f"{hits.cached} requests answered from it, in no other figure"
                click.echo(f"response cache: {usd_text(hits.cached_saved_pico)} saved ({kept})")
    if options["waste"]:
        find = prices_recorded(settings_for_prices(config).catalog)

        def elsewhere(call: Settled, model: str) -> Cost:
            return cost_at(find, call, model)

        def life_of(model: str) -> int:
            priced = find(model)
            return short_life_s(priced.model.abilities if priced is not None else Abilities())

        found = waste(calls, elsewhere, life_of, spilled)
        told["waste"] = waste_json(found)
        if not as_json:
            show_waste(found)
    if as_json:
        click.echo(msgspec.json.encode(told).decode())

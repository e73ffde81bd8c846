"""`tierwise models`: what can be served, what it costs and can do, what is published of it, and what
is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from ..config import Settings, published
from ..nouns import Fact, Price
from .listed import Listed, listed_models, per_million, ratios_of, tiers_of
from .models_text import print_models
from .unkeyed import settings_to_read

EXAMPLE = """\b
Examples:
  tierwise models
  tierwise models --json | python -m json.tool
"""


@click.command(epilog=EXAMPLE)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="tierwise.toml")
@click.option("--db", metavar="URL", help="Taken like every command does; not needed here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, db: str | None, as_json: bool) -> None:
    """List models with prices, abilities and published figures, each with its source; unknown is said,
    not guessed.
    """
    settings = settings_to_read(config)
    listed = listed_models(settings)
    if as_json:
        click.echo(json.dumps(as_object(listed, settings), indent=2, ensure_ascii=False))
    else:
        print_models(listed, settings)


def as_object(listed: Sequence[Listed], settings: Settings) -> dict[str, Any]:
    """Everything as JSON values. Prices in USD per million tokens as exact decimal strings; unknown is
    null.
    """
    ratios = ratios_of(listed)
    tiers = tiers_of(listed, settings)
    tier_ratios = dict(zip([each.model.name for each in tiers], ratios_of(tiers), strict=True))
    return {
        "models": [
            {
                **_model(each),
                "ratio": _number(ratio),
                "tier_ratio": _number(tier_ratios.get(each.model.name)),
            }
            for each, ratio in zip(listed, ratios, strict=True)
        ],
        "ladder": {
            "tiers": [each.tier for each in tiers],
            "reference": settings.catalog.ladder.reference or (tiers[-1].tier if tiers else None),
        },
        "notes": list(settings.notes),
    }


def _model(each: Listed) -> dict[str, Any]:
    model = each.model
    figures = published().find(model.name.partition("/")[2])
    context = figures.context if figures else None
    return {
        "name": model.name,
        "id": model.id,
        "provider": model.provider,
        "served": each.served,
        "tier": each.tier or None,
        "price": _price(each.price) if each.price else None,
        "other_prices": [_price(price) for price in model.prices if price is not each.price],
        "context": model.abilities.context,
        "published_context": _fact(context) if context else None,
        "abilities": structs.asdict(model.abilities),
        "scores": {name: _fact(fact) for name, fact in model.scores.items()},
        "speed": {name: _fact(fact) for name, fact in model.speed.items()},
        "notes": list(model.notes),
    }


def _price(price: Price) -> dict[str, Any]:
    return {
        "id": price.id,
        "source": structs.asdict(price.source),
        "since": price.since,
        "until": price.until,
        **_buckets(price),
        "steps": [{"above": step.above, **_buckets(step)} for step in price.steps],
        "batch": f"{price.batch[0]}/{price.batch[1]}" if price.batch else None,
        "extra_pico": price.extra,
    }


def _buckets(price: Any) -> dict[str, str | None]:
    buckets = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    rates = {bucket: getattr(price, bucket) for bucket in buckets}
    return {bucket: None if rate is None else per_million(rate) for bucket, rate in rates.items()}


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "value": fact.value,
        "unit": fact.unit,
        "source": fact.source.name,
        "date": fact.source.date,
        "note": fact.note or None,
    }


def _number(ratio: Fraction | None) -> float | None:
    return None if ratio is None else round(float(ratio), 4)

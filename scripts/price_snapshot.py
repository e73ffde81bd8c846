"""Writes src/tierwise/config/prices.json: a dated snapshot of the installed genai-prices, as exact decimal
strings.

.venv/bin/python scripts/price_snapshot.py writes the file .venv/bin/python scripts/price_snapshot.py --check
exit status 1 if the file is not what the library says

genai-prices (MIT, Copyright (c) Pydantic Services Inc. 2025 to present) takes 0.4 s and 25 MB to import; the
gateway reads this file instead. Its licence is kept inside the file.

One line a model: id, match (any of; a nested list means all of), context, and prices, one per period of time.
A price per million tokens stands as the library has it. `batch` and `tiers` are ratios to the standard price;
`TIER/bucket` is one bucket's own, `TIER/bucket>ABOVE` that of a long-context step. A model whose price these
words cannot hold has `why` instead of prices.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseAnd,
    ClauseOr,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

TARGET = Path(__file__).resolve().parent.parent / "src/tierwise/config/prices.json"
TAKEN_ON = "2026-11-22"
BUCKETS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
}
# Library's unit → the name Usage.extra counts it by, where stripping `_tokens` does not give it.
EXTRA_NAMES = {"web_searches": "web_search", "storage_searches": "file_search"}
UNITS = {unit["price_key"]: (key, unit["per"]) for key, unit in unit_data.items()}
# Prices that would change what an ordinary call costs, but that no bucket can hold.
UNHELD = {
    "requests_kcount": "a fee for every request",
    "output_reasoning_mtok": "reasoning tokens have a price of their own",
    "output_citation_mtok": "citation tokens have a price of their own",
}
# Ids of models that search the web of their own accord: each request, or search, has a fee. Replies over chat
# completions count none, and the library lists one for some only.
SEARCHING = re.compile(r"search-preview|search-api|\bsonar\b.*(?<!-chat)$|-online$")
UNCOUNTED = "a fee for searches that no usage counts"
# What a variant depends on → how it is named; others (regions, search types) are left out.
VARIANTS = ("processing", "service_tier", "speed")


def snapshot() -> dict[str, Any]:
    """The whole file as JSON values."""
    dist = distribution("genai-prices")
    licence = next(p for p in dist.files or () if p.name == "LICENSE")
    return {
        "library": "genai-prices",
        "version": dist.version,
        "taken": TAKEN_ON,
        "url": "https://github.com/pydantic/genai-prices",
        "licence": Path(str(licence.locate())).read_text(),
        "providers": {
            p.id: {"url": p.api_pattern, "models": [row for m in p.models for row in model_rows(m)]}
            for p in providers
        },
    }


def model_rows(model: ModelInfo) -> list[dict[str, Any]]:
    """One model's line; two where the library takes a model that searches for one that does not."""
    rules, context = alternatives(model.match), {"context": model.context_window}
    why = unheld(model)
    price = {"why": why} if why else {"prices": periods(model)}
    apart = [] if SEARCHING.search(model.id) else [rule for rule in rules if SEARCHING.search(str(rule))]
    rows = [{"id": model.id, "match": [rule for rule in rules if rule not in apart], **context, **price}]
    if apart:
        name = min(apart, key=len).partition(":")[2]
        rows.append({"id": name, "match": apart, **context, "why": UNCOUNTED})
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def alternatives(clause: Any) -> list[Any]:
    """Match rules as `kind:text` strings of which any suffices; a nested list holds rules that must
    all hold.
    """
    if isinstance(clause, ClauseOr):
        return [rule for part in clause.or_ for rule in alternatives(part)]
    if isinstance(clause, ClauseAnd):
        parts = [alternatives(part) for part in clause.and_]
        assert all(len(part) == 1 for part in parts), "an alternative inside a conjunction"
        return [[part[0] for part in parts]]
    ((kind, text),) = vars(clause).items()
    return [f"{kind}:{text}"]


def unheld(model: ModelInfo) -> str:
    """Why this model's price cannot be kept, "" if it can."""
    prices = model.prices if isinstance(model.prices, list) else []
    if any(isinstance(each.constraint, TimeOfDateConstraint) for each in prices):
        return "the price depends on the time of day"
    every = [each.prices for each in prices] or [model.prices]
    for key, why in UNHELD.items():
        if any(getattr(each, key, None) is not None for each in every):
            return why
    counted = any(each.web_searches_kcount is not None for each in every)
    return UNCOUNTED if SEARCHING.search(model.id) and not counted else ""


def periods(model: ModelInfo) -> list[dict[str, Any]]:
    """One price per stretch of time between two dates on which the price or a variant changes."""
    conditional = model.prices if isinstance(model.prices, list) else []
    constraints = [each.constraint for each in conditional]
    constraints += [each.constraint for each in model.price_variants or () if variant_name(each.when)]
    dates = sorted({c.start_date for c in constraints if isinstance(c, StartDateConstraint)})
    rows: list[dict[str, Any]] = []
    for start, end in zip([None, *dates], [*dates, None], strict=True):
        at = datetime.combine(start or date(2000, 1, 1), time(12), UTC)
        row = price_row(model.get_prices(at))
        add_variants(row, model, at)
        if rows and {**rows[-1], "since": None, "until": None} == {**row, "since": None, "until": None}:
            rows[-1]["until"] = end.isoformat() if end else None
            continue
        row["since"], row["until"] = start and start.isoformat(), end and end.isoformat()
        rows.append(row)
    return [{key: value for key, value in row.items() if value not in (None, {}, [])} for row in rows]


def price_row(price: ModelPrice) -> dict[str, Any]:
    """Base prices, long-context steps and other units of one ModelPrice."""
    values = {
        BUCKETS[key]: value for key, value in vars(price).items() if key in BUCKETS and value is not None
    }
    starts = sorted({t.start for v in values.values() if isinstance(v, TieredPrices) for t in v.tiers})
    row: dict[str, Any] = {bucket: str(at_step(value, 0)) for bucket, value in values.items()}
    row["steps"] = [
        {"above": start, **{bucket: str(at_step(value, start)) for bucket, value in values.items()}}
        for start in starts
    ]
    row["extra"] = {extra_name(key): list(extra_price(key, value)) for key, value in extras(price).items()}
    return row


def at_step(value: Decimal | TieredPrices, start: int) -> Decimal:
    """The price of a call whose prompt is just above `start` tokens (0: of the shortest)."""
    if not isinstance(value, TieredPrices):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start and start > 0]
    return reached[-1] if reached else value.base


def extras(price: ModelPrice) -> dict[str, Decimal]:
    return {
        key: value for key, value in vars(price).items() if key not in BUCKETS and isinstance(value, Decimal)
    }


def extra_name(key: str) -> str:
    unit = UNITS[key][0]
    return EXTRA_NAMES.get(unit, unit.removesuffix("_tokens"))


def extra_price(key: str, value: Decimal) -> tuple[str, int]:
    return str(value), UNITS[key][1]


def variant_name(when: dict[str, str]) -> str:
    """`batch`, `flex`, `priority`, `fast` …; "" for a variant that is left out or is the standard price."""
    ((key, value),) = when.items() if len(when) == 1 else (("", ""),)
    return value if key in VARIANTS and value != "default" else ""


def add_variants(row: dict[str, Any], model: ModelInfo, at: datetime) -> None:
    """Adds `batch` and `tiers`: ratios to the standard price of the variants in force at `at`."""
    ratios: dict[str, str] = {}
    for variant in model.price_variants or ():
        name = variant_name(variant.when)
        if not name or name in ratios or (variant.constraint and not variant.constraint.active(at)):
            continue
        found = bucket_ratios(row, price_row(model.get_prices(at, variant.when)))
        main = found.get("output") or found.get("input") or "1"
        ratios[name] = main
        # An extra unit keeps its price unless it is named, a bucket takes the main ratio unless it is named.
        units = row["extra"]
        ratios |= {f"{name}/{key}": ratio for key, ratio in found.items() if ratio != main or key in units}
    row["batch"] = ratios.pop("batch", None)
    row["tiers"] = ratios


def bucket_ratios(base: dict[str, Any], variant: dict[str, Any]) -> dict[str, str]:
    """Bucket (`bucket>ABOVE` in a long-context step, or other unit) → price over standard price as `n/d`."""
    pairs = [("", base, variant)]
    for step in base["steps"]:
        # A variant without steps has one price for prompts of any length.
        longer = [each for each in variant["steps"] if each["above"] <= step["above"]]
        pairs.append((f">{step['above']}", step, longer[-1] if longer else variant))
    found = {
        f"{bucket}{suffix}": str(Fraction(new[bucket]) / Fraction(old[bucket]))
        for suffix, old, new in pairs
        for bucket in BUCKETS.values()
        if bucket in old and Fraction(old[bucket])
    }
    for unit, (old, _) in base["extra"].items():
        new = variant["extra"][unit][0]
        if new != old and Fraction(old):
            found[unit] = str(Fraction(new) / Fraction(old))
    return found


def written(values: dict[str, Any]) -> str:
    """The file's text: one line a model, so that a new snapshot's difference can be read."""
    head = {key: value for key, value in values.items() if key != "providers"}
    lines = [json.dumps(head, indent=1)[:-2] + ',\n "providers": {']
    for number, (name, provider) in enumerate(values["providers"].items()):
        models = ",\n".join(f"   {json.dumps(model, separators=(',', ':'))}" for model in provider["models"])
        comma = "," if number < len(values["providers"]) - 1 else ""
        lines.append(
            f'  {json.dumps(name)}: {{"url": {json.dumps(provider["url"])}, "models": [\n{models}]}}{comma}'
        )
    return "\n".join([*lines, " }\n}\n"])


def main() -> int:
    """Writes or checks the file; exit status."""
    values = snapshot()
    text = written(values)
    assert json.loads(text) == values, "the file would not read back"
    if "--check" in sys.argv[1:]:
        same = TARGET.exists() and TARGET.read_text() == text
        print(f"{TARGET.name}: {'as the library says' if same else 'differs from the library'}")
        return not same
    TARGET.write_text(text)
    models = sum(len(provider["models"]) for provider in values["providers"].values())
    print(
        f"{TARGET.name}: {models} models of {values['library']} {values['version']}, {len(text) // 1024} KB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

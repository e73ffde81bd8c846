"""The price library's snapshot against the installed library: the same ids, models and costs."""

from __future__ import annotations

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tierwise.config import library
from tierwise.costing import cost, price_at
from tierwise.nouns import Usage

ROOT = Path(__file__).parents[2]
TODAY = "2026-11-22"
installed = pytest.mark.skipif(
    importlib.util.find_spec("genai_prices") is None, reason="genai-prices is a development dependency"
)


@installed
def test_the_snapshot_is_what_the_installed_library_says() -> None:
    spec = importlib.util.spec_from_file_location("price_snapshot", ROOT / "scripts/price_snapshot.py")
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.snapshot() == json.loads(script.TARGET.read_text())


@installed
def test_every_id_the_library_lists_means_the_same_model() -> None:
    from genai_prices.data import providers

    known = library()
    for provider in providers:
        for model_id in known.ids(provider.id):
            theirs, ours = provider.find_model(model_id), known.find(provider.id, model_id)
            if ours and ours.why and theirs and theirs.id != model_id:
                continue  # a model that searches, which the library takes for the one that does not
            assert (provider.id, ours and ours.id) == (provider.id, theirs and theirs.id)


@installed
@pytest.mark.parametrize(
    ("vendor", "model_id"),
    [
        ("anthropic", "claude-opus-4-7"),
        ("anthropic", "claude-haiku-5-5"),
        ("anthropic", "claude-fable-5-1"),
        ("openai", "gpt-5.4"),
        ("openai", "gpt-4o"),
        ("openai", "gpt-5.6-sol"),
        ("google", "gemini-2.5-pro"),
        ("mistral", "mistral-large-4"),
        ("openrouter", "anthropic/claude-haiku-5.5"),
    ],
)
@pytest.mark.parametrize(
    "context", [{}, {"processing": "batch"}, {"service_tier": "flex"}, {"service_tier": "priority"}]
)
@pytest.mark.parametrize("prompt", [1_000, 150_000, 300_000])
def test_a_call_costs_what_the_library_says(
    vendor: str, model_id: str, context: dict[str, str], prompt: int
) -> None:
    from datetime import UTC, datetime

    from genai_prices import Usage as TheirUsage
    from genai_prices.data import providers

    provider = next(each for each in providers if each.id == vendor)
    model = provider.find_model(model_id)
    entry = library().find(vendor, model_id)
    assert model is not None
    assert entry is not None
    price = price_at(entry.prices, TODAY)
    assert price is not None
    (tier,) = context.values() or ("",)
    ours = cost(Usage(input=prompt, cache_read=500, output=70), price, service_tier=tier)
    if context and tier not in (price.service_tiers | ({"batch": ()} if price.batch else {})):
        assert ours.pico is None
        return
    theirs = model.calc_price(
        TheirUsage(input_tokens=prompt + 500, cache_read_tokens=500, output_tokens=70),
        provider,
        genai_request_timestamp=datetime(2026, 11, 22, tzinfo=UTC),
        price_context=context or None,
    )
    if ours.pico is None:
        assert "cache_read" in ours.unpriced
    else:
        assert Decimal(ours.pico).scaleb(-12) == theirs.total_price

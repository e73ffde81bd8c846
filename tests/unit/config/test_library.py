"""The price library's snapshot: the same prices as the library, and no model taken for another."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

import tierwise.config
from tierwise.config import library


@pytest.mark.parametrize(
    ("model_id", "means"),
    [
        ("claude-haiku-4", None),
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4.5", "claude-haiku-4-5"),
        ("CLAUDE-OPUS-4-7", "claude-opus-4-7"),
        ("claude-opus-4-10", None),
        ("claude-opus-4-71", None),
        ("claude-opus-4.7.1", None),
        ("claude-opus-4-7-fast", None),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-fable-5-9", None),
    ],
)
def test_an_id_is_never_taken_for_another_model(model_id: str, means: str | None) -> None:
    found = library().find("anthropic", model_id)
    assert (found.id if found else None) == means


def test_a_price_that_is_no_whole_number_of_pico_dollars_is_unknown() -> None:
    raw = {
        "library": "x",
        "version": "1",
        "taken": "2026-11-22",
        "providers": {
            "v": {
                "url": "^$",
                "models": [
                    {
                        "id": "m",
                        "match": ["equals:m"],
                        "prices": [{"input": "1", "cache_write": "0.08333333333333334"}],
                    }
                ],
            }
        },
    }
    found = type(library())(json.dumps(raw).encode()).find("v", "m")
    assert found is not None
    assert found.prices[0].input == 1_000_000
    assert found.prices[0].cache_write_5m is None


def test_a_price_that_depends_on_the_hour_is_not_kept_and_says_why() -> None:
    found = library().find("deepseek", "deepseek-chat")
    assert found is not None
    assert found.prices == ()
    assert "time of day" in found.why


@pytest.mark.parametrize(
    ("vendor", "model_id"),
    [
        ("openai", "gpt-4o-search-preview"),
        ("openai", "gpt-4o-mini-search-preview-2025-03-11"),
        ("openai", "gpt-5-search-api"),
        ("openrouter", "openai/gpt-4o-mini-search-preview"),
        ("openrouter", "perplexity/sonar"),
        ("openrouter", "perplexity/sonar-pro-search"),
        ("perplexity", "sonar-pro"),
        ("perplexity", "sonar-pro-search"),
    ],
)
def test_a_model_whose_searches_nobody_counts_is_not_priced_by_its_tokens(vendor: str, model_id: str) -> None:
    found = library().find(vendor, model_id)
    assert found is not None
    assert found.prices == ()
    assert "fee" in found.why


def test_a_model_beside_one_that_searches_keeps_its_price() -> None:
    for vendor, model_id in (("openai", "gpt-4o-mini"), ("perplexity", "perplexity/sonar")):
        found = library().find(vendor, model_id)
        assert found is not None
        assert found.prices


def test_dated_changes_become_prices_with_days() -> None:
    for entry in (library().find("openrouter", "~anthropic/claude-haiku-latest"),):
        assert entry is not None
        assert [(p.since, p.until) for p in entry.prices] == [(None, "2026-10-07"), ("2026-10-07", None)]
        assert [p.input for p in entry.prices] == [1_000_000, 100_000]


def test_ids_of_prices_are_stable_and_say_where_they_are_from() -> None:
    found = library().find("anthropic", "claude-opus-4.7")
    assert found is not None
    assert [price.id for price in found.prices] == [
        "genai-prices@0.2.3:anthropic/claude-opus-4-7",
        "genai-prices@0.2.3:anthropic/claude-opus-4-7@2026-10-14",
    ]


def test_the_librarys_licence_is_kept() -> None:
    text = json.loads((files(tierwise.config) / "prices.json").read_text())
    assert "The MIT License" in text["licence"]
    assert "Pydantic Services" in text["licence"]

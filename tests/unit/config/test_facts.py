"""Every figure of the published catalog, with its source, and how it lies under the price library."""

from __future__ import annotations

import pytest

from tierwise.config import family_of, load, model_for, published
from tierwise.config.models import Own, model_at
from tierwise.costing import price_at
from tierwise.money import usd_per_million_to_pico
from tierwise.nouns import DialectName, Price, Provider

TODAY = "2026-11-22"
PRICES = [
    ("anthropic/claude-haiku-4", "1.00", "5.00", "1.25", "2.00", "0.10"),
    ("anthropic/claude-sonnet-4.6", "3.00", "15.00", "3.75", "6.00", "0.30"),
    ("anthropic/claude-opus-4.7", "5.00", "25.00", "6.25", "10.00", "0.50"),
    ("openai/gpt-5.4", "2.00", "8.00", None, None, None),
    ("google/gemini-3.1-flash-lite", "0.25", "1.50", None, None, None),
]
BENCHMARKS = [
    ("MMLU", 78.2, 85.1, 88.9, -10.7),
    ("HumanEval", 72.5, 79.6, 87.6, -15.1),
    ("GSM8K", 85.3, 92.1, 95.4, -10.1),
    ("MMMU", 62.1, 71.4, 98.5, -36.4),
    ("HellaSwag", 89.4, 91.2, 93.1, -3.7),
]
SPEED = [("ttft_ms", 120, 280, 450), ("tokens_per_s", 85, 52, 28), ("p99_ms_1k", 1800, 3200, 6100)]
TIERS = ("anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7")


def buckets(price: Price) -> tuple[int | None, ...]:
    return (price.input, price.output, price.cache_write_5m, price.cache_write_1h, price.cache_read)


@pytest.mark.parametrize("row", PRICES, ids=[row[0] for row in PRICES])
def test_published_prices(row: tuple[str, ...]) -> None:
    price = published().models[row[0]].price
    assert buckets(price) == tuple(None if usd is None else usd_per_million_to_pico(usd) for usd in row[1:])
    assert price.batch == (1, 2)
    assert price.id == f"published:{row[0]}@2026-04"
    assert "ofox.ai" in price.source.name
    assert price.source.date == "2026-04"


def test_the_columns_follow_their_rules() -> None:
    for name in TIERS:
        price = published().models[name].price
        assert price.input is not None
        assert price.cache_write_5m == price.input * 5 // 4
        assert price.cache_write_1h == price.input * 2
        assert price.cache_read == price.input // 10


@pytest.mark.parametrize(("name", "haiku", "sonnet", "opus", "gap"), BENCHMARKS)
def test_published_scores(name: str, haiku: float, sonnet: float, opus: float, gap: float) -> None:
    facts = [published().models[tier].scores[name] for tier in TIERS]
    assert [fact.value for fact in facts] == [haiku, sonnet, opus]
    assert round(haiku - opus, 1) == gap
    assert all(fact.source.date == "2026-04" and fact.unit == "%" for fact in facts)


@pytest.mark.parametrize(("name", "haiku", "sonnet", "opus"), SPEED)
def test_published_speed(name: str, haiku: int, sonnet: int, opus: int) -> None:
    assert [published().models[tier].speed[name].value for tier in TIERS] == [haiku, sonnet, opus]


def test_the_two_facts_arithmetic_disagrees_with_are_marked() -> None:
    models = published().models
    for tier in TIERS:
        speed = models[tier].speed
        assert speed["p99_ms_1k"].note.startswith("inconsistent")
        assert speed["tokens_per_s"].note.startswith("inconsistent")
        assert not speed["ttft_ms"].note
    assert "11.9 s" in models[TIERS[0]].speed["p99_ms_1k"].note
    marked = [name for tier in TIERS for name, fact in models[tier].scores.items() if fact.note]
    assert marked == ["MMMU"]
    assert models[TIERS[2]].scores["MMMU"].note.startswith("unusual")


def test_contexts_workloads_and_claims() -> None:
    facts = published()
    for tier in TIERS:
        context = facts.models[tier].context
        assert context is not None
        assert context.value == 200_000
    assert [(w.calls_per_day, w.input, w.output) for w in facts.workloads] == [
        (500, 800, 50),
        (1000, 2000, 200),
    ]
    assert facts.claims["cache_saving"].value == 0.49
    assert facts.claims["latency_hours"].value == 4.5


@pytest.mark.parametrize("row", PRICES[:3], ids=[row[0] for row in PRICES[:3]])
@pytest.mark.parametrize(
    "environ",
    [
        {"ANTHROPIC_API_KEY": "k"},
        {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"},
        {"OPENROUTER_API_KEY": "k"},
        {"OFOX_API_KEY": "k"},
    ],
    ids=["anthropic", "elsewhere", "openrouter", "ofox"],
)
def test_the_three_tiers_cost_the_tables_prices_wherever_they_are_served(
    row: tuple[str, ...], environ: dict[str, str]
) -> None:
    catalog = load(None, environ).catalog
    model = model_for(catalog, row[0])
    assert model is not None
    price = price_at(model.prices, TODAY)
    assert price is not None
    assert buckets(price) == tuple(usd_per_million_to_pico(usd) for usd in row[1:])


def test_where_the_library_has_the_model_it_bills_and_the_published_figure_stays() -> None:
    model = model_for(load(None, {"OPENAI_API_KEY": "k"}).catalog, "openai/gpt-5.4")
    assert model is not None
    billed = price_at(model.prices, TODAY)
    assert billed is not None
    assert billed.source.name == "genai-prices 0.2.3"
    assert (billed.input, billed.output) == (2_500_000, 15_000_000)
    assert [step.above for step in billed.steps] == [272_000]
    assert model.prices[-1] is published().models["openai/gpt-5.4"].price


@pytest.mark.parametrize(
    ("model_id", "least"),
    [
        ("claude-haiku-4-5", 4096),
        ("claude-opus-4.5", 4096),
        ("anthropic/claude-opus-4.6", 4096),
        ("claude-opus-4-7", 2048),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-sonnet-4.6", 1024),
        ("claude-sonnet-5", 1024),
        ("claude-opus-4-8", 1024),
        ("claude-opus-5", 512),
        ("claude-haiku-5-5", 512),
        ("claude-opus-5-5", 512),
        ("claude-sonnet-5.5", 512),
        ("claude-fable-5-1", 512),
        ("gpt-5.6-sol", 1024),
        ("gpt-6-astra", 1024),
        ("gpt-5.4", 1024),
    ],
)
def test_least_cacheable_prefixes(model_id: str, least: int) -> None:
    family = family_of(model_id)
    assert family is not None
    assert family.abilities.cache_minimum == least
    assert family.sources


def test_what_is_written_at_openai_lasts_for_half_an_hour() -> None:
    lasts = {id_: family_of(id_).abilities.cache_lifetime_s for id_ in ("gpt-6-astra", "claude-opus-5")}
    assert lasts == {"gpt-6-astra": 1800, "claude-opus-5": None}


@pytest.mark.parametrize("model_id", ["claude-opus-5-5", "claude-sonnet-5.5", "claude-fable-5-1"])
def test_the_strict_models_of_2026(model_id: str) -> None:
    family = family_of(model_id)
    assert family is not None
    able = family.abilities
    assert (able.forced_tools, able.sampling, able.prefill) == (False, False, False)
    assert able.thinking == ("adaptive",)  # it cannot be turned off


@pytest.mark.parametrize("name", ["opus-5", "opus-5-5", "sonnet-5", "sonnet-5-5", "haiku-5-5", "fable-5-1"])
def test_what_the_models_since_summer_2026_hold(name: str) -> None:
    family = family_of(f"claude-{name}")
    assert family is not None
    assert (family.abilities.context, family.abilities.max_output) == (1_000_000, 128_000)


def test_haiku_5_5_is_looser_and_unknown_stays_unknown() -> None:
    family = family_of("claude-haiku-5-5")
    assert family is not None
    able = family.abilities
    assert (able.forced_tools, able.sampling, able.prefill) == (None, False, False)
    assert able.thinking == ("adaptive", "disabled")
    assert family_of("some-local-model") is None
    haiku = family_of("anthropic/claude-haiku-4")
    assert haiku is not None
    assert (haiku.abilities.vision, haiku.abilities.tools, haiku.abilities.prompt_cache) == (True, True, True)
    assert haiku.abilities.documents is None


@pytest.mark.parametrize(
    ("url", "dialect", "model_id", "taken"),
    [
        ("https://api.openai.com/v1", "openai_chat", "gpt-6-astra", False),
        ("https://api.openai.com/v1", "openai_chat", "gpt-6.1-sol-2026-10-26", False),
        ("https://there.openai.azure.com/openai/v1", "openai_chat", "gpt-6.2", False),
        ("https://api.openai.com/v1", "openai_chat", "gpt-6-sol", None),
        ("https://api.openai.com/v1", "openai_responses", "gpt-6-astra", None),
        ("https://openrouter.ai/api/v1", "openai_chat", "openai/gpt-6-astra", None),
        ("https://reseller.example/v1", "openai_chat", "gpt-6-astra", None),  # which may ask over responses
    ],
)
def test_who_takes_tools_over_chat_completions(
    url: str, dialect: DialectName, model_id: str, taken: bool | None
) -> None:
    provider = Provider("there", dialect, url)
    assert model_at(provider, model_id).abilities.chat_tools is taken
    for stated in (True, False):
        own = Own(abilities={model_id: {"chat_tools": stated}})
        found = model_at(provider, model_id, own).abilities.chat_tools
        assert found is (stated if stated or dialect == "openai_chat" else None)

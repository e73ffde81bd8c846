"""Cost: exact, additive, and unpriced where a price is unknown."""

from __future__ import annotations

import pytest
from msgspec import structs

from tierwise.costing import PricedModel, compile_price, cost, price_at
from tierwise.costing.cost import BUCKETS
from tierwise.nouns import Model, Price, PriceStep, Source, Usage

SOURCE = Source("test", "2026-11-22")
HAIKU = Price(
    "haiku", SOURCE, input=1_000_000, cache_read=100_000, cache_write_5m=1_250_000, cache_write_1h=2_000_000,
    output=5_000_000,
)  # fmt: skip
LONG = Price(
    "long", SOURCE, input=100_000, cache_read=10_000, output=500_000,
    steps=(PriceStep(100_000, input=500_000, cache_read=50_000, output=2_500_000),),
)  # fmt: skip
DAY_US = 86_400_000_000


def at_us(day: str) -> int:
    from datetime import UTC, datetime

    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def test_a_support_ticket_costs_1050_micro_dollars() -> None:
    assert cost(Usage(input=800, output=50), HAIKU).pico == 1_050_000_000


def test_every_bucket_is_charged_at_its_own_price_once() -> None:
    usage = Usage(input=20, cache_read=5000, cache_write_5m=300, cache_write_1h=7, output=50, reasoning=40)
    expected = 20 * 10**6 + 5000 * 10**5 + 300 * 1_250_000 + 7 * 2 * 10**6 + 50 * 5 * 10**6
    assert cost(usage, HAIKU).pico == expected


def test_reasoning_is_a_part_of_output_and_not_charged_again() -> None:
    assert cost(Usage(output=50, reasoning=50), HAIKU) == cost(Usage(output=50), HAIKU)


def test_no_usage_costs_nothing_and_is_not_unpriced() -> None:
    assert cost(Usage(), HAIKU).pico == 0


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (Usage(input=1, cache_write_5m=1), "cache_write_5m"),
        (Usage(input=1, cache_write_1h=1), "cache_write_1h"),
        (Usage(input=1, extra={"web_search": 1}), "web_search"),
        (Usage(input=-1), "negative"),
        (Usage(input=1, extra={"web_search": -1}), "negative"),
        (Usage(input=1, service_tier="flex"), "'flex'"),
    ],
)
def test_what_cannot_be_priced_says_why(usage: Usage, words: str) -> None:
    flat = structs.replace(LONG, steps=())
    for found in (cost(usage, LONG), compile_price(LONG)(usage), compile_price(flat)(usage)):
        assert found.pico is None
        assert words in found.unpriced


@pytest.mark.parametrize("bucket", BUCKETS)
def test_one_unknown_rate_leaves_the_calls_that_need_it_unpriced(bucket: str) -> None:
    price = structs.replace(HAIKU, **{bucket: None})
    every = Usage(1, 1, 1, 1, 1)
    for charge in (compile_price(price), lambda usage: cost(usage, price)):
        assert charge(every).unpriced == f"no price for {bucket} tokens in haiku"
        assert charge(structs.replace(every, **{bucket: 0})).pico is not None


def test_an_unknown_price_is_unpriced_not_zero() -> None:
    found = cost(Usage(input=1), None)
    assert found.pico is None
    assert found.unpriced


def test_an_empty_bucket_needs_no_price() -> None:
    only_input = Price("x", SOURCE, input=3)
    assert cost(Usage(input=2), only_input).pico == 6
    assert compile_price(only_input)(Usage(input=2)).pico == 6


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        (Usage(input=100_000, output=1), 100_000 * 100_000 + 500_000),
        (Usage(input=100_001, output=1), 100_001 * 500_000 + 2_500_000),
        (Usage(input=1, cache_read=100_000), 500_000 + 100_000 * 50_000),
    ],
    ids=["at the threshold", "above it the whole call", "cached tokens count towards it"],
)
def test_long_context_steps_go_by_the_whole_prompt(usage: Usage, pico: int) -> None:
    assert cost(usage, LONG).pico == pico
    assert compile_price(LONG)(usage).pico == pico


def test_batch_halves_every_bucket() -> None:
    usage = Usage(input=10, cache_read=10, cache_write_5m=10, cache_write_1h=10, output=10)
    whole, half = cost(usage, HAIKU).pico, cost(usage, HAIKU, batch=True).pico
    assert whole is not None
    assert half is not None
    assert half * 2 == whole
    assert cost(usage, HAIKU, service_tier="batch").pico == cost(usage, HAIKU, True, "batch").pico == half
    assert "together" in cost(usage, HAIKU, batch=True, service_tier="flex").unpriced


def test_a_discount_nobody_knows_is_unpriced() -> None:
    no_batch = Price("x", SOURCE, input=2, output=2, batch=None)
    assert "batch" in cost(Usage(input=1), no_batch, batch=True).unpriced
    assert "'flex'" in cost(Usage(input=1), no_batch, service_tier="flex").unpriced
    priced = PricedModel(Model("a/b", "a", "b", prices=(no_batch,)))
    assert "'flex'" in priced.cost(Usage(input=1), 0, service_tier="flex").unpriced


def test_a_discount_that_leaves_part_of_a_pico_dollar_is_unpriced() -> None:
    odd = Price("x", SOURCE, input=3)
    assert "part of a pico-dollar" in cost(Usage(input=1), odd, batch=True).unpriced
    assert cost(Usage(input=2), odd, batch=True).pico == 3


def test_service_tiers_have_their_ratio_and_a_bucket_its_own() -> None:
    price = Price(
        "x", SOURCE, input=100, cache_read=100, output=100, extra={"web_search": 7},
        service_tiers={"flex": (1, 2), "flex/cache_read": (13, 25)},
    )  # fmt: skip
    usage = Usage(input=1, cache_read=1, output=1, extra={"web_search": 1})
    assert cost(usage, price, service_tier="flex").pico == 50 + 52 + 50 + 7
    assert cost(usage, price, service_tier="default").pico == 307
    assert cost(usage, price, service_tier="Standard").pico == 307


def test_a_step_has_its_own_ratio() -> None:
    price = Price(
        "x", SOURCE, input=100, steps=(PriceStep(10, input=200),),
        service_tiers={"priority": (2, 1), "priority/input>10": (1, 1)},
    )  # fmt: skip
    assert cost(Usage(input=10), price, service_tier="priority").pico == 2000
    assert cost(Usage(input=11), price, service_tier="priority").pico == 2200


def test_the_first_price_that_holds_on_the_day_is_taken() -> None:
    own = Price("own", SOURCE, input=1, since="2026-12-01", until="2027-01-01")
    listed = Price("listed", SOURCE, input=2)
    for day, id_ in (
        ("2026-11-30", "listed"),
        ("2026-12-01", "own"),
        ("2026-12-31", "own"),
        ("2027-01-01", "listed"),
    ):
        found = price_at((own, listed), day)
        assert found is not None
        assert found.id == id_
    assert price_at((own,), "2026-11-30") is None


def test_a_priced_model_turns_its_price_at_midnight_utc() -> None:
    old = Price("old", SOURCE, input=1, until="2026-12-01")
    new = Price("new", SOURCE, input=2, since="2026-12-01")
    priced = PricedModel(Model("a/b", "a", "b", prices=(new, old)))
    midnight = at_us("2026-12-01")
    assert priced.cost(Usage(input=1), midnight - 1).pico == 1
    assert priced.cost(Usage(input=1), midnight).pico == 2
    assert priced.price_id(midnight - DAY_US) == "old"
    assert priced.price_id(midnight) == "new"
    assert priced.cost(Usage(input=1), midnight + 400 * DAY_US).pico == 2
    assert priced.cost(Usage(input=2), midnight, batch=True).pico == 2


def test_a_model_without_a_price_has_no_price_id_and_is_unpriced() -> None:
    priced = PricedModel(Model("a/b", "a", "b"))
    assert priced.price_id(0) == ""
    assert priced.cost(Usage(input=1), 0).pico is None

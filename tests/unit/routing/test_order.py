"""Estimates for ordering: prices of the day, long-context steps, unknown stays unknown."""

import pytest

from tierwise.nouns import Price, PriceStep, Source
from tierwise.routing import estimated_pico, expected_output
from tierwise.routing.table import price_on

SOURCE = Source("test", "2026-04-01")


def test_an_estimate_is_tokens_times_price():
    price = Price("p", SOURCE, input=10**6, output=5 * 10**6)
    assert estimated_pico(price, 800, 50) == 800 * 10**6 + 50 * 5 * 10**6


def test_a_long_prompt_is_wholly_at_the_steps_price():
    steps = (PriceStep(1000, input=3, output=7), PriceStep(2000, input=5, output=9))
    price = Price("p", SOURCE, input=1, output=2, steps=steps)
    assert estimated_pico(price, 1000, 10) == 1000 + 20
    assert estimated_pico(price, 1001, 10) == 3003 + 70
    assert estimated_pico(price, 2001, 10) == 10005 + 90


@pytest.mark.parametrize("price", [None, Price("p", SOURCE, input=1), Price("p", SOURCE, output=1)])
def test_an_unknown_price_is_none_and_never_zero(price):
    assert estimated_pico(price, 1, 1) is None


def test_expected_output_never_exceeds_what_was_asked():
    assert [expected_output(*each) for each in [(None, None), (None, 80), (16, None), (16, 80), (0, 80)]] == [
        500, 80, 16, 16, 0,
    ]  # fmt: skip


def test_the_price_of_the_day():
    old = Price("old", SOURCE, since="2026-01-01", until="2026-06-01")
    new = Price("new", SOURCE, since="2026-06-01")
    for prices in ((old, new), (new, old)):
        assert price_on(prices, "2026-05-31") is old
        assert price_on(prices, "2026-06-01") is new
        assert price_on(prices, "2025-12-31") is None
        assert price_on(prices, None) is new
    assert price_on((), None) is None

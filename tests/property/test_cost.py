"""Cost is additive, and a compiled price says what the formula says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tierwise.costing import compile_price, cost
from tierwise.nouns import Price, PriceStep, Source, Usage

SOURCE = Source("test", "2026-11-22")
HAIKU = Price(
    "haiku", SOURCE, input=1_000_000, cache_read=100_000, cache_write_5m=1_250_000, cache_write_1h=2_000_000,
    output=5_000_000,
)  # fmt: skip
counts = st.integers(0, 10**7)
usages = st.builds(
    Usage, input=counts, cache_read=counts, cache_write_5m=counts, cache_write_1h=counts, output=counts
)


@given(usages, usages)
def test_cost_is_additive_where_there_are_no_steps(a: Usage, b: Usage) -> None:
    both = Usage(
        a.input + b.input, a.cache_read + b.cache_read, a.cache_write_5m + b.cache_write_5m,
        a.cache_write_1h + b.cache_write_1h, a.output + b.output,
    )  # fmt: skip
    apart = [cost(each, HAIKU).pico for each in (a, b)]
    assert cost(both, HAIKU).pico == sum(pico for pico in apart if pico is not None)


prices = st.builds(
    Price, id=st.just("p"), source=st.just(SOURCE), input=st.none() | counts, cache_read=st.none() | counts,
    cache_write_5m=st.none() | counts, cache_write_1h=st.none() | counts, output=st.none() | counts,
    steps=st.just(()) | st.just((PriceStep(1000, 1, 2, 3, 4, 5),)),
)  # fmt: skip


@given(usages, prices)
def test_the_compiled_price_says_what_the_formula_says(usage: Usage, price: Price) -> None:
    assert compile_price(price)(usage) == cost(usage, price)

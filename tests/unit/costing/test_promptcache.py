"""The prompt cache's arithmetic, against the published figures."""

from __future__ import annotations

from fractions import Fraction

import pytest
from msgspec import structs

from tierwise.config import published
from tierwise.costing import (
    break_even_reads,
    cache_return,
    hit_rate_needed,
    hits_in_log,
    poisson_hit_rate,
)
from tierwise.nouns import Price, PriceStep, Source

HAIKU = published().models["anthropic/claude-haiku-4"].price


def test_one_write_and_999_reads_save_89_9_percent() -> None:
    back = cache_return(HAIKU, 5000, 1000, 999)
    assert back is not None
    assert back.uncached_pico == 5 * 10**12
    assert back.cached_pico == 505_750_000_000
    assert back.saved == Fraction(89885, 100_000)
    assert f"{float(back.saved):.1%}" == "89.9%"


def test_the_sources_49_percent_is_a_hit_rate_of_64_3() -> None:
    needed = hit_rate_needed(HAIKU, Fraction(49, 100))
    assert needed is not None
    assert round(float(needed), 3) == 0.643
    back = cache_return(HAIKU, 5000, 1000, 643)
    assert back is not None
    assert round(float(1 - back.saved), 2) == 0.51
    assert back.cached_pico == 5000 * (643 * 100_000 + 357 * 1_250_000)


def test_80_percent_of_a_20k_prefix_needs_about_91_percent_hits() -> None:
    needed = hit_rate_needed(HAIKU, Fraction(4, 5))
    assert needed is not None
    assert round(float(needed), 2) == 0.91
    back = cache_return(HAIKU, 20_000, 100_000, 99_000)
    assert back is not None
    assert float(back.saved) == pytest.approx(0.89, abs=0.01)


def test_break_even_reads() -> None:
    assert break_even_reads(HAIKU, "5m") == Fraction(25, 90)
    assert break_even_reads(HAIKU, "1h") == Fraction(10, 9)
    at = break_even_reads(HAIKU, "5m")
    assert at is not None
    share = at / (1 + at)
    back = cache_return(HAIKU, 1, share.denominator, share.numerator)
    assert back is not None
    assert back.saved == 0


def test_poisson_hit_rate() -> None:
    assert poisson_hit_rate(0, "5m") == 0
    assert poisson_hit_rate(0.2, "5m") == pytest.approx(1 - 1 / 2.718281828459045)
    assert poisson_hit_rate(1, "1h") == pytest.approx(1.0)


def test_hits_of_a_log_go_by_the_gap_to_the_one_before() -> None:
    assert hits_in_log([0, 300, 601, 602], "5m") == 2
    assert hits_in_log([602, 0, 601, 300], "5m") == 2
    assert hits_in_log([0, 300, 601, 602], "1h") == 3
    assert hits_in_log([], "5m") == 0


def test_unknown_cache_prices_give_nothing_rather_than_zero() -> None:
    price = Price("p", Source("test", "2026-11-22"), input=10, output=10)
    assert cache_return(price, 10, 10, 9) is None
    assert break_even_reads(price) is None
    assert hit_rate_needed(price, Fraction(1, 2)) is None
    assert cache_return(HAIKU, 5000, 0, 0) is None
    for bucket in ("input", "cache_read", "cache_write_5m"):
        assert break_even_reads(structs.replace(HAIKU, **{bucket: None})) is None
    assert break_even_reads(structs.replace(HAIKU, cache_read=HAIKU.input)) is None  # reads save nothing


def test_the_prompt_decides_the_step_and_the_prefix_is_counted() -> None:
    step = PriceStep(100_000, 5_000_000, 500_000, 6_250_000, 12_500_000, 25_000_000)
    price = structs.replace(HAIKU, steps=(step,))
    back = cache_return(price, 90_000, 7, 4, "5m", beside=20_000)
    assert back is not None
    assert (back.uncached_pico, back.cached_pico) == (
        7 * 90_000 * 5_000_000, 90_000 * (4 * 500_000 + 3 * 6_250_000),
    )  # fmt: skip
    assert cache_return(price, 90_000, 7, 4) == cache_return(HAIKU, 90_000, 7, 4)
    assert break_even_reads(price, "1h", 110_000) == Fraction(75, 45)
    assert hit_rate_needed(price, Fraction(4, 5), "1h", 110_000) == Fraction(115, 120)


def test_no_hit_rate_saves_more_than_reading_does() -> None:
    dear = structs.replace(HAIKU, cache_read=600_000, cache_write_5m=1_000_000)
    assert hit_rate_needed(dear, Fraction(2, 5)) == 1
    assert hit_rate_needed(dear, Fraction(49, 100)) is None
    given = structs.replace(HAIKU, cache_read=0, cache_write_5m=1)
    assert hit_rate_needed(given, Fraction(1, 2)) == 0

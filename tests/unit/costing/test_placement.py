"""Reuse: a breakpoint pays exactly above the break-even of the model's prices."""

from fractions import Fraction

import pytest

from tierwise.costing import break_even_reads
from tierwise.costing.placement import Reuse
from tierwise.nouns import Price, Source

SOURCE = Source("list", "2026-11-22")
PRICE = Price("haiku", SOURCE, 1_000_000, 100_000, 1_250_000, 2_000_000, 5_000_000)
SECOND = 1_000_000


def used(*gaps_s: float | None, tokens: int = 5000) -> Reuse:
    reuse = Reuse()
    for gap in gaps_s:
        reuse.use(tokens, tokens, None if gap is None else int(gap * SECOND))
    return reuse


@pytest.mark.parametrize(
    ("gaps", "lifetime"),
    [
        ((None,), None),
        ((None, 10), "5m"),
        ((None, 301), None),  # one read an hour for each write is below 1.11
        ((None, 301, 301), "1h"),
        ((None, 600, 600, 600), "1h"),
        ((None, 3601, 3601, 3601, 3601), None),
        ((None, 10, 10, 600, 10, 10, 600), "1h"),
        ((None, *[10] * 6, 7200), "5m"),
        ((None, *[10, 3000] * 5), "1h"),
        ((None, 10, *[4000] * 3), None),  # one read in four writes: 0.25 is below 0.28
        ((None, 10, *[4000] * 2), "5m"),  # one in three: 0.33 is above
    ],
)
def test_the_lifetime_that_would_have_saved_the_most(gaps, lifetime) -> None:
    assert used(*gaps).lifetime(PRICE, 6000) == lifetime


@pytest.mark.parametrize("lifetime", ["5m", "1h"])
@pytest.mark.parametrize(("reads", "writes"), [(5, 18), (6, 18), (4, 18), (10, 9), (11, 9), (9, 9)])
def test_it_pays_exactly_above_break_even(lifetime, reads, writes) -> None:
    reuse = Reuse()
    for gap in [None] * writes + [1] * reads:
        reuse.use(100, 100, gap)
    need = break_even_reads(PRICE, lifetime)
    assert (reuse.saved_pico(PRICE, 200, lifetime) > 0) == (Fraction(reads, writes) > need)


def test_only_what_was_there_before_is_read() -> None:
    reuse = Reuse()
    reuse.use(1000, 0, None)
    reuse.use(3000, 1000, 5 * SECOND)
    assert (reuse.read["5m"], reuse.written["5m"]) == (1000, 3000)


def test_an_unknown_price_never_pays() -> None:
    assert used(None, 1, 1).lifetime(Price("p", SOURCE, 1_000_000), 100) is None


def test_a_lifetime_may_be_capped() -> None:
    often = used(None, *[10, 3000] * 5)
    assert often.lifetime(PRICE, 6000) == "1h"
    assert often.lifetime(PRICE, 6000, "5m") == "5m"


def test_habits_that_changed_are_forgotten() -> None:
    reuse = used(None, *[10] * 500)
    assert reuse.lifetime(PRICE, 6000) == "5m"
    for _ in range(200):
        reuse.use(5000, 5000, None)
    assert reuse.lifetime(PRICE, 6000) is None

from __future__ import annotations

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.price import (
    break_even_loss,
    cascade_pays,
    cascade_price,
    derived_margin,
    price_per_success,
    price_per_success_at,
)

MILLI = 10**9


def test_price_per_success_is_the_ratio_of_sums():
    found = price_per_success([3 * MILLI, MILLI, 2 * MILLI], [1, 0, 1])
    assert found.pico == 3 * MILLI


def test_without_success_there_is_no_price():
    found = price_per_success([1, 2, 3], [0, 0, 0])
    assert (found.pico, found.low, found.high) == (None, None, None)
    found = price_per_success_at(MILLI, 0, 20)
    assert (found.pico, found.high) == (None, None)
    assert found.low == pytest.approx(MILLI / 0.16113, rel=1e-3)


def test_a_rate_that_may_be_zero_has_no_upper_end():
    found = price_per_success([MILLI] * 20, [1.0] + [0.0] * 19)
    assert found.pico == 20 * MILLI
    assert found.high is None


def test_constant_prices_turn_wilson_over():
    found = price_per_success_at(MILLI, 81, 263)
    assert found.pico == round(MILLI * 263 / 81)
    assert found.low == pytest.approx(MILLI / 0.3662, rel=1e-3)
    assert found.high == pytest.approx(MILLI / 0.2553, rel=1e-3)


def test_unequal_lists_are_refused():
    with pytest.raises(SuiteError):
        price_per_success([1, 2], [1])
    with pytest.raises(SuiteError):
        price_per_success([1], [1])


def test_break_even_loss():
    assert break_even_loss(1 * MILLI, 5 * MILLI, 0.5, 0.75) == 16 * MILLI
    assert break_even_loss(1 * MILLI, 5 * MILLI, 0.75, 0.75) is None
    assert break_even_loss(1 * MILLI, 5 * MILLI, 0.8, 0.75) is None


def test_derived_margin():
    assert derived_margin(1 * MILLI, 5 * MILLI, 80 * MILLI) == pytest.approx(0.05)
    assert derived_margin(1, 5, 1) == 1
    for arguments in ((5, 5, 10), (1, 5, 0)):
        with pytest.raises(SuiteError):
            derived_margin(*arguments)


def test_cascade():
    assert cascade_pays(1, 5, 0.25)
    assert not cascade_pays(1, 4, 0.25)
    assert cascade_price(MILLI, 5 * MILLI, 0.75) == MILLI + 5 * MILLI // 4


def test_retries_do_not_eat_a_ten_point_gap_when_failures_are_detected():
    """Price ratio 5, 80 % against 90 %: the checked cascade costs 40 % of the reference."""
    assert cascade_price(MILLI, 5 * MILLI, 0.8) < 5 * MILLI

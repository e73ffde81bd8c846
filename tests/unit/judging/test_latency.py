from __future__ import annotations

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.latency import (
    Timing,
    goodput,
    itl_us,
    overhead_us,
    quantile,
    tail,
    tokens_per_second,
    tpot_us,
)

SLOW = Timing(total_us=1_100_000, ttft_us=100_000, upstream_us=1_099_000, output_tokens=101, gaps_us=(10, 20))


def test_tpot_leaves_the_first_token_out():
    assert tpot_us(SLOW) == 10_000
    assert tokens_per_second(SLOW) == 100


def test_what_was_not_measured_is_none():
    assert tpot_us(Timing(5, ttft_us=1, output_tokens=1)) is None
    assert tpot_us(Timing(5, output_tokens=9)) is None
    assert tokens_per_second(Timing(5, ttft_us=5, output_tokens=9)) is None
    assert quantile([], 0.5) is None


def test_quantiles():
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile([7], 0.99) == 7
    with pytest.raises(SuiteError):
        quantile([1], 1.5)


def test_tails_say_when_there_are_too_few():
    assert tail(range(399), 0.99) is None
    assert tail(range(79), 0.95) is None
    assert tail(range(401), 0.99) == 396
    assert tail([], 0.99) is None


def test_pooled_gaps_and_overhead():
    assert itl_us([SLOW, Timing(1, gaps_us=(30,))]) == [10, 20, 30]
    assert overhead_us(SLOW) == 1000


def test_goodput_counts_only_what_meets_every_limit():
    failed = Timing(10, ttft_us=1, output_tokens=2, ok=False)
    unmeasured = Timing(10, output_tokens=5)
    timings = [SLOW, failed, unmeasured, Timing(10, ttft_us=1, output_tokens=1)]
    assert goodput(timings, 2.0) == 1.5
    assert goodput(timings, 2.0, ttft_us=100_000) == 1.0
    assert goodput(timings, 2.0, tpot_limit_us=9_999) == 0.5
    with pytest.raises(SuiteError):
        goodput(timings, 0)

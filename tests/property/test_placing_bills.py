"""Breakpoints placed over days of random arrivals: the bill shrinks, or is hardly more than without."""

from __future__ import annotations

import random

from unit.gateway.prefixes.placed import MINUTE_US, RULES, ask, bills


def day(per_minute: float, minutes: int, seed: int) -> list[int]:
    """Gaps in microseconds of Poisson arrivals."""
    draw = random.Random(seed)
    return [int(draw.expovariate(per_minute) * MINUTE_US) for _ in range(int(per_minute * minutes))]


def test_a_busy_prefix_is_read_from_the_cache_and_the_bill_shrinks() -> None:
    gaps = day(2.0, 600, seed=1)
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert len(gaps) == 1200
    assert auto.placed[:2] == ["", "head=5m"]
    assert auto.cost_pico < plain.cost_pico * 0.2
    assert auto.used.cache_write_1h == 0
    assert auto.used.cache_read > 1100 * 2000


def test_a_slow_prefix_is_kept_for_an_hour() -> None:
    gaps = day(0.08, 6000, seed=2)  # one in 12.5 minutes: 33 % within 5 minutes, 99 % within an hour
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert auto.placed[-1] == "head=1h"
    assert auto.cost_pico < plain.cost_pico * 0.4


def test_a_rare_prefix_is_sent_as_it_came() -> None:
    gaps = day(1 / 300, 60_000, seed=3)  # one in five hours: 18 % within an hour, 1.7 % within 5 minutes
    auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
    assert len(gaps) == 200
    assert auto.placed.count("") > 190
    assert auto.cost_pico < plain.cost_pico * 1.02


def test_a_prefix_that_changes_with_every_call_is_never_marked() -> None:
    gaps = day(2.0, 100, seed=4)
    bodies = [ask("Question?", f"It is {i} o'clock. {RULES}") for i in range(len(gaps))]
    auto, plain = bills(bodies, gaps)
    assert set(auto.placed) == {""}
    assert auto.cost_pico == plain.cost_pico


def test_the_bill_is_never_much_more_than_without() -> None:
    for seed in range(8):
        per_minute = random.Random(seed).choice([0.002, 0.01, 0.03, 0.1, 0.3, 1.0])
        gaps = day(per_minute, int(300 / per_minute), seed)
        auto, plain = bills([ask(f"Question {i}?") for i in range(len(gaps))], gaps)
        assert auto.cost_pico < plain.cost_pico * 1.05, per_minute

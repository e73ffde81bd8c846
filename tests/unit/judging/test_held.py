"""The causal saving, from calls held out at random."""

from __future__ import annotations

import math
import random

import pytest

from tierwise.costing.draws import Arm
from tierwise.judging.held import caused


def arm(values: list[int]) -> Arm:
    made = Arm()
    for value in values:
        made.add(value)
    return made


def test_the_causal_interval_is_welchs() -> None:
    """Against the formula in floating point: mean difference ± t × standard error, times the routed calls."""
    seed = random.Random(4)
    held, routed = [seed.randint(400, 600) for _ in range(50)], [seed.randint(50, 150) for _ in range(200)]
    found = caused(arm(held), arm(routed))
    difference = sum(held) / 50 - sum(routed) / 200
    errors = []
    for values in (held, routed):
        mean = sum(values) / len(values)
        errors.append(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    assert found.saved_pico == round(difference * 200)
    assert found.interval is not None
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(2.0 * math.sqrt(sum(errors)) * 200, rel=0.01)  # t with 60-odd degrees


def test_a_small_arm_has_no_interval_and_equal_costs_a_narrow_one() -> None:
    small = caused(arm([5] * 29), arm([1] * 100))
    assert (small.saved_pico, small.interval) == (None, None)
    same = caused(arm([5] * 30), arm([1] * 100))
    assert (same.saved_pico, same.interval) == (400, (400, 400))


def test_what_was_spent_beside_serving_is_taken_off_whole() -> None:
    held, routed = arm([5, 9] * 20), arm([1, 2] * 50)
    plain, net = caused(held, routed), caused(held, routed, 100)
    assert plain.saved_pico is not None
    assert net.saved_pico == plain.saved_pico - 100
    assert plain.interval is not None
    assert net.interval == tuple(end - 100 for end in plain.interval)

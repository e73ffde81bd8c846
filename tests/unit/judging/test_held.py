"""The causal saving, from calls held out at random."""

from __future__ import annotations

import math
import random

import pytest

from tierwise.costing.draws import Arm, Stratum
from tierwise.judging.distributions import t_quantile
from tierwise.judging.held import caused


def arm(values: list[int]) -> Arm:
    made = Arm()
    for value in values:
        made.add(value)
    return made


def one(held: list[int], routed: list[int]) -> list[Stratum]:
    return [Stratum(arm(held), arm(routed))]


def test_the_causal_interval_of_even_costs_is_welchs() -> None:
    """Against the formula in floating point: mean difference ± t × standard error, times the routed calls."""
    seed = random.Random(4)
    steps = [seed.randint(0, 100) for _ in range(25)], [seed.randint(0, 50) for _ in range(100)]
    held = [500 + sign * step for step in steps[0] for sign in (1, -1)]
    routed = [100 + sign * step for step in steps[1] for sign in (1, -1)]
    found = caused(one(held, routed))
    errors = []
    for values in (held, routed):
        mean = sum(values) / len(values)
        errors.append(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
    assert found.saved_pico == 400 * 200
    assert found.interval is not None
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 49 + errors[1] ** 2 / 199)
    half = t_quantile(0.975, freedom) * math.sqrt(sum(errors)) * 200
    assert [end - 80_000 for end in found.interval] == pytest.approx([-half, half], rel=1e-3)


def test_strata_are_added_up_each_by_its_own_difference() -> None:
    """A share that grew while costs did: one mean over both times would call 2,000 saved 38,000."""
    early, late = one([5] * 20, [4] * 1000), one([50] * 180, [49] * 1000)
    assert caused([*early, *late]).saved_pico == 2000
    assert caused([*early, *late]).interval == (2000, 2000)
    pooled = caused(one([5] * 20 + [50] * 180, [4] * 1000 + [49] * 1000))
    assert (pooled.held, pooled.routed, pooled.saved_pico) == (200, 2000, 38_000)


def test_a_small_arm_has_no_interval_and_equal_costs_a_narrow_one() -> None:
    small = caused(one([5] * 29, [1] * 100))
    assert (small.saved_pico, small.interval) == (None, None)
    same = caused(one([5] * 30, [1] * 100))
    assert (same.saved_pico, same.interval) == (400, (400, 400))
    assert caused([]).interval is None


def test_what_was_spent_beside_serving_is_taken_off_whole() -> None:
    strata = one([5, 9] * 20, [1, 2] * 50)
    plain, net = caused(strata), caused(strata, 100)
    assert plain.saved_pico is not None
    assert net.saved_pico == plain.saved_pico - 100
    assert plain.interval is not None
    assert net.interval == tuple(end - 100 for end in plain.interval)

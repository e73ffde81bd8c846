"""What routing saved, from calls held out at random: the costs of those kept on the reference tier against
the costs of those that were routed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from msgspec import Struct

from .distributions import t_quantile

LEVEL = 0.95
LEAST_IN_ARM = 30
"""Calls in each arm below which no interval is told: costs are skewed."""


class Arm(Protocol):
    """Costs of an arm's calls: their number, sum, and sums of squares and cubes, exact."""

    @property
    def calls(self) -> int: ...
    @property
    def sum_pico(self) -> int: ...
    @property
    def squares(self) -> int: ...
    @property
    def cubes(self) -> int: ...


class Stratum(Protocol):
    """Calls of one time, within which chance alone decided what was held out."""

    @property
    def held(self) -> Arm: ...
    @property
    def routed(self) -> Arm: ...


class Caused(Struct, frozen=True):
    """The saving that routing caused: (mean held out less mean routed) × routed calls, added up over the
    strata, less what was spent beside serving, pico-dollars, with its interval at LEVEL; None where an arm
    has fewer than LEAST_IN_ARM calls."""

    held: int
    routed: int
    saved_pico: int | None = None
    interval: tuple[int, int] | None = None


def caused(strata: Sequence[Stratum], beside_pico: int = 0) -> Caused:
    """The saving and its interval, net of `beside_pico`: Welch's t, turned towards the longer tail of the
    costs as far as their skewness says (Hall 1992). Without that, an interval of skewed costs misses far more
    often than its level says."""
    held, routed = (sum(getattr(each, arm).calls for each in strata) for arm in ("held", "routed"))
    if min(held, routed) < LEAST_IN_ARM:
        return Caused(held, routed)
    saved, variance, third, spread = Fraction(-beside_pico), Fraction(0), Fraction(0), 0.0
    for each in strata:
        times = each.routed.calls
        for arm, sign in ((each.held, 1), (each.routed, -1)):
            mean, second, cube = _moments(arm)
            part = second * times**2 / arm.calls
            saved += sign * mean * times
            variance += part
            third += sign * cube * times**3 / arm.calls**2
            spread += float(part) ** 2 / (arm.calls - 1)
    if not variance:
        return Caused(held, routed, round(saved), (round(saved), round(saved)))
    error = math.sqrt(variance)
    skew = float(third) / error**3
    t = t_quantile((1 + LEVEL) / 2, float(variance) ** 2 / spread)
    low, high = (round(float(saved) - error * _unskewed(end, skew)) for end in (t, -t))
    return Caused(held, routed, round(saved), (low, high))


def _moments(arm: Arm) -> tuple[Fraction, Fraction, Fraction]:
    """Mean, variance and third central moment as a sample estimates them, exact."""
    n, mean = arm.calls, Fraction(arm.sum_pico, arm.calls)
    second = arm.squares - n * mean**2
    third = arm.cubes - 3 * mean * arm.squares + 2 * n * mean**3
    return mean, second / (n - 1), third * n / ((n - 1) * (n - 2))


def _unskewed(t: float, skew: float) -> float:
    """Where a mean of this skewness stands as a t does that has none: Hall's cubic, turned round."""
    if abs(skew) < 1e-6:
        return t
    return 3 / skew * (math.cbrt(1 + skew * (t - skew / 6)) - 1)

"""What routing saved, from calls held out at random: the costs of those kept on the reference tier against
the costs of those that were routed.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Protocol

from msgspec import Struct

from .distributions import t_quantile

LEVEL = 0.95
LEAST_IN_ARM = 30
"""Calls in each arm below which no interval is told: costs are skewed."""


class Arm(Protocol):
    """Costs of an arm's calls: their number, sum and sum of squares, exact."""

    @property
    def calls(self) -> int: ...
    @property
    def sum_pico(self) -> int: ...
    @property
    def squares(self) -> int: ...


class Caused(Struct, frozen=True):
    """The saving that routing caused: (mean held out less mean routed) × routed calls, less what was spent
    beside serving, pico-dollars, with its interval at LEVEL; None where an arm has fewer than LEAST_IN_ARM
    calls."""

    held: int
    routed: int
    saved_pico: int | None = None
    interval: tuple[int, int] | None = None


def caused(held: Arm, routed: Arm, beside_pico: int = 0) -> Caused:
    """The saving and its interval, by Welch's t, net of `beside_pico`."""
    if min(held.calls, routed.calls) < LEAST_IN_ARM:
        return Caused(held.calls, routed.calls)
    difference = Fraction(held.sum_pico, held.calls) - Fraction(routed.sum_pico, routed.calls)
    parts = [_variance(arm) / arm.calls for arm in (held, routed)]
    total = sum(parts)
    saved = difference * routed.calls - beside_pico
    if not total:
        return Caused(held.calls, routed.calls, round(saved), (round(saved), round(saved)))
    spread = float(parts[0] ** 2 / (held.calls - 1) + parts[1] ** 2 / (routed.calls - 1))
    freedom = float(total) ** 2 / spread
    half = math.ceil(t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(total) * routed.calls)
    return Caused(held.calls, routed.calls, round(saved), (round(saved - half), round(saved + half)))


def _variance(arm: Arm) -> Fraction:
    """Sample variance, exact."""
    mean = Fraction(arm.sum_pico, arm.calls)
    return (arm.squares - arm.calls * mean * mean) / (arm.calls - 1)

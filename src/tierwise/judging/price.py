"""What quality costs: price per success, break-even of an undetected failure, derived margins, when a cascade
pays.

Money is whole pico-dollars. Ratios of money are estimates, rounded to the pico-dollar only when given back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from msgspec import Struct

from ..errors import SuiteError
from .distributions import t_quantile
from .intervals import wilson


class PricePerSuccess(Struct, frozen=True):
    """Σcost/Σsuccess in pico-dollars (cost-of-pass, arXiv 2504.13359). `pico` None: no success; an end None:
    unbounded.
    """

    pico: int | None
    low: int | None
    high: int | None
    level: float


def price_per_success(
    costs_pico: Sequence[int], scores: Sequence[float], level: float = 0.95
) -> PricePerSuccess:
    """Price per success of one tier from every Case's cost and score (0..1, a graded score is a part of a
    success).

    The interval is Fieller's (1954): all ratios R for which the mean of cost − R·score cannot be told from 0
    by Student's t.
    """
    n = len(costs_pico)
    if n != len(scores) or n < 2:
        raise SuiteError(
            "Price per success needs two or more Cases, each with cost and score.",
            "Give as many costs as scores.",
        )
    total = sum(costs_pico)
    success = math.fsum(scores)
    if success <= 0:
        return PricePerSuccess(None, None, None, level)
    cost, score = total / n, success / n
    tt = t_quantile((1 + level) / 2, n - 1) ** 2 / n
    c_dev, s_dev = [c - cost for c in costs_pico], [s - score for s in scores]
    cc = math.fsum(x * x for x in c_dev) / (n - 1)
    ss = math.fsum(x * x for x in s_dev) / (n - 1)
    cs = math.fsum(x * y for x, y in zip(c_dev, s_dev, strict=True)) / (n - 1)
    a, half_b, c = score**2 - tt * ss, cost * score - tt * cs, cost**2 - tt * cc
    point = round(Fraction(total) / Fraction(success))
    if a <= 0:
        # The success rate itself cannot be told from 0: no upper end.
        return PricePerSuccess(point, None, None, level)
    root = math.sqrt(max(half_b**2 - a * c, 0.0))
    return PricePerSuccess(point, max(round((half_b - root) / a), 0), round((half_b + root) / a), level)


def price_per_success_at(price_pico: int, successes: int, n: int, level: float = 0.95) -> PricePerSuccess:
    """The same when every Case costs `price_pico`: Wilson's interval of the success rate, turned over."""
    low, high = wilson(successes, n, level)
    if successes == 0:
        return PricePerSuccess(None, round(price_pico / high), None, level)
    return PricePerSuccess(
        round(Fraction(price_pico * n, successes)), round(price_pico / high), round(price_pico / low), level
    )


def break_even_loss(
    cheap_pico: int, reference_pico: int, cheap_rate: float, reference_rate: float
) -> int | None:
    """L* = (c_ref − c_cheap)/(p_ref − p_cheap), pico-dollars: an undetected failure dearer than this makes
    the cheap tier dearer.

    None when the cheap tier is right at least as often: no price of a failure speaks against it on that
    ground.
    """
    gap = Fraction(reference_rate) - Fraction(cheap_rate)
    if gap <= 0:
        return None
    return round((reference_pico - cheap_pico) / gap)


def derived_margin(cheap_pico: int, reference_pico: int, failure_pico: int) -> float:
    """m = (c_ref − c_cheap)/L: the loss of quality that the saving pays for when a failure costs L
    pico-dollars, cut at 1.
    """
    if failure_pico <= 0 or reference_pico <= cheap_pico:
        raise SuiteError(
            "A margin follows only from a saving and a failure that costs something.",
            "Give a cheaper tier and a failure's cost above 0.",
        )
    return min((reference_pico - cheap_pico) / failure_pico, 1.0)


def cascade_price(cheap_pico: int, reference_pico: int, cheap_rate: float) -> int:
    """Expected pico-dollars of "cheap first, reference when a perfect check fails": c_cheap + (1 −
    p_cheap)·c_ref.
    """
    return round(cheap_pico + (1 - Fraction(cheap_rate)) * reference_pico)


def cascade_pays(cheap_pico: int, reference_pico: int, cheap_rate: float) -> bool:
    """Whether a perfectly checked cascade beats always asking the reference: p_cheap > c_cheap/c_ref."""
    return Fraction(cheap_rate) * reference_pico > cheap_pico

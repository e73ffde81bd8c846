"""Normal, Student t and binomial probabilities from the standard library alone."""

from __future__ import annotations

import math
from statistics import NormalDist

from ..errors import SuiteError

_NORMAL = NormalDist()
_EXACT_TRIALS = 2000
"""Up to here binomial tails are summed in whole numbers; beyond, by the incomplete beta function."""
_NORMAL_TRIALS = 10**6
"""Beyond here the mid-p tail and the normal tail differ by less than 1e-6."""


def normal_cdf(z: float) -> float:
    """P(Z ≤ z) for a standard normal Z; keeps relative accuracy in the lower tail."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """The z with P(Z ≤ z) = probability. Raises SuiteError outside 0..1 (ends excluded)."""
    _check_probability(probability)
    return _NORMAL.inv_cdf(probability)


def t_cdf(t: float, df: float) -> float:
    """P(T ≤ t) for Student's t with `df` degrees of freedom, by the regularised incomplete beta function."""
    if df <= 0:
        raise SuiteError(f"Student's t has no {df} degrees of freedom.", "Give at least two observations.")
    tail = 0.5 * beta_regularised(df / (df + t * t), df / 2, 0.5)
    return 1 - tail if t > 0 else tail


def t_quantile(probability: float, df: float) -> float:
    """The t with P(T ≤ t) = probability, by bisection to about 1e-13 relative. Raises SuiteError outside
    0..1.
    """
    _check_probability(probability)
    if probability < 0.5:
        return -t_quantile(1 - probability, df)
    high = 1.0
    while t_cdf(high, df) < probability:
        high *= 2
    low = 0.0
    while high - low > 1e-13 * max(high, 1.0):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def beta_regularised(x: float, a: float, b: float) -> float:
    """I_x(a, b) for 0 ≤ x ≤ 1, a, b > 0, by Lentz's continued fraction (Numerical Recipes, 3rd ed., 6.4)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def half_binomial_cdf(k: int, n: int) -> float:
    """P(X ≤ k) for X ~ Binomial(n, ½): whole-number sums to n = 2000, then the incomplete beta function."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if n <= _EXACT_TRIALS:
        return sum(math.comb(n, i) for i in range(k + 1)) / (1 << n)
    if n > _NORMAL_TRIALS:
        return normal_cdf((k + 0.5 - n / 2) / math.sqrt(n / 4))
    return beta_regularised(0.5, n - k, k + 1)


def half_binomial_pmf(k: int, n: int) -> float:
    """P(X = k) for X ~ Binomial(n, ½)."""
    if not 0 <= k <= n:
        return 0.0
    if n <= _EXACT_TRIALS:
        return math.comb(n, k) / (1 << n)
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            step = c * d
            fraction *= step
        if abs(step - 1) < 1e-15:
            break
    return fraction


def _check_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise SuiteError(f"{probability} is not a probability between 0 and 1.", "Use a value such as 0.95.")

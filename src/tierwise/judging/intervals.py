"""Intervals for a proportion and for the difference of two paired proportions, cheap − reference."""

from __future__ import annotations

import math

from ..errors import SuiteError
from ..nouns import Counts
from .distributions import normal_quantile

Interval = tuple[float, float]


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's (1927) score interval of a proportion; 0 and 1 are exact ends at 0 and n successes."""
    if n < 1 or not 0 <= successes <= n:
        raise SuiteError(f"{successes} of {n} is no proportion.", "Give 0 ≤ successes ≤ n and n ≥ 1.")
    z = two_sided_z(level)
    p, zz = successes / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z * math.sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n)
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def tango(counts: Counts, level: float = 0.90) -> Interval:
    """Tango's (1998) score interval of the paired difference, by bisection to about 1e-15.

    Finite width at no discordant pair, ends exactly ±1 where every pair is discordant one way. Raises
    SuiteError on no pairs.
    """
    check_counts(counts)
    z = two_sided_z(level)
    observed = (counts.cheap_only - counts.ref_only) / counts.n
    lower = -1.0 if observed == -1 else _where(counts, -1.0, observed, z)
    upper = 1.0 if observed == 1 else _where(counts, observed, 1.0, -z)
    return lower, upper


def tango_z(counts: Counts, difference: float) -> float:
    """Tango's score statistic of the hypothesis "true difference = difference"; ±inf where its variance
    vanishes.

    z(Δ) = (b − c − nΔ)/√(n(2p̃ + Δ(1 − Δ))), p̃ the restricted maximum-likelihood share of reference-only
    pairs.
    """
    n, b, c = counts.n, counts.cheap_only, counts.ref_only
    variance = n * null_variance(b / n, c / n, difference)
    distance = b - c - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def null_variance(better: float, worse: float, difference: float) -> float:
    """Variance of one pair's difference under the hypothesis "true difference = difference": 2p̃ + Δ(1 − Δ).

    `better`, `worse`: the shares of pairs that only the cheap tier, only the reference, has right.
    """
    second = -better - worse + (2 - better + worse) * difference
    third = -worse * difference * (1 - difference)
    root = math.sqrt(max(second * second - 8 * third, 0.0))
    # The second form is the same root without cancellation.
    share = (root - second) / 4 if second <= 0 else -2 * third / (root + second)
    return 2 * share + difference * (1 - difference)


def newcombe(counts: Counts, level: float = 0.95) -> Interval:
    """Newcombe's (1998) square-and-add interval of the paired difference, from two Wilson intervals and their
    correlation.
    """
    check_counts(counts)
    n, both, neither = counts.n, counts.both, counts.neither
    cheap, reference = both + counts.cheap_only, both + counts.ref_only
    p, q = cheap / n, reference / n
    (p_low, p_high), (q_low, q_high) = wilson(cheap, n, level), wilson(reference, n, level)
    product = cheap * (n - cheap) * reference * (n - reference)
    # No correlation can be told when one tier is always, or never, right.
    cross = float(both * neither - counts.cheap_only * counts.ref_only)
    # His continuity correction of a positive correlation, which would narrow the interval.
    cross = max(cross - n / 2, 0) if cross > 0 else cross
    phi = cross / math.sqrt(product) if product else 0.0
    down, up = (p - p_low, q_high - q), (p_high - p, q - q_low)
    lower = p - q - math.sqrt(max(down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2, 0.0))
    upper = p - q + math.sqrt(max(up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2, 0.0))
    return max(lower, -1.0), min(upper, 1.0)


def bonett_price(counts: Counts, level: float = 0.95) -> Interval:
    """Bonett & Price's (2012) adjusted Wald interval: one added to each discordant cell, two to n."""
    check_counts(counts)
    return _wald(counts.cheap_only + 1, counts.ref_only + 1, counts.n + 2, level)


def agresti_min(counts: Counts, level: float = 0.95) -> Interval:
    """Agresti & Min's (2005) adjusted Wald interval: one half added to each of the four cells."""
    check_counts(counts)
    return _wald(counts.cheap_only + 0.5, counts.ref_only + 0.5, counts.n + 2, level)


def wald(counts: Counts, level: float = 0.95) -> Interval:
    """The textbook interval, for comparison only: no width at no discordant pair."""
    check_counts(counts)
    return _wald(counts.cheap_only, counts.ref_only, counts.n, level)


def two_sided_z(level: float) -> float:
    """Normal quantile of a two-sided interval at `level`. Raises SuiteError outside 0..1, ends excluded."""
    if not 0 < level < 1:
        raise SuiteError(f"An interval cannot have level {level}.", "Use a level such as 0.90 or 0.95.")
    return normal_quantile((1 + level) / 2)


def check_counts(counts: Counts) -> None:
    """Raises SuiteError unless every cell is ≥ 0 and at least one pair was counted."""
    cells = (counts.both, counts.cheap_only, counts.ref_only, counts.neither)
    if min(cells) < 0:
        raise SuiteError(f"Counts cannot be negative: {cells}.", "Give how many Cases fell into each cell.")
    if counts.n == 0:
        raise SuiteError("There are no pairs to judge.", "Run both tiers on at least one Case.")


def _where(counts: Counts, low: float, high: float, z: float) -> float:
    """The difference at which the score statistic, which falls as the difference grows, passes `z`."""
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if tango_z(counts, middle) > z else (low, middle)
    return (low + high) / 2


def _wald(b: float, c: float, n: float, level: float) -> Interval:
    difference = (b - c) / n
    half = two_sided_z(level) * math.sqrt(max((b + c) / n - difference**2, 0.0) / n)
    return max(difference - half, -1.0), min(difference + half, 1.0)

"""How many Cases a comparison needs, what a given number can show, and how many more would decide."""

from __future__ import annotations

import math

from ..errors import SuiteError
from ..nouns import Counts
from .distributions import normal_quantile
from .intervals import null_variance
from .sequential import growth, ln_threshold

RESERVE = (103, 100)
"""3 % on top of the normal formula: Tango's test is a little more careful than it (exact ratio)."""
MOST_CASES = 20_000
"""A projection beyond this is reported as none: nobody will label so many."""
POWER = 0.80


def needed_pairs(
    variance: float, margin: float, gap: float = 0.0, alpha: float = 0.05, power: float = POWER
) -> int | None:
    """Pairs for a one-sided test at `alpha` to tell a true `gap` (cheap − reference) from −margin with
    `power`.

    n = (z_{1−α} + z_power)²·variance/(gap + margin)², variance of one difference: ψ − gap² for right/wrong
    scores. Without the 3 % reserve; None when gap = −margin. Works from either side: a gap below −margin
    gives the pairs needed to keep.
    """
    distance = gap + margin
    if abs(distance) < 1e-12:
        return None
    return math.ceil(_z_sum(alpha, power) ** 2 * max(variance, 0.0) / distance**2 - 1e-9)


def binary_variance(discordance: float, gap: float = 0.0) -> float:
    """ψ − δ²: the variance of a difference in {−1, 0, 1}. Raises SuiteError when |gap| exceeds the
    discordance.
    """
    if not abs(gap) <= discordance <= 1:
        raise SuiteError(
            f"A discordance of {discordance} cannot hold a gap of {gap}.", "Discordance lies in |gap|..1."
        )
    return discordance - gap * gap


def with_reserve(pairs: int) -> int:
    """3 % more, rounded up."""
    return -(-pairs * RESERVE[0] // RESERVE[1])


def needed_pairs_two_sided(
    discordance: float, gap: float, alpha: float = 0.05, power: float = POWER
) -> float:
    """Pairs for a two-sided McNemar test to find a true `gap` (Connor 1987); round up."""
    if gap == 0:
        raise SuiteError("No number of pairs finds a gap of 0.", "Give the gap that matters to you.")
    spread = binary_variance(discordance, gap)
    z, z_power = normal_quantile(1 - alpha / 2), normal_quantile(power)
    return (z * math.sqrt(discordance) + z_power * math.sqrt(spread)) ** 2 / gap**2


def smallest_margin(discordance: float, n: int, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest margin that `n` pairs can show with `power` when the tiers are truly equal (3 % reserve
    kept back).
    """
    if n < 1:
        raise SuiteError("Nothing can be detected with no pairs.", "Give n ≥ 1.")
    usable = n * RESERVE[1] / RESERVE[0]
    return _z_sum(alpha, power) * math.sqrt(binary_variance(discordance) / usable)


def more_pairs(n: int, gap: float, variance: float, margin: float, alpha: float) -> int | None:
    """Further pairs after `n` for a fixed-n decision, planned for 80 % power, if the truth is what was
    observed.

    A gap in the cheap tier's favour counts as 0: a lucky start must not shrink the projection. At least 1;
    None when the gap sits at the margin so closely that more than 20,000 pairs in all would be needed.
    """
    needed = needed_pairs(variance, margin, min(gap, 0.0), alpha)
    if needed is None or with_reserve(needed) > MOST_CASES:
        return None
    return max(with_reserve(needed) - n, 1)


def more_pairs_binary(counts: Counts, margin: float, alpha: float, equal: bool = False) -> int | None:
    """`more_pairs` from the four counts, as observed or if the tiers are `equal`.

    Half a pair is added to each discordant cell, so that ψ is never taken as 0.
    """
    n = counts.n
    psi = (counts.cheap_only + counts.ref_only + 1) / (n + 2)
    gap = 0.0 if equal else max(min((counts.cheap_only - counts.ref_only) / n, 0.0), -psi)
    more = more_pairs(n, gap, binary_variance(psi, gap), margin, alpha)
    if more is None:
        return None
    needed = _needed_by_score(psi, gap, margin, alpha)
    return None if needed > MOST_CASES else max(needed - n, more)


def _needed_by_score(psi: float, gap: float, margin: float, alpha: float) -> int:
    """Pairs for Tango's interval to tell `gap` from −margin with 80 % power (Nam 1997).

    n = (z_{1−α}·s₀ + z_power·s₁)²/(gap + margin)², s₀² the variance under a gap of −margin, s₁² = ψ − gap².
    At a small ψ s₀ is well above s₁, and `needed_pairs` falls short: to 71 % power at ψ 5 %, margin 5 points.
    """
    null = math.sqrt(max(null_variance((psi + gap) / 2, (psi - gap) / 2, -margin), 0.0))
    wide = normal_quantile(1 - alpha) * null
    wide += normal_quantile(POWER) * math.sqrt(binary_variance(psi, gap))
    return math.ceil(wide**2 / (gap + margin) ** 2)


def more_pairs_running(
    sums: tuple[float, float], n: int, margin: float, alpha: float, ln_now: tuple[float, float]
) -> int | None:
    """Further pairs until an e-value has reached 1/alpha with 80 % power, if shares stay as seen; None beyond
    20,000 in all.

    `sums`: Σmax(D, 0) and Σmax(−D, 0) over n pairs; `ln_now`: both log e-values. The side is the one the mean
    difference points to; one in the cheap tier's favour counts as 0, as in `more_pairs`. ln e walks with a
    drift g and a variance v a pair: the k at which k·g − z_power·√(k·v) is what it lacks.
    """
    better, worse = sums
    if better > worse:
        better = worse = (better + worse) / 2
    switch = (better - worse) / n >= -margin
    gain, variance = growth(better, worse, n, margin, "switch" if switch else "keep")
    if gain <= 0:
        return None
    lacking = max(ln_threshold(alpha) - ln_now[0 if switch else 1], 0.0)
    wide = normal_quantile(POWER) * math.sqrt(variance)
    more = math.ceil(((wide + math.sqrt(wide**2 + 4 * gain * lacking)) / (2 * gain)) ** 2)
    return None if n + more > MOST_CASES else max(more, 1)


def _z_sum(alpha: float, power: float) -> float:
    return normal_quantile(1 - alpha) + normal_quantile(power)

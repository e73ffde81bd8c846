"""A threshold of similarity, chosen on pairs of texts that are known to mean the same or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from ..errors import SuiteError
from .distributions import beta_regularised

GRID = tuple(n / 100 for n in range(99, 79, -1))
"""Thresholds that are tried, fixed before any pair is seen: 0.99 down to 0.80."""


class Threshold(Struct, frozen=True):
    """What one threshold does on the pairs: `hits` at or above it, `false` of them different in meaning,
    `found` of the `same` pairs that are the same. `upper` bounds the rate of false hits (false of hits) from
    above, for all thresholds of GRID at once; None: no hit was seen.
    """

    at: float
    hits: int
    false: int
    found: int
    same: int
    upper: float | None

    @property
    def false_rate(self) -> float | None:
        """False hits of all hits; None without a hit."""
        return self.false / self.hits if self.hits else None


def thresholds(pairs: Sequence[tuple[float, bool]], level: float = 0.95) -> list[Threshold]:
    """Each threshold of GRID on pairs of (similarity, whether they mean the same).

    Each bound is exact (Clopper & Pearson 1934, one-sided) at 1 − (1 − level) / 20, so that together they
    hold at `level` whichever is chosen (Bonferroni).
    """
    if not 0.5 < level < 1:
        raise SuiteError(f"{level} is no level of confidence.", "Give one between 0.5 and 1.")
    same = sum(1 for _, alike in pairs if alike)
    alpha = (1 - level) / len(GRID)
    found = []
    for at in GRID:
        hits = [alike for near, alike in pairs if near >= at]
        false = len(hits) - sum(hits)
        upper = clopper_pearson_upper(false, len(hits), alpha) if hits else None
        found.append(Threshold(at, len(hits), false, sum(hits), same, upper))
    return found


def chosen(tried: Sequence[Threshold], most_false: float) -> Threshold | None:
    """The threshold that hits most of those whose rate of false hits is surely at most `most_false`."""
    safe = [each for each in tried if each.upper is not None and each.upper <= most_false]
    return max(safe, key=lambda each: (each.hits, each.at), default=None)


def least_hits(most_false: float, level: float = 0.95) -> int:
    """How many hits, all of them right, it takes before a threshold can be chosen."""
    if not 0 < most_false < 1:
        raise SuiteError(
            f"{most_false} is no share of false hits.", "Give one between 0 and 1, such as 0.02."
        )
    return math.ceil(math.log((1 - level) / len(GRID)) / math.log1p(-most_false))


def clopper_pearson_upper(successes: int, n: int, alpha: float) -> float:
    """The largest proportion of which at most `successes` of `n` are not too few at `alpha`, one-sided."""
    if successes >= n:
        return 1.0
    low, high = successes / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        # P(X ≤ k) = 1 − I_p(k + 1, n − k)
        below = 1 - beta_regularised(middle, successes + 1, n - successes)
        low, high = (middle, high) if below > alpha else (low, middle)
    return high

"""Several comparisons at once: Holm, Benjamini–Hochberg, e-Holm, and testing in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SuiteError


def holm(p_values: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Which hypotheses are rejected, in the order given; any false rejection has probability ≤ alpha (Holm
    1979).
    """
    return [p <= alpha for p in holm_adjusted(p_values)]


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: each may be compared with any alpha."""
    _check(p_values)
    count, running = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, i in enumerate(sorted(range(count), key=p_values.__getitem__)):
        running = max(running, min(1.0, (count - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which hypotheses are rejected so that the expected share of false ones is ≤ rate (Benjamini & Hochberg
    1995).
    """
    _check(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    last = max((k for k, i in enumerate(order, 1) if p_values[i] <= k * rate / len(p_values)), default=0)
    rejected = set(order[:last])
    return [i in rejected for i in range(len(p_values))]


def e_holm(e_values: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Holm over e-values: 1/e is a p-value that may be read at any time (Vovk & Wang 2021), any dependence
    allowed.
    """
    if any(not e >= 0 for e in e_values):
        raise SuiteError("An e-value cannot be negative.", "Give e-values, not their logarithms.")
    return holm([min(1.0, 1 / e) if e > 0 else 1.0 for e in e_values], alpha)


def fixed_sequence(passed: Sequence[bool]) -> int:
    """How many leading tests stand when each is run at full alpha and testing stops at the first failure.

    No correction is needed because the order was fixed beforehand: tiers from dear to cheap.
    """
    for i, ok in enumerate(passed):
        if not ok:
            return i
    return len(passed)


def _check(p_values: Sequence[float]) -> None:
    if any(not 0 <= p <= 1 for p in p_values):
        raise SuiteError("A p-value lies in 0..1.", "Give p-values, not test statistics.")

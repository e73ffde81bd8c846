"""How far a judge can be believed: sensitivity and specificity from human labels, corrected rates, Cohen's
kappa.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from ..errors import SuiteError
from .intervals import Interval, two_sided_z, wilson

LEAST_LABELS = 100
Preference = Literal["first", "second", "tie"]


class Calibration(Struct, frozen=True):
    """A judge against human labels: good answers passed and failed, bad answers passed and failed."""

    good_passed: int
    good_failed: int
    bad_passed: int
    bad_failed: int

    @property
    def labels(self) -> int:
        return self.good_passed + self.good_failed + self.bad_passed + self.bad_failed

    @property
    def sensitivity(self) -> float:
        """P(judge passes | good)."""
        return self.good_passed / (self.good_passed + self.good_failed)

    @property
    def specificity(self) -> float:
        """P(judge fails | bad)."""
        return self.bad_failed / (self.bad_passed + self.bad_failed)

    @property
    def shrinkage(self) -> float:
        """Se + Sp − 1: what a true gap is multiplied by when this judge sees it. 0.85 and 0.85 show 10 points
        as 7.
        """
        return self.sensitivity + self.specificity - 1

    def intervals(self, level: float = 0.95) -> tuple[Interval, Interval]:
        """Wilson intervals of sensitivity and specificity."""
        return (
            wilson(self.good_passed, self.good_passed + self.good_failed, level),
            wilson(self.bad_failed, self.bad_passed + self.bad_failed, level),
        )


class Corrected(Struct, frozen=True):
    """A rate or difference as it would be without the judge's mistakes. `interval` includes the labels' own
    uncertainty.
    """

    value: float
    interval: Interval
    level: float


def calibrate(labels: Iterable[tuple[bool, bool]]) -> Calibration:
    """Calibration from (judge passed, human says good) pairs.

    Raises SuiteError below 100 labels, without both kinds of answer, or when the judge is no better than a
    coin.
    """
    cells = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for passed, good in labels:
        cells[bool(passed), bool(good)] += 1
    found = Calibration(cells[True, True], cells[False, True], cells[True, False], cells[False, False])
    check_calibration(found)
    return found


def check_calibration(found: Calibration) -> None:
    """Raises SuiteError where a calibration cannot carry a correction."""
    if found.labels < LEAST_LABELS:
        raise SuiteError(
            f"A judge needs {LEAST_LABELS} human labels to be believed, this one has {found.labels}.",
            "Label more answers, or use a deterministic scorer.",
        )
    if not found.good_passed + found.good_failed or not found.bad_passed + found.bad_failed:
        raise SuiteError("The human labels are all alike.", "Label good and bad answers.")
    if found.shrinkage <= 0:
        raise SuiteError(
            f"The judge is no better than chance (sensitivity + specificity = {found.shrinkage + 1:.2f}).",
            "Use another judge or a deterministic scorer.",
        )


def corrected_rate(passed: int, n: int, judge: Calibration, level: float = 0.95) -> Corrected:
    """Rogan & Gladen's (1978) rate (p + Sp − 1)/(Se + Sp − 1), cut to 0..1, with the delta-method variance of
    all three.
    """
    check_calibration(judge)
    if n < 1 or not 0 <= passed <= n:
        raise SuiteError(f"{passed} of {n} is no proportion.", "Give 0 ≤ passed ≤ n and n ≥ 1.")
    shrink = judge.shrinkage
    value = (passed / n + judge.specificity - 1) / shrink
    inside = min(max(value, 0.0), 1.0)
    se_var, sp_var = _rate_variances(judge)
    variance = _rate_variance(passed, n) + inside**2 * se_var + (1 - inside) ** 2 * sp_var
    half = two_sided_z(level) * math.sqrt(variance) / shrink
    return Corrected(inside, (max(value - half, 0.0), min(value + half, 1.0)), level)


def corrected_difference(
    difference: float, error: float, judge: Calibration, level: float = 0.90
) -> Corrected:
    """An observed cheap − reference difference divided by Se + Sp − 1, its standard error widened by the
    labels' own.

    Assumes one judge errs alike on both tiers. Without this a poor judge makes every tier look good enough.
    """
    check_calibration(judge)
    shrink = judge.shrinkage
    value = difference / shrink
    variance = error**2 + value**2 * sum(_rate_variances(judge))
    half = two_sided_z(level) * math.sqrt(variance) / shrink
    return Corrected(min(max(value, -1.0), 1.0), (max(value - half, -1.0), min(value + half, 1.0)), level)


def kappa(first: Sequence[object], second: Sequence[object]) -> float | None:
    """Cohen's (1960) kappa: agreement beyond chance of two raters of the same answers; None when chance alone
    explains all.
    """
    n = len(first)
    if n == 0 or n != len(second):
        raise SuiteError("Kappa needs two raters of the same answers.", "Give two lists of one length.")
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    marks = set(first) | set(second)
    chance = sum(first.count(mark) * second.count(mark) for mark in marks) / n**2
    return None if chance >= 1 else (agreed - chance) / (1 - chance)


def both_orders(shown: Preference, swapped: Preference) -> Preference:
    """A pairwise judgement asked in both orders, in the words of the first; disagreement is a tie.

    `shown`: verdict with A first; `swapped`: verdict with B first.
    """
    turned: dict[Preference, Preference] = {"first": "second", "second": "first", "tie": "tie"}
    return shown if shown == turned[swapped] else "tie"


def _rate_variance(successes: int, n: int) -> float:
    """One success and one failure added, so that a perfect sample is not taken as certainty."""
    p = (successes + 1) / (n + 2)
    return p * (1 - p) / (n + 2)


def _rate_variances(judge: Calibration) -> tuple[float, float]:
    return (
        _rate_variance(judge.good_passed, judge.good_passed + judge.good_failed),
        _rate_variance(judge.bad_failed, judge.bad_passed + judge.bad_failed),
    )

"""A routing threshold with a guarantee: Learn-then-Test over thresholds with a betting bound on the loss.

Angelopoulos et al. 2021 (arXiv 2110.01052), Waudby-Smith & Ramdas 2024. Thresholds are tested from the safest
on, each at full delta, and testing stops at the first failure: with probability at least 1 − delta the
certified one loses at most the margin. The router must have been trained on other labels than these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from ..errors import SuiteError
from .sequential import check_margin, ln_threshold

_BOLDEST = 0.75
"""Share of what may be bet without ruin; short of 1, so that one loss does not end the evidence."""


class Certified(Struct, frozen=True):
    """The boldest threshold whose loss is certified. Requests with a score below it go to the cheap tier.

    `threshold` None: none was certified, `why` says so. `cheap_share` is the share of labels that goes cheap,
    `loss` the observed mean of reference − routed, `tested` how many thresholds were tried.
    """

    threshold: float | None
    cheap_share: float
    loss: float
    n: int
    tested: int
    why: str = ""


def certify(
    scores: Sequence[float],
    losses: Sequence[float],
    thresholds: Sequence[float],
    margin: float,
    delta: float = 0.05,
) -> Certified:
    """The boldest threshold with E[reference − routed] ≤ margin at confidence 1 − delta.

    `scores[i]`: the router's wish for the reference on label i; `losses[i]`: reference − cheap there, −1..1.
    Labels in random order. Thresholds are tested in ascending order: each sends more requests to the cheap
    tier than the one before.
    """
    check_margin(margin)
    bar = ln_threshold(delta)
    if len(scores) != len(losses) or not scores:
        raise SuiteError("Every label needs a score and a loss.", "Give two lists of one length.")
    order = sorted(set(thresholds))
    best, tested = None, 0
    for threshold in order:
        tested += 1
        routed = [loss if score < threshold else 0.0 for score, loss in zip(scores, losses, strict=True)]
        if ln_capital(routed, margin, delta) < bar:
            break
        best = (threshold, routed)
    n = len(scores)
    if best is None:
        psi = sum(loss != 0 for loss in losses) / n
        lacking = f"about {needed_labels(psi, margin):,} are needed"
        why = f"{n} labels certify no threshold at a margin of {margin}: {lacking}."
        return Certified(None, 0.0, 0.0, n, tested, why)
    threshold, routed = best
    share = sum(score < threshold for score in scores) / n
    return Certified(threshold, share, math.fsum(routed) / n, n, tested)


def ln_capital(losses: Sequence[float], margin: float, delta: float = 0.05) -> float:
    """ln of the most a bettor against "mean loss > margin" ever owned; ≥ ln(1/delta) certifies mean loss ≤
    margin.

    Stakes follow the variance seen before each label (Waudby-Smith & Ramdas 2024, predictable plug-in), so
    they are fair.
    """
    check_margin(margin)
    goal, n = 2 * ln_threshold(delta), len(losses)
    most = _BOLDEST / (1 - margin)
    # A quarter of the widest possible variance as a first guess, worth one label.
    total, squares, mean = 0.0, 0.25, 0.0
    capital = peak = 0.0
    for i, loss in enumerate(losses, 1):
        if not -1 <= loss <= 1:
            raise SuiteError(f"A loss of {loss} is outside −1..1.", "Scores must lie in 0..1.")
        stake = min(most, math.sqrt(goal * i / (n * squares)))
        capital += math.log1p(stake * (margin - loss))
        peak = max(peak, capital)
        total += loss
        mean = total / (i + 1)
        squares += (loss - mean) ** 2
    return peak


def needed_labels(discordance: float, margin: float) -> int:
    """About 6.18·ψ/margin² labels, (z_0.95 + z_0.80)² of the fixed-n formula: better than even odds of a
    certificate.

    For tiers that are truly equal; the betting bound pays for its validity with some of the 80 %.
    """
    check_margin(margin)
    return math.ceil(6.1826 * discordance / margin**2)

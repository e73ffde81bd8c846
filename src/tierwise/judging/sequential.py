"""E-values: evidence that may be read after every Case without inflating the error (Waudby-Smith & Ramdas
2024; Ville).

`switch` bets that the difference is above −margin, `keep` that it is below. A bettor who starts with 1 and
never borrows reaches 1/alpha with probability at most alpha when its hypothesis is wrong, however often one
looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from ..errors import SuiteError
from ..nouns import Counts, Decision
from .intervals import Interval, check_counts

WEIGHTS = tuple(0.1 * 8 ** (j / 4) for j in range(5))
"""Five stakes, geometric from 0.1 to 0.8 of what may be bet without risking ruin; the e-value is their mean.
"""
_DISTINCT = 2000
Side = Literal["switch", "keep"]
Evidence = Callable[[float, Side], float]
"""(centre, side) → ln e of the bet against a difference of `centre`."""


def ln_e(counts: Counts, margin: float, side: Side) -> float:
    """ln of the e-value from the three counts (cheap only, reference only, concordant). Margin in −1..1, ends
    excluded.
    """
    check_counts(counts)
    concordant = counts.both + counts.neither
    logs = []
    for stake in WEIGHTS:
        better, worse, same = (_ln_factor(d, margin, stake, side) for d in (1.0, -1.0, 0.0))
        logs.append(counts.cheap_only * better + counts.ref_only * worse + concordant * same)
    return _ln_mean_exp(logs)


def ln_threshold(alpha: float) -> float:
    """ln(1/alpha): by Ville's inequality an e-value of a true hypothesis ever gets there with probability ≤
    alpha.
    """
    if not 0 < alpha < 1:
        raise SuiteError(f"alpha cannot be {alpha}.", "Use an error rate such as 0.05.")
    return -math.log(alpha)


class EProcess:
    """Both e-values, grown one difference at a time; differences in −1..1, Cases in an order drawn before the
    first.

    `ln_switch`, `ln_keep`: now. `peak_switch`, `peak_keep`: the highest so far, which is what a decision may
    rest on. A changed prompt, scorer or margin starts a new one.
    """

    def __init__(self, margin: float) -> None:
        check_margin(margin)
        self.margin = margin
        self.n = 0
        self.ln_switch = self.ln_keep = 0.0
        self.peak_switch = self.peak_keep = 0.0
        self._switch = [0.0] * len(WEIGHTS)
        self._keep = [0.0] * len(WEIGHTS)

    def add(self, difference: float) -> None:
        """One Case more (or one whole cluster's mean). Raises SuiteError outside −1..1."""
        self.add_all((difference,))

    def add_all(self, differences: Iterable[float]) -> None:
        """Several Cases between two looks: the peaks are taken after the last of them."""
        gains = [w / (1 - self.margin) for w in WEIGHTS]
        losses = [-w / (1 + self.margin) for w in WEIGHTS]
        log1p, margin = math.log1p, self.margin
        for d in differences:
            if not -1 <= d <= 1:
                raise SuiteError(f"A difference of {d} is outside −1..1.", "Scores must lie in 0..1.")
            excess = d + margin
            for j, rate in enumerate(gains):
                self._switch[j] += log1p(rate * excess)
            for j, rate in enumerate(losses):
                self._keep[j] += log1p(rate * excess)
            self.n += 1
        self.ln_switch, self.ln_keep = _ln_mean_exp(self._switch), _ln_mean_exp(self._keep)
        self.peak_switch = max(self.peak_switch, self.ln_switch)
        self.peak_keep = max(self.peak_keep, self.ln_keep)

    def decision(self, alpha: float) -> Decision:
        """switch or keep once its peak reached 1/alpha, whichever is higher; not_enough before."""
        return decide(self.peak_switch, self.peak_keep, alpha)


def decide(ln_switch: float, ln_keep: float, alpha: float) -> Decision:
    """The three-way decision from both log e-values, each at error rate alpha."""
    if max(ln_switch, ln_keep) < ln_threshold(alpha):
        return "not_enough"
    return "switch" if ln_switch >= ln_keep else "keep"


def confidence_sequence(counts: Counts, alpha: float) -> Interval:
    """An interval of level 1 − 2·alpha for the difference that holds at every look at once: what no bettor
    has refuted.

    Its lower end is above −m exactly when the switch e-value at margin m reaches 1/alpha; its upper end
    mirrors `keep`.
    """
    check_counts(counts)
    observed = (counts.cheap_only - counts.ref_only) / counts.n
    return _invert(observed, alpha, lambda centre, side: ln_e(counts, -centre, side))


def confidence_sequence_graded(differences: Sequence[float], alpha: float) -> Interval:
    """The same for graded differences in −1..1. Beyond 2,000 distinct values each is moved up to 0.001
    against the bettor, which costs a little width and no validity.
    """
    if not differences:
        raise SuiteError("There are no pairs to judge.", "Run both tiers on at least one Case.")
    exact = _tally(differences)
    fine = len(exact) <= _DISTINCT
    tallies: dict[Side, dict[float, int]] = {
        "switch": exact if fine else _tally(math.floor(d * 1000) / 1000 for d in differences),
        "keep": exact if fine else _tally(math.ceil(d * 1000) / 1000 for d in differences),
    }

    def evidence(centre: float, side: Side) -> float:
        tally = tallies[side].items()
        return _ln_mean_exp(
            [math.fsum(k * _ln_factor(d, -centre, w, side) for d, k in tally) for w in WEIGHTS]
        )

    return _invert(math.fsum(differences) / len(differences), alpha, evidence)


def statement(ln_value: float, alpha: float, side: Side) -> str:
    """What one e-value says, in one sentence."""
    needed = 1 / alpha
    value = math.exp(min(ln_value, 700.0))
    claim = "the loss is within the margin" if side == "switch" else "the loss is beyond the margin"
    shown = "more than a million" if value > 1e6 else f"{value:,.2f}"
    if ln_value >= ln_threshold(alpha):
        return f"Evidence that {claim}: e = {shown}, at or above the {needed:,.0f} it takes at any look."
    return f"Evidence that {claim}: e = {shown}, short of the {needed:,.0f} it takes at any look."


def growth(better: float, worse: float, n: int, margin: float, side: Side) -> tuple[float, float]:
    """(gain of ln e expected per Case, its variance) for the best stake, if shares stay as seen; a gain ≤ 0
    where evidence will not come.

    `better` and `worse`: Σmax(D, 0) and Σmax(−D, 0) over n Cases (for right/wrong scores the two discordant
    counts). Half a Case is added to each, so that "none seen yet" is not read as "never"; graded scores grow
    at least this fast.
    """
    b, c = better + 0.5, worse + 0.5
    shares = [(1.0, b), (-1.0, c), (0.0, max(n + 1 - b - c, 0.0))]
    total = math.fsum(share for _, share in shares)
    found = []
    for stake in WEIGHTS:
        gains = [(_ln_factor(d, margin, stake, side), share / total) for d, share in shares]
        mean = math.fsum(gain * share for gain, share in gains)
        found.append((mean, math.fsum((gain - mean) ** 2 * share for gain, share in gains)))
    return max(found)


def check_margin(margin: float) -> None:
    """Raises SuiteError unless 0 < margin < 1."""
    if not 0 < margin < 1:
        raise SuiteError(
            f"A margin of {margin} cannot be judged.",
            "Use the loss you accept, above 0 and below 1, e.g. 0.05.",
        )


def _ln_factor(difference: float, margin: float, stake: float, side: Side) -> float:
    """ln of what one difference does to the bettor's money: 1 ± λ(D + m)."""
    rate = stake / (1 - margin) if side == "switch" else -stake / (1 + margin)
    return math.log1p(rate * (difference + margin))


def _tally(differences: Iterable[float]) -> dict[float, int]:
    tally: dict[float, int] = {}
    for d in differences:
        tally[d] = tally.get(d, 0) + 1
    return tally


def _ln_mean_exp(logs: list[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(x - top) for x in logs) / len(logs))


def _invert(observed: float, alpha: float, evidence: Evidence) -> Interval:
    """Both ends by bisection: the switch evidence falls as the centre grows, the keep evidence rises."""
    bar = ln_threshold(alpha)
    edge = 1 - 1e-12
    low, high = -edge, max(min(observed, edge), -edge)
    if evidence(low, "switch") < bar:
        lower = -1.0
    else:
        for _ in range(48):
            middle = (low + high) / 2
            low, high = (middle, high) if evidence(middle, "switch") >= bar else (low, middle)
        lower = low
    low, high = max(min(observed, edge), -edge), edge
    if evidence(high, "keep") < bar:
        return lower, 1.0
    for _ in range(48):
        middle = (low + high) / 2
        low, high = (low, middle) if evidence(middle, "keep") >= bar else (middle, high)
    return lower, high

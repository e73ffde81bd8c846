"""What paired scores show: difference, interval and e-values by the method that fits the scores, before any
decision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..errors import SuiteError
from ..nouns import Counts
from .intervals import Interval, check_counts, tango
from .paired import (
    LEAST_CLUSTERS,
    Pair,
    bca,
    cluster_means,
    clustered_t,
    counts_of,
    difference,
    discordance,
    even_clusters,
    expanded_level,
    mcnemar,
    paired_t,
    variance,
)
from .power import more_pairs, more_pairs_binary, more_pairs_running
from .sequential import EProcess, confidence_sequence, confidence_sequence_graded, ln_e

BOOTSTRAP_BELOW = 100
"""Paired t from here up; below, the bootstrap."""
LEAST_DIFFERING = 10
"""With fewer differing Cases (or clusters) a variance says nothing: the betting interval needs none."""


class Reading(Struct, frozen=True):
    """How the scores are read: margin and alpha of the Bar, the bootstrap's seed, and whether looks are
    repeated.
    """

    margin: float
    alpha: float
    seed: int = 0
    running: bool = False

    @property
    def level(self) -> float:
        return 1 - 2 * self.alpha


class Evidence(Struct, frozen=True):
    """Numbers of one comparison, cheap − reference in −1..1. `interval` has level 1 − 2·alpha.

    `more` is how many further Cases would likely decide if the truth is as observed, or, with
    `more_if_equal`, if the tiers are equal (asked only when the observed gap sits at the margin and equality
    is possible); None when no number would. `more_running`: how many if e-values decide from here on, as they
    must once this was read. `blocked` why no verdict may rest on this, "" when one may; `drawn` whether the
    seed was used.
    """

    difference: float
    interval: Interval
    n: int
    method: str
    ln_switch: float
    ln_keep: float
    discordance: float
    more: int | None
    counts: Counts | None = None
    midp: float | None = None
    clusters: int | None = None
    blocked: str = ""
    drawn: bool = False
    more_if_equal: bool = False
    more_running: int | None = None


def from_counts(counts: Counts, reading: Reading) -> Evidence:
    """Right/wrong scores: Tango's score interval and McNemar's mid-p; read while running, the confidence
    sequence.
    """
    check_counts(counts)
    margin, alpha, n = reading.margin, reading.alpha, counts.n
    ln_now = (ln_e(counts, margin, "switch"), ln_e(counts, margin, "keep"))
    running = _running((counts.cheap_only, counts.ref_only), n, reading, ln_now)
    if reading.running:
        interval, method = confidence_sequence(counts, alpha), "betting confidence sequence"
        more, if_equal = _projected(*running, interval)
    else:
        interval, method = tango(counts, reading.level), "Tango score interval"
        seen, equal = (more_pairs_binary(counts, margin, alpha, equal) for equal in (False, True))
        more, if_equal = _projected(seen, equal, interval)
    return Evidence(
        difference=difference(counts),
        interval=interval,
        n=counts.n,
        method=method,
        ln_switch=ln_now[0],
        ln_keep=ln_now[1],
        discordance=discordance(counts),
        more=more,
        counts=counts,
        midp=mcnemar(counts),
        more_if_equal=if_equal,
        more_running=_projected(*running, interval)[0],
    )


def from_pairs(pairs: Sequence[Pair], reading: Reading) -> Evidence:
    """Scored pairs by the method that fits: clustered t, Tango on 0/1 scores, paired t, BCa bootstrap, or
    betting.

    Raises SuiteError when nothing is scored, a score is outside 0..1, or only some Cases name a cluster.
    """
    scored = [p for p in pairs if p.cheap is not None and p.reference is not None]
    if not scored:
        raise SuiteError("No Case is scored for both tiers.", "Check the scorer and the run's errors.")
    differences = [_difference(p) for p in scored]
    clusters = _clusters(scored)
    if clusters is not None:
        return _clustered(differences, clusters, counts_of(scored), reading)
    counts = counts_of(scored)
    return _graded(differences, reading) if counts is None else from_counts(counts, reading)


def _graded(differences: list[float], reading: Reading) -> Evidence:
    n = len(differences)
    interval, method, drawn = None, "", False
    sparse = sum(d != 0 for d in differences) < LEAST_DIFFERING
    if not (reading.running or sparse):
        interval, method = paired_t(differences, reading.level).interval, "paired t"
        if n < BOOTSTRAP_BELOW:
            interval = bca(differences, expanded_level(reading.level, n), reading.seed)
            method, drawn = "BCa paired bootstrap", interval is not None
    return _evidence(differences, differences, reading, (interval, method, drawn))


def _clustered(
    differences: list[float], clusters: list[str], counts: Counts | None, reading: Reading
) -> Evidence:
    """Whole clusters are the units. Betting is on each cluster's mean, with equal weight: where clusters are
    so uneven that they weigh like less than half their number, a few of them decide what a t would say.
    """
    units = cluster_means(differences, clusters)
    mean = clustered_t(differences, clusters, reading.level)
    sparse = sum(u != 0 for u in units) < LEAST_DIFFERING
    uneven = 2 * even_clusters(clusters) < len(units)
    interval = None if mean is None or reading.running or sparse or uneven else mean.interval
    found = _evidence(differences, units, reading, (interval, "clustered t", False))
    found = replace(found, counts=counts, clusters=len(units))
    if mean is not None:
        return found
    few = "1 cluster is" if len(units) == 1 else f"{len(units)} clusters are"
    blocked = f"{few} too few: no verdict below {LEAST_CLUSTERS} independent clusters."
    by_t = None if reading.running else _more_by_t(units, len(differences) / len(units), reading)
    if by_t is not None and (found.more is None or by_t < found.more):
        found = replace(found, more=by_t, more_if_equal=False)
    # Ten clusters make a verdict possible, not likely.
    lacking = math.ceil((LEAST_CLUSTERS - len(units)) * len(differences) / len(units))
    return replace(found, blocked=blocked, more=None if found.more is None else max(found.more, lacking))


def _more_by_t(units: list[float], size: float, reading: Reading) -> int | None:
    """Further Cases after which the clustered t would likely decide, `size` Cases a cluster; it takes enough
    clusters that differ.
    """
    count, differing = len(units), sum(u != 0 for u in units)
    if count < 2 or not differing:
        return None
    more = more_pairs(count, math.fsum(units) / count, variance(units), reading.margin, reading.alpha)
    if more is None:
        return None
    return math.ceil(size * max(more, math.ceil(LEAST_DIFFERING * count / differing) - count))


def _evidence(
    differences: list[float],
    units: list[float],
    reading: Reading,
    fixed: tuple[Interval | None, str, bool],
) -> Evidence:
    """`units` are what is independent: the differences themselves, or cluster means. No fixed interval:
    betting.
    """
    interval, method, drawn = fixed
    n, count, margin, alpha = len(differences), len(units), reading.margin, reading.alpha
    process = EProcess(margin)
    process.add_all(units)
    mean = math.fsum(differences) / n
    sums = (math.fsum(u for u in units if u > 0), -math.fsum(u for u in units if u < 0))
    running = _running(sums, count, reading, (process.ln_switch, process.ln_keep))
    if interval is None:
        interval = confidence_sequence_graded(units, alpha)
        # Unequal clusters weigh alike here, so the middle is their mean of means.
        mean = math.fsum(units) / count
        method = "betting confidence sequence" if reading.running else "betting interval"
        seen, equal = running
    else:
        # Where clusters are of unequal size this is their variance only roughly; it feeds a projection.
        spread = variance(units)
        seen = more_pairs(count, mean, spread, margin, alpha)
        equal = more_pairs(count, 0.0, spread, margin, alpha)
    more, if_equal = _projected(seen, equal, interval)
    more_running, _ = _projected(*running, interval)
    return Evidence(
        difference=mean,
        interval=interval,
        n=n,
        method=method,
        ln_switch=process.ln_switch,
        ln_keep=process.ln_keep,
        discordance=sum(d != 0 for d in differences) / n,
        more=None if more is None else math.ceil(more * n / count),
        drawn=drawn,
        more_if_equal=if_equal,
        more_running=None if more_running is None else math.ceil(more_running * n / count),
    )


def _running(
    sums: tuple[float, float], n: int, reading: Reading, ln_now: tuple[float, float]
) -> tuple[int | None, int | None]:
    """Pairs to go while e-values decide: as observed, and if the tiers are equal."""
    margin, alpha, half = reading.margin, reading.alpha, sum(sums) / 2
    return (
        more_pairs_running(sums, n, margin, alpha, ln_now),
        more_pairs_running((half, half), n, margin, alpha, ln_now),
    )


def _projected(seen: int | None, equal: int | None, interval: Interval) -> tuple[int | None, bool]:
    """Pairs to go as observed; where that has no answer but the tiers may be equal, pairs to go if they are
    (True).
    """
    if seen is None and interval[0] < 0 < interval[1]:
        return equal, equal is not None
    return seen, False


def _difference(pair: Pair) -> float:
    assert pair.cheap is not None
    assert pair.reference is not None
    for value in (pair.cheap, pair.reference):
        if not 0 <= value <= 1:
            raise SuiteError(f"A score of {value} is outside 0..1.", "Scale the scorer's result to 0..1.")
    return pair.cheap - pair.reference


def _clusters(scored: Sequence[Pair]) -> list[str] | None:
    """Each Case's cluster; None when no Case names one or every Case is its own."""
    named = [p.cluster for p in scored if p.cluster is not None]
    if not named:
        return None
    if len(named) < len(scored):
        raise SuiteError(
            f"{len(scored) - len(named)} of {len(scored)} Cases name no cluster.",
            "Give every Case a cluster, or none.",
        )
    return None if len(set(named)) == len(named) else named

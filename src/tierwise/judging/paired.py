"""Paired differences, cheap − reference: McNemar's tests, paired t, BCa bootstrap, clusters, repeats."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from ..errors import SuiteError
from ..nouns import Case, Counts, Trial
from .distributions import half_binomial_cdf, half_binomial_pmf, normal_cdf, normal_quantile, t_quantile
from .intervals import Interval, check_counts, two_sided_z

LEAST_CLUSTERS = 10


class Pair(Struct, frozen=True):
    """Both tiers' scores on one Case, 0..1; None: unscored. `cluster` names what Cases share (document, user,
    template).
    """

    cheap: float | None
    reference: float | None
    cluster: str | None = None


class Mean(Struct, frozen=True):
    """A mean difference with standard error and interval."""

    difference: float
    error: float
    interval: Interval


def difference(counts: Counts) -> float:
    """(b − c)/n: how much more often the cheap tier was right, −1..1."""
    check_counts(counts)
    return (counts.cheap_only - counts.ref_only) / counts.n


def discordance(counts: Counts) -> float:
    """(b + c)/n: the share of Cases on which the tiers disagree."""
    check_counts(counts)
    return (counts.cheap_only + counts.ref_only) / counts.n


def mcnemar(counts: Counts, variant: Literal["asymptotic", "exact", "midp"] = "midp") -> float:
    """Two-sided p-value of "no difference" (Fagerland, Lydersen & Laake 2013); 1 without discordant pairs."""
    b, c = counts.cheap_only, counts.ref_only
    if b + c == 0:
        return 1.0
    if variant == "asymptotic":
        return min(1.0, 2 * normal_cdf(-abs(b - c) / math.sqrt(b + c)))
    exact = min(1.0, 2 * half_binomial_cdf(min(b, c), b + c))
    if variant == "exact":
        return exact
    point = half_binomial_pmf(b, b + c)
    return max(1 - point / 2 if b == c else exact - point, 0.0)


def counts_of(pairs: Iterable[Pair]) -> Counts | None:
    """The four counts when every score is 0 or 1, else None. Pairs with an unscored side are left out."""
    cells = {(1, 1): 0, (1, 0): 0, (0, 1): 0, (0, 0): 0}
    for pair in pairs:
        if pair.cheap is None or pair.reference is None:
            continue
        cell = (pair.cheap, pair.reference)
        if cell not in cells:
            return None
        cells[cell] += 1  # type: ignore[index]  # 1.0 and 1 are one key
    return Counts(cells[1, 1], cells[1, 0], cells[0, 1], cells[0, 0])


def pair_trials(cases: Sequence[Case], cheap: Iterable[Trial], reference: Iterable[Trial]) -> list[Pair]:
    """One Pair per Case, repeats averaged; a side with any unscored or missing repeat is None (averaging the
    rest would favour the tier whose failures went unscored).
    """
    sides = (_by_case(cheap), _by_case(reference))
    return [Pair(_average(sides[0].get(c.id)), _average(sides[1].get(c.id)), c.cluster) for c in cases]


def paired_t(differences: Sequence[float], level: float = 0.90) -> Mean:
    """Student's paired t interval. Raises SuiteError on fewer than two differences."""
    n = len(differences)
    mean = _mean(differences)
    error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    return Mean(mean, error, _t_interval(mean, error, n - 1, level))


def clustered_t(differences: Sequence[float], clusters: Sequence[str], level: float = 0.90) -> Mean | None:
    """Mean difference over Cases with an error that lets Cases of a cluster depend on each other; None below
    10 clusters.

    SE = √(G/(G−1) · Σ_g(Σ_{i∈g}(D_i − D̄))²)/n, Student's t with G* − 1 degrees of freedom: G clusters of
    uneven size say as much as G* = n²/Σn_g² even ones (Carter, Schnepel & Steigerwald 2017).
    """
    if len(differences) != len(clusters):
        raise SuiteError("Every difference needs its cluster.", "Give as many clusters as differences.")
    mean = _mean(differences)
    sums: dict[str, float] = {}
    for d, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + d - mean
    count = len(sums)
    if count < LEAST_CLUSTERS:
        return None
    error = math.sqrt(count / (count - 1) * math.fsum(s * s for s in sums.values())) / len(differences)
    return Mean(mean, error, _t_interval(mean, error, even_clusters(clusters) - 1, level))


def even_clusters(clusters: Iterable[str]) -> float:
    """How many clusters of one size say as much as these, n²/Σn_g²; 0 for none."""
    sizes = Counter(clusters).values()
    return sum(sizes) ** 2 / sum(size * size for size in sizes) if sizes else 0.0


def cluster_means(differences: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """The mean difference of each cluster, in order of first appearance."""
    groups: dict[str, list[float]] = {}
    for d, cluster in zip(differences, clusters, strict=True):
        groups.setdefault(cluster, []).append(d)
    return [math.fsum(group) / len(group) for group in groups.values()]


def bca(differences: Sequence[float], level: float, seed: int, resamples: int = 2000) -> Interval | None:
    """Efron's (1987) bias-corrected and accelerated bootstrap interval of the mean, resampling Cases.

    The same seed gives the same interval. None when all differences are equal: a bootstrap of a constant has
    no width.
    """
    n = len(differences)
    mean = _mean(differences)
    square = math.fsum((d - mean) ** 2 for d in differences)
    if max(differences) - min(differences) < 1e-12:
        return None
    # With a mean, the jackknife's acceleration is the skewness/(6√n).
    acceleration = math.fsum((d - mean) ** 3 for d in differences) / (6 * square**1.5)
    draw = random.Random(seed)
    means = sorted(math.fsum(draw.choices(differences, k=n)) / n for _ in range(resamples))
    below = sum(m < mean for m in means) + sum(m == mean for m in means) / 2
    bias = normal_quantile(min(max(below, 0.5), resamples - 0.5) / resamples)
    z = two_sided_z(level)
    ends = []
    for side in (-z, z):
        scale = 1 - acceleration * (bias + side)
        # Past the pole of the correction the end of the bootstrap distribution is all that is known.
        share = normal_cdf(bias + (bias + side) / scale) if scale > 0 else float(side > 0)
        ends.append(_quantile(means, share))
    return ends[0], ends[1]


def expanded_level(level: float, n: int) -> float:
    """The level to ask of a bootstrap of n Cases for `level`: resampling n values spreads them by √((n−1)/n)
    too little, and takes the normal's tails for Student's (Hesterberg 2015, "expanded percentile interval").
    """
    return 2 * normal_cdf(math.sqrt(n / (n - 1)) * t_quantile((1 + level) / 2, n - 1)) - 1


class Repeats(Struct, frozen=True):
    """Variance components of a comparison with repeats, in squared score: between Cases, and within each
    tier's repeats.
    """

    between: float
    cheap: float
    reference: float


def variance_of_mean(components: Repeats, n: int, repeats: int) -> float:
    """Var(D̄) = (ω² + σ²_A/K + σ²_B/K)/n (Miller 2024, arXiv 2411.00640)."""
    if n < 1 or repeats < 1:
        raise SuiteError("A mean needs Cases and repeats.", "Give n ≥ 1 and repeats ≥ 1.")
    return (components.between + (components.cheap + components.reference) / repeats) / n


def repeat_components(
    cheap: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]
) -> Repeats | None:
    """Unbiased components from scores[case][repeat] (ω² cut at 0); None below two Cases or two repeats in any
    Case.
    """
    rows = [*cheap, *reference]
    if len(cheap) != len(reference) or len(cheap) < 2 or min(len(row) for row in rows) < 2:
        return None
    within_cheap = math.fsum(variance(row) for row in cheap) / len(cheap)
    within_reference = math.fsum(variance(row) for row in reference) / len(reference)
    gaps = [_mean(a) - _mean(b) for a, b in zip(cheap, reference, strict=True)]
    noise = math.fsum(variance(row) / len(row) for row in rows) / len(cheap)
    return Repeats(max(variance(gaps) - noise, 0.0), within_cheap, within_reference)


def _by_case(trials: Iterable[Trial]) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for trial in trials:
        found.setdefault(trial.case, []).append(trial.score.value)
    return found


def _average(values: list[float | None] | None) -> float | None:
    if not values:
        return None
    scored = [v for v in values if v is not None]
    return math.fsum(scored) / len(scored) if len(scored) == len(values) else None


def _mean(values: Sequence[float]) -> float:
    if len(values) < 2:
        raise SuiteError(f"{len(values)} paired Case(s) show no spread.", "Score both tiers on two or more.")
    return math.fsum(values) / len(values)


def variance(values: Sequence[float]) -> float:
    """Unbiased sample variance. Raises SuiteError on fewer than two values."""
    mean = _mean(values)
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)


def _t_interval(mean: float, error: float, df: float, level: float) -> Interval:
    half = t_quantile((1 + level) / 2, df) * error
    return max(mean - half, -1.0), min(mean + half, 1.0)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between order statistics."""
    position = share * (len(ordered) - 1)
    low = min(int(position), len(ordered) - 2)
    return ordered[low] + (position - low) * (ordered[low + 1] - ordered[low])

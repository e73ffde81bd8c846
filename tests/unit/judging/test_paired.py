"""McNemar, paired t, clusters, bootstrap, repeats: against published numbers and each other."""

from __future__ import annotations

import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.distributions import t_quantile
from tierwise.judging.paired import (
    Pair,
    Repeats,
    bca,
    cluster_means,
    clustered_t,
    counts_of,
    difference,
    discordance,
    even_clusters,
    expanded_level,
    mcnemar,
    pair_trials,
    paired_t,
    repeat_components,
    variance_of_mean,
)
from tierwise.nouns import Case, Counts, Score, Trial, Usage

A = [0.9, 0.8, 0.7, 1, 0.6, 0.95, 0.5, 0.85, 0.75, 0.9]
B = [0.95, 0.85, 0.65, 1, 0.8, 0.95, 0.7, 0.85, 0.8, 0.9]
GAPS = [a - b for a, b in zip(A, B, strict=True)]


@pytest.mark.parametrize(("variant", "p"), [("asymptotic", 0.03389), ("exact", 0.07031), ("midp", 0.03906)])
def test_mcnemar_of_fagerland(variant, p):
    assert mcnemar(Counts(1, 1, 7, 12), variant) == pytest.approx(p, abs=1e-5)


@pytest.mark.parametrize(
    ("b", "c", "p", "digits"),
    [
        (121, 59, 4e-6, 6),
        (70, 59, 0.378688, 6),
        (80, 59, 0.089452, 6),
        (30, 60, 0.00206, 5),
        (10, 30, 0.002221, 6),
    ],
)
def test_mcnemar_exact(b, c, p, digits):
    assert round(mcnemar(Counts(5, b, c, 5), "exact"), digits) == p


@pytest.mark.parametrize("variant", ["asymptotic", "exact", "midp"])
def test_mcnemar_without_discordant_pairs(variant):
    assert mcnemar(Counts(9, 0, 0, 1), variant) == 1


def test_mcnemar_midp_at_balance():
    assert mcnemar(Counts(0, 2, 2, 0)) == pytest.approx(1 - 6 / 16 / 2)


def test_difference_and_discordance():
    counts = Counts(91, 3, 6, 0)
    assert difference(counts) == pytest.approx(-0.03)
    assert discordance(counts) == pytest.approx(0.09)


def test_paired_t_vector():
    found = paired_t(GAPS, 0.95)
    assert found.difference == pytest.approx(-0.05)
    assert found.interval == pytest.approx((-0.110794, 0.010794), abs=1e-6)


def test_clusters_of_one_are_plain_t():
    found = clustered_t(GAPS, [str(i) for i in range(10)], 0.95)
    assert found is not None
    assert found.interval == pytest.approx(paired_t(GAPS, 0.95).interval)
    assert found.interval == pytest.approx((-0.110794, 0.010794), abs=1e-6)


def test_doubling_every_case_inside_its_cluster_adds_nothing():
    clusters = [str(i) for i in range(10)]
    once, twice = clustered_t(GAPS, clusters), clustered_t(GAPS * 2, clusters * 2)
    assert once is not None
    assert twice is not None
    assert twice.interval == pytest.approx(once.interval)
    assert paired_t(GAPS * 2).error < once.error


def test_no_clustered_interval_below_ten_clusters():
    assert clustered_t(GAPS, [str(i % 9) for i in range(10)]) is None


def test_uneven_clusters_have_the_degrees_of_freedom_of_fewer_even_ones() -> None:
    assert even_clusters(list("abcdefghij")) == even_clusters([*"abcdefghij"] * 7) == pytest.approx(10)
    assert even_clusters(["a"] * 100 + [str(n) for n in range(100)]) == pytest.approx(40_000 / 10_100)
    assert even_clusters([]) == 0
    uneven = clustered_t(GAPS * 2, [*(str(n) for n in range(10)), *"0123456780"])
    assert uneven is not None
    even = even_clusters([*(str(n) for n in range(10)), *"0123456780"])
    half = t_quantile(0.95, even - 1) * uneven.error
    assert uneven.interval == pytest.approx((uneven.difference - half, uneven.difference + half))


def test_every_difference_needs_its_cluster():
    with pytest.raises(SuiteError):
        clustered_t(GAPS, ["a"])


def test_cluster_means():
    assert cluster_means([1, 0, 0.5], ["b", "b", "a"]) == [0.5, 0.5]


@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_difference_has_no_spread(values):
    with pytest.raises(SuiteError):
        paired_t(values)


def test_bca_leaves_the_global_random_state_alone():
    random.seed(7)
    state = random.getstate()
    bca(GAPS, 0.9, seed=1, resamples=50)
    assert random.getstate() == state


def test_a_bootstrap_of_few_cases_is_asked_for_a_wider_level():
    """t(0.975, 9)·√(10/9) = 2.3846, beyond which a normal has 0.86 %; of 100 Cases 2.31 %."""
    assert (1 - expanded_level(0.95, 10)) / 2 == pytest.approx(0.0086, abs=2e-4)
    assert (1 - expanded_level(0.95, 100)) / 2 == pytest.approx(0.0231, abs=2e-4)


def test_bca_of_a_constant_is_undefined():
    assert bca([0.1] * 30, 0.90, seed=1) is None


def test_bca_survives_one_extreme_value():
    low, high = bca([0.0] * 29 + [-1.0], 0.90, seed=1) or (1, 1)
    assert -0.4 < low < -1 / 30 < high <= 0


def test_counts_of():
    pairs = [Pair(1, 1.0), Pair(1, 0), Pair(0.0, 1), Pair(0, 1), Pair(0, 0), Pair(None, 1)]
    assert counts_of(pairs) == Counts(1, 1, 2, 1)
    assert counts_of([*pairs, Pair(0.5, 1)]) is None


def test_variance_of_repeats():
    components = Repeats(between=0.04, cheap=0.1, reference=0.2)
    assert variance_of_mean(components, 100, 1) == pytest.approx(0.0034)
    # Ten times the calls: ten repeats leave the spread between Cases, ten times the Cases do not.
    assert variance_of_mean(components, 1000, 1) < variance_of_mean(components, 100, 10)
    with pytest.raises(SuiteError):
        variance_of_mean(components, 100, 0)


def test_repeat_components_recover_what_was_put_in():
    draw = random.Random(3)
    cheap, reference = [], []
    for _ in range(4000):
        gap = draw.gauss(0, 0.2)
        cheap.append([gap + draw.gauss(0, 0.3) for _ in range(3)])
        reference.append([draw.gauss(0, 0.1) for _ in range(3)])
    found = repeat_components(cheap, reference)
    assert found is not None
    assert (found.between, found.cheap, found.reference) == pytest.approx((0.04, 0.09, 0.01), rel=0.1)


def test_repeat_components_need_repeats():
    assert repeat_components([[1.0], [0.0]], [[1.0], [1.0]]) is None
    assert repeat_components([[1.0, 0.0]], [[1.0, 1.0]]) is None


def trial(case: str, value: float | None, repeat: int = 0) -> Trial:
    return Trial(case, "t", repeat, "", Score(value), Usage(), 0, None, 0)


def test_pair_trials_averages_repeats_and_never_guesses():
    cases = [Case("a", "", cluster="x"), Case("b", ""), Case("c", "")]
    cheap = [trial("a", 1), trial("a", 0, 1), trial("b", 1), trial("b", None, 1)]
    reference = [trial("a", 1), trial("b", 1), trial("c", 1)]
    assert pair_trials(cases, cheap, reference) == [Pair(0.5, 1, "x"), Pair(None, 1), Pair(None, 1)]

"""Our own distributions, tests and intervals against scipy's."""

from __future__ import annotations

import random

import pytest
from scipy import special, stats

from tierwise.judging.distributions import (
    beta_regularised,
    half_binomial_cdf,
    half_binomial_pmf,
    normal_cdf,
    normal_quantile,
    t_cdf,
    t_quantile,
)
from tierwise.judging.paired import (
    bca,
    mcnemar,
    paired_t,
)
from tierwise.judging.similar import clopper_pearson_upper
from tierwise.nouns import Counts


@pytest.mark.parametrize("df", [1, 2, 3.5, 9, 30, 399, 100_000])
@pytest.mark.parametrize("p", [1e-6, 0.025, 0.05, 0.3, 0.5, 0.7, 0.95, 0.975, 0.9999])
def test_t_quantile_and_cdf(df, p):
    t = t_quantile(p, df)
    assert t == pytest.approx(stats.t.ppf(p, df), rel=1e-8, abs=1e-9)
    assert t_cdf(t, df) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "a", "b"), [(0.1, 0.5, 0.5), (0.9, 3, 7), (0.5, 5000, 5000), (0.001, 400, 0.5)]
)
def test_incomplete_beta(x, a, b):
    assert beta_regularised(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (3, 10), (900, 2000), (950, 2001), (49_800, 100_000), (5, 3), (-1, 4)]
)
def test_half_binomial(k, n):
    assert half_binomial_cdf(k, n) == pytest.approx(stats.binom.cdf(k, n, 0.5), rel=1e-7)
    assert half_binomial_pmf(k, n) == pytest.approx(stats.binom.pmf(k, n, 0.5), rel=1e-7)


def test_half_binomial_far_beyond_exact_sums():
    n = 4_000_000
    assert half_binomial_cdf(n // 2 - 1500, n) == pytest.approx(
        stats.binom.cdf(n // 2 - 1500, n, 0.5), abs=1e-6
    )


def test_normal():
    assert normal_quantile(0.95) == pytest.approx(stats.norm.ppf(0.95))
    assert normal_cdf(-38) == pytest.approx(stats.norm.cdf(-38), rel=1e-9)


@pytest.mark.parametrize(("b", "c"), [(121, 59), (70, 59), (80, 59), (30, 60), (10, 30)])
def test_mcnemar_exact(b, c):
    assert mcnemar(Counts(5, b, c, 5), "exact") == pytest.approx(stats.binomtest(b, b + c).pvalue)


def test_paired_t():
    one = [0.9, 0.8, 0.7, 1, 0.6, 0.95, 0.5, 0.85, 0.75, 0.9]
    other = [0.95, 0.85, 0.65, 1, 0.8, 0.95, 0.7, 0.85, 0.8, 0.9]
    found = paired_t([a - b for a, b in zip(one, other, strict=True)], 0.95)
    oracle = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found.interval == pytest.approx((oracle.low, oracle.high))


def test_bca_agrees_with_scipy_and_repeats_by_seed():
    draw = random.Random(5)
    # Strongly skewed: the percentile interval lies 0.004 and 0.008 lower.
    values = [draw.betavariate(0.2, 2) for _ in range(25)]
    ours = bca(values, 0.90, seed=1, resamples=12000)
    assert ours == bca(values, 0.90, seed=1, resamples=12000)
    assert ours != bca(values, 0.90, seed=2, resamples=12000)
    theirs = stats.bootstrap(
        (values,), lambda x, axis: x.mean(axis=axis), confidence_level=0.90, n_resamples=12000, rng=3
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_the_bound_is_clopper_and_pearsons() -> None:
    for wrong, n in ((1, 10), (3, 20), (0, 200), (17, 400)):
        expected = stats.beta.ppf(0.95, wrong + 1, n - wrong)
        assert clopper_pearson_upper(wrong, n, 0.05) == pytest.approx(expected, abs=1e-8)

"""Our own t, beta and binomial against scipy."""

from __future__ import annotations

import pytest
from scipy import special, stats

from tierwise.errors import SuiteError
from tierwise.judging.distributions import (
    beta_regularised,
    half_binomial_cdf,
    half_binomial_pmf,
    normal_cdf,
    normal_quantile,
    t_cdf,
    t_quantile,
)


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


def test_incomplete_beta_ends():
    assert beta_regularised(0, 2, 3) == 0
    assert beta_regularised(1, 2, 3) == 1


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
    assert normal_quantile(0.95) == pytest.approx(1.6448536269514722)
    assert normal_cdf(-38) == pytest.approx(stats.norm.cdf(-38), rel=1e-9)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, float("nan")])
def test_a_quantile_needs_a_probability(p):
    for quantile in (normal_quantile, lambda q: t_quantile(q, 5)):
        with pytest.raises(SuiteError):
            quantile(p)


def test_t_needs_degrees_of_freedom():
    with pytest.raises(SuiteError):
        t_cdf(1.0, 0)

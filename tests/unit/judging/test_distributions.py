"""Our own t, beta and binomial: textbook values, ends, and what is refused."""

from __future__ import annotations

import pytest

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


def test_incomplete_beta_ends():
    assert beta_regularised(0, 2, 3) == 0
    assert beta_regularised(1, 2, 3) == 1


def test_normal():
    assert normal_quantile(0.95) == pytest.approx(1.6448536269514722)
    assert normal_cdf(-1.6448536269514722) == pytest.approx(0.05)


def test_textbook_values():
    assert t_quantile(0.975, 9) == pytest.approx(2.262157, abs=1e-6)
    assert t_cdf(2.262157, 9) == pytest.approx(0.975, abs=1e-6)
    assert beta_regularised(0.5, 2, 3) == pytest.approx(11 / 16)
    assert half_binomial_cdf(3, 10) == pytest.approx(176 / 1024)
    assert half_binomial_pmf(3, 10) == pytest.approx(120 / 1024)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, float("nan")])
def test_a_quantile_needs_a_probability(p):
    for quantile in (normal_quantile, lambda q: t_quantile(q, 5)):
        with pytest.raises(SuiteError):
            quantile(p)


def test_t_needs_degrees_of_freedom():
    with pytest.raises(SuiteError):
        t_cdf(1.0, 0)

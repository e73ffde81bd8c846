"""Published intervals, to 1e-4; and the corners where formulas divide by zero."""

from __future__ import annotations

import math

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.intervals import agresti_min, bonett_price, newcombe, tango, tango_z, wald, wilson
from tierwise.nouns import Counts

AGRESTI = Counts(53, 16, 8, 9)
FAGERLAND = Counts(1, 1, 7, 12)


@pytest.mark.parametrize(
    ("method", "counts", "level", "low", "high"),
    [
        (tango, Counts(4, 9, 3, 16), 0.95, -0.0271, 0.3897),
        (tango, Counts(43, 0, 1, 0), 0.90, -0.0957, 0.0365),
        (tango, AGRESTI, 0.95, -0.0197, 0.2069),
        (agresti_min, AGRESTI, 0.95, -0.0188, 0.2006),
        (wald, AGRESTI, 0.95, -0.0169, 0.2029),
        (tango, FAGERLAND, 0.95, -0.5172, -0.0260),
        (newcombe, FAGERLAND, 0.95, -0.5069, -0.0256),
        (bonett_price, FAGERLAND, 0.95, -0.5084, -0.0134),
        (tango, Counts(100, 0, 0, 0), 0.90, -0.0263, 0.0263),
        (tango, Counts(91, 3, 6, 0), 0.90, -0.0867, 0.0220),
        (tango, Counts(89, 6, 5, 0), 0.90, -0.0487, 0.0698),
        (tango, Counts(456, 20, 24, 0), 0.90, -0.0305, 0.0142),
    ],
)
def test_published_intervals(method, counts, level, low, high):
    assert method(counts, level) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("cells", "z"),
    [((100, 0, 0, 0), 2.2942), ((91, 3, 6, 0), 0.6428), ((89, 6, 5, 0), 1.6777), ((456, 20, 24, 0), 2.9176)],
)
def test_score_statistic_at_the_margin(cells, z):
    assert tango_z(Counts(*cells), -0.05) == pytest.approx(z, abs=1e-4)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(successes, n, low, high):
    assert wilson(successes, n, 0.95) == pytest.approx((low, high), abs=1e-4)


def test_wilson_is_exact_at_its_ends():
    assert wilson(0, 20)[0] == 0
    assert wilson(20, 20)[1] == 1


def test_tango_where_all_pairs_go_one_way():
    low, high = tango(Counts(0, 5, 0, 0), 0.90)
    assert high == 1
    assert low == pytest.approx(0.29777, abs=1e-5)
    assert tango(Counts(0, 0, 5, 0), 0.90) == pytest.approx((-1, -low))


def test_tango_has_width_without_discordant_pairs():
    low, high = tango(Counts(10, 0, 0, 10), 0.90)
    # At b = c = 0 the bound solves n·Δ²/(Δ(1 + Δ)) = z², so Δ = z²/(n + z²).
    zz = 1.6448536269514722**2
    assert high == pytest.approx(zz / (20 + zz), abs=1e-12)
    assert low == pytest.approx(-high)
    assert wald(Counts(10, 0, 0, 10), 0.90) == (0, 0)


def test_tango_ends_are_where_the_statistic_is_z():
    counts = Counts(300, 31, 12, 57)
    low, high = tango(counts, 0.90)
    assert tango_z(counts, low) == pytest.approx(1.6448536, abs=1e-6)
    assert tango_z(counts, high) == pytest.approx(-1.6448536, abs=1e-6)


def test_score_statistic_without_variance():
    assert tango_z(Counts(7, 0, 0, 0), 0.0) == 0
    assert tango_z(Counts(7, 0, 0, 0), -1.0) == math.inf
    assert tango_z(Counts(7, 0, 0, 0), 1.0) == -math.inf


def test_newcombe_when_a_tier_is_always_right():
    low, high = newcombe(Counts(20, 0, 5, 0))
    assert -1 < low < -0.2 < high < 0.1


@pytest.mark.parametrize("method", [tango, newcombe, bonett_price, agresti_min, wald])
@pytest.mark.parametrize("cells", [(0, 0, 0, 0), (1, -1, 0, 5)])
def test_bad_counts_are_refused(method, cells):
    with pytest.raises(SuiteError):
        method(Counts(*cells))


@pytest.mark.parametrize("level", [0, 1, 1.2, float("nan")])
def test_bad_levels_are_refused(level):
    with pytest.raises(SuiteError):
        tango(AGRESTI, level)
    with pytest.raises(SuiteError):
        wilson(1, 2, level)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (0, 0)])
def test_no_proportion(successes, n):
    with pytest.raises(SuiteError):
        wilson(successes, n)

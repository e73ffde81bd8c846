"""Thresholds of similarity: exact bounds, and none where the pairs cannot carry one."""

from __future__ import annotations

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.similar import GRID, chosen, clopper_pearson_upper, least_hits, thresholds


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert clopper_pearson_upper(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-9)
    assert clopper_pearson_upper(4, 4, 0.05) == 1.0


def test_the_safe_threshold_that_finds_most_is_chosen() -> None:
    pairs = [(0.95, True)] * 300 + [(0.90, True)] * 100 + [(0.85, False)] * 200
    tried = thresholds(pairs)
    best = chosen(tried, 0.05)
    assert best is not None
    assert (best.at, best.hits, best.false, best.found, best.same) == (0.90, 400, 0, 400, 400)
    assert best.upper is not None
    assert 0 < best.upper < 0.05
    worst = tried[-1]
    assert (worst.at, worst.false, worst.false_rate) == (0.80, 200, pytest.approx(1 / 3))


def test_too_few_pairs_choose_nothing() -> None:
    need = least_hits(0.05)
    assert chosen(thresholds([(0.99, True)] * (need - 1)), 0.05) is None
    best = chosen(thresholds([(0.99, True)] * need), 0.05)
    assert best is not None
    assert chosen(thresholds([]), 0.05) is None
    assert thresholds([])[0].upper is None


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(SuiteError):
        least_hits(share)


def test_the_grid_is_fixed() -> None:
    assert len(GRID) == 20
    assert GRID[0] == 0.99
    assert GRID[-1] == 0.80

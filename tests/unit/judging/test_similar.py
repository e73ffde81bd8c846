"""Thresholds of similarity: exact bounds, and none where the pairs cannot carry one."""

from __future__ import annotations

import functools
import math
import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging import similar
from tierwise.judging.similar import GRID, chosen, clopper_pearson_upper, least_hits, thresholds


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert clopper_pearson_upper(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-9)
    stats = pytest.importorskip("scipy.stats")
    for wrong, n in ((1, 10), (3, 20), (0, 200), (17, 400)):
        expected = stats.beta.ppf(0.95, wrong + 1, n - wrong)
        assert clopper_pearson_upper(wrong, n, 0.05) == pytest.approx(expected, abs=1e-8)
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


def test_the_bound_holds_whichever_threshold_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs whose hits are false at a known rate above the limit at every threshold: seldom is one chosen."""
    # The same few counts come again and again.
    monkeypatch.setattr(similar, "clopper_pearson_upper", functools.cache(similar.clopper_pearson_upper))
    rng, limit, chosen_wrongly, trials = random.Random(3), 0.10, 0, 400
    for _ in range(trials):
        pairs = [(rng.uniform(0.8, 1.0), rng.random() > limit * 1.01) for _ in range(150)]
        chosen_wrongly += chosen(thresholds(pairs), limit) is not None
    # 5 % are allowed; beyond 20 + 6 standard deviations is no chance.
    assert chosen_wrongly <= 0.05 * trials + 6 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(SuiteError):
        least_hits(share)


def test_the_grid_is_fixed() -> None:
    assert len(GRID) == 20
    assert GRID[0] == 0.99
    assert GRID[-1] == 0.80

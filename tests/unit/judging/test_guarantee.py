from __future__ import annotations

import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.guarantee import certify, ln_capital, needed_labels
from tierwise.judging.sequential import ln_threshold

GRID = [i / 20 for i in range(1, 21)]


def labels(n: int, seed: int) -> tuple[list[float], list[float]]:
    """A score is the chance that the cheap tier loses the Case; the mean loss below t is t²/2."""
    draw = random.Random(seed)
    scores = [draw.random() for _ in range(n)]
    return scores, [float(draw.random() < s) for s in scores]


def test_needed_labels_of_the_facts():
    assert needed_labels(0.05, 0.01) == pytest.approx(3090, abs=3)
    assert needed_labels(0.05, 0.02) == pytest.approx(770, abs=4)


def test_too_few_labels_are_refused():
    found = certify(*labels(40, 1), GRID, margin=0.02)
    assert found.threshold is None
    assert found.cheap_share == 0
    assert "are needed" in found.why


def test_testing_stops_at_the_first_failure():
    scores, losses = [0.5] * 500 + [1.5] * 500, [1.0] * 500 + [-1.0] * 500
    found = certify(scores, losses, [0.4, 1.0, 2.0], margin=0.05)
    assert (found.threshold, found.tested) == (0.4, 2)


def test_the_bettor_is_never_ruined_and_wins_on_nothing_lost():
    assert ln_capital([1.0] * 50, 0.05) == 0
    assert ln_capital([0.0] * 500, 0.05) >= ln_threshold(0.05)
    assert ln_capital([], 0.05) == 0


def test_what_is_certified_is_told_with_its_share_and_its_loss():
    found = certify(*labels(4000, 1), GRID, margin=0.05)
    assert found.threshold is not None
    scores, losses = labels(4000, 1)
    cheap = [loss for score, loss in zip(scores, losses, strict=True) if score < found.threshold]
    assert (found.cheap_share, found.loss) == pytest.approx((len(cheap) / 4000, sum(cheap) / 4000))
    assert 0 < found.loss < 0.05


def test_bad_input():
    for scores, losses in (([0.1], []), ([], [])):
        with pytest.raises(SuiteError):
            certify(scores, losses, GRID, 0.05)
    with pytest.raises(SuiteError):
        ln_capital([2.0], 0.05)
    with pytest.raises(SuiteError):
        ln_capital([0.0], 0)

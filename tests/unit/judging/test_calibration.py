from __future__ import annotations

import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.calibration import (
    Calibration,
    both_orders,
    calibrate,
    corrected_difference,
    corrected_rate,
    kappa,
)

JUDGE = Calibration(good_passed=85, good_failed=15, bad_passed=15, bad_failed=85)


def test_ten_points_show_as_seven():
    assert JUDGE.shrinkage == pytest.approx(0.7)
    found = corrected_difference(-0.07, 0.02, JUDGE)
    assert found.value == pytest.approx(-0.10)
    # ±1.6449·√(0.02² + 0.1²·2·v)/0.7, v = p(1 − p)/102 and p = 86/102 of the labels
    assert found.interval == pytest.approx((-0.148495307, -0.051504693))
    assert corrected_difference(0.69, 0.02, JUDGE).interval == pytest.approx((0.858744952, 1))


def test_labels_are_counted_by_kind():
    labels = [(True, True)] * 60 + [(False, True)] * 10 + [(True, False)] * 5 + [(False, False)] * 45
    found = calibrate(labels)
    assert (found.sensitivity, found.specificity) == pytest.approx((60 / 70, 0.9))
    low, high = found.intervals()[0]
    assert low < 60 / 70 < high


@pytest.mark.parametrize(
    "labels",
    [
        [(True, True), (False, False)] * 49,
        [(True, True)] * 120,
        [(True, True), (True, False), (False, True), (False, False)] * 40,
    ],
    ids=["98 labels", "one kind", "a coin"],
)
def test_judges_that_cannot_be_believed(labels):
    with pytest.raises(SuiteError):
        calibrate(labels)


def test_rogan_gladen():
    found = corrected_rate(620, 1000, JUDGE)
    assert found.value == pytest.approx((0.62 + 0.85 - 1) / 0.7)
    plain = 1.96 * (0.62 * 0.38 / 1000) ** 0.5
    assert found.interval[1] - found.interval[0] > 2 * plain / 0.7
    # The delta method's three variances, worked by hand with one success and one failure added to each.
    assert found.interval == pytest.approx((0.584688206, 0.758168936))


def test_a_corrected_rate_stays_a_rate():
    assert corrected_rate(0, 50, JUDGE).value == 0
    assert corrected_rate(50, 50, JUDGE).value == 1
    for passed, n in ((5, 0), (0, 0), (-1, 5), (6, 5)):
        with pytest.raises(SuiteError):
            corrected_rate(passed, n, JUDGE)


def test_the_corrected_interval_covers():
    """True rate 0.7, judge 0.9/0.8, labels drawn anew each time: 95 % intervals hold about as often."""
    hits = 0
    for seed in range(400):
        draw = random.Random(seed)
        good, bad = sum(draw.random() < 0.9 for _ in range(80)), sum(draw.random() < 0.2 for _ in range(80))
        judge = Calibration(good, 80 - good, bad, 80 - bad)
        passed = sum(draw.random() < 0.7 * 0.9 + 0.3 * 0.2 for _ in range(300))
        low, high = corrected_rate(passed, 300, judge).interval
        hits += low <= 0.7 <= high
    assert 0.92 <= hits / 400 <= 0.985


def test_kappa():
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa([1, 1], [1, 1]) is None
    with pytest.raises(SuiteError):
        kappa([], [])


def test_both_orders():
    assert both_orders("first", "second") == "first"
    assert both_orders("second", "first") == "second"
    assert both_orders("first", "first") == "tie"
    assert both_orders("tie", "tie") == "tie"
    assert both_orders("tie", "first") == "tie"

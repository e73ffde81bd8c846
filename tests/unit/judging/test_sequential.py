"""E-values: vectors, both ways of growing them, validity of the confidence sequence's inversion."""

from __future__ import annotations

import math
import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.sequential import (
    EProcess,
    confidence_sequence,
    confidence_sequence_graded,
    decide,
    ln_e,
    ln_threshold,
    statement,
)
from tierwise.nouns import Counts


@pytest.mark.parametrize(
    ("b", "c", "same", "value"),
    [(0, 0, 100, 2.799310), (3, 6, 91, -0.149759), (6, 5, 89, 0.946695), (20, 24, 456, 3.482723)],
)
def test_vectors(b, c, same, value):
    assert ln_e(Counts(same, b, c, 0), 0.05, "switch") == pytest.approx(value, abs=1e-6)
    assert ln_e(Counts(0, b, c, same), 0.05, "switch") == pytest.approx(value, abs=1e-6)


def test_keep_is_the_mirror():
    """Betting that D < −m is betting that −D > m: tiers swapped and the margin's sign turned."""
    counts, mirror = Counts(60, 4, 30, 6), Counts(60, 30, 4, 6)
    assert ln_e(counts, 0.05, "keep") == pytest.approx(ln_e(mirror, -0.05, "switch"))


def test_a_peak_stays_when_later_cases_take_it_back():
    for first, side in ((-1.0, "keep"), (1.0, "switch")):
        process = EProcess(0.05)
        assert (process.ln_switch, process.ln_keep) == (0, 0)
        process.add_all([first] * 60)
        peak = getattr(process, f"ln_{side}")
        process.add_all([-0.05] * 10 + [-first] * 20)
        assert getattr(process, f"ln_{side}") < peak == getattr(process, f"peak_{side}")
        assert process.decision(0.05) == side


def test_one_at_a_time_is_the_same_as_from_counts():
    values = [1.0] * 20 + [-1.0] * 24 + [0.0] * 456
    random.Random(1).shuffle(values)
    process = EProcess(0.05)
    for value in values:
        process.add(value)
    counts = Counts(456, 20, 24, 0)
    assert process.n == 500
    assert process.ln_switch == pytest.approx(ln_e(counts, 0.05, "switch"))
    assert process.ln_keep == pytest.approx(ln_e(counts, 0.05, "keep"))
    assert process.peak_switch >= process.ln_switch
    assert process.peak_keep >= 0


def test_a_decision_once_reached_stands():
    process = EProcess(0.05)
    process.add_all([0.0] * 120)
    assert process.decision(0.05) == "switch"
    process.add_all([-1.0] * 5)
    assert process.ln_switch < ln_threshold(0.05)
    assert process.decision(0.05) == "switch"


def test_no_bet_can_ruin_the_bettor():
    process = EProcess(0.05)
    process.add_all([-1.0] * 200 + [1.0] * 200)
    assert math.isfinite(process.ln_switch)
    assert math.isfinite(process.ln_keep)


def test_fair_game_at_the_margin():
    """E[e] = 1 when the true difference is exactly −m: one Case, three outcomes, their probabilities."""
    margin, psi = 0.05, 0.2
    c, b = (psi + margin) / 2, (psi - margin) / 2
    for side in ("switch", "keep"):
        cells = ((b, Counts(0, 1, 0, 0)), (c, Counts(0, 0, 1, 0)), (1 - psi, Counts(1, 0, 0, 0)))
        assert sum(p * math.exp(ln_e(k, margin, side)) for p, k in cells) == pytest.approx(1)


@pytest.mark.parametrize("difference", [1.01, -2, float("nan")])
def test_differences_outside_the_scale_are_refused(difference):
    with pytest.raises(SuiteError):
        EProcess(0.05).add(difference)


@pytest.mark.parametrize("margin", [0, -0.1, 1, float("nan")])
def test_margins_outside_the_scale_are_refused(margin):
    with pytest.raises(SuiteError):
        EProcess(margin)


def test_thresholds():
    assert ln_threshold(0.05) == pytest.approx(math.log(20))
    with pytest.raises(SuiteError):
        ln_threshold(0)
    assert decide(3.0, -1, 0.05) == "switch"
    assert decide(-1, 3.0, 0.05) == "keep"
    assert decide(2.99, 2.9, 0.05) == "not_enough"


@pytest.mark.parametrize(
    "cells", [(456, 20, 24, 0), (100, 0, 0, 0), (60, 2, 38, 0), (0, 5, 0, 0), (2, 0, 0, 1)]
)
def test_the_confidence_sequence_is_what_no_e_value_refutes(cells):
    counts, bar = Counts(*cells), ln_threshold(0.05)
    low, high = confidence_sequence(counts, 0.05)
    assert low <= (counts.cheap_only - counts.ref_only) / counts.n <= high
    for margin in (0.001, 0.02, 0.05, 0.2, 0.6):
        assert (ln_e(counts, margin, "switch") >= bar) == (low > -margin)
        assert (ln_e(counts, margin, "keep") >= bar) == (high < -margin)


def test_the_graded_confidence_sequence_agrees_with_the_counts():
    values = [1.0] * 20 + [-1.0] * 24 + [0.0] * 456
    expected = confidence_sequence(Counts(456, 20, 24, 0), 0.05)
    assert confidence_sequence_graded(values, 0.05) == pytest.approx(expected)
    with pytest.raises(SuiteError):
        confidence_sequence_graded([], 0.05)


def test_many_distinct_values_cost_width_only():
    draw = random.Random(2)
    values = [draw.uniform(-0.5, 0.5) for _ in range(3000)]
    low, high = confidence_sequence_graded(values, 0.05)
    finer = confidence_sequence_graded([round(v, 3) for v in values], 0.05)
    assert low <= finer[0] + 1e-9
    assert high >= finer[1] - 1e-9
    assert (low, high) == pytest.approx(finer, abs=0.002)


def test_statements():
    assert statement(3.5, 0.05, "switch") == (
        "Evidence that the loss is within the margin: e = 33.12, at or above the 20 it takes at any look."
    )
    assert "short of the 20" in statement(1.0, 0.05, "keep")
    assert "more than a million" in statement(900.0, 0.05, "keep")

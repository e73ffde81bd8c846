from __future__ import annotations

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.multiplicity import benjamini_hochberg, e_holm, fixed_sequence, holm, holm_adjusted

PAPER = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1),
]


def test_the_paper_of_benjamini_and_hochberg():
    assert holm(PAPER) == [True] * 3 + [False] * 12
    assert benjamini_hochberg(PAPER) == [True] * 4 + [False] * 11


def test_order_given_is_order_returned():
    shuffled = PAPER[::-1]
    assert holm(shuffled) == holm(PAPER)[::-1]
    assert benjamini_hochberg(shuffled) == benjamini_hochberg(PAPER)[::-1]


def test_adjusted_values_never_fall():
    assert holm_adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_adjusted([0.9, 0.8]) == [1, 1]


def test_bh_steps_up_past_a_larger_p():
    """0.04 alone fails its own line (0.025) but the largest passes, and takes it along."""
    assert benjamini_hochberg([0.04, 0.05]) == [True, True]


def test_e_holm():
    assert e_holm([70, 39, 25]) == [True, False, False]
    assert e_holm([60, 40, 20]) == [True, True, True]
    assert e_holm([0, 100]) == [False, True]


def test_a_fixed_sequence_stops_at_the_first_failure():
    assert fixed_sequence([True, True, False, True]) == 2
    assert fixed_sequence([]) == 0
    assert fixed_sequence([True]) == 1


def test_nothing_to_test():
    assert holm([]) == benjamini_hochberg([]) == e_holm([]) == []


def test_bad_values():
    with pytest.raises(SuiteError):
        holm([1.2])
    with pytest.raises(SuiteError):
        benjamini_hochberg([float("nan")])
    with pytest.raises(SuiteError):
        e_holm([-1])

"""The order of Cases: drawn by seed, a longer one begins with a shorter one, clusters stay together."""

from __future__ import annotations

from itertools import groupby

import pytest

from tierwise.errors import SuiteError
from tierwise.lab.running.order import ordered
from unit.lab.made import cases


@pytest.mark.parametrize("clusters", [0, 4])
def test_every_case_once_in_an_order_of_the_seed(clusters: int) -> None:
    given = cases(12, clusters)
    found = ordered(given, 1)
    assert sorted(case.id for case in found) == sorted(case.id for case in given)
    assert found == ordered(given, 1)
    assert found not in (given, ordered(given, 2))


def test_more_cases_begin_with_the_same() -> None:
    whole = ordered(cases(12), 7)
    assert [ordered(cases(12), 7, n) for n in (1, 5, 12, 99)] == [whole[:1], whole[:5], whole, whole]


def test_clusters_are_taken_whole_until_there_are_enough() -> None:
    given = cases(12, clusters=4)  # three of each
    whole = ordered(given, 7)
    assert [len(list(group)) for _, group in groupby(whole, lambda case: case.cluster)] == [3, 3, 3, 3]
    assert [len(ordered(given, 7, n)) for n in (1, 3, 4, 12, 99)] == [3, 3, 6, 12, 12]
    assert ordered(given, 7, 4) == whole[:6]


def test_no_case_cannot_be_run() -> None:
    with pytest.raises(SuiteError, match="0 Cases"):
        ordered(cases(3), 1, 0)

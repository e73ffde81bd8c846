"""Sample sizes against the published table, and projections."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from tierwise.errors import SuiteError
from tierwise.judging.intervals import tango
from tierwise.judging.power import (
    binary_variance,
    more_pairs,
    more_pairs_binary,
    more_pairs_running,
    needed_pairs,
    needed_pairs_two_sided,
    smallest_margin,
    with_reserve,
)
from tierwise.judging.sequential import ln_e
from tierwise.nouns import Counts

TABLE = [
    (0.05, {0.03: (344, 476), 0.05: (124, 172), 0.10: (31, 43)}),
    (0.10, {0.03: (687, 952), 0.05: (248, 343), 0.10: (62, 86)}),
    (0.20, {0.03: (1374, 1904), 0.05: (495, 686), 0.10: (124, 172)}),
]


@pytest.mark.parametrize(
    ("psi", "margin", "sizes"), [(psi, margin, sizes) for psi, row in TABLE for margin, sizes in row.items()]
)
def test_needed_pairs(psi, margin, sizes):
    assert tuple(needed_pairs(psi, margin, power=power) for power in (0.80, 0.90)) == sizes


@pytest.mark.parametrize(("psi", "gap", "n"), [(0.50, 0.40, 22.01), (0.45, 0.15, 154.6)])
def test_two_sided(psi, gap, n):
    assert needed_pairs_two_sided(psi, gap) == pytest.approx(n, abs=0.05)
    assert math.ceil(needed_pairs_two_sided(psi, -gap)) == math.ceil(n)


def test_two_sided_cannot_find_nothing():
    with pytest.raises(SuiteError):
        needed_pairs_two_sided(0.2, 0)
    with pytest.raises(SuiteError):
        binary_variance(0.1, 0.2)


def test_reserve_is_three_per_cent_rounded_up():
    assert with_reserve(100) == 103
    assert with_reserve(248) == 256


def test_no_number_tells_a_gap_from_itself():
    assert needed_pairs(0.1, 0.05, gap=-0.05) is None


def test_smallest_margin_inverts_needed_pairs():
    margin = smallest_margin(0.10, with_reserve(248))
    assert margin == pytest.approx(0.05, abs=2e-4)
    with pytest.raises(SuiteError):
        smallest_margin(0.1, 0)


def test_more_pairs_ignores_a_lucky_start():
    assert more_pairs(50, 0.04, 0.10, 0.05, 0.05) == more_pairs(50, 0.0, 0.10, 0.05, 0.05) == 256 - 50
    assert more_pairs(5000, 0.0, 0.10, 0.05, 0.05) == 1
    assert more_pairs(100, -0.0501, 0.1, 0.05, 0.05) is None


def test_more_pairs_without_discordance_seen_yet():
    more = more_pairs_binary(Counts(20, 0, 0, 0), 0.05, 0.05)
    assert more is not None
    assert 20 < more < 200


@pytest.mark.parametrize(
    ("cells", "bar"),
    [
        ((50, 0, 0, 0), (0.05, 0.05)),
        ((100, 0, 0, 0), (0.02, 0.01)),
        ((49, 0, 1, 0), (0.1, 0.025)),
        ((19, 0, 1, 0), (0.1, 0.05)),
        ((91, 3, 6, 0), (0.05, 0.05)),
        ((80, 4, 16, 0), (0.05, 0.05)),
        ((39, 1, 0, 10), (0.05, 0.05)),
    ],
)
def test_more_pairs_have_the_power_they_are_planned_for(cells, bar):
    """Drawn as observed, so many further Cases let Tango's interval decide four times in five, about."""
    counts, draw, (margin, alpha) = Counts(*cells), random.Random(1), bar
    more = more_pairs_binary(counts, margin, alpha)
    assert more is not None
    decided = 0
    for _ in range(200):
        drawn = Counter(draw.choices(range(4), cells, k=counts.n + more))
        low, high = tango(Counts(*(drawn[i] for i in range(4))), 1 - 2 * alpha)
        decided += low > -margin or high < -margin
    assert decided >= 145


@pytest.mark.parametrize("cells", [(80, 10, 10, 0), (60, 10, 20, 10), (70, 5, 15, 10), (91, 3, 6, 0)])
def test_the_running_projection_has_the_power_it_is_planned_for(cells):
    """After the projected Cases, drawn as observed, the e-value has reached 20 about four times in five."""
    counts, draw = Counts(*cells), random.Random(1)
    more = more_pairs_running(cells[1:3], counts.n, 0.05, 0.05, _ln_e(counts))
    assert more is not None
    reached = 0
    for _ in range(100):
        drawn = Counter(draw.choices(range(4), cells, k=more))
        grown = Counts(*(cell + drawn[i] for i, cell in enumerate(cells)))
        reached += max(_ln_e(grown)) >= math.log(20)
    assert 60 <= reached <= 97


def test_a_running_projection_that_no_number_answers_is_none_and_a_lucky_start_shrinks_nothing():
    assert more_pairs_running((5, 10), 100, 0.05, 0.05, (0.0, 0.0)) is None
    assert more_pairs_running((9, 1), 50, 0.05, 0.05, (0.0, 0.0)) == more_pairs_running(
        (5, 5), 50, 0.05, 0.05, (0.0, 0.0)
    )


def _ln_e(counts):
    return ln_e(counts, 0.05, "switch"), ln_e(counts, 0.05, "keep")

"""The cosine of two vectors, and when there is none."""

from __future__ import annotations

import math

import pytest

from tierwise.upstream.embedding import cosine


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([3, 4], [3, 4], 1), ([3, 4], [6, 8], 1), ([3, 4], [-3, -4], -1), ([1, 0], [0, 2], 0),
        ([3, 4], [4, 3], 24 / 25), ([0, 0], [1, 1], None), ([1, 1], [1, 1, 1], None), ([], [], None),
        ([math.inf, 1], [1, 1], None), ([math.nan, 1], [1, 1], None),
    ],
)  # fmt: skip
def test_cosine(first: list[float], second: list[float], found: float | None) -> None:
    assert cosine(first, second) == (None if found is None else pytest.approx(found))

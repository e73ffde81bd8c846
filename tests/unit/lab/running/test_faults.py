"""What a fault of a call means for a run: slower, never again, and how long to wait."""

from __future__ import annotations

import pytest

from tierwise.errors import UpstreamBroke, UpstreamError, UpstreamRefused, UpstreamStatus, UpstreamTimeout
from tierwise.lab.running.faults import LONGEST_WAIT_S, congested, final, hopeless, wait_s


@pytest.mark.parametrize(
    ("error", "slower", "nobody", "ended"),
    [
        *((UpstreamStatus(status, "x"), True, False, False) for status in (408, 429, 500, 503, 529)),
        *((UpstreamStatus(status, "x"), None, True, True) for status in (401, 402, 403, 404)),
        *((UpstreamStatus(status, "x"), None, False, True) for status in (400, 413, 422)),
        (UpstreamTimeout("x"), True, False, False),
        (UpstreamRefused("x"), True, False, False),
        (UpstreamBroke("x"), None, False, False),
    ],
)
def test_what_a_fault_says(error: UpstreamError, slower: bool | None, nobody: bool, ended: bool) -> None:
    assert (congested(error), hopeless(error), final(error)) == (slower, nobody, ended)


@pytest.mark.parametrize(
    ("attempt", "drawn", "told", "seconds"),
    [
        (0, 0.0, None, 1.0), (0, 0.5, None, 2.0), (0, 1.0, None, 3.0), (3, 0.5, None, 16.0),
        (0, 0.5, 7.0, 7.0), (3, 0.5, 7.0, 16.0), (9, 0.5, None, LONGEST_WAIT_S),
        (0, 0.5, 900.0, LONGEST_WAIT_S),
    ],
)  # fmt: skip
def test_a_wait_doubles_is_spread_and_never_less_than_told(
    attempt: int, drawn: float, told: float | None, seconds: float
) -> None:
    error = UpstreamStatus(429, "x")
    error.retry_after_s = told
    assert wait_s(error, attempt, 2.0, drawn) == seconds

"""When a row of a batch that failed is asked again, and when that failure is its answer."""

from __future__ import annotations

import msgspec
import pytest

from tierwise.batches import Row
from tierwise.errors import BadRequest, BudgetRefused, LimitRefused, Overloaded, TierwiseError, UpstreamStatus
from tierwise.gateway.batch.asking import Later, again

ROW = Row("batch_1", 0, '"a"', b"{}")


def spent(reserved: int) -> BudgetRefused:
    refused = BudgetRefused("spent")
    refused.reserved_pico = reserved
    return refused


def waits(error: TierwiseError) -> list[float]:
    """How long each pause is until the failure stays, over the tries that count."""
    found: list[float] = []
    row = ROW
    while (later := again(error, row, True)) is not None:
        assert later.counts
        found.append(later.seconds)
        row = msgspec.structs.replace(row, tries=row.tries + 1)
    return found


def test_a_passing_error_is_asked_again_after_longer_and_longer_pauses_and_five_tries_are_the_most() -> None:
    assert waits(UpstreamStatus(503, "busy")) == [1, 4, 16, 60]


def test_a_provider_that_says_when_is_waited_for_a_minute_at_most() -> None:
    told = UpstreamStatus(429, "slow down")
    told.retry_after_s = 10
    assert waits(told) == [10, 10, 16, 60]
    told.retry_after_s = 3600
    assert waits(told) == [60] * 4


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("no"),
        LimitRefused("more than a minute's", retry_after_s=None),
        *(UpstreamStatus(n, "no") for n in (400, 401, 402, 403)),
    ],
    ids=range(6),
)
def test_an_error_that_would_come_again_is_the_answer(error: TierwiseError) -> None:
    assert again(error, ROW, True) is None


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(LimitRefused("full", retry_after_s=7), 7), (Overloaded("full"), 5), (spent(10), 1)],
)
def test_what_is_no_fault_of_the_row_costs_it_no_try(error: TierwiseError, seconds: float) -> None:
    assert again(error, msgspec.structs.replace(ROW, tries=4), False) == Later(seconds, counts=False)


def test_a_budget_of_which_nothing_may_become_free_has_no_room_later() -> None:
    assert again(spent(10), ROW, True) is None
    assert again(spent(0), ROW, False) is None

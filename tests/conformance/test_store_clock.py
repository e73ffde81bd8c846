"""A clock that jumps: every store charges each call to its own period, and its sums hold."""

from __future__ import annotations

import pytest

from conformance.test_store_suite import DAY_US, place, postgres  # noqa: F401  fixtures
from stores import Stores
from tierwise.errors import BudgetRefused
from tierwise.nouns import Budget
from unit.ledger.made import NOON, closed, opened


async def test_calls_are_charged_to_their_own_day_and_survive_a_crash(place: Stores) -> None:  # noqa: F811
    ledger = place.open()
    ledger.set_budget(Budget("project:p", 100, "day", "America/Sao_Paulo"))
    days = (0, 400, 1, 0, 7000, 400, -30)
    for number, day in enumerate(days):
        await ledger.open(opened(f"a{number}", 50, "project:p", at_us=NOON + day * DAY_US))
    for number, day in enumerate(days):
        await ledger.close(closed(f"a{number}", 40, at_us=NOON + (day - 1) * DAY_US))
    # Days 0 and 400 have had two calls: 80 of 100 are spent, and 21 more do not fit.
    for day, fits in ((0, False), (400, False), (1, True), (7000, True), (-30, True)):
        row = opened(f"b{day}", 21, "project:p", at_us=NOON + day * DAY_US)
        if fits:
            await ledger.open(row)
        else:
            with pytest.raises(BudgetRefused):
                await ledger.open(row)
    assert place.read().verify() == []
    again = place.crash()
    assert place.read().verify() == []
    with pytest.raises(BudgetRefused):
        await again.open(opened("c", 21, "project:p", at_us=NOON))

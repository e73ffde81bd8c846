"""Hits of the response cache in every store: in the ledger like calls, in its sums apart from them."""

from __future__ import annotations

import stores
from postgres import postgres  # noqa: F401  a fixture
from stores import Stores
from tierwise.nouns import Budget, Usage
from unit.ledger.made import closed, opened

place = stores.place


async def test_hits_of_the_response_cache_stand_apart(place: Stores) -> None:
    """Both rows of a hit are handed over at once. It is no call, in no sum but its own, charges nothing."""
    ledger = place.open()
    ledger.set_budget(Budget("key:key_1", 100))
    await ledger.open(opened("call", 100, "key:key_1"))
    await ledger.close(closed("call", 100))
    for n, saved in enumerate((60, 70, None)):
        opening = ledger.open(opened(f"hit{n}", 0, kind="cached"))
        closing = ledger.close(
            closed(f"hit{n}", 0, outcome="cached", usage=Usage(source="cached"), asked_pico=saved)
        )
        await opening
        await closing
    for by in ("task", "kind", "day", "key"):
        whole = place.read().report(by).all
        assert (whole.calls, whole.spend_pico, whole.estimated, whole.total.n) == (1, 100, 0, 1)
        assert (whole.cached, whole.cached_saved_pico) == (3, 130)
        assert whole.asked.calls == 0
    rows = [row for row in place.read().rows() if row["event"] == "close"]
    assert [row["saved_pico"] for row in rows] == [None, 60, 70, None]
    assert [call.attempt for call in place.read().finished()] == ["call"]
    assert [balance.left_pico for balance in ledger.budgets()] == [0]
    assert place.read().verify() == []

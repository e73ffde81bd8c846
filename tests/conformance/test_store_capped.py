"""Which of a call's scopes has a budget: from memory, learned from other processes with the next row."""

from __future__ import annotations

from conformance.test_store_cached import place  # noqa: F401  a fixture
from postgres import postgres  # noqa: F401  a fixture
from stores import Stores
from tierwise.nouns import Budget
from unit.ledger.made import opened


async def test_which_scope_has_a_budget(place: Stores) -> None:  # noqa: F811
    ledger = place.open()
    assert ledger.capped(("key:k", "project:p")) == ""
    ledger.set_budget(Budget("project:p", 100))
    await ledger.open(opened("a"))
    assert ledger.capped(("key:k", "project:p")) == "project:p"
    assert ledger.capped(("key:k",)) == ledger.capped(()) == ""
    ledger.remove_budget("project:p")
    await ledger.open(opened("b"))
    assert ledger.capped(("key:k", "project:p")) == ""

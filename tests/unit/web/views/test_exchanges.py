"""One request in full: the price that its arithmetic is shown by."""

from __future__ import annotations

import pytest

from tierwise.nouns import Abilities, Model, Price, Source, Usage
from tierwise.web.views.exchanges import price_of

NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
DAY = 86_400_000_000
LIST = Source("list", "2026-01-01")
OLD = Price("old", LIST, until="2026-01-02", input=2, output=10)
NEW = Price("new", LIST, since="2026-01-02", input=3, output=15)
MODEL = Model("p/m", "p", "m", Abilities(), prices=(OLD, NEW))
USAGE = Usage(100, output=10)


@pytest.mark.parametrize(
    ("closed_us", "cost_pico", "shown"),
    [
        (NOON, 300, "old"),
        (NOON + DAY, 450, "new"),  # midnight came while it ran
        (NOON + DAY, 299, "old"),  # a discount of either: as the row says
        (NOON + DAY, None, "old"),
    ],
)
def test_the_price_shown_is_the_one_that_gave_the_cost(
    closed_us: int, cost_pico: int | None, shown: str
) -> None:
    price = price_of(MODEL, {"price_id": "old", "closed_us": closed_us, "cost_pico": cost_pico}, USAGE)
    assert price is not None
    assert price.id == shown


def test_a_price_that_is_gone_is_not_replaced_by_another() -> None:
    row = {"price_id": "gone", "closed_us": NOON, "cost_pico": 300}
    assert price_of(MODEL, row, USAGE) is None
    assert price_of(None, row, USAGE) is None

"""The demo's bill, which a reader may work out again."""

from __future__ import annotations

from tierwise.cli.demo.story import _bill
from tierwise.money import usd_text


def test_the_bill_shows_every_bucket_that_is_billed() -> None:
    usage = {"input": 10, "cache_read": 20, "cache_write_5m": 30, "cache_write_1h": 4, "output": 50}
    row = {"tier": "haiku", "usage": {**usage, "reasoning": 5}, "cost_pico": 10**12}
    table = _bill([row])
    cells = {str(column.header): next(iter(column.cells)) for column in table.columns}
    assert cells == {
        "tier": "haiku", "calls": "1", "input": "10", "cache read": "20", "cache written": "34",
        "output": "50", "cost": usd_text(10**12),
    }  # fmt: skip

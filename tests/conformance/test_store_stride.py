"""Rolling up calls of very many keys and tags: in smaller slices, to the same sums."""

from __future__ import annotations

import pytest

from postgres import postgres  # noqa: F401  a fixture
from stores import Stores, place, rolled  # noqa: F401  a fixture
from tierwise.ledger import Ledger
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import verify as rollup_verify
from tierwise.ledger.rollups.step import Change
from unit.ledger.made import closed, opened

SLICE, MOST = 64, 60


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[Change]:
    """What is written of each slice, in order."""
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", SLICE)
    monkeypatch.setattr(rollup_step, "MOST_ROWS", MOST)
    made: list[Change] = []
    change_of = rollup_step.change_of
    monkeypatch.setattr(rollup_step, "change_of", lambda *given: made.append(change_of(*given)) or made[-1])
    return made


async def calls(ledger: Ledger, numbers: range, slices: int, *, apart: bool) -> None:
    for n in numbers:
        own = {"key": f"key_{n}", "tags": (f"user:{n}",)} if apart else {}
        await ledger.open(opened(f"a{n}", **own))
        await ledger.close(closed(f"a{n}", n, total_us=1000 + n))
    await rolled(ledger, slices)


async def test_slices_are_as_small_as_their_keys_are_many(
    place: Stores,  # noqa: F811
    changes: list[Change],
) -> None:
    ledger = place.open()
    await calls(ledger, range(SLICE), 2 * SLICE // 8, apart=True)
    assert {each.high - each.low for each in changes} == {8}
    assert max(len(each.sums) + len(each.latencies) for each in changes) <= MOST
    assert changes[-1].high == 2 * SLICE
    changes.clear()
    await calls(ledger, range(SLICE, 4 * SLICE), 9, apart=False)
    assert [each.high - each.low for each in changes][-3:] == [SLICE] * 3
    assert changes[-1].high == 8 * SLICE
    reader = place.read()
    total = reader.report("task").all
    assert (total.calls, total.spend_pico, total.total.n) == (4 * SLICE, sum(range(4 * SLICE)), 4 * SLICE)
    assert len(reader.report("tag").lines) == SLICE
    assert reader.verify() == []
    await ledger.shutdown()

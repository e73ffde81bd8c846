"""What every store keeps for prompt caching: digests of prompts' beginnings, and where these change."""

from __future__ import annotations

import stores
from postgres import postgres  # noqa: F401  a fixture
from stores import Stores
from tierwise.costing.edits import SeenEdit
from tierwise.ledger import read_edits
from unit.ledger.made import NOON, closed, opened

place = stores.place


async def test_calls_with_a_prefix_are_found_oldest_first(
    place: Stores,
) -> None:
    ledger = place.open()
    for n, said in enumerate(({"prefix": "p1"}, {}, {"prefix": "p2t"}, {"prefix": "p1", "kind": "shadow"})):
        await ledger.open(opened(f"a{n}", at_us=NOON + n, session="s", **said))
        await ledger.close(closed(f"a{n}", 60))
    await ledger.open(opened("open", prefix="p3"))
    found = [(call.at_us, call.prefix, call.session, call.prompt) for call in place.read().prefixed(100)]
    assert found == [(NOON, "p1", "s", 40), (NOON + 2, "p2t", "s", 40)]
    assert [call.prefix for call in place.read().prefixed(6)] == ["p2t"]


async def test_edits_of_prompts_add_up_and_the_latest_stay(
    place: Stores,
) -> None:
    def seen(where: str, last: str) -> SeenEdit:
        return SeenEdit("k", "t", "m", where, 4, "time", "xx 00", "xx 00", 2, last, last, "ex_1")

    ledger = place.open()
    assert read_edits(place.read()) == []
    ledger.keep_edits([seen("system", "2026-11-22T10:00:00Z"), seen("tools[0]", "2026-11-22T10:00:01Z")])
    ledger.keep_edits([seen("system", "2026-11-22T11:00:00Z")])
    tools, system = read_edits(place.read())
    assert (tools.where, system.where, system.times) == ("tools[0]", "system", 4)
    assert (system.since, system.last) == ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z")
    ledger.keep_edits([seen(f"tools[{n}]", "2026-11-22T12:00:00Z") for n in range(300)])
    assert len(read_edits(place.read())) == 256

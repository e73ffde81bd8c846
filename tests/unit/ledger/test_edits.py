"""Where prompts' beginnings change: counted by place, the place seen last at the end, not more than fit."""

from __future__ import annotations

from msgspec.structs import replace

from tierwise.costing.edits import SeenEdit
from tierwise.ledger import Ledger, Reader, read_edits
from tierwise.ledger.edits import MOST

SEEN = SeenEdit("k", "t", "agg/swift", "system", 7, "time", "at 00", "at 00", 2, "10:00", "10:05", "ex_1")


def test_a_place_seen_again_is_counted_on_since_its_first_time(ledger: Ledger, reader: Reader) -> None:
    assert read_edits(reader) == []
    other = replace(SEEN, where="tools[0].name")
    ledger.keep_edits([SEEN, other])
    again = replace(SEEN, at=9, times=3, since="11:00", last="11:09", exchange="ex_2")
    ledger.keep_edits([again])
    assert read_edits(reader) == [other, replace(again, times=5, since="10:00")]


def test_the_places_seen_last_stay(ledger: Ledger, reader: Reader) -> None:
    each = [replace(SEEN, where=f"tools[{number}]") for number in range(MOST + 2)]
    ledger.keep_edits(each)
    ledger.keep_edits([each[5]])
    kept = read_edits(reader)
    assert kept == [*each[2:5], *each[6:], replace(each[5], times=4)]

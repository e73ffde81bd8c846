"""What a CLOSE becomes that no store could hold as it is, and that of a call whose owner is gone."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.ledger.periods import LATEST_US
from tierwise.ledger.rows import MOST, storable, swept, tamed_close
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


@pytest.mark.parametrize("amount", [-1, MOST + 1, 10**40])
@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_count_out_of_range_is_not_kept_and_leaves_the_call_unpriced(bucket: str, amount: int) -> None:
    row = closed("a", usage=Usage(**{**dict.fromkeys(BUCKETS, 7), bucket: amount}))
    assert not storable(row)
    found = tamed_close(row)
    assert found.usage == Usage(**{**dict.fromkeys(BUCKETS, 7), bucket: 0})
    assert (found.cost_pico, found.unpriced) == (None, f"usage.{bucket} is out of range")
    assert storable(found)


@pytest.mark.parametrize(
    ("said", "kept", "why"),
    [
        ({"cost": -1}, {"cost_pico": None}, "the cost is out of range"),
        ({"cost": MOST + 1}, {"cost_pico": None}, "the cost is out of range"),
        ({"asked_pico": MOST + 1}, {"asked_pico": None, "cost_pico": 60}, ""),
        ({"reference_pico": -1}, {"reference_pico": None, "cost_pico": 60}, ""),
        ({"ttft_us": -1}, {"ttft_us": None, "cost_pico": 60}, ""),
        ({"total_us": MOST + 1}, {"total_us": 0, "cost_pico": 60}, ""),
        ({"upstream_us": -1}, {"upstream_us": 0, "cost_pico": 60}, ""),
        (
            {"usage": Usage(-1), "cost": -1}, {"usage": Usage(), "cost_pico": None},
            "usage.input is out of range",
        ),
        (
            {"usage": Usage(-1, extra={"a": 1, "b": -1})}, {"usage": Usage(), "cost_pico": None},
            "usage.input is out of range",
        ),
        ({"total_us": -1, "usage": Usage(1, extra={"a": MOST})}, {"usage": Usage(1, extra={"a": MOST})}, ""),
    ],
)  # fmt: skip
def test_other_figures_out_of_range(said: dict[str, Any], kept: dict[str, Any], why: str) -> None:
    row = closed("a", said.get("cost", 60), **{name: given for name, given in said.items() if name != "cost"})
    assert not storable(row)
    found = tamed_close(row)
    assert {name: getattr(found, name) for name in kept} == kept
    assert found.unpriced == why


def test_the_largest_figures_are_kept_as_they_are() -> None:
    usage = Usage(MOST, MOST, MOST, MOST, MOST, MOST, {"a": MOST})
    times = {
        "total_us": MOST,
        "upstream_us": MOST,
        "ttft_us": MOST,
        "asked_pico": MOST,
        "reference_pico": MOST,
    }
    for row in (closed("a", MOST, usage=usage, **times), closed("a", 0, usage=Usage(), total_us=0)):
        assert storable(row)
        assert tamed_close(row) == row


def test_text_that_is_no_unicode_is_written_as_an_escape_and_an_instant_cut_to_the_calendar() -> None:
    usage = Usage(1, extra={"\ud800": 2}, service_tier="\udfff")
    found = tamed_close(closed("a", error="x\ud800", losses=("y\ud800",), usage=usage, at_us=2**80))
    assert (found.error, found.losses) == ("x\\ud800", ("y\\ud800",))
    assert (found.usage.extra, found.usage.service_tier) == ({"\\ud800": 2}, "\\udfff")
    assert found.at_us == LATEST_US - 1
    assert tamed_close(closed("a", at_us=-1)).at_us == 0


def test_a_swept_call_is_booked_at_its_reservation_for_as_long_as_it_was_open() -> None:
    found = swept(opened("a"), NOON + 7, 100)
    assert (found.outcome, found.cost_pico, found.unpriced, found.total_us) == ("swept", 100, "", 7)
    assert (found.usage.source, found.error) == (
        "estimated", "the gateway stopped before it could close this call",
    )  # fmt: skip
    assert swept(opened("a"), NOON - 7, 100).total_us == 0
    assert swept(opened("a"), NOON, None).unpriced == "no price known when the call was opened"

"""What a call may be booked with: counts that cannot be are not believed, and refusals are not billed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tierwise.errors import UpstreamBroke, UpstreamRefused, UpstreamStatus, UpstreamTimeout
from tierwise.gateway.recording import both_sides, credible, refused
from tierwise.nouns import Usage

MOST = 2**30 - 1


@pytest.mark.parametrize(
    "bucket", ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "extra"]
)
def test_a_count_below_nothing_or_past_any_context_is_not_believed(bucket: str) -> None:
    def counted(count: int) -> Usage:
        return replace(Usage(), **{bucket: {"web_search": count} if bucket == "extra" else count})

    believed = {count: credible(counted(count)) for count in (-(2**40), -1, 0, 1, MOST, MOST + 1, 10**40)}
    assert believed == {
        -(2**40): False,
        -1: False,
        0: True,
        1: True,
        MOST: True,
        MOST + 1: False,
        10**40: False,
    }


@pytest.mark.parametrize(
    ("usage", "text", "both"),
    [
        (Usage(1, output=1), 9, True), (Usage(cache_read=1, output=1), 9, True), (Usage(1), 0, True),
        (Usage(1), 9, False), (Usage(output=1), 9, False), (Usage(), 0, False),
        (Usage(extra={"image": 1}), 0, True),
    ],
)  # fmt: skip
def test_no_prompt_is_of_no_tokens_and_no_text_either(usage: Usage, text: int, both: bool) -> None:
    assert both_sides(usage, text) is both


def test_who_refused_or_was_not_reached_bills_nothing_and_who_broke_off_may() -> None:
    assert refused(UpstreamStatus(500, "x"))
    assert refused(UpstreamRefused("x"))
    for may in (UpstreamBroke("x"), UpstreamTimeout("x"), asyncio.CancelledError(), None):
        assert not refused(may)

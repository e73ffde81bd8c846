"""What a row of a provider's own batch is booked with."""

from __future__ import annotations

from tierwise.gateway.batch.pages import in_batch
from tierwise.nouns import Usage
from tierwise.nouns.answer import NOTHING


def test_a_row_refused_unheard_stays_at_nothing() -> None:
    assert in_batch(NOTHING) is NOTHING


def test_all_that_a_row_used_is_at_the_batch_price() -> None:
    part = Usage(7, output=3, service_tier="fast")
    told = in_batch(Usage(5, extra={"fallback_tokens": 10}, others=(("other", part),)))
    assert told.service_tier == "batch"
    assert told.others == (("other", Usage(7, output=3, service_tier="batch")),)

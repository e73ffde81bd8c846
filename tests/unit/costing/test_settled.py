"""CLOSE rows and corrections become finished calls."""

from __future__ import annotations

from msgspec.structs import replace

from tierwise.costing.settled import Settled, corrected
from tierwise.nouns import Usage

CLOSED = Settled("a", "ex", 1_795_391_999_000_001, "2026-11-22", "a/b", "a", Usage(1, 2, 3, 4, 5, 1), 9, "ok")
SWEPT = replace(CLOSED, cost_pico=100, outcome="swept", known=False, usage=Usage(0, source="estimated"))
LATE = replace(CLOSED, cost_pico=-40, at_us=CLOSED.at_us + 10**11, day="2026-11-24")


def test_closed_calls_keep_their_order_and_a_cached_reply_is_no_call() -> None:
    other = replace(CLOSED, attempt="b")
    cached = replace(CLOSED, attempt="c", outcome="cached")
    assert list(corrected([(False, CLOSED), (False, cached), (False, other)])) == [CLOSED, other]
    assert (CLOSED.batch, CLOSED.exact) == (False, True)
    assert replace(CLOSED, kind="batch").batch
    assert not replace(CLOSED, usage=Usage(1, source="estimated")).exact


def test_a_corrections_amount_is_a_difference_and_its_tokens_are_not() -> None:
    [call] = corrected([(False, SWEPT), (True, LATE)])
    assert call == replace(LATE, cost_pico=60, at_us=SWEPT.at_us, day=SWEPT.day)
    [first] = corrected([(False, replace(SWEPT, cost_pico=None)), (True, replace(LATE, cost_pico=60))])
    assert first.cost_pico == 60
    [unpriced] = corrected([(False, SWEPT), (True, replace(LATE, cost_pico=-100, unpriced="no price"))])
    assert unpriced.cost_pico is None


def test_what_was_never_corrected_is_unknown_and_a_lone_correction_is_left_out() -> None:
    [call] = corrected([(False, SWEPT), (False, replace(CLOSED, attempt="b", outcome="cached"))])
    assert (call.known, call.exact, call.cost_pico) == (False, False, 100)
    assert list(corrected([(True, LATE)])) == []

"""A bill against calls: to the cent, per model and day, and why not."""

from __future__ import annotations

from typing import Any

from tierwise.costing.bills import WHOLE_DAY, Bill, Billed
from tierwise.costing.reconcile import CENT, reconcile, spelled, tokens_of
from tierwise.costing.settled import Settled
from tierwise.nouns import Usage

NOON = 1_795_348_800_000_000
MIDNIGHT = 1_795_305_600
"""Seconds, as bills count them."""
DAY, NEXT = "2026-11-22", "2026-11-23"


def call(name: str, cost: int | None = 100 * CENT, **said: Any) -> Settled:
    terms: dict[str, Any] = {
        "attempt": name, "exchange": f"ex_{name}", "at_us": NOON, "day": DAY, "provider": "anthropic",
        "model": "anthropic/claude-haiku-4.5", "usage": Usage(100, 50, output=10), "cost_pico": cost,
        "outcome": "ok",
    }  # fmt: skip
    return Settled(**{**terms, **said})


def bill(*lines: Billed, last: str = DAY) -> Bill:
    return Bill(lines, DAY, last, MIDNIGHT, MIDNIGHT + 86_400 * (1 if last == DAY else 2))


def billed(
    cost: int | None, usage: Usage | None = None, model: str = "claude-haiku-4-5-20251001", **said: Any
) -> Billed:
    return Billed(said.pop("day", DAY), model, "export:1", usage, cost, **said)


def test_it_holds_within_a_cent_and_not_beyond() -> None:
    for residual, holds in ((0, True), (CENT, True), (-CENT, True), (CENT + 1, False), (-CENT - 1, False)):
        made = reconcile(bill(billed(200 * CENT + residual)), [call("a"), call("b")])
        assert made.holds is holds
        [line] = made.lines
        assert (line.model, line.calls, line.residual_pico) == ("claude-haiku-4-5", 2, residual)


def test_usage_and_money_of_one_model_are_one_line_and_money_decides() -> None:
    made = reconcile(bill(billed(100 * CENT), billed(None, Usage(90, 50, output=10))), [call("a")])
    assert made.holds
    assert made.lines[0].residual_tokens == {
        "input": -10, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0, "output": 0,
    }  # fmt: skip


def test_a_bill_of_tokens_alone_must_agree_in_every_bucket() -> None:
    assert reconcile(bill(billed(None, Usage(100, 50, output=10))), [call("a")]).holds
    assert not reconcile(bill(billed(None, Usage(150, 0, output=10))), [call("a")]).holds


def test_what_only_one_side_knows_does_not_hold() -> None:
    assert not reconcile(bill(billed(5 * CENT, model="claude-opus-5")), []).holds
    made = reconcile(bill(billed(100 * CENT)), [call("a"), call("b", model="anthropic/claude-opus-5")])
    assert not made.holds
    assert [line.residual_pico for line in made.lines] == [0, -100 * CENT]


def test_a_model_that_a_bill_of_tokens_does_not_name_was_billed_none() -> None:
    made = reconcile(bill(billed(None, Usage(), model="claude-opus-5")), [call("a")])
    [line] = [line for line in made.lines if line.model == "claude-haiku-4-5"]
    assert line.residual_tokens == {
        "input": -100, "cache_read": -50, "cache_write_5m": 0, "cache_write_1h": 0, "output": -10,
    }  # fmt: skip
    assert not made.holds


def test_a_refused_call_is_not_compared_and_one_cut_off_is() -> None:
    nothing = {"cost": 0, "usage": Usage(), "outcome": "error"}
    calls = [call("refused", **nothing), call("cut", **nothing, known=False), call("a")]
    assert reconcile(bill(billed(100 * CENT)), calls).calls == 2


def test_money_not_divided_by_model_is_compared_by_the_day() -> None:
    calls = [call("a"), call("b", model="anthropic/claude-opus-5")]
    whole = reconcile(bill(billed(200 * CENT, model=WHOLE_DAY)), calls)
    assert whole.holds
    assert [line.model for line in whole.lines] == [WHOLE_DAY]
    searches = reconcile(
        bill(
            billed(90 * CENT), billed(100 * CENT, model="claude-opus-5"),
            billed(10 * CENT, model=WHOLE_DAY, item="web_search"),
        ),
        calls,
    )  # fmt: skip
    assert searches.holds
    assert [(line.model, line.judged) for line in searches.lines] == [
        ("claude-haiku-4-5", False), ("claude-opus-5", False), (WHOLE_DAY, True),
    ]  # fmt: skip
    assert searches.lines[-1].items == ("web_search",)


def test_a_model_with_tokens_but_no_money_on_a_day_with_money_is_short() -> None:
    calls = [call("a"), call("b", model="anthropic/claude-opus-5")]
    made = reconcile(
        bill(billed(100 * CENT), billed(None, Usage(100, 50, output=10), model="claude-opus-5")), calls
    )
    assert [line.residual_pico for line in made.lines] == [0, -100 * CENT]
    assert not made.holds


def test_tokens_not_divided_by_model_leave_the_money_to_decide() -> None:
    tokens = billed(None, Usage(1, 2, output=3), model=WHOLE_DAY)
    made = reconcile(bill(billed(100 * CENT), tokens), [call("a")])
    assert made.holds
    assert [line.judged for line in made.lines] == [True]
    assert not reconcile(bill(tokens), [call("a")]).holds


def test_days_are_apart_and_only_the_bills_days_count() -> None:
    day_us = 86_400_000_000
    later = call("b", day=NEXT, at_us=NOON + day_us)
    calls = [call("a"), later, call("c", day="2026-11-24", at_us=NOON + 2 * day_us)]
    made = reconcile(bill(billed(100 * CENT), billed(100 * CENT, day=NEXT), last=NEXT), calls)
    assert made.holds
    assert made.calls == 2
    assert [line.day for line in made.lines] == [DAY, NEXT]


def test_calls_that_may_explain_a_residual_are_named() -> None:
    calls = [
        call("fine"),
        call("cut", 3, outcome="cancelled", usage=Usage(100, output=3, source="partial")),
        call("none", 3, usage=Usage(100, output=3, source="estimated")),
        call("dear", None, unpriced="no price for cache_write_1h"),
        call("swept", 70, outcome="swept", usage=Usage(source="estimated"), known=False),
        call("late", at_us=MIDNIGHT * 10**6 + 5, total_us=10),
        call("broke", outcome="truncated"),
        call("refused", 0, outcome="error", usage=Usage()),
        call("advised", usage=Usage(9, output=1, extra={"advisor_tokens": 5})),
    ]
    [line] = reconcile(bill(billed(1)), calls).lines
    assert line.calls == 8
    assert {each.attempt: each.why for each in line.explained} == {
        "cut": "interrupted: tokens estimated", "none": "reported no usage: tokens estimated",
        "dear": "unpriced: no price for cache_write_1h", "swept": "cut off: booked at its reservation",
        "late": "ran over midnight UTC", "broke": "ended as truncated",
        "advised": "asked other models too, which are billed by themselves",
    }  # fmt: skip


def test_more_explaining_calls_than_are_kept_are_counted() -> None:
    calls = [call(str(n), 1, outcome="truncated") for n in range(50)]
    [line] = reconcile(bill(billed(1)), calls).lines
    assert line.reasons == {"ended as truncated": 50}
    assert len(line.explained) == 20


def test_a_model_is_known_by_many_names() -> None:
    for name in (
        "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5", "Claude Haiku 4.5",
        "claude-haiku-4-5@20251001",
        "agg/anthropic/claude-haiku-4-5", "claude-haiku-4-5-latest",
    ):  # fmt: skip
        assert spelled(name) == "claude-haiku-4-5"
    assert spelled("gpt-5.4-2026-03-05") == "gpt-5-4"
    made = reconcile(
        bill(billed(100 * CENT)), [call("a", model="agg/cheap", served_model="claude-haiku-4-5-20251001")]
    )
    assert made.holds


def test_audio_and_images_count_as_the_side_they_are_on() -> None:
    usage = Usage(
        10, output=5, extra={"input_audio": 3, "output_image": 7, "web_search": 9, "cache_audio_read": 4}
    )
    assert tokens_of(usage) == {
        "input": 13, "cache_read": 4, "cache_write_5m": 0, "cache_write_1h": 0, "output": 12,
    }  # fmt: skip


def test_calls_outside_the_hours_that_the_bill_tells_are_left_out() -> None:
    told = Bill((billed(100 * CENT),), DAY, DAY, NOON // 10**6, NOON // 10**6 + 3600)
    hour = 3_600_000_000
    made = reconcile(told, [call("a"), call("early", at_us=NOON - 1), call("late", at_us=NOON + hour)])
    assert (made.holds, made.calls) == (True, 1)

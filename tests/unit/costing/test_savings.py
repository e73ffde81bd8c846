"""Savings net of everything, and waste by kind."""

from __future__ import annotations

from tierwise.costing import Cost
from tierwise.costing.draws import Arm
from tierwise.costing.savings import savings
from tierwise.costing.settled import Settled
from tierwise.costing.waste import waste
from tierwise.nouns import OUTPUT_LIMIT, Usage
from unit.costing.made import NOON, SECOND, call


def nowhere(_: Settled, model: str) -> Cost:
    return Cost(None, f"no price for {model}")


def test_savings_are_net_of_failed_attempts_and_of_measuring() -> None:
    made = savings(
        [
            call("a", 100, reference_pico=500, asked_pico=300),
            call("b", 100, reference_pico=500),
            call("failed", 7, outcome="error", reference_pico=500),
            call("shadow", 30, kind="shadow", reference_pico=500),
            call("judge", 20, kind="judge"),
            call("batch", 50, kind="batch", reference_pico=250),
        ]
    )
    assert made.overhead == {"failed attempts": 7, "judge": 20, "shadow": 30}
    assert made.net_pico(made.reference) == 1250 - 250 - 57
    assert made.net_pico(made.asked) == 300 - 100 - 57
    assert (made.served, made.reference.calls, made.asked.unknown) == (3, 3, 2)


def test_what_is_unpriced_or_has_no_baseline_is_counted_and_in_no_sum() -> None:
    made = savings([call("a", None, reference_pico=500), call("b", 100)])
    assert (made.unpriced, made.reference.calls, made.reference.unknown) == (1, 0, 2)
    assert made.net_pico(made.reference) is None
    beside = savings([call("a", None, kind="judge"), call("b", None, outcome="error"), call("c", 100)])
    assert (beside.unpriced, beside.overhead, beside.served) == (2, {}, 1)


def test_arms_hold_exact_sums_of_tasks_with_a_holdout() -> None:
    made = savings(
        [
            call("a", 100, tags=("holdout",)), call("b", 10), call("c", 20, tags=("other",)),
            call("d", 5, task="without"), call("e", 9, tags=("holdout",), kind="shadow"),
        ]
    )  # fmt: skip
    assert list(made.arms) == ["t"]
    [both] = made.arms["t"].strata
    assert both.held == Arm(1, 100, 10_000, 1_000_000)
    assert both.routed == Arm(2, 30, 500, 9_000)


def arms_of(*calls: Settled) -> tuple[tuple[int, int], tuple[int, int], int]:
    """Draws and their cost in both arms, and what was spent beside."""
    made = savings([call("h", 100, tags=("holdout",), tier="dear", asked="auto"), *calls]).arms["t"]
    [both] = made.strata
    held, routed = both.held, both.routed
    return (held.calls - 1, held.sum_pico - 100), (routed.calls, routed.sum_pico), made.beside_pico


def test_an_arms_draw_is_a_request_with_all_its_attempts() -> None:
    """A failed attempt at the cheap tier is a cost of routing, also where the reference served in the end."""
    exchange = {"exchange": "ex_1", "asked": "task/t"}
    first = call("ex_1-1", 7, outcome="error", tier="cheap", **exchange)
    second = call("ex_1-2", 100, tier="dear", **exchange)
    assert arms_of(first, second) == arms_of(second, first) == ((0, 0), (1, 107), 0)
    refused = call("ex_1-1", 0, outcome="error", tier="cheap", **exchange)
    assert arms_of(refused, second) == ((0, 0), (1, 100), 0)
    assert arms_of(first) == ((0, 0), (1, 7), 0)
    assert arms_of(refused) == ((0, 0), (0, 0), 0)


def test_what_could_not_be_held_out_is_in_no_arm() -> None:
    assert arms_of(call("a", 100, asked="agg/dear"), call("b", 9, tier="cheap", asked="tier/cheap")) == (
        (0, 0), (0, 0), 0,
    )  # fmt: skip
    anyway = call("ex_2-1", 100, tier="dear", asked="auto")  # it fitted no other tier
    assert arms_of(anyway) == ((0, 0), (0, 0), 0)


def test_a_session_is_one_draw() -> None:
    session = {"session": "s", "asked": "auto"}
    cheap = [call(f"ex_{n}-1", 10, tier="cheap", **session) for n in range(5)]
    assert arms_of(*cheap) == ((0, 0), (1, 50), 0)
    held = [call(f"ex_{n}-1", 30, tier="dear", tags=("holdout",), **session) for n in range(4)]
    assert arms_of(*held) == ((1, 120), (0, 0), 0)
    anyway = [call(f"ex_{n}-1", 30, tier="dear", **session) for n in range(4)]
    assert arms_of(*anyway) == ((0, 0), (0, 0), 0)
    assert arms_of(*cheap, *anyway) == arms_of(*anyway, *cheap) == ((0, 0), (1, 170), 0)
    refused = call("ex_9-1", 0, outcome="error", tier="cheap", **session)
    assert arms_of(refused, *anyway) == arms_of(*anyway, refused) == ((0, 0), (1, 120), 0)
    assert arms_of(call("j", 5, kind="judge"), call("s", 6, kind="shadow"))[2] == 11


def strata_of(*days: tuple[int, int]) -> list[tuple[int, int]]:
    """The draws of both arms by stratum, from (held out, routed) on each of days in a row."""
    calls = [
        call(f"{day}.{n}", 10, day=f"2026-11-{day:02d}", asked="auto", tier="dear" if n < held else "cheap",
             tags=("holdout",) if n < held else ())
        for day, (held, routed) in enumerate(days, 1)
        for n in range(held + routed)
    ]  # fmt: skip
    return [(each.held.calls, each.routed.calls) for each in savings(calls[::-1]).arms["t"].strata]


def test_days_before_and_after_the_holdout_are_in_no_arm() -> None:
    """They were others, with other traffic: no call of theirs could have been held out."""
    assert strata_of((0, 500), (30, 90), (0, 400)) == [(30, 90)]
    spent = [call(str(day), 7, kind="shadow", day=f"2026-11-{day:02d}") for day in (1, 2, 3)]
    held = call("h", tags=("holdout",), asked="auto", tier="dear", day="2026-11-02")
    assert savings([held, *spent]).arms["t"].beside_pico == 7


def test_days_are_taken_together_until_both_arms_have_ten() -> None:
    assert strata_of((4, 60), (4, 60), (0, 60), (2, 60), (9, 50), (1, 50)) == [(10, 240), (10, 100)]
    assert strata_of((10, 90), (5, 90), (3, 90)) == [(18, 270)]
    assert strata_of((10, 3), (5, 90)) == [(15, 93)]
    assert strata_of((3, 40)) == [(3, 40)]


def test_a_day_with_a_larger_share_stands_by_itself() -> None:
    assert strata_of((10, 990), (5, 900), (200, 800), (190, 800)) == [(15, 1890), (200, 800), (190, 800)]


def test_a_call_that_was_drawn_and_stayed_is_held_out_at_what_it_cost() -> None:
    stayed = call("s", 10, tier="cheap", tags=("holdout-stayed",), asked="auto")
    routed = call("r", 10, tier="cheap", asked="auto")
    assert arms_of(stayed, routed) == ((1, 10), (1, 10), 0)


def test_money_for_answers_nobody_got() -> None:
    calls = [
        call("left", 70, outcome="cancelled"), call("free", 0, outcome="cancelled"),
        call("dear", None, outcome="cancelled"), call("broke", 50, outcome="truncated"), call("fine", 900),
        call("shadow", 80, outcome="cancelled", kind="shadow"),
    ]  # fmt: skip
    found = {one.kind: one for one in waste(lambda _: calls, nowhere)}
    assert set(found) == {"abandoned", "truncated"}
    left = found["abandoned"]
    assert (left.calls, left.pico, left.unpriced, left.examples) == (2, 70, 1, ["ex_left", "ex_dear"])
    assert found["truncated"].pico == 50
    assert left.certain
    assert found["truncated"].certain
    assert [one.kind for one in waste(lambda _: [*calls, call("b", 21, outcome="truncated")], nowhere)] == [
        "truncated", "abandoned",
    ]  # fmt: skip


def test_an_answer_that_its_limit_cut() -> None:
    [one] = waste(lambda _: [call("cut", 70, error=OUTPUT_LIMIT), call("whole", 50, key="other")], nowhere)
    assert (one.kind, one.certain, one.calls, one.pico) == ("cut_short", False, 1, 70)


def test_the_same_call_twice_at_once_is_likely_one_too_many() -> None:
    big = Usage(5000, output=1)

    def at(name: str, seconds: float, **said: object) -> Settled:
        return call(name, 40, at_us=NOON + int(seconds * SECOND), **{"usage": big, **said})

    twice = [at("a", 0), at("b", 1), at("c", 10), at("d", 10, key="other"), at("e", 10, usage=Usage(50))]
    [one] = waste(lambda _: twice, nowhere)
    assert (one.kind, one.certain, one.calls, one.pico, one.examples) == (
        "double_fired",
        False,
        1,
        40,
        ["ex_b"],
    )
    for prompt, found in ((199, 0), (200, 1)):
        small = [at("a", 0, usage=Usage(prompt)), at("b", 2, usage=Usage(prompt))]
        assert len(waste(lambda _, small=small: small, nowhere)) == found


def test_a_storm_of_retries() -> None:
    def errors(number: int) -> list[Settled]:
        return [call(str(n), 2, outcome="error", at_us=NOON + n * SECOND) for n in range(number)]

    def storms(calls: list[Settled]) -> list[tuple[str, int, int]]:
        return [(one.kind, one.calls, one.pico) for one in waste(lambda _: calls, nowhere)]

    assert storms(errors(4)) == [("failed", 4, 8)]
    assert storms(errors(5)) == [("retry_storm", 5, 10)]
    # Whenever the minute begins, and in whatever order they ended; one a minute later is none of them.
    apart = [
        call(str(n), 2, outcome="error", at_us=NOON + s * SECOND) for n, s in enumerate((62, 57, 59, 3, 61))
    ]
    assert storms(apart) == [("retry_storm", 5, 10)]
    late = call("late", 2, outcome="error", at_us=NOON + 130 * SECOND)
    assert storms([late, *apart]) == [("retry_storm", 5, 10), ("failed", 1, 2)]
    assert storms([*apart[:4], call("late", 2, outcome="error", at_us=NOON + 70 * SECOND)]) == [
        ("failed", 5, 10)
    ]


def test_failed_attempts_that_may_have_been_billed() -> None:
    """Each is in one line only, and a storm has none of the singles; what a provider refused is free."""
    storm = [call(f"s{n}", 0, outcome="error", at_us=NOON + (300 + n) * SECOND) for n in range(5)]
    singles = [
        call("before", 30, outcome="error"), call("refused", 0, outcome="error"),
        call("dear", None, outcome="error"), call("after", 40, outcome="error", at_us=NOON + 900 * SECOND),
        call("other", 50, outcome="error", key="other"), call("batch", 60, outcome="error", kind="batch"),
    ]  # fmt: skip
    found = {one.kind: one for one in waste(lambda _: [*singles, *storm], nowhere)}
    assert set(found) == {"failed", "retry_storm"}
    one = found["failed"]
    assert (one.certain, one.calls, one.pico, one.unpriced) == (False, 4, 120, 1)
    assert sorted(one.examples) == ["ex_after", "ex_before", "ex_dear", "ex_other"]
    assert (found["retry_storm"].calls, found["retry_storm"].pico) == (5, 0)


def test_a_dear_model_where_a_cheaper_one_serves_the_task() -> None:
    calls = [call(f"s{n}", 10, at_us=NOON + n * 10 * SECOND) for n in range(20)]
    calls += [call("dear", 100, model="agg/grand"), call("else", 100, model="agg/grand", task="other")]

    def there(one: Settled, model: str) -> Cost:
        assert (one.attempt, model) == ("dear", "agg/swift")
        return Cost(10)

    [one] = waste(lambda _: calls, there)
    assert (one.kind, one.certain, one.calls, one.pico) == ("over_tiered", False, 1, 90)
    assert waste(lambda _: calls[1:], lambda *_: Cost(10)) == []  # 19 calls say too little
    beside = call("beside", 100, model="agg/grand", kind="shadow")
    assert [made.calls for made in waste(lambda _: [*calls, beside], there)] == [1]


def test_the_cheaper_of_two_much_used_models_is_the_one_that_costs_less_a_call() -> None:
    calls = [call(f"g{n}", 100, model="agg/grand", at_us=NOON + n * 10 * SECOND) for n in range(20)]
    calls += [call(f"s{n}", 10, at_us=NOON + n * 10 * SECOND) for n in range(30)]
    [one] = waste(lambda _: calls, lambda _, model: Cost({"agg/swift": 15, "agg/grand": 5}[model]))
    assert (one.calls, one.pico) == (20, 20 * 85)

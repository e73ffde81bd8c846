"""What the cache saved and wasted, and which lifetime pays, by hand-worked figures."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from msgspec import structs

from tierwise.costing.advice import advise
from tierwise.costing.settled import Settled
from tierwise.nouns import Abilities, Price, Source, Usage
from unit.costing.made import NOON, SECOND, call

M = 10**6
PRICE = Price("p", Source("s", "2026-11-22"), M, 100_000, 1_250_000, 2 * M, 5 * M)
WRITE, HOUR, READ = Usage(10, cache_write_5m=1000), Usage(10, cache_write_1h=1000), Usage(10, 1000)


def at(seconds: int, usage: Usage, **said: Any) -> Settled:
    return call(f"c{seconds}", at_us=NOON + seconds * SECOND, usage=usage, **said)


def priced(_: Settled) -> Price:
    return PRICE


def test_a_write_that_is_read_saves_and_wastes_nothing() -> None:
    [one] = advise([at(0, Usage(0, output=5)), at(1, WRITE), at(60, READ), at(120, READ)], priced)
    assert one.saved_pico == 2 * 1000 * 900_000 - 1000 * 250_000
    assert (one.wasted_at_least, one.wasted_at_most) == (0, 0)
    assert one.hit_rate == Fraction(2000, 3030)
    assert one.assumed


def test_a_write_never_read_is_wasted() -> None:
    [one] = advise([at(0, WRITE), at(3600, WRITE)], priced)
    assert one.saved_pico == -2 * 1000 * 250_000
    assert one.wasted_at_least == one.wasted_at_most == 2 * 1000 * 250_000
    assert one.examples == ("ex_c0", "ex_c3600")


@pytest.mark.parametrize(
    ("write", "read", "wasted"),
    [(WRITE, 300, 0), (WRITE, 301, 1000 * 250_000), (HOUR, 3600, 0), (HOUR, 3601, 1000 * M)],
)
def test_a_read_behind_the_lifetime_is_not_of_the_write(write: Usage, read: int, wasted: int) -> None:
    [one] = advise([at(0, write), at(read, READ)], priced)
    assert (one.wasted_at_least, one.wasted_at_most) == (wasted, wasted)


def test_what_a_discount_halves_saves_and_wastes_half() -> None:
    """A batch, and a class of service with a price of its own for reads."""
    price = structs.replace(PRICE, batch=(1, 2), service_tiers={"flex": (1, 2), "flex/cache_read": (1, 1)})
    [one] = advise([at(n, use, kind="batch") for n, use in enumerate((WRITE, READ))], lambda _: price)
    assert one.saved_pico == 1000 * (900_000 - 250_000) // 2
    [one] = advise([at(0, WRITE, kind="batch")], lambda _: price)
    assert one.wasted_at_least == one.wasted_at_most == 1000 * 250_000 // 2
    [one] = advise([at(0, structs.replace(READ, service_tier="flex", extra={"odd": 1}))], lambda _: price)
    assert one.saved_pico == 1000 * (M // 2 - 100_000)
    [one] = advise([at(0, READ, kind="batch")], lambda _: structs.replace(PRICE, batch=None))
    assert one.saved_pico is None, "what a batch costs is not known"


def test_each_write_of_a_call_has_its_own_lifetime() -> None:
    both = Usage(10, cache_write_5m=500, cache_write_1h=1000)
    [one] = advise([at(0, both), at(1200, READ)], priced)
    assert (one.wasted_at_least, one.wasted_at_most) == (500 * 250_000, 500 * 250_000)
    assert one.saved_pico == 1000 * 900_000 - 500 * 250_000 - 1000 * M


def test_a_model_may_keep_what_was_written_for_half_an_hour() -> None:
    """GPT-5.6 and later: a read after ten minutes is of the write."""
    calls = [at(n, WRITE if n == 0 else READ) for n in range(0, 3000, 600)]
    [one] = advise(calls, priced, lambda _: Abilities(cache_lifetime_s=1800))
    assert (one.wasted_at_least, one.wasted_at_most, one.advice) == (0, 0, "30m")
    assert one.reads_per_write["5m"] == 4
    [one] = advise(calls, priced)
    assert (one.wasted_at_most, one.advice) == (250_000_000, "1h")
    [late] = advise([at(0, WRITE), at(1801, READ)], priced, lambda _: Abilities(cache_lifetime_s=1800))
    assert late.wasted_at_least == 250_000_000


def test_a_rate_that_no_call_needs_may_be_unknown() -> None:
    [one] = advise([at(0, WRITE), at(60, READ)], lambda _: structs.replace(PRICE, cache_write_1h=None))
    assert (one.saved_pico, one.wasted_at_most) == (1000 * 900_000 - 1000 * 250_000, 0)
    [one] = advise([at(0, WRITE), at(60, HOUR)], lambda _: structs.replace(PRICE, cache_write_1h=None))
    assert (one.saved_pico, one.wasted_at_least, one.wasted_at_most) == (None, None, None)


def test_a_series_is_called_by_its_keys_name_and_shown_by_its_writes() -> None:
    calls = [at(0, READ, key="id1"), at(1, HOUR, key="id1"), at(2, WRITE, key="id1")]
    [one] = advise(calls, priced)
    assert one.label({"id1": "app"}) == "key app, task t"
    assert one.label({}) == "key id1, task t"
    assert one.examples == ("ex_c1", "ex_c2")
    [one] = advise([at(0, READ, key="id1", session="id1")], priced)
    assert (one.label({"id1": "app"}), one.examples, one.seen) == ("session id1", ("ex_c0",), True)


def test_a_read_by_another_series_bounds_what_is_certain() -> None:
    found = advise([at(0, WRITE, session="a"), at(30, READ, session="b")], priced)
    first = next(one for one in found if one.group == "session a")
    assert (first.wasted_at_least, first.wasted_at_most) == (0, 250_000_000)


def test_a_recorded_prefix_is_no_assumption() -> None:
    found = advise([at(0, WRITE, prefix="p1", session="a"), at(30, READ, prefix="p1", session="b")], priced)
    assert [(one.group, one.assumed, one.wasted_at_most) for one in found] == [("prefix p1", False, 0)]


def advice_at(gap: int, calls: int = 20) -> Any:
    [one] = advise([at(n * gap, Usage(1010)) for n in range(calls)], priced)
    return one


def test_the_lifetime_follows_the_gaps() -> None:
    assert [advice_at(gap).advice for gap in (10, 300, 301, 3600, 3601)] == ["5m", "5m", "1h", "1h", "none"]
    assert advice_at(10).reads_per_write == {"5m": Fraction(19), "1h": Fraction(19)}
    assert advice_at(600).reads_per_write == {"5m": Fraction(0), "1h": Fraction(19)}
    assert advice_at(10).break_even == {"5m": Fraction(5, 18), "1h": Fraction(10, 9)}
    # 19 reads and a write of 1.25 in place of 20 inputs: 3.15 of 20
    assert advice_at(10).why == "84% less for a shared prefix than sending it uncached"


def test_break_even_decides_between_writing_and_not() -> None:
    """Pairs 10 s apart and 2 h between them: one read a write, enough for 5 minutes, not for an hour."""
    pairs = [at(n * 7200 + extra, Usage(1010)) for n in range(10) for extra in (0, 10)]
    [one] = advise(pairs, priced)
    assert one.reads_per_write["5m"] == 1
    assert one.advice == "5m"
    lonely = [at(n * 7200, Usage(1010)) for n in range(10)] + [at(10, Usage(1010)), at(7210, Usage(1010))]
    [one] = advise(lonely, priced)
    assert one.reads_per_write["5m"] == Fraction(1, 5)  # below 0.28
    assert one.advice == "none"


def test_what_is_not_known_is_not_guessed() -> None:
    assert advice_at(10, calls=4).advice == "unknown"
    [one] = advise([at(0, WRITE), at(10, READ)], lambda _: None)
    assert (one.saved_pico, one.wasted_at_least, one.wasted_at_most) == (None, None, None)
    no_writes = Price("p", Source("s", "2026-11-22"), M, 100_000, None, None, 5 * M)
    [one] = advise([at(n, Usage(1010)) for n in range(9)], lambda _: no_writes)
    assert (one.advice, one.why) == ("unknown", "the price of cache writes is not known")
    assert advise([at(0, Usage()), at(1, WRITE, known=False)], priced) == []


def test_prompts_below_the_models_minimum_cannot_be_cached() -> None:
    calls = [at(n * 10, Usage(1010)) for n in range(20)]
    [small] = advise(calls, priced, lambda _: Abilities(cache_minimum=1024))
    [enough] = advise(calls, priced, lambda _: Abilities(cache_minimum=1010))
    assert (small.advice, enough.advice) == ("none", "5m")
    assert not small.seen
    assert advise([at(0, WRITE)], priced)[0].seen


def test_the_dearest_waste_comes_first() -> None:
    found = advise([at(0, WRITE, key="a"), at(0, HOUR, key="b")], priced)
    assert [one.group for one in found] == ["key b, task t", "key a, task t"]
    assert found[0].wasted_at_most == 1000 * M


def test_beginnings_that_change_with_every_call_are_one_series_to_fix() -> None:
    each = [at(n * 60, WRITE, prefix=f"{n:016x}") for n in range(5)]
    steady = [at(1000 + n, READ, prefix="steady", task="other") for n in range(6)]
    found = advise([*each, *steady], priced)
    [one] = [one for one in found if one.advice == "fix"]
    assert (one.key, one.task, one.calls, one.prefixes, one.assumed) == ("k", "t", 5, 5, False)
    assert one.wasted_at_most == 5 * 1000 * 250_000
    assert [other.group for other in found if other is not one] == ["prefix steady"]


def test_first_turns_that_differ_are_no_edit() -> None:
    found = advise([at(n * 60, WRITE, prefix=f"{n:016x}t") for n in range(6)], priced)
    assert not [one for one in found if one.advice == "fix"]


def test_four_beginnings_are_too_few_to_blame_an_edit() -> None:
    found = advise([at(n * 60, WRITE, prefix=f"{n:016x}") for n in range(4)], priced)
    assert not [one for one in found if one.advice == "fix"]

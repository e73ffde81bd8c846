"""Cache writes that bought nothing, in dollars."""

from __future__ import annotations

from typing import Any

from tierwise.costing import Cost, cost
from tierwise.costing.settled import Settled
from tierwise.costing.waste import Waste, waste
from tierwise.nouns import Price, Source, Usage
from unit.costing.made import NOON, SECOND, call

M = 10**6
PRICE = Price("p", Source("s", "2026-11-22"), M, 100_000, 1_250_000, 2 * M, 5 * M)
WRITE, READ, HOUR = Usage(10, cache_write_5m=1000), Usage(10, 1000), Usage(10, cache_write_1h=1000)


def at(seconds: int, usage: Usage, prefix: str = "p1", **said: Any) -> Settled:
    return call(f"c{seconds}", at_us=NOON + seconds * SECOND, usage=usage, prefix=prefix, **said)


def there(one: Settled, model: str) -> Cost:
    return cost(one.usage, PRICE)


def found(*calls: Settled) -> dict[str, Waste]:
    return {one.kind: one for one in waste(lambda _: calls, there) if one.kind.startswith("cache")}


def test_a_write_that_nobody_reads_in_its_lifetime_costs_its_premium() -> None:
    one = found(at(0, WRITE), at(301, WRITE), at(400, READ))["cache_unread"]
    assert (one.calls, one.pico, one.examples) == (1, 1000 * 250_000, ["ex_c0"])


def test_an_hour_lasts_an_hour_and_costs_its_own_premium() -> None:
    assert found(at(0, HOUR), at(3600, READ)) == {}
    assert found(at(0, HOUR), at(3601, READ))["cache_unread"].pico == 1000 * M


def test_a_model_may_keep_it_for_half_an_hour() -> None:
    kept = lambda *calls: waste(lambda _: calls, there, lambda model: 1800)  # noqa: E731
    assert kept(at(0, WRITE), at(1800, READ)) == []
    [one] = kept(at(0, WRITE), at(1801, READ))
    assert (one.kind, one.pico) == ("cache_unread", 1000 * 250_000)


def test_another_beginning_reads_nothing_of_it() -> None:
    assert found(at(0, WRITE), at(10, READ, "p2"))["cache_unread"].calls == 1


def test_calls_without_a_digest_are_left_out() -> None:
    assert found(at(0, WRITE, ""), at(9000, WRITE, "")) == {}


def test_a_beginning_that_changes_costs_what_reading_would_have_saved() -> None:
    each = [at(n * 60, WRITE, f"{n:016x}") for n in range(6)]
    kinds = found(*each)
    one = kinds["cache_changed"]
    # The first had nothing to read: its premium is lost.
    assert kinds["cache_unread"].examples == ["ex_c0"]
    assert (one.calls, one.pico) == (5, 5 * 1000 * (1_250_000 - 100_000))
    assert not one.certain
    far = [at(n * 400, WRITE, f"{n:016x}") for n in range(6)]
    assert found(*far)["cache_unread"].calls == 6  # nothing would have been there to be read

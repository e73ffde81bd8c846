"""Admission: who is let in, what a minute allows, and what a refusal tells."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tierwise.errors import LimitRefused, Overloaded
from tierwise.gateway import admission
from tierwise.gateway.admission import Admission, limit_headers, used_up
from tierwise.nouns import Key

SECOND = 1_000_000


class Clock:
    """Microseconds, turned by hand."""

    now = 5 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(admission, "tick_us", made)
    return made


def key(id: str = "k", **terms: int) -> Key:
    return Key(id, "team", "digest", "hint", **terms)


def test_as_many_are_in_flight_as_said_and_a_place_comes_back() -> None:
    door = Admission(most=2)
    for _ in range(2):
        door.enter(key())
    with pytest.raises(Overloaded, match="already serves 2 requests"):
        door.enter(key("other"))
    door.leave(key())
    door.enter(key("other"))
    assert door.running == 2
    door.draining = True
    door.leave(key())
    with pytest.raises(Overloaded, match="shutting down"):
        door.enter(key())


def test_those_refused_at_once_are_told_to_come_back_at_different_times() -> None:
    door, waits = Admission(most=0), []
    for _ in range(100):
        with pytest.raises(Overloaded) as refusal:
            door.enter(key())
        waits.append(refusal.value.retry_after_s)
    waits.sort()
    assert 0.5 <= waits[0] < waits[-1] < 2.5
    assert max(later - sooner for sooner, later in pairwise(waits)) < 0.05


def test_a_keys_own_places_are_counted_by_key() -> None:
    door, one, other = Admission(), key("one", max_concurrent=2), key("other", max_concurrent=1)
    for each in (one, one, other):
        door.enter(each)
    for each in (one, other):
        with pytest.raises(LimitRefused, match="requests running"):
            door.enter(each)
    assert door.running == 3  # who is refused takes no place
    door.leave(one)
    door.enter(one)
    with pytest.raises(LimitRefused):
        door.enter(one)


def test_requests_a_minute_may_come_at_once_and_then_as_they_flow_back(clock: Clock) -> None:
    door, caller = Admission(), key(rpm=6)
    for _ in range(6):
        door.enter(caller)
    with pytest.raises(LimitRefused) as refused:
        door.enter(caller)
    assert (refused.value.retry_after_s, refused.value.left, refused.value.limit) == (10, 0, 6)
    door.enter(key("other", rpm=6))
    clock.now += 10 * SECOND - 1
    with pytest.raises(LimitRefused) as refused:
        door.enter(caller)
    assert refused.value.retry_after_s == 1
    clock.now += 1
    door.enter(caller)
    clock.now += 3600 * SECOND  # an idle hour saves up one minute, no more
    for _ in range(6):
        door.enter(caller)
    with pytest.raises(LimitRefused):
        door.enter(caller)


def test_tokens_are_charged_before_and_what_was_used_beyond_when_it_is_over(clock: Clock) -> None:
    door, caller = Admission(), key(tpm=600)
    door.charge_tokens(caller, 600)
    door.settle_tokens(key(), 10**9)  # no limit, nothing kept
    clock.now += 60 * SECOND
    door.charge_tokens(caller, 400)
    with pytest.raises(LimitRefused) as refused:
        door.charge_tokens(caller, 300)
    assert (refused.value.retry_after_s, refused.value.left) == (10, 200)
    door.settle_tokens(caller, 100)
    with pytest.raises(LimitRefused) as refused:
        door.charge_tokens(caller, 300)
    assert (refused.value.retry_after_s, refused.value.left) == (20, 100)
    door.settle_tokens(caller, 10**6)
    clock.now += 60 * SECOND + 2  # two minutes' worth is owed at most
    door.charge_tokens(caller, 0)
    with pytest.raises(LimitRefused):
        door.charge_tokens(caller, 1)
    clock.now += 60 * SECOND
    door.charge_tokens(caller, 600)


def test_more_than_a_minute_allows_is_never_let_in(clock: Clock) -> None:
    door = Admission()
    with pytest.raises(LimitRefused) as refused:
        door.charge_tokens(key(tpm=600), 601)
    assert (refused.value.retry_after_s, refused.value.retry) == (None, "never")
    for limit in (0, -1):
        with pytest.raises(LimitRefused):
            door.charge_tokens(key(tpm=limit), 0)


def test_keys_that_owe_nothing_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_MOST_DUE", 1000)
    door = Admission()
    for number in range(1000):
        door.charge_tokens(key(str(number), tpm=600), 1)
    clock.now += SECOND
    owing = key("owing", tpm=600)
    door.charge_tokens(owing, 600)
    assert len(door._due) == 1
    with pytest.raises(LimitRefused):
        door.charge_tokens(owing, 1)


@pytest.mark.parametrize(
    ("wait_us", "seconds"), [(1, 1), (SECOND, 1), (SECOND + 1, 2), (60 * SECOND, 60), (90 * SECOND, 60)]
)
def test_a_wait_is_told_in_whole_seconds_up_to_a_minute(wait_us: int, seconds: int) -> None:
    assert used_up(key(), 600, "tokens", 1, wait_us).retry_after_s == seconds


def test_headers_are_those_of_the_callers_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "now_us", lambda: 1_795_348_800 * SECOND)
    error = used_up(key(), 600, "tokens", 300, 10 * SECOND)
    assert limit_headers(error, "openai_chat") == [
        (b"x-ratelimit-limit-tokens", b"600"), (b"x-ratelimit-remaining-tokens", b"200"),
        (b"x-ratelimit-reset-tokens", b"10s"),
    ]  # fmt: skip
    assert limit_headers(error, "anthropic_messages") == [
        (b"anthropic-ratelimit-tokens-limit", b"600"), (b"anthropic-ratelimit-tokens-remaining", b"200"),
        (b"anthropic-ratelimit-tokens-reset", b"2026-11-22T12:00:10Z"),
    ]  # fmt: skip
    never = used_up(key(), 600, "tokens", 601, SECOND)
    assert [name for name, _ in limit_headers(never, "openai_chat")] == [
        b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens",
    ]  # fmt: skip
    assert limit_headers(LimitRefused("busy"), "openai_chat") == []

"""Deadlines of many objects by one timer, on a loop whose clock the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, cast

from tierwise.http1.sweeper import Sweeper


class Loop:
    """Time, and what is called at the next one asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Any:
        entry = (at, call)
        self.calls.append(entry)
        return type("Timer", (), {"cancel": lambda _: self.calls.remove(entry)})()

    def run(self, after: float = 0.0) -> None:
        """Calls what is due next, so long after its time."""
        at, call = self.calls.pop()
        assert not self.calls
        self.now = at + after
        call()


class Item:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired: list[float] = []

    def expire(self, now: float) -> None:
        self.expired.append(now)
        self.deadline = inf


def made(*items: Item) -> tuple[Loop, Sweeper]:
    loop = Loop()
    sweeper = Sweeper(cast(asyncio.AbstractEventLoop, loop))
    for item in items:
        sweeper.add(item)
    return loop, sweeper


def test_what_is_past_its_deadline_expires() -> None:
    soon, later = Item(100.5), Item(200.0)
    loop, _ = made(soon, later)
    loop.run()
    assert (soon.expired, later.expired) == ([100.5], [])
    assert loop.calls[0][0] == 101.5


def test_after_a_standstill_what_came_is_read_first() -> None:
    silent, heard = Item(100.5), Item(100.5)
    loop, _ = made(silent, heard)
    loop.run(after=60.0)
    assert silent.expired == heard.expired == []
    heard.deadline = loop.now + 0.5  # the loop has read what lay in its socket
    loop.run()
    assert (len(silent.expired), heard.expired) == (1, [])
    loop.run()
    assert len(heard.expired) == 1


def test_a_loop_that_is_always_late_expires_all_the_same() -> None:
    item = Item(100.5)
    loop, _ = made(item)
    loop.run(after=5.0)
    loop.run(after=5.0)
    assert len(item.expired) == 1

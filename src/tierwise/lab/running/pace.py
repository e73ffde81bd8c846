"""Pace: how many calls may be in flight at one tier, found by trying (additive increase, multiplicative
decrease).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

_START = 16
_T = TypeVar("_T")


class Room:
    """At most `most` calls in flight over all tiers; who waits longest goes first."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        """The place goes to the next who waits, else is free."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Pace:
    """Doubles each round until the first sign of congestion (429, 5xx, a timeout), then halves, then grows by
    one a round; never above `most`.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(min(most, _START))
        self.in_flight = 0
        self._quick = True
        self._ticket = 0
        self._since = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Waits for room; gives a ticket to be handed back."""
        while self.in_flight >= int(self.limit):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()
                raise
        self.in_flight += 1
        self._ticket += 1
        return self._ticket

    def leave(self, ticket: int, congested: bool | None) -> None:
        """A call ended. `congested` None: it says nothing of congestion. Calls begun before the last decrease
        do not decrease again.
        """
        self.in_flight -= 1
        if congested:
            if ticket > self._since:
                self._quick = False
                self.limit = max(1.0, self.limit / 2)
                self._since = self._ticket
        elif congested is False:
            step = 1.0 if self._quick else 1.0 / self.limit
            self.limit = min(float(self.most), self.limit + step)
        self._wake()

    def _wake(self) -> None:
        room = int(self.limit) - self.in_flight
        while self._waiting and room > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1


async def each_of(items: Iterable[_T], jobs: int, act: Callable[[_T], Awaitable[None]]) -> None:
    """`act` on every item, `jobs` at a time. The first error ends it and is raised as it is."""
    left = iter(items)

    async def work() -> None:
        for item in left:
            await act(item)

    await together(work() for _ in range(jobs))


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them side by side. The first error ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""The line in which requests wait to be begun when too many come at once.

One turn of the event loop begins a few of them and no more. A turn that began every request that had come
would take as long as all of them together, and what shares the loop (the health of this process, new
connections, streams) would wait for it, once for each of the several turns that an answer takes.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

_GOLDEN = 0.6180339887498949


class Waiting(Protocol):
    """A connection whose request waits."""

    def begin(self) -> None:
        """Starts the request, unless its client has gone."""


class Line:
    """Requests in the order they came. `fresh` are begun and have not taken their first step, which is one
    turn away: while there are `most` of them, others wait. Each first step lets the next in line begin."""

    __slots__ = ("fresh", "most", "waiting")

    def __init__(self, most: int) -> None:
        self.fresh = 0
        self.most = most
        self.waiting: deque[Waiting] = deque()

    def advance(self) -> None:
        """Begins as many of those that wait as there is room for."""
        while self.waiting and self.fresh < self.most:
            self.waiting.popleft().begin()


class Spread:
    """Waits for those who are turned away: told the same, they would all come back at once."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def next_s(self) -> float:
        """From half a second to two and a half, evenly over however many are refused in a row: multiples of
        the golden ratio are spread so, without a draw."""
        self._count += 1
        return 0.5 + 2 * (self._count * _GOLDEN % 1)

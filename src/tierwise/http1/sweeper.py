"""One coarse timer for many deadlines, instead of one timer per request."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol

_LONGEST_S = 1.0
_SHORTEST_S = 0.01
_LATE_S = 1.0
"""A look so late comes after this process stood still: paused, moved to another host, or held up."""


class Watched(Protocol):
    """What a Sweeper looks after. `deadline` is in loop time; `math.inf` means none."""

    deadline: float

    def expire(self, now: float) -> None:
        """Called once the deadline has passed; sets the next deadline, or leaves the sweeper."""


class Sweeper:
    """Calls `expire` on whatever is past its deadline, at most about 10 ms late.

    It looks at every watched object once a second, or sooner when a deadline is nearer, so setting a deadline
    is a plain attribute write. With nothing to watch it has no timer at all.

    After this process stood still nobody is past a deadline before the loop has read what came meanwhile.
    """

    __slots__ = ("_due", "_late", "_loop", "_timer", "watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = inf
        self._late = False
        self._timer: asyncio.TimerHandle | None = None
        self.watched: set[Watched] = set()

    def add(self, item: Watched) -> None:
        self.watched.add(item)
        self.hasten(item.deadline)

    def discard(self, item: Watched) -> None:
        self.watched.discard(item)

    def hasten(self, deadline: float) -> None:
        """To be called after a deadline was set that may be nearer than the next look."""
        if deadline < self._due:
            self._schedule(min(deadline, self._loop.time() + _LONGEST_S))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, inf

    def _schedule(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = at
        self._timer = self._loop.call_at(at, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        self._late = now - self._due > _LATE_S and not self._late
        self._timer, self._due = None, inf
        if self._late:
            self._schedule(now + _SHORTEST_S)
            return
        for item in tuple(self.watched):
            if item.deadline <= now:
                item.expire(now)
        if not self.watched:
            return
        nearest = min(item.deadline for item in self.watched)
        self._schedule(min(max(nearest, now + _SHORTEST_S), now + _LONGEST_S))

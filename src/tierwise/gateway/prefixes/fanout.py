"""Calls with one prefix that come at once: the others wait until the first one's reply began, because only
then can they read what it writes. Waiting is bounded, and a first one that fails lets the next one go.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from tierwise.costing.promptcache import LIFETIME_S, Lifetime

Mark = tuple[bytes, Lifetime]
"""What a breakpoint covers, as a digest, and for how long."""
_MOST = 16_384


class Fanout:
    """Which prefixes can be read, and who is writing one. `waits` counts by what ended the wait: `over` (the
    writer began to be answered, or failed), `timeout`."""

    def __init__(self, clock: Callable[[], int], waits: Counter[str]) -> None:
        self._clock = clock
        self._waits = waits
        self._warm: OrderedDict[bytes, int] = OrderedDict()
        self._leading: dict[bytes, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def turn(self, marks: Sequence[Mark], wait_s: float) -> AsyncIterator[None]:
        """Runs its body, which gives back control when the reply began, after a wait of `wait_s` seconds at
        most while another call writes what `marks` cover."""
        if wait_s > 0:
            await self._wait(marks, wait_s)
        ours = self._lead(marks)
        try:
            yield
            self._warmed(marks)
        finally:
            for digest, future in ours:
                del self._leading[digest]
                if not future.done():
                    future.set_result(None)

    async def _wait(self, marks: Sequence[Mark], wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        waited = False
        while (writer := self._writer(marks)) is not None:
            left = until - loop.time()
            if left <= 0:
                self._waits["timeout"] += 1
                return
            waited = True
            await asyncio.wait((writer,), timeout=left)
        if waited:
            self._waits["over"] += 1

    def _writer(self, marks: Iterable[Mark]) -> asyncio.Future[None] | None:
        """Who writes the first prefix that cannot be read yet; None: nobody, or all can be read."""
        now = self._clock()
        for digest, _ in marks:
            if self._warm.get(digest, 0) <= now and digest in self._leading:
                return self._leading[digest]
        return None

    def _lead(self, marks: Sequence[Mark]) -> list[tuple[bytes, asyncio.Future[None]]]:
        """Those of `marks` that this call is the one to write."""
        now, loop = self._clock(), asyncio.get_running_loop()
        ours = []
        for digest, _ in marks:
            if self._warm.get(digest, 0) <= now and digest not in self._leading:
                self._leading[digest] = loop.create_future()
                ours.append((digest, self._leading[digest]))
        return ours

    def _warmed(self, marks: Sequence[Mark]) -> None:
        now = self._clock()
        for digest, lifetime in marks:
            self._warm[digest] = now + LIFETIME_S[lifetime] * 1_000_000
            self._warm.move_to_end(digest)
        while len(self._warm) > _MOST:
            self._warm.popitem(last=False)

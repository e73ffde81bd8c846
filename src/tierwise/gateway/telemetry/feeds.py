"""Telemetry: Exchanges that are over go to feeds (spans, log lines), each with a thread and a bounded queue.

The event loop only appends to a queue. A feed that cannot keep up drops Exchanges and counts them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from tierwise.errors import TierwiseError

from ..walk import Walk
from .witness import Seen, seen_of

log = logging.getLogger("tierwise")

MOST_WAITING = 10_000
_BATCH = 512
_ROUND_S = 0.2
_CLOSING_S = 5.0
T_contra = TypeVar("T_contra", contravariant=True)


class Feed(Generic[T_contra]):
    """One sink behind a queue, in a daemon thread: it takes a batch and gives how many of it were lost.
    `dropped` counts those and what it never got."""

    def __init__(
        self, name: str, sink: Callable[[Sequence[T_contra]], int], shut: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.dropped = 0
        self._sink = sink
        self._shut = shut
        self._queue: deque[T_contra] = deque()
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{name}", daemon=True)
        self._thread.start()

    def put(self, each: T_contra) -> None:
        """Queues it, or drops it when too many wait."""
        if len(self._queue) < MOST_WAITING:
            self._queue.append(each)
        else:
            self.dropped += 1

    def hurry(self) -> None:
        """Sends what is queued now, not at the end of a round."""
        self._due.set()

    def close(self) -> None:
        """Sends what is queued, within 5 seconds."""
        self._closed = True
        self._due.set()
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        while not self._closed:
            self._due.wait(_ROUND_S)
            self._due.clear()
            self._drain()
        self._drain()
        if self._shut is not None:
            self._shut()

    def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                self.dropped += self._sink(batch)
            except Exception:  # recorded: in the log, and counted as dropped
                self.dropped += len(batch)
                log.exception("telemetry to %s failed", self.name)


class Telemetry:
    """Implements Witness over any number of feeds, and that of the log, which outlives it."""

    def __init__(self, feeds: Sequence[Feed[Seen]], of_log: Sequence[Feed[Seen]] = ()) -> None:
        self._own = tuple(feeds)
        self.feeds = (*feeds, *of_log)

    def ended(self, walk: Walk, fault: TierwiseError | None) -> None:
        """See Witness."""
        seen = seen_of(walk, fault)
        for feed in self.feeds:
            feed.put(seen)

    def dropped(self) -> Mapping[str, int]:
        """Exchanges lost, by feed."""
        return {feed.name: feed.dropped for feed in self.feeds}

    def close(self) -> None:
        """Sends what is queued; each feed has 5 seconds."""
        for feed in self._own:
            feed.close()

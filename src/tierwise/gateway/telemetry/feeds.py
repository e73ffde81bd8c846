"""Telemetry: Exchanges that are over go to feeds (spans, log lines), each with a thread and a bounded queue.

The event loop only appends to a queue. A feed that cannot keep up drops Exchanges and counts them.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tierwise.clock import rfc3339
from tierwise.errors import TierwiseError

from ..walk import Walk
from .witness import Seen, seen_of

log = logging.getLogger("tierwise")

MOST_WAITING = 10_000
_BATCH = 512
_ROUND_S = 0.2
_CLOSING_S = 5.0
_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")

Sink = Callable[[Sequence[Seen]], int]
"""Takes a batch and gives how many of it were lost."""


class Feed:
    """One sink behind a queue, in a daemon thread. `dropped` counts what it lost or never got."""

    def __init__(self, name: str, sink: Sink, shut: Callable[[], None] | None = None) -> None:
        self.name = name
        self.dropped = 0
        self._sink = sink
        self._shut = shut
        self._queue: deque[Seen] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{name}", daemon=True)
        self._thread.start()

    def put(self, seen: Seen) -> None:
        """Queues it, or drops it when too many wait."""
        if len(self._queue) < MOST_WAITING:
            self._queue.append(seen)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Sends what is queued, within 5 seconds."""
        self._stop.set()
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        while not self._stop.wait(_ROUND_S):
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
    """Implements Witness over any number of feeds."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.feeds = tuple(feeds)

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
        for feed in self.feeds:
            feed.close()


class JsonLines(logging.Formatter):
    """Log records as JSON, one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """`at`, `level`, `message`, and `trouble` where there was a traceback."""
        line = {
            "at": rfc3339(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trouble"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_lines(batch: Sequence[Seen]) -> int:
    """Each Exchange as a line of JSON on stderr."""
    sys.stderr.write("".join(json.dumps(line_of(seen), ensure_ascii=False) + "\n" for seen in batch))
    sys.stderr.flush()
    return 0


def line_of(seen: Seen) -> dict[str, Any]:
    """An Exchange as a log line: the ledger's names; tokens, outcome and tier are its last attempt's."""
    line: dict[str, Any] = {
        "at": rfc3339(seen.at_us + seen.total_us),
        "level": "info",
        "event": "exchange",
        "exchange": seen.id,
        "key": seen.key,
        "project": seen.project,
        "operation": seen.operation,
        "dialect_in": seen.dialect,
        "stream": seen.stream,
        "task": seen.task,
        "asked": seen.asked,
        "route": seen.route,
        "status": seen.status,
        "error": seen.error,
        "attempts": len(seen.tried),
        "cost_pico": seen.cost_pico,
        "total_us": seen.total_us,
        "session": seen.session,
        "tags": seen.tags,
        "losses": seen.losses,
        "cache": seen.cache,
    }
    if seen.trace:
        line["traceparent"] = seen.trace
    if seen.tried:
        last = seen.tried[-1]
        line |= {
            "tier": last.tier,
            "model": last.model,
            "provider": last.provider,
            "dialect_out": last.dialect,
            "outcome": last.close.outcome,
            "usage": {bucket: getattr(last.close.usage, bucket) for bucket in _BUCKETS},
            "usage_source": last.close.usage.source,
            "ttft_us": last.close.ttft_us,
            "upstream_us": last.close.upstream_us,
        }
    return line

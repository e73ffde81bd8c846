"""The log: what is said on stderr is written by a feed's thread. A reader that hangs, as a pipe that is full,
holds up the log and nobody else.
"""

from __future__ import annotations

import json
import logging
import os
import select
from collections.abc import Sequence
from io import FileIO
from typing import Any

from tierwise.clock import rfc3339

from .feeds import Feed
from .witness import Seen

_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class Lines(logging.Handler):
    """Writes log records, and the Exchanges that its `feed` is given, to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        # Raw and its own: at its exit Python waits for the lock of the stream whose writer hangs.
        self._stream = FileIO(os.dup(descriptor), "wb")
        self._ready = select.poll()
        self._ready.register(self._stream, select.POLLOUT)
        self._told = 0
        self.feed: Feed[Seen | str] = Feed("log", self._write, self._stream.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a record, or drops it when too many wait."""
        try:
            self.feed.put(self.format(record))
        except (TypeError, ValueError, LookupError):  # words that do not fit what they are about
            self.handleError(record)
        self.feed.hurry()

    def close(self) -> None:
        """Writes what is queued, within 5 seconds; then nothing more."""
        self.feed.close()
        super().close()

    def _write(self, batch: Sequence[Seen | str]) -> int:
        lines = [
            each if isinstance(each, str) else json.dumps(line_of(each), ensure_ascii=False) for each in batch
        ]
        dropped, self._told = self.feed.dropped - self._told, self.feed.dropped
        if dropped:
            said = f"{dropped} lines of this log were dropped: nobody took them in time"
            lines.insert(0, self.format(logging.makeLogRecord({"msg": said, "levelname": "WARNING"})))
        left = memoryview("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
        try:
            while left:
                self._ready.poll()  # of a stream that does not block nothing may be taken at once
                left = left[self._stream.write(left) or 0 :]
        except OSError:  # recorded: as dropped
            return len(batch)
        return 0


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

"""Time and identity: the only place that asks the machine what time it is, so that tests can say it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


def now_us() -> int:
    """Wall clock, microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def tick_us() -> int:
    """Monotonic clock, microseconds from an arbitrary start: for durations."""
    return time.perf_counter_ns() // 1000


def rfc3339(at_us: int) -> str:
    """`at_us` as `2026-11-22T15:26:10.123456Z`."""
    seconds, micros = divmod(at_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{micros:06d}Z"


def new_id(prefix: str, at_us: int | None = None) -> str:
    """`prefix_` + 32 hexadecimal digits that sort by time: 48 bits of milliseconds, then 80 of randomness.

    A name, not a secret: whoever has seen some ids may guess others.
    """
    at_ms = (now_us() if at_us is None else at_us) // 1000
    return f"{prefix}_{at_ms << 80 | random.getrandbits(80):032x}"

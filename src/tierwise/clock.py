"""Time and identity: the only place that asks the machine what time it is, so that tests can say it."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


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
    """`prefix_` + 26 characters that sort by time (48 bits of milliseconds, 82 of randomness), as in ULID."""
    value = ((now_us() if at_us is None else at_us) // 1000) << 82 | secrets.randbits(82)
    digits = []
    for shift in range(125, -1, -5):
        digits.append(_ALPHABET[value >> shift & 31])
    return f"{prefix}_{''.join(digits)}"

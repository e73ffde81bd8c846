"""How long a client is told to wait before it asks again: the same in every dialect."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..errors import LimitRefused, Overloaded, TierwiseError

LONGEST_S = 30
"""The SDKs sleep the whole Retry-After: a longer one of a provider's is not told."""
A_MINUTE_S = 60
"""What every SDK still waits for; the older ones take more for none at all."""


def advised_wait(error: TierwiseError) -> int | None:
    """Whole seconds, None where waiting a little does not help.

    Of a key's own limit, which is by the minute, the whole wait: with less, or without, the SDKs use up their
    retries before there is room.
    """
    wait: float | None = getattr(error, "retry_after_s", None)
    if isinstance(error, LimitRefused):
        return None if wait is None else min(max(1, math.ceil(wait)), A_MINUTE_S)
    return math.ceil(wait) if wait is not None and 0 <= wait <= LONGEST_S else None


def wait_headers(error: TierwiseError) -> list[tuple[bytes, bytes]]:
    """The advised wait as headers. Of an overload also in milliseconds, which the SDKs prefer: by whole
    seconds most of those refused would come back at once.
    """
    wait = advised_wait(error)
    if wait is None:
        return []
    headers = [(b"retry-after", b"%d" % wait)]
    if isinstance(error, Overloaded):
        headers.append((b"retry-after-ms", b"%d" % round(error.retry_after_s * 1000)))
    return headers


def told_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to leave a provider alone: its `retry-after-ms`, else its `retry-after`, in seconds or as
    an HTTP date, counted from the reply's own `date`: this machine's clock may be another. None: unsaid, or
    no such thing.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < math.inf:
            return seconds
    then, now = (_instant(headers.get(name, "")) for name in ("retry-after", "date"))
    return None if then is None or now is None else max(0.0, then - now)


def _instant(text: str) -> float | None:
    # Seldom asked: what it needs is loaded when it is.
    from email.utils import mktime_tz, parsedate_tz

    try:
        parts = parsedate_tz(text)
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):
        return None

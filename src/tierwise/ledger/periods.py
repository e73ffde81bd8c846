"""When a budget's period begins and ends: pure calendar arithmetic."""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import UTC, date, datetime, timedelta, tzinfo

from ..errors import ConfigError
from ..nouns.record import Period

FOREVER_US = 2**63 - 1
LATEST_US = 253_370_764_800_000_000
"""9999-01-01: later instants are no dates."""


def zone_named(name: str) -> tzinfo:
    """The time zone of that IANA name. Raises ConfigError with the nearest names."""
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = sorted(zoneinfo.available_timezones())
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Nearest: {', '.join(near)}." if near else "Use an IANA name such as UTC."
        raise ConfigError(
            f"{name!r} is no time zone." if known else f"{name} is not known: this system has no time zones.",
            hint if known else "Install them: the system's package tzdata, or `pip install tzdata`.",
        ) from None


def window_of(period: Period, zone: str, at_us: int) -> tuple[int, int]:
    """Start (inclusive) and end (exclusive) of the period that holds `at_us`, microseconds since 1970.

    Days, weeks (from Monday) and months begin at local midnight in `zone`; `total` is one window without end.
    """
    if period == "total":
        return 0, FOREVER_US
    place = zone_named(zone)
    day = datetime.fromtimestamp(at_us // 1_000_000, place).date()
    if period == "day":
        first, after = day, day + timedelta(days=1)
    elif period == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    return _midnight_us(first, place), _midnight_us(after, place)


def reset_text(end_us: int, zone: str) -> str:
    """The end of a window as local time for people; empty for one without end."""
    if end_us >= FOREVER_US:
        return ""
    return datetime.fromtimestamp(end_us // 1_000_000, zone_named(zone)).isoformat()


def _midnight_us(day: date, place: tzinfo) -> int:
    # A midnight that a clock change skips or repeats: fold 0 is the instant of the change, or the first of
    # the two.
    return int(datetime(day.year, day.month, day.day, tzinfo=place).timestamp()) * 1_000_000

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime

import pytest

from tierwise.errors import ConfigError
from tierwise.ledger.periods import FOREVER_US, reset_text, window_of, zone_named


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("period", "zone", "at", "start", "end"),
    [
        ("day", "UTC", "2026-11-22T12:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("day", "Asia/Tokyo", "2026-11-22T15:00:00Z", "2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z"),
        ("week", "UTC", "2026-11-22T12:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        # Berlin's 25-hour day: clocks go back on 2026-10-25.
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("month", "Europe/Berlin", "2026-10-31T23:30:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
    ],
)
def test_windows(period: str, zone: str, at: str, start: str, end: str) -> None:
    assert window_of(period, zone, us(at)) == (us(start), us(end))  # type: ignore[arg-type]


def test_total_never_ends_and_has_no_reset() -> None:
    assert window_of("total", "UTC", 0) == (0, FOREVER_US)
    assert reset_text(FOREVER_US, "UTC") == ""
    assert reset_text(us("2026-11-22T23:00:00Z"), "Europe/Berlin") == "2026-11-23T00:00:00+01:00"


def test_an_unknown_zone_is_refused_with_the_nearest_names() -> None:
    assert zone_named("UTC") is UTC
    with pytest.raises(ConfigError) as refused:
        zone_named("Europe/Berlim")
    assert "Europe/Berlin" in refused.value.hint
    for name in ("../../etc/passwd", "", "\x00"):
        with pytest.raises(ConfigError):
            zone_named(name)


def test_a_system_without_time_zones_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ConfigError, match="this system has no time zones") as caught:
        zone_named("Nowhere/Land")
    assert "tzdata" in caught.value.hint

"""Budget windows: any instant in any zone is in exactly one window, and windows meet without gap or
overlap.
"""

from __future__ import annotations

import zoneinfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tierwise.ledger.periods import window_of

DAY_US = 86_400_000_000
zones = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"}))
instants = st.integers(0, 4_102_444_800_000_000)
periods = st.sampled_from(["day", "week", "month"])


@settings(max_examples=300, deadline=None)
@example("day", "Pacific/Apia", 1_325_206_800_000_000)  # 2011-12-29, the day before a day that never was
@example("day", "America/Havana", 1_320_555_600_000_000)  # clocks go back over midnight
@given(period=periods, zone=zones, at=instants)
def test_windows_hold_their_instant_and_meet(period: str, zone: str, at: int) -> None:
    start, end = window_of(period, zone, at)  # type: ignore[arg-type]
    assert start <= at < end
    assert window_of(period, zone, start) == (start, end)  # type: ignore[arg-type]
    assert window_of(period, zone, end - 1) == (start, end)  # type: ignore[arg-type]
    assert window_of(period, zone, end)[0] == end  # type: ignore[arg-type]
    shortest, longest = {"day": (1, 1), "week": (7, 7), "month": (28, 31)}[period]
    # A place that changes its side of the date line skips or repeats a day.
    assert (shortest - 1) * DAY_US < end - start <= (longest + 1) * DAY_US

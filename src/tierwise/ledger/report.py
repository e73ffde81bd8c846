"""What a report says, and how it is shown in words. Money in pico-dollars, times in microseconds; undefined
is None.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from ..nouns import Usage

By = Literal["task", "tier", "model", "key", "day", "project", "tag", "kind"]


class Quantiles(Struct, frozen=True):
    """Nearest-rank quantiles of `n` durations, microseconds. Each is None below 4 / (1 - q) samples: p99
    needs 400. In a report they are cut to three significant digits, so less than 1 % below the exact ones.
    """

    n: int = 0
    p50: int | None = None
    p95: int | None = None
    p99: int | None = None


class Saving(Struct, frozen=True):
    """Spend against a baseline, over the `calls` where both are known."""

    calls: int = 0
    baseline_pico: int = 0
    cost_pico: int = 0

    @property
    def saved_pico(self) -> int | None:
        """Baseline less cost; None when no call has a known baseline; negative when the calls cost more
        than it.
        """
        return self.baseline_pico - self.cost_pico if self.calls else None


class Line(Struct, frozen=True):
    """One group, or all. `spend_pico` holds what is priced: `unpriced` calls are counted beside it, never
    as $0.

    `estimated` calls have token counts not (wholly) reported by the provider. `errors` are outcomes error
    and truncated; `swept` calls were cut by a crash and are booked at their reservation. `cached` requests
    were answered from the response cache: no call was made, so they are in none of the other figures; what
    they saved, where it is known, is in `cached_saved_pico`.
    """

    group: str
    label: str
    calls: int
    errors: int
    cancelled: int
    swept: int
    unpriced: int
    estimated: int
    usage: Usage
    spend_pico: int
    asked: Saving
    reference: Saving
    cached: int = 0
    cached_saved_pico: int = 0
    ttft: Quantiles = Quantiles()
    total: Quantiles = Quantiles()

    @property
    def cache_share(self) -> float | None:
        """The part of all prompt tokens that was read from the provider's cache; None without prompt
        tokens.
        """
        return self.usage.cache_read / self.usage.prompt if self.usage.prompt else None


class Report(Struct, frozen=True):
    """Lines by group and the total of all calls. A call with several tags is in several lines and once in
    the total.
    """

    by: By
    since_us: int | None
    until_us: int | None
    lines: tuple[Line, ...]
    all: Line


def quantiles(durations: Sequence[int]) -> Quantiles:
    """Nearest-rank quantiles: the smallest value with at least q·n values at or below it."""
    n, ordered = len(durations), sorted(durations)

    def at(hundredths: int) -> int | None:
        if n * (100 - hundredths) < 400:
            return None
        return ordered[-(-n * hundredths // 100) - 1]

    return Quantiles(n, at(50), at(95), at(99))


def ranked(counts: Mapping[int, int]) -> Quantiles:
    """Nearest-rank quantiles of durations that come with how often each occurs."""
    n, ordered = sum(counts.values()), sorted(counts)
    below = list(accumulate(counts[took] for took in ordered))

    def at(hundredths: int) -> int | None:
        if n * (100 - hundredths) < 400:
            return None
        return ordered[bisect_left(below, -(-n * hundredths // 100))]

    return Quantiles(n, at(50), at(95), at(99))

"""Tally: what became of Attempts, counted for Prometheus. In memory, bounded in labels.

An Attempt that is over is only noted; many are counted in a row, which costs less than each by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

from tierwise.nouns import DialectName, Outcome, Usage

# Upper bounds in seconds; LLM calls last from milliseconds (cached, refused) to minutes.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# The gateway's own part is tenths of a millisecond.
OWN_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

Ended = tuple[str, Outcome, DialectName, Usage, int | None, int, int | None, int | None]
"""One Attempt: its label (tier or model), outcome, the caller's dialect, usage, cost in pico-dollars, and in
microseconds the exchange up to its closing row, sent to first content, and the exchange before it was sent
(None where another attempt was before it)."""


class Histogram:
    """Counts per bucket of `bounds` (seconds) plus one above, and the sum in seconds."""

    __slots__ = ("bounds", "counts", "sum_s")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_s += seconds


class Tally:
    """The counts since the start."""

    def __init__(self) -> None:
        self.exchanges: Counter[tuple[str, str, str]] = Counter()
        """(tier or model, outcome, dialect) → attempts."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """(tier or model, bucket) → tokens."""
        self.cost_pico: Counter[str] = Counter()
        self.unpriced = 0
        self.retries = 0
        self.total_s: dict[str, Histogram] = defaultdict(Histogram)
        self.ttft_s: dict[str, Histogram] = defaultdict(Histogram)
        self.overhead_s = Histogram(OWN_BUCKETS_S)

    def count(self, attempts: Iterable[Ended]) -> None:
        """Takes Attempts in."""
        tokens = self.tokens
        for label, outcome, dialect, usage, cost_pico, total_us, ttft_us, own_us in attempts:
            self.exchanges[label, outcome, dialect] += 1
            tokens[label, "input"] += usage.input
            tokens[label, "output"] += usage.output
            if usage.cache_read:
                tokens[label, "cache_read"] += usage.cache_read
            if usage.cache_write_5m:
                tokens[label, "cache_write_5m"] += usage.cache_write_5m
            if usage.cache_write_1h:
                tokens[label, "cache_write_1h"] += usage.cache_write_1h
            if cost_pico is None:
                self.unpriced += 1
            else:
                self.cost_pico[label] += cost_pico
            self.total_s[label].add(total_us / 1e6)
            if ttft_us is not None:
                self.ttft_s[label].add(ttft_us / 1e6)
            if own_us is None:
                self.retries += 1
            else:
                self.overhead_s.add(own_us / 1e6)

"""Counters of the data plane, in memory, bounded in labels. The control plane renders them for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict

# Upper bounds in seconds; LLM calls last from milliseconds (cached, refused) to minutes.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# The gateway's own part is tenths of a millisecond.
OWN_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

MOST_PINNED = 200
"""Models named by callers that get labels of their own."""


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


class Metrics:
    """What happened since the start. Labels are tiers, models and outcomes: as many as the configuration
    names."""

    def __init__(self) -> None:
        self.exchanges: Counter[tuple[str, str, str]] = Counter()
        """(tier or model, outcome, dialect) → attempts."""
        self.batch_rows: dict[str, int] = {}
        """State → rows of the batches being worked."""
        self.batch_settled: Counter[str] = Counter()
        """succeeded, errored, canceled or expired → rows of batches, since the start."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """(tier or model, bucket) → tokens."""
        self.cost_pico: Counter[str] = Counter()
        self.unpriced = 0
        self.refused: Counter[str] = Counter()
        """Error kind → requests refused at the door or failed."""
        self.retries = 0
        self.budget_refused: set[str] = set()
        """Scopes of budgets that refused a call since they were last looked at."""
        self.alerts: Counter[str] = Counter()
        """Threshold → notices that a budget has reached it."""
        self.webhooks: Counter[str] = Counter()
        """What became of webhooks: delivered, failed."""
        self.shadow: Counter[tuple[str, str]] = Counter()
        """(task, what became of it) → calls that were to be compared: compared, failed, dropped, capped; and
        contradicted rules."""
        self.shadow_cost_pico: Counter[str] = Counter()
        self.samples: Counter[tuple[str, str]] = Counter()
        """(task, what became of it) → calls that were to be kept: kept, failed, dropped, capped."""
        self.breakpoints: Counter[tuple[str, str]] = Counter()
        """(place, lifetime) → prompt-cache breakpoints placed."""
        self.cache_waits: Counter[str] = Counter()
        """What ended a wait for a call that writes the same prefix (over, timeout) → waits."""
        self.cache: Counter[str] = Counter()
        """hit, miss, bypass → requests while the response cache is on; away → times its server was."""
        self.cache_saved_pico = 0
        self.cache_bytes = 0
        self.cache_evicted = 0
        self.total_s: dict[str, Histogram] = defaultdict(Histogram)
        self.ttft_s: dict[str, Histogram] = defaultdict(Histogram)
        self.overhead_s = Histogram(OWN_BUCKETS_S)
        self._pinned: set[str] = set()

    def label_of(self, model: str) -> str:
        """The label of a model that a caller named: its name, or "other" for one too many, since where a
        provider passes any id on a caller may name any."""
        if model in self._pinned:
            return model
        if len(self._pinned) >= MOST_PINNED:
            return "other"
        self._pinned.add(model)
        return model

"""Counters of the data plane, in memory, bounded in labels. The control plane renders them for Prometheus."""

from __future__ import annotations

from collections import Counter

from .telemetry.tally import Ended, Tally

MOST_PINNED = 200
"""Models named by callers that get labels of their own."""
_ROW = 256  # Attempts counted in a row


class Metrics:
    """What happened since the start. Labels are tiers, models and outcomes: as many as the configuration
    names."""

    def __init__(self) -> None:
        self.batch_rows: dict[str, int] = {}
        """State → rows of the batches being worked."""
        self.batch_settled: Counter[str] = Counter()
        """succeeded, errored, canceled or expired → rows of batches, since the start."""
        self.refused: Counter[str] = Counter()
        """Error kind → requests refused at the door or failed."""
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
        self._pinned: set[str] = set()
        self._tally = Tally()
        self._noted: list[Ended] = []

    def note(self, attempt: Ended) -> None:
        """Takes an Attempt that is over, to be counted soon."""
        self._noted.append(attempt)
        if len(self._noted) >= _ROW:
            self._count()

    @property
    def calls(self) -> Tally:
        """What became of Attempts, all of them."""
        self._count()
        return self._tally

    def _count(self) -> None:
        noted, self._noted = self._noted, []
        self._tally.count(noted)

    def label_of(self, model: str) -> str:
        """The label of a model that a caller named: its name, or "other" for one too many, since where a
        provider passes any id on a caller may name any."""
        if model in self._pinned:
            return model
        if len(self._pinned) >= MOST_PINNED:
            return "other"
        self._pinned.add(model)
        return model

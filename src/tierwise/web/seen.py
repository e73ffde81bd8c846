"""What the control plane sees of a running gateway, as protocols: this room and the gateway are strangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from tierwise.ledger import Ledger
from tierwise.nouns import TierHealth


class Spread(Protocol):
    """A histogram: counts per bucket of `bounds` (seconds) plus one above, and the sum in seconds."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum_s: float


class Tally(Protocol):
    """What became of Attempts."""

    exchanges: Counter[tuple[str, str, str]]
    tokens: Counter[tuple[str, str]]
    cost_pico: Counter[str]
    unpriced: int
    retries: int

    @property
    def total_s(self) -> Mapping[str, Spread]: ...
    @property
    def ttft_s(self) -> Mapping[str, Spread]: ...
    @property
    def overhead_s(self) -> Spread: ...


class Counters(Protocol):
    """The data plane's counters since its start."""

    refused: Counter[str]
    shadow: Counter[tuple[str, str]]
    shadow_cost_pico: Counter[str]
    samples: Counter[tuple[str, str]]
    breakpoints: Counter[tuple[str, str]]
    cache_waits: Counter[str]
    cache: Counter[str]
    cache_saved_pico: int
    cache_bytes: int
    cache_evicted: int
    alerts: Counter[str]
    webhooks: Counter[str]
    batch_rows: dict[str, int]
    batch_settled: Counter[str]

    @property
    def calls(self) -> Tally: ...


class Crowd(Protocol):
    """How much is running."""

    most: int
    running: int
    draining: bool
    local: int
    replicas: int

    @property
    def away(self) -> bool: ...

    @property
    def waiting(self) -> int: ...


class Healths(Protocol):
    """Circuit breakers and latencies by Model name."""

    def view(self) -> Mapping[str, TierHealth]: ...


class Lost(Protocol):
    """Telemetry: Exchanges that its feeds lost, by feed."""

    def dropped(self) -> Mapping[str, int]: ...


class Books(Protocol):
    """Where attempts are written."""

    @property
    def witness(self) -> Lost | None: ...


class Calls(Protocol):
    """What calls providers."""

    @property
    def book(self) -> Books: ...
    @property
    def health(self) -> Healths: ...


class Gate(Protocol):
    """The data plane."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def admission(self) -> Crowd: ...
    @property
    def caller(self) -> Calls: ...
    @property
    def metrics(self) -> Counters: ...

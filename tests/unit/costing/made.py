"""Finished calls for tests, with only what a test cares about said."""

from __future__ import annotations

from typing import Any

from tierwise.costing.settled import Settled
from tierwise.nouns import Usage

NOON = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z."""
SECOND = 1_000_000


def call(name: str, cost: int | None = 100, **said: Any) -> Settled:
    terms: dict[str, Any] = {
        "attempt": name, "exchange": f"ex_{name}", "at_us": NOON, "day": "2026-11-22", "provider": "agg",
        "model": "agg/swift", "usage": Usage(1000, output=10), "cost_pico": cost, "outcome": "ok", "key": "k",
        "task": "t",
    }  # fmt: skip
    return Settled(**{**terms, **said})

"""Rows for tests: an OPEN and its CLOSE, with only what a test cares about said."""

from __future__ import annotations

from typing import Any

from tierwise.nouns import Close, Open, Usage

NOON = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z, a Sunday."""


def opened(attempt: str, reserved: int = 100, *scopes: str, **said: Any) -> Open:
    terms: dict[str, Any] = {
        "exchange": f"ex_{attempt}",
        "attempt": attempt,
        "at_us": NOON,
        "key": "key_1",
        "task": "classify",
        "tier": "swift",
        "model": "agg/haiku",
        "provider": "agg",
        "dialect_in": "openai_chat",
        "dialect_out": "anthropic_messages",
        "stream": False,
        "price_id": "haiku@2026-01-01",
        "reserved_pico": reserved,
        "scopes": scopes,
    }
    return Open(**{**terms, **said})


def closed(attempt: str, cost: int | None = 60, **said: Any) -> Close:
    terms: dict[str, Any] = {
        "exchange": f"ex_{attempt}",
        "attempt": attempt,
        "at_us": NOON + 1_000_000,
        "outcome": "ok",
        "status": 200,
        "usage": Usage(input=10, cache_read=30, output=5),
        "cost_pico": cost,
        "total_us": 1_000_000,
        "upstream_us": 900_000,
    }
    return Close(**{**terms, **said})

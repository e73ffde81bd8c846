"""Exported rows become finished calls, corrections included."""

from __future__ import annotations

from typing import Any

from tierwise.costing.settled import microseconds, settled
from tierwise.nouns import Usage


def row(event: str, attempt: str, cost: int | None, **said: Any) -> dict[str, Any]:
    tokens = {
        "input": 1,
        "cache_read": 2,
        "cache_write_5m": 3,
        "cache_write_1h": 4,
        "output": 5,
        "reasoning": 1,
    }
    terms: dict[str, Any] = {
        "event": event, "attempt": attempt, "exchange": "ex", "at": "2026-11-22T23:59:59.000001Z",
        "model": "a/b", "provider": "a", "key": "k", "task": "t", "tier": "s", "stream": True,
        "outcome": "ok", "usage": tokens, "usage_source": "reported", "cost_pico": cost, "unpriced": "",
    }  # fmt: skip
    return {**terms, **said}


def test_opens_are_left_out_and_closes_read() -> None:
    rows = [
        row("open", "a", None, usage=None),
        row("close", "a", 9, usage_extra={"web_search": 1}, service_tier="flex", kind="batch", tags=["x"]),
    ]
    [call] = settled(rows)
    assert call.usage == Usage(1, 2, 3, 4, 5, 1, {"web_search": 1}, service_tier="flex")
    assert (call.day, call.cost_pico, call.batch, call.exact, call.tags) == (
        "2026-11-22",
        9,
        True,
        True,
        ("x",),
    )
    assert call.at_us == microseconds("2026-11-22T23:59:59.000001Z") == 1_795_391_999_000_001


def test_a_corrections_amount_is_a_difference_and_its_tokens_are_not() -> None:
    swept = row("close", "a", 100, outcome="swept", usage_source="estimated")
    late = row("correction", "a", -40, at="2026-11-25T00:00:00Z")
    [call] = settled([swept, late])
    assert (call.cost_pico, call.day, call.known, call.usage.input) == (60, "2026-11-22", True, 1)
    [unpriced] = settled([swept, row("correction", "a", -100, unpriced="no price")])
    assert unpriced.cost_pico is None


def test_what_was_never_corrected_is_unknown_and_a_lone_correction_is_left_out() -> None:
    [call] = settled([row("close", "a", 100, outcome="swept", usage_source="estimated")])
    assert (call.known, call.exact, call.cost_pico) == (False, False, 100)
    assert list(settled([row("correction", "b", -40)])) == []

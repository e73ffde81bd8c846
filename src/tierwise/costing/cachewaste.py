"""Waste of prompt caching: writes that no call read, and writes lost because the beginning had changed.

Both rest on digests of prompts' beginnings: a call whose prompt has none is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import structs

from .advice import changing_calls
from .cost import Cost
from .promptcache import LIFETIME_S
from .settled import Settled

CostAt = Callable[[Settled, str], Cost]
LifeOf = Callable[[str], int]
"""Seconds that a prefix is kept at a model, by its name, which was written for no longer."""


class Sums(Protocol):
    """What calls are added to."""

    def add(self, exchange: str, pico: int | None) -> None: ...


def cache_waste(
    calls: Iterable[Settled], cost_at: CostAt, life_of: LifeOf, unread: Sums, changed: Sums
) -> None:
    """Adds to `unread` what writes cost more than fresh input after which no call of the same beginning read
    anything within their lifetime; to `changed`, where tools or system text change with every call, what
    reading would have cost less than writing did."""
    known = [call for call in calls if call.kind == "call" and call.known and call.prefix]
    changing = changing_calls(known)
    reads: dict[tuple[str, str], list[int]] = defaultdict(list)
    series: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for call in known:
        if call.usage.cache_read:
            reads[call.model, call.prefix].append(_start(call))
        if call.attempt in changing:
            series[call.model, call.key, call.task].append(_start(call))
    for times in (*reads.values(), *series.values()):
        times.sort()
    for call in known:
        if not _written(call):
            continue
        life = (LIFETIME_S["1h"] if call.usage.cache_write_1h else life_of(call.model)) * 1_000_000
        since = _start(call) - life
        before = series[call.model, call.key, call.task] if call.attempt in changing else []
        if _any_within(before, since, _start(call) - 1):
            changed.add(call.exchange, _less(call, cost_at, "cache_read"))
        elif not _any_within(reads[call.model, call.prefix], _start(call) + 1, _start(call) + life):
            pico = _less(call, cost_at, "input")
            if pico is None or pico > 0:
                unread.add(call.exchange, pico)


def _less(call: Settled, cost_at: CostAt, bucket: str) -> int | None:
    """What the call would have cost less with its written tokens in another bucket."""
    usage = call.usage
    moved = structs.replace(
        usage, cache_write_5m=0, cache_write_1h=0, **{bucket: getattr(usage, bucket) + _written(call)}
    )
    paid = cost_at(call, call.model).pico
    other = cost_at(structs.replace(call, usage=moved), call.model).pico
    return None if paid is None or other is None else paid - other


def _any_within(times: list[int], since: int, until: int) -> bool:
    """Whether one of `times`, sorted, lies in `since` to `until`, both included."""
    at = bisect_right(times, until)
    return at > 0 and times[at - 1] >= since


def _written(call: Settled) -> int:
    return call.usage.cache_write_5m + call.usage.cache_write_1h


def _start(call: Settled) -> int:
    return call.at_us - call.total_us

"""Waste of prompt caching: writes that no call read, and writes lost because the beginning had changed.

Both rest on digests of prompts' beginnings: a call whose prompt has none is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple, Protocol

from msgspec import structs

from .cost import Cost
from .ordered import Aside, Groups
from .promptcache import LIFETIME_S
from .settled import Settled

CostAt = Callable[[Settled, str], Cost]
LifeOf = Callable[[str], int]
"""Seconds that a prefix is kept at a model, by its name, which was written for no longer."""


class Sums(Protocol):
    """What calls are added to."""

    def add(self, call: Settled, pico: int | None) -> None: ...


class Terms(NamedTuple):
    """What calls cost elsewhere, and how long models keep a prefix."""

    cost_at: CostAt
    life_of: LifeOf


def by_prefix(aside: Aside) -> Groups:
    """What `cache_waste` takes, empty. The latest call first: what came after one is known when it is looked
    at."""
    return Groups(lambda call: call.prefix, lambda call: -_start(call), aside)


def cache_waste(calls: Groups, terms: Terms, unread: Sums, changed: Sums) -> None:
    """Adds to `unread` what writes cost more than fresh input after which no call of the same beginning read
    anything within their lifetime; to `changed`, where tools or system text change with every call, what
    reading would have cost less than writing did."""
    for changing, members in calls.each():
        if changing:
            _changing(members, terms, unread, changed)
            continue
        read: int | None = None
        for _, together in groupby(members, _start):
            reads = False
            for call in together:
                reads = reads or bool(call.usage.cache_read)
                if _written(call) and (read is None or read > _start(call) + _life(call, terms)):
                    _unread(call, terms, unread)
            read = _start(call) if reads else read


def _changing(calls: Iterable[Settled], terms: Terms, unread: Sums, changed: Sums) -> None:
    """Counts writes, the latest call first: had nothing changed, those after another call could have read."""
    later: list[Settled] = []
    for _, together in groupby(calls, _start):
        wrote = []
        for call in together:
            wrote += [call] if _written(call) else []
        for one in later:
            _after(one, _start(call), terms, unread, changed)
        later = wrote
    for one in later:
        _after(one, None, terms, unread, changed)


def _after(call: Settled, before: int | None, terms: Terms, unread: Sums, changed: Sums) -> None:
    if before is not None and before >= _start(call) - _life(call, terms):
        changed.add(call, _less(call, terms.cost_at, "cache_read"))
    else:
        _unread(call, terms, unread)


def _unread(call: Settled, terms: Terms, unread: Sums) -> None:
    pico = _less(call, terms.cost_at, "input")
    if pico is None or pico > 0:
        unread.add(call, pico)


def _life(call: Settled, terms: Terms) -> int:
    return (LIFETIME_S["1h"] if call.usage.cache_write_1h else terms.life_of(call.model)) * 1_000_000


def _less(call: Settled, cost_at: CostAt, bucket: str) -> int | None:
    """What the call would have cost less with its written tokens in another bucket."""
    usage = call.usage
    moved = structs.replace(
        usage, cache_write_5m=0, cache_write_1h=0, **{bucket: getattr(usage, bucket) + _written(call)}
    )
    paid = cost_at(call, call.model).pico
    other = cost_at(structs.replace(call, usage=moved), call.model).pico
    return None if paid is None or other is None else paid - other


def _written(call: Settled) -> int:
    return call.usage.cache_write_5m + call.usage.cache_write_1h


def _start(call: Settled) -> int:
    return call.at_us - call.total_us

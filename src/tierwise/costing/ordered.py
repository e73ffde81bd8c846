"""Calls put in another order: what is figured out series by series needs one series at a time, not all calls
in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, groupby, islice
from typing import Any, Protocol, TypeVar

from .settled import Settled

WITH_TURN = "t"
"""Ends a digest that covers the first turn too: tools and system text alone are too short to be cached."""
LEAST_CALLS = 5
"""Calls of a series below which nothing is said of it."""
T = TypeVar("T")
Key = Callable[[T], tuple[Any, ...]]


class Ordered(Protocol[T]):
    """What is added comes back in order of its key; of the same key, as it was added."""

    def add(self, one: T) -> None: ...

    def __iter__(self) -> Iterator[T]: ...


Aside = Callable[[Key[Settled]], Ordered[Settled]]
"""Makes an empty Ordered of calls by this key."""


class InMemory(Ordered[T]):
    """Implements Ordered with a list: for few."""

    def __init__(self, key: Key[T]) -> None:
        self._key = key
        self._all: list[T] = []

    def add(self, one: T) -> None:
        """See Ordered."""
        self._all.append(one)

    def __iter__(self) -> Iterator[T]:
        return iter(sorted(self._all, key=self._key))


class Groups:
    """Calls by model and `group`, and within a group in `order`. Those whose beginning changes with every
    call are one group: tools and system text, by digest, that no other call had, where one key and task made
    five or more such calls at a model."""

    def __init__(
        self, group: Callable[[Settled], str], order: Callable[[Settled], int], aside: Aside
    ) -> None:
        self._group = group
        self._kept = aside(lambda call: (call.model, group(call), order(call)))
        self._alone = aside(lambda call: (call.model, call.key, call.task, order(call)))

    def add(self, call: Settled) -> None:
        """Takes one call."""
        self._kept.add(call)

    def each(self) -> Iterator[tuple[bool, Iterator[Settled]]]:
        """Once all are added, one group after another, and whether its calls' beginning changes with each."""
        for _, found in groupby(self._kept, lambda call: (call.model, self._group(call))):
            members = iter(found)
            few = list(islice(members, 2))
            if len(few) == 1 and few[0].prefix and not few[0].prefix.endswith(WITH_TURN):
                self._alone.add(few[0])
            else:
                yield False, chain(few, members)
        for _, found in groupby(self._alone, lambda call: (call.model, call.key, call.task)):
            members = iter(found)
            few = list(islice(members, LEAST_CALLS))
            if len(few) == LEAST_CALLS:
                yield True, chain(few, members)
            else:
                yield from ((False, iter((one,))) for one in few)

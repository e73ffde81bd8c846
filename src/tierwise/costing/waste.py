"""Waste: money that bought nothing, or nothing that was read, with calls to look at.

What rests on a guess says so: the ledger keeps no prompts, so that two calls of one key with the same number
of prompt tokens at the same moment are only likely to be the same call.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import groupby, islice
from typing import Literal

from msgspec import Struct

from ..nouns import OUTPUT_LIMIT
from .cachewaste import LifeOf, Terms, by_prefix, cache_waste
from .cost import Cost
from .ordered import Aside, InMemory
from .promptcache import LIFETIME_S
from .settled import Only, Settled

Kind = Literal[
    "abandoned",
    "truncated",
    "cut_short",
    "double_fired",
    "retry_storm",
    "failed",
    "over_tiered",
    "cache_unread",
    "cache_changed",
]
Calls = Callable[[Only], Iterable[Settled]]
"""The finished calls, those that matter at least, as often as they are wanted."""

DOUBLE_WITHIN_US = 2_000_000
DOUBLE_LEAST_PROMPT = 200
"""Prompt tokens below which two calls of the same size mean nothing."""
STORM_ERRORS = 5
"""Failed attempts of one key on one model within a minute that make a storm."""
LEAST_SERVED = 20
"""Calls a model must have served of a task before others are compared with it."""
_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_EXAMPLES = 5
_CALL = ("call",)
_Begun = dict[tuple[str, str, str, str, bool, int], int]
_WORDS: dict[Kind, str] = {
    "abandoned": "the caller left before the answer was complete",
    "truncated": "the provider broke off, or the call reached its own cap on cost",
    "cut_short": "the answer took every token it was allowed: likely cut in mid-sentence",
    "double_fired": "likely sent twice: same key, task, model and prompt size within 2 s",
    "retry_storm": f"{STORM_ERRORS} or more failed attempts of one key on one model within a minute",
    "failed": "attempts that ended in an error after the provider took them, so that they may be billed",
    "cache_unread": "written to the prompt cache, read by no call of the same beginning while it lasted",
    "cache_changed": "written since tools or system text change with every call; beyond what reading costs",
    "over_tiered": "a cheaper model serves the task; what it would have saved if good enough",
}


class Waste(Struct, frozen=True):
    """One kind: calls, pico-dollars (`unpriced` calls are in no sum), and the first exchanges to look at.
    `certain` is False where it rests on a guess.
    """

    kind: Kind
    words: str
    certain: bool
    calls: int
    pico: int
    unpriced: int
    examples: list[str]


class _Sum:
    """One kind as it is added up."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._calls = self._pico = self._unpriced = 0
        self._first: list[tuple[int, str]] = []

    def add(self, call: Settled, pico: int | None) -> None:
        """Counts one call."""
        self._calls += 1
        self._pico += pico or 0
        self._unpriced += pico is None
        if len(self._first) < _EXAMPLES or call.at_us < self._first[-1][0]:
            known = {exchange: at_us for at_us, exchange in self._first}
            known[call.exchange] = min(call.at_us, known.get(call.exchange, call.at_us))
            found = [(at_us, exchange) for exchange, at_us in known.items()]
            self._first = sorted(found, key=lambda one: one[0])[:_EXAMPLES]

    def waste(self) -> list[Waste]:
        """What it came to, if anything."""
        certain = self._kind in ("abandoned", "truncated")
        sums = self._calls, self._pico, self._unpriced
        examples = [exchange for _, exchange in self._first]
        return [Waste(self._kind, _WORDS[self._kind], certain, *sums, examples)] if self._calls else []


def waste(
    calls: Calls,
    cost_at: Callable[[Settled, str], Cost],
    life_of: LifeOf = lambda _: LIFETIME_S["5m"],
    aside: Aside = InMemory,
) -> list[Waste]:
    """Every kind of waste, the dearest first, kinds without a call left out.

    `cost_at` prices a call as if another model (by name) had served it; `life_of` gives the seconds for which
    a model, by name, caches a prefix unless an hour is asked for; `aside` holds the calls while they are put
    in order.
    """
    found = {kind: _Sum(kind) for kind in _WORDS}
    failed = aside(lambda call: (call.key, call.model, call.at_us))
    doubles = _Doubles()
    prefixed = by_prefix(aside)
    served: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for call in calls(Only(_CALL)):
        if call.kind != "call":
            continue
        if call.prefix and call.known:
            prefixed.add(call)
        if call.outcome == "cancelled" and call.cost_pico != 0:
            found["abandoned"].add(call, call.cost_pico)
        elif call.outcome == "truncated" and call.cost_pico != 0:
            found["truncated"].add(call, call.cost_pico)
        elif call.outcome == "error":
            failed.add(call)
        elif call.outcome == "ok":
            if call.error == OUTPUT_LIMIT:
                found["cut_short"].add(call, call.cost_pico)
            if call.usage.prompt >= DOUBLE_LEAST_PROMPT:
                doubles.add(found["double_fired"], call)
            if call.task and call.cost_pico is not None:
                sums = served[call.task][call.model]
                sums[0] += 1
                sums[1] += call.cost_pico
    for _, series in groupby(failed, lambda call: (call.key, call.model)):
        _failures(found["retry_storm"], found["failed"], series)
    cache_waste(prefixed, Terms(cost_at, life_of), found["cache_unread"], found["cache_changed"])
    _over_tiered(found["over_tiered"], calls, served, cost_at)
    return sorted((one for kind in found.values() for one in kind.waste()), key=lambda one: -one.pico)


def _failures(storm: _Sum, single: _Sum, failed: Iterable[Settled]) -> None:
    """Counts failed calls, in order of time: as a storm those that have enough others within a minute, else
    those that may have been billed.
    """
    window: deque[Settled] = deque()
    stormy = 0
    """How many of the window, from its beginning, are counted as a storm."""
    for call in failed:
        window.append(call)
        if len(window) < STORM_ERRORS:
            continue
        if call.at_us - window[0].at_us < _MINUTE_US:
            for one in islice(window, stormy, None):
                storm.add(one, one.cost_pico)
            stormy = STORM_ERRORS
        first = window.popleft()
        if not stormy:
            _single(single, first)
        stormy = max(0, stormy - 1)
    for one in islice(window, stormy, None):
        _single(single, one)


def _single(waste: _Sum, call: Settled) -> None:
    if call.cost_pico != 0:
        waste.add(call, call.cost_pico)


class _Doubles:
    """When the last call of each kind and size began, of those that ended in the last hour or two: only one
    that lasts as long could find an older one within two seconds."""

    def __init__(self) -> None:
        self._last: _Begun = {}
        self._older: _Begun = {}
        self._until = 0

    def add(self, waste: _Sum, call: Settled) -> None:
        """Counts the call if it began together with the one before."""
        if call.at_us >= self._until:
            self._older, self._last = self._last, {}
            self._until = call.at_us + _HOUR_US
        start, prompt = call.at_us - call.total_us, call.usage.prompt
        same = call.key, call.task, call.model, call.session, call.stream, prompt
        before = self._last.get(same)
        if before is None:
            before = self._older.get(same)
        self._last[same] = start
        if before is not None and abs(start - before) <= DOUBLE_WITHIN_US:
            waste.add(call, call.cost_pico)


def _over_tiered(
    waste: _Sum,
    calls: Calls,
    served: dict[str, dict[str, list[int]]],
    cost_at: Callable[[Settled, str], Cost],
) -> None:
    """Calls of a task whose cheapest much-used model would have cost less for the same tokens."""
    cheapest: dict[str, str] = {}
    for task, models in served.items():
        means = {model: Fraction(pico, n) for model, (n, pico) in models.items() if n >= LEAST_SERVED}
        if means and len(models) > 1:
            cheapest[task] = min(means, key=lambda model: (means[model], model))
    if not cheapest:
        return
    for call in calls(Only(_CALL, ("ok",), tuple(cheapest))):
        other = cheapest.get(call.task)
        if call.kind != "call" or call.outcome != "ok" or other is None or other == call.model:
            continue
        there = cost_at(call, other).pico
        if call.cost_pico is not None and there is not None and there < call.cost_pico:
            waste.add(call, call.cost_pico - there)

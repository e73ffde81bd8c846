"""Waste: money that bought nothing, or nothing that was read, with calls to look at.

What rests on a guess says so: the ledger keeps no prompts, so that two calls of one key with the same number
of prompt tokens at the same moment are only likely to be the same call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from ..nouns import OUTPUT_LIMIT
from .cachewaste import LifeOf, cache_waste
from .cost import Cost
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
_EXAMPLES = 5
_CALL = ("call",)
_Last = dict[tuple[str, str, str, str, bool], dict[int, int]]
"""When the last call of a series began, by its prompt tokens."""
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


class Waste(Struct):
    """One kind: calls, pico-dollars (`unpriced` calls are in no sum), and exchanges to look at. `certain` is
    False where it rests on a guess.
    """

    kind: Kind
    words: str
    certain: bool
    calls: int = 0
    pico: int = 0
    unpriced: int = 0
    examples: list[str] = []

    def add(self, exchange: str, pico: int | None) -> None:
        """Counts one call."""
        self.calls += 1
        self.pico += pico or 0
        self.unpriced += pico is None
        if len(self.examples) < _EXAMPLES and exchange not in self.examples:
            self.examples.append(exchange)


def waste(
    calls: Calls, cost_at: Callable[[Settled, str], Cost], life_of: LifeOf = lambda _: LIFETIME_S["5m"]
) -> list[Waste]:
    """Every kind of waste, the dearest first, kinds without a call left out.

    `cost_at` prices a call as if another model (by name) had served it; `life_of` gives the seconds for which
    a model, by name, caches a prefix unless an hour is asked for.
    """
    found = {kind: Waste(kind, words, kind in ("abandoned", "truncated")) for kind, words in _WORDS.items()}
    last: _Last = defaultdict(dict)
    failed: dict[tuple[str, str], list[Settled]] = defaultdict(list)
    served: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    prefixed: list[Settled] = []
    for call in calls(Only(_CALL)):
        if call.kind != "call":
            continue
        if call.prefix:
            prefixed.append(call)
        if call.outcome == "cancelled" and call.cost_pico != 0:
            found["abandoned"].add(call.exchange, call.cost_pico)
        elif call.outcome == "truncated" and call.cost_pico != 0:
            found["truncated"].add(call.exchange, call.cost_pico)
        elif call.outcome == "error":
            failed[(call.key, call.model)].append(call)
        elif call.outcome == "ok":
            if call.error == OUTPUT_LIMIT:
                found["cut_short"].add(call.exchange, call.cost_pico)
            _double(found["double_fired"], call, last)
            if call.task and call.cost_pico is not None:
                sums = served[call.task][call.model]
                sums[0] += 1
                sums[1] += call.cost_pico
    for series in failed.values():
        _failures(found["retry_storm"], found["failed"], sorted(series, key=lambda call: call.at_us))
    cache_waste(prefixed, cost_at, life_of, found["cache_unread"], found["cache_changed"])
    _over_tiered(found["over_tiered"], calls, served, cost_at)
    return sorted((one for one in found.values() if one.calls), key=lambda one: -one.pico)


def _failures(storm: Waste, single: Waste, failed: list[Settled]) -> None:
    """Counts failed calls, in order of time: as a storm those that have enough others within a minute, else
    those that may have been billed.
    """
    counted = 0
    for last in range(STORM_ERRORS - 1, len(failed)):
        first = last - STORM_ERRORS + 1
        if failed[last].at_us - failed[first].at_us < _MINUTE_US:
            _singles(single, failed[counted:first])
            for call in failed[max(first, counted) : last + 1]:
                storm.add(call.exchange, call.cost_pico)
            counted = last + 1
    _singles(single, failed[counted:])


def _singles(waste: Waste, failed: list[Settled]) -> None:
    for call in failed:
        if call.cost_pico != 0:
            waste.add(call.exchange, call.cost_pico)


def _double(waste: Waste, call: Settled, last: _Last) -> None:
    prompt = call.usage.prompt
    if prompt < DOUBLE_LEAST_PROMPT:
        return
    start = call.at_us - call.total_us
    same = last[call.key, call.task, call.model, call.session, call.stream]
    before = same.get(prompt)
    same[prompt] = start
    if before is not None and abs(start - before) <= DOUBLE_WITHIN_US:
        waste.add(call.exchange, call.cost_pico)


def _over_tiered(
    waste: Waste,
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
            waste.add(call.exchange, call.cost_pico - there)

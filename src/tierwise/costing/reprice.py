"""Repricing: what recorded usage would have cost under other prices, or at another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct, field

from .cost import Cost
from .settled import Settled

Pricer = Callable[[Settled], Cost]
"""What a finished Attempt would have cost elsewhere."""


class Repriced(Struct):
    """One group of calls. `recorded_pico` and `repriced_pico` are over the same `compared` calls, exactly.

    Of the others: `unpriced_before` had no cost, `unpriced_now` would have none (`why`: reason → calls), and
    of `unknown` ones no tokens are known. `estimated` of the compared ones have tokens that were estimated.
    """

    group: str
    calls: int = 0
    compared: int = 0
    recorded_pico: int = 0
    repriced_pico: int = 0
    unpriced_before: int = 0
    unpriced_now: int = 0
    unknown: int = 0
    estimated: int = 0
    found_pico: int = 0
    """What the calls unpriced before would have cost, where that is known now."""
    why: Counter[str] = field(default_factory=Counter)

    @property
    def difference_pico(self) -> int:
        """Repriced less recorded: what the other prices would have added."""
        return self.repriced_pico - self.recorded_pico


class Repricing(Struct, frozen=True):
    """Groups by name, and all calls together."""

    groups: tuple[Repriced, ...]
    all: Repriced


def reprice(
    calls: Iterable[Settled], pricer: Pricer, group: Callable[[Settled], str] = lambda call: call.model
) -> Repricing:
    """Every call priced again by `pricer`, summed by `group`. The tokens stay as recorded."""
    groups: dict[str, Repriced] = {}
    everything = Repriced("")
    for call in calls:
        name = group(call)
        if name not in groups:
            groups[name] = Repriced(name)
        found = pricer(call) if call.known else Cost(None)
        for sums in (groups[name], everything):
            _add(sums, call, found)
    return Repricing(tuple(groups[name] for name in sorted(groups)), everything)


def _add(sums: Repriced, call: Settled, found: Cost) -> None:
    sums.calls += 1
    if not call.known:
        sums.unknown += 1
        return
    if call.cost_pico is None:
        sums.unpriced_before += 1
        sums.found_pico += found.pico or 0
    if found.pico is None:
        sums.unpriced_now += 1
        sums.why[found.unpriced] += 1
    elif call.cost_pico is not None:
        sums.compared += 1
        sums.recorded_pico += call.cost_pico
        sums.repriced_pico += found.pico
        sums.estimated += not call.exact

"""What views share: the range asked for, notices, and sums turned into figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from ..rollup import DAY_US, HOUR_US, SUMS, KeySlot, Rollup, Slot, Sums, total
from ..site import Site, now

Range = Literal["24h", "7d", "30d", "90d"]
Weight = Literal["bad", "warn", "good", "note"]
SPAN_US: dict[str, int] = {"24h": DAY_US, "7d": 7 * DAY_US, "30d": 30 * DAY_US, "90d": 90 * DAY_US}
_AT = {name: number for number, name in enumerate(SUMS)}
FAILED = ("error", "truncated")
CACHED = "cached"

S = TypeVar("S", Slot, KeySlot)


class Ranged(Struct, frozen=True, forbid_unknown_fields=False):
    """How far back to look."""

    range: Range = "24h"


class Nothing(Struct, frozen=True):
    """No question."""


class Notice(Struct, frozen=True):
    """What is the case, and what to do. `link` is a page of the dashboard, "" for none."""

    weight: Weight
    what: str
    do: str = ""
    link: str = ""


class Span(Struct, frozen=True):
    """The time shown, microseconds since 1970. `complete` is false while older calls are still being counted,
    and `progress` (0..1) says how far that is."""

    since_us: int
    until_us: int
    complete: bool = True
    progress: float = 1.0
    hourly: bool = False


class Figures(Struct, frozen=True):
    """Sums of calls. `spend_pico` holds what is priced; unpriced calls are counted beside it.

    `cached` requests were answered from the response cache: no call was made, so they are in no other figure;
    `cached_saved_pico` is what they would have cost, where that is known.

    `saved_pico`: what the same tokens would have cost at the reference tier, less what they did cost, over
    `saved_calls` calls where both are known; None: no such call. `cache_share`: cache reads over all prompt
    tokens, None without prompt tokens.
    """

    calls: int
    errors: int
    cancelled: int
    unpriced: int
    estimated: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    spend_pico: int
    saved_pico: int | None
    saved_calls: int
    reference_pico: int
    cache_share: float | None
    cached: int
    cached_saved_pico: int

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write


Groups = list[tuple[Slot, Sums]]


def span_of(range: str, rollup: Rollup) -> Span:
    """The span of a range: whole hours for a day and a week, whole days for longer."""
    until = now()
    hourly = range in ("24h", "7d")
    step = HOUR_US if hourly else DAY_US
    since = until - until % step - SPAN_US[range] + step
    return Span(since, until, rollup.complete, rollup.progress, hourly)


def groups_in(span: Span, rollup: Rollup) -> Groups:
    """All groups of a span."""
    return list(rollup.slots(span.since_us, span.hourly))


def made(groups: Sequence[tuple[S, Sums]]) -> list[tuple[S, Sums]]:
    """The groups for which a provider was called: all but the response cache's."""
    return [(slot, sums) for slot, sums in groups if slot.outcome != CACHED]


def figures(groups: Sequence[tuple[S, Sums]], keep: Callable[[S], bool] = lambda slot: True) -> Figures:
    """The sums of the groups kept, as Figures."""
    kept = [(slot, sums) for slot, sums in groups if keep(slot)]
    sums, hits = total(iter(made(kept))), total(iter(kept), lambda slot: slot.outcome == CACHED)
    outcomes, at = _counts(kept), _AT
    write = sums[at["cache_write_5m"]] + sums[at["cache_write_1h"]]
    prompt = sums[at["input"]] + sums[at["cache_read"]] + write
    compared = sums[at["compared"]]
    return Figures(
        calls=sums[at["calls"]],
        errors=sum(outcomes.get(name, 0) for name in FAILED),
        cancelled=outcomes.get("cancelled", 0),
        unpriced=sums[at["unpriced"]],
        estimated=sums[at["estimated"]],
        input=sums[at["input"]],
        cache_read=sums[at["cache_read"]],
        cache_write=write,
        output=sums[at["output"]],
        spend_pico=sums[at["cost"]],
        saved_pico=sums[at["reference"]] - sums[at["compared_cost"]] if compared else None,
        saved_calls=compared,
        reference_pico=sums[at["reference"]],
        cache_share=sums[at["cache_read"]] / prompt if prompt else None,
        cached=hits[at["calls"]],
        cached_saved_pico=hits[at["asked"]],
    )


def _counts(groups: Sequence[tuple[S, Sums]]) -> dict[str, int]:
    """Outcome → calls."""
    counts: dict[str, int] = {}
    for slot, sums in groups:
        counts[slot.outcome] = counts.get(slot.outcome, 0) + sums[0]
    return counts


def tier_label(slot: Slot) -> str:
    """The tier's name; "pinned" for a model that was named by the caller."""
    return slot.tier or "pinned"


def ordered_tiers(site: Site, seen: set[str]) -> list[str]:
    """Tiers that occur, in the ladder's order, then the rest by name."""
    order = [name for name in site.tier_order() if name in seen]
    return [*order, *sorted(seen - set(order))]

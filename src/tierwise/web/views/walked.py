"""What needs every call and not only sums: the saving's interval, and prompt caching by prefix.

The ledger's rows are gone through while somebody waits, for LONGEST_S at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from tierwise.clock import tick_us
from tierwise.config import prices_recorded
from tierwise.costing.advice import Choice, Series, advise_by, top
from tierwise.costing.savings import Baseline, savings
from tierwise.costing.settled import Settled
from tierwise.errors import Overloaded
from tierwise.judging.held import LEVEL, caused
from tierwise.ledger import Reader, read_ledger
from tierwise.ledger.spilled import spilled

from ..site import Site
from .ranges import Range, Ranged, Span, span_of

LONGEST_S = 20.0
_MOST = 100
T = TypeVar("T")


class Against(Struct, frozen=True):
    """Calls whose cost and cost elsewhere are both known, pico-dollars; of `unknown` one is not. `net_pico`:
    baseline less cost less all overhead, None: no such call."""

    calls: int
    unknown: int
    baseline_pico: int
    cost_pico: int
    net_pico: int | None


class Caused(Struct, frozen=True):
    """What routing saved in a task by its calls held out at random, with the interval at `level`; None: an
    arm is too small."""

    task: str
    held: int
    routed: int
    saved_pico: int | None
    low_pico: int | None
    high_pico: int | None
    level: float


class Saved(Struct, frozen=True):
    """What routing saved, as `ledger report --savings` has it. `overhead` is what was spent beside serving,
    by name; `unpriced` calls are in no sum."""

    span: Span
    range: Range
    served: int
    unpriced: int
    overhead: dict[str, int]
    overhead_pico: int
    asked: Against
    reference: Against
    reference_tier: str
    causal: list[Caused]


class Prefix(Struct, frozen=True):
    """Calls that share a prefix, or are taken to (`assumed`), as `cache advise` has them. Pico-dollars; None:
    not known. `label`: `group` with its key's name. `hit_rate`: share of prompt tokens from the cache."""

    group: str
    label: str
    model: str
    task: str
    assumed: bool
    calls: int
    hit_rate: float | None
    saved_pico: int | None
    wasted_at_least: int | None
    wasted_at_most: int | None
    advice: Choice
    why: str
    examples: list[str]


class Prefixes(Struct, frozen=True):
    """Prompt caching by prefix, the dearest waste first; `more` are left off."""

    span: Span
    range: Range
    series: list[Prefix]
    more: int


def saved(site: Site, asked: Ranged) -> Saved:
    """The saving against either baseline, net, and by held-out calls. Raises StoreError, Overloaded."""
    span = span_of(asked.range, site.rollup)
    made = read_ledger(site.control.ledger_url).savings(span.since_us)
    if made is None:
        made = savings(_calls(site, span.since_us))

    def against(baseline: Baseline) -> Against:
        return Against(
            baseline.calls, baseline.unknown, baseline.baseline_pico, baseline.cost_pico,
            made.net_pico(baseline),
        )  # fmt: skip

    causal = []
    for task, arms in made.arms.items():
        found = caused(arms.strata, arms.beside_pico)
        low, high = found.interval or (None, None)
        causal.append(Caused(task, found.held, found.routed, found.saved_pico, low, high, LEVEL))
    return Saved(
        span=span,
        range=asked.range,
        served=made.served,
        unpriced=made.unpriced,
        overhead=made.overhead,
        overhead_pico=made.overhead_pico,
        asked=against(made.asked),
        reference=against(made.reference),
        reference_tier=site.catalog.ladder.reference,
        causal=causal,
    )


def prefixes(site: Site, asked: Ranged) -> Prefixes:
    """Prompt caching by prefix, or by session, or by key and task. Raises StoreError, Overloaded."""
    span = span_of(asked.range, site.rollup)
    found = advise_by(_calls(site, span.since_us), prices_recorded(site.catalog), spilled)
    shown, count = top(found, _MOST)
    names = site.key_names()
    return Prefixes(span, asked.range, [_prefix(one, names) for one in shown], count - len(shown))


def _prefix(one: Series, names: Mapping[str, str]) -> Prefix:
    return Prefix(
        group=one.group,
        label=one.label(names),
        model=one.model,
        task=one.task,
        assumed=one.assumed,
        calls=one.calls,
        hit_rate=None if one.hit_rate is None else float(one.hit_rate),
        saved_pico=one.saved_pico,
        wasted_at_least=one.wasted_at_least,
        wasted_at_most=one.wasted_at_most,
        advice=one.advice,
        why=one.why,
        examples=list(one.examples),
    )


def _calls(site: Site, since_us: int) -> Iterator[Settled]:
    return _walked(site, lambda reader: reader.finished(since_us))


def rows_since(site: Site, since_us: int) -> Iterator[Mapping[str, Any]]:
    """The ledger's rows. Raises StoreError, Overloaded."""
    return _walked(site, lambda reader: reader.rows(since_us))


def _walked(site: Site, read: Callable[[Reader], Iterable[T]]) -> Iterator[T]:
    """What `read` gives, as long as somebody may be kept waiting, and for one at a time: the data plane is in
    the same process. Raises StoreError, Overloaded."""
    if not site.walking.acquire(blocking=False):
        raise Overloaded(
            "Another page is going through the ledger's calls just now.", "Load this one again in a moment."
        )
    try:
        until = tick_us() + LONGEST_S * 1e6
        for number, one in enumerate(read(read_ledger(site.control.ledger_url))):
            if number % 1000 == 0 and tick_us() > until:
                raise Overloaded(
                    f"There are more calls in that time than can be gone through in {LONGEST_S:.0f} s.",
                    "Choose a shorter time, or use the command line: `tierwise policy plan`, "
                    "`tierwise ledger report --savings`, `tierwise cache advise`.",
                )
            yield one
    finally:
        site.walking.release()

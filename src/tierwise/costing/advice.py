"""Advice on prompt caching from recorded calls: what it saved, what it wasted, and which lifetime pays.

The ledger keeps how many tokens were read and written, not which: whether two calls share a prefix is known
only where a prefix digest was recorded. Without one, the calls of a series (one session, or one key and task
where none was given, at one model) are taken to share theirs; what rests on that is marked as assumed, and
waste is told as bounds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from msgspec import Struct, structs

from ..nouns import Abilities, Price, Usage
from .cost import cost, step_at
from .priced import PricedModel
from .promptcache import LIFETIME_S, Lifetime, break_even_reads
from .settled import Settled

Choice = Literal["none", "5m", "30m", "1h", "fix", "unknown"]
Prices = Callable[[Settled], Price | None]
Able = Callable[[Settled], Abilities]
"""What a call's model caches: how much at least, and for how long."""
WITH_TURN = "t"
"""Ends a digest that covers the first turn too: tools and system text alone are too short to be cached."""
LEAST_CALLS = 5
"""Calls of a series below which no lifetime is advised."""
_EXAMPLES = 3
_HALF_HOUR_S = 1800


class Series(Struct, frozen=True):
    """Calls that share a prefix, or are taken to (`assumed`). Tokens and pico-dollars; None: not known.

    `saved_pico` is what reads saved less what writes cost more than fresh input. `wasted_at_least` is the
    extra cost of writes after which nothing at all was read at that model within the lifetime, by any series;
    `wasted_at_most` of writes after which this series read nothing. `reads_per_write` has the reads that the
    model's shorter lifetime (`5m`; 30 minutes at OpenAI) and an hour would have had, by the calls' gaps.
    """

    model: str
    group: str
    assumed: bool
    calls: int
    prompt: int
    read: int
    written: int
    saved_pico: int | None
    wasted_at_least: int | None
    wasted_at_most: int | None
    reads_per_write: dict[Lifetime, Fraction | None]
    break_even: dict[Lifetime, Fraction | None]
    advice: Choice
    why: str
    examples: tuple[str, ...]
    key: str = ""
    task: str = ""
    prefixes: int = 0
    """How many different prefixes its calls had, as far as digests were kept."""

    def label(self, names: Mapping[str, str]) -> str:
        """`group` as people know it: with its key's name, where `names` has one, in place of the id."""
        by_key = self.group.startswith(("key ", "changing: key "))
        return (
            self.group.replace(self.key, names.get(self.key, self.key), 1)
            if by_key and self.key
            else self.group
        )

    @property
    def seen(self) -> bool:
        """Whether the cache was used at all; if not, the advice rests on there being a prefix to share."""
        return bool(self.read or self.written)

    @property
    def hit_rate(self) -> Fraction | None:
        """Share of prompt tokens read from the cache; None without prompt tokens."""
        return Fraction(self.read, self.prompt) if self.prompt else None


def advise_by(calls: Iterable[Settled], find: Callable[[str], PricedModel | None]) -> list[Series]:
    """`advise` by the prices and least cacheable tokens of the models that `find` gives by name."""

    def price(call: Settled) -> Price | None:
        priced = find(call.model)
        return priced.price(call.at_us) if priced is not None else None

    def able(call: Settled) -> Abilities:
        priced = find(call.model)
        return priced.model.abilities if priced is not None else Abilities()

    return advise(calls, price, able)


def advise(calls: Iterable[Settled], prices: Prices, able: Able = lambda _: Abilities()) -> list[Series]:
    """One Series for each group of calls whose tokens are known, the dearest waste first, then the greatest
    saving.
    """
    by_model: dict[str, list[Settled]] = defaultdict(list)
    for call in calls:
        if call.known and call.usage.prompt:
            by_model[call.model].append(call)
    found = []
    for model in sorted(by_model):
        ours = sorted(by_model[model], key=lambda call: call.at_us)
        reads = [_start_s(call) for call in ours if call.usage.cache_read]
        groups: dict[str, list[Settled]] = defaultdict(list)
        changing = changing_calls(ours)
        for call in ours:
            where = f"changing: key {call.key}, task {call.task or '(none)'}"
            groups[where if call.attempt in changing else group_of(call)].append(call)
        found += [
            _series(group, members, sorted(reads), prices, able(members[-1]))
            for group, members in groups.items()
        ]
    return sorted(found, key=lambda one: (-(one.wasted_at_most or 0), -(one.saved_pico or 0), one.group))


def group_of(call: Settled) -> str:
    """What a call's prefix is known, or taken, to be shared within."""
    if call.prefix:
        return f"prefix {call.prefix}"
    return f"session {call.session}" if call.session else f"key {call.key}, task {call.task or '(none)'}"


def changing_calls(calls: Iterable[Settled]) -> set[str]:
    """Attempts whose tools and system text, by digest, no other call had, where one key and task made five or
    more of them at a model: something in the beginning changes with every call."""
    uses: Counter[tuple[str, str]] = Counter()
    alone: dict[tuple[str, str, str], list[Settled]] = defaultdict(list)
    known = [call for call in calls if call.prefix and not call.prefix.endswith(WITH_TURN)]
    for call in known:
        uses[call.model, call.prefix] += 1
    for call in known:
        if uses[call.model, call.prefix] == 1:
            alone[call.model, call.key, call.task].append(call)
    return {call.attempt for made in alone.values() if len(made) >= LEAST_CALLS for call in made}


def _series(
    group: str, calls: Sequence[Settled], model_reads: Sequence[float], prices: Prices, able: Abilities
) -> Series:
    lives = short_life_s(able), LIFETIME_S["1h"]
    saved, wasted, at_most = _money(calls, model_reads, prices, lives)
    price = prices(calls[-1])
    gaps = [b - a for a, b in pairwise(_start_s(call) for call in calls)]
    lifetimes: tuple[Lifetime, ...] = ("5m", "1h")
    rates = {lifetime: _reads_per_write(gaps, life) for lifetime, life in zip(lifetimes, lives, strict=True)}
    need = {lifetime: break_even_reads(price, lifetime) if price else None for lifetime in lifetimes}
    advice, why = _lifetime(calls, gaps, price, lives)
    least = able.cache_minimum
    if least is not None and max(call.usage.prompt for call in calls) < least:
        advice, why = "none", f"no prompt has the {least} tokens this model caches at least"
    prefixes = len({call.prefix for call in calls if call.prefix})
    if group.startswith("changing"):
        advice, why = "fix", "tools or system text change with every call, so that nothing can be read"
    written = [call for call in calls if call.usage.cache_write_5m or call.usage.cache_write_1h]
    return Series(
        model=calls[0].model,
        group=group,
        assumed=not calls[0].prefix,
        calls=len(calls),
        prompt=sum(call.usage.prompt for call in calls),
        read=sum(call.usage.cache_read for call in calls),
        written=sum(call.usage.cache_write_5m + call.usage.cache_write_1h for call in calls),
        saved_pico=saved,
        wasted_at_least=wasted,
        wasted_at_most=at_most,
        reads_per_write=rates,
        break_even=need,
        advice=advice,
        why=why,
        examples=tuple(call.exchange for call in (written or list(calls))[:_EXAMPLES]),
        key=calls[0].key,
        task=calls[0].task,
        prefixes=prefixes,
    )


def short_life_s(able: Abilities) -> int:
    """Seconds that a prefix is kept which was written for no longer."""
    return able.cache_lifetime_s or LIFETIME_S["5m"]


def _money(
    calls: Sequence[Settled], model_reads: Sequence[float], prices: Prices, lives: tuple[int, int]
) -> tuple[int | None, int | None, int | None]:
    """Saved, wasted at least, wasted at most; None where a price is unknown."""
    saved = least = most = 0
    own_reads = [_start_s(call) for call in calls if call.usage.cache_read]
    for call in calls:
        usage = call.usage
        if not (usage.cache_read or usage.cache_write_5m or usage.cache_write_1h):
            continue
        price = prices(call)
        costs = _costs(usage, price, call.batch) if price is not None else None
        if costs is None:
            return None, None, None
        saved += costs[0]
        start = _start_s(call)
        for premium, life in zip(costs[1:], lives, strict=True):
            if premium > 0:
                least += 0 if _any_after(model_reads, start, life) else premium
                most += 0 if _any_after(own_reads, start, life) else premium
    return saved, least, most


def _costs(usage: Usage, price: Price, batch: bool) -> tuple[int, int, int] | None:
    """What the call's cache use saved, and what its writes for 5 minutes and for an hour cost more than fresh
    input, all as the call was billed; None where a price is unknown."""
    tier, hour = usage.service_tier, usage.cache_write_1h
    paid = _prompt_pico(usage, price, batch)
    fresh = _prompt_pico(Usage(usage.prompt, service_tier=tier), price, batch)
    if paid is None or fresh is None:
        return None
    premiums = [0, 0]
    for place, written in enumerate((usage.cache_write_5m, hour)):
        if written:
            short, long = (0, hour) if place == 0 else (usage.cache_write_5m, 0)
            other = Usage(usage.input + written, usage.cache_read, short, long, service_tier=tier)
            premiums[place] = paid - (_prompt_pico(other, price, batch) or 0)
    return fresh - paid, premiums[0], premiums[1]


def _prompt_pico(usage: Usage, price: Price, batch: bool) -> int | None:
    """What the prompt alone costs; None where a price is unknown."""
    if batch or usage.service_tier:
        return cost(structs.replace(usage, output=0, extra={}), price, batch).pico
    rates = step_at(price, usage.prompt)
    total = 0
    for tokens, rate in (
        (usage.input, rates.input),
        (usage.cache_read, rates.cache_read),
        (usage.cache_write_5m, rates.cache_write_5m),
        (usage.cache_write_1h, rates.cache_write_1h),
    ):
        if tokens:
            if rate is None:
                return None
            total += tokens * rate
    return total


def _lifetime(
    calls: Sequence[Settled], gaps: Sequence[float], price: Price | None, lives: tuple[int, int]
) -> tuple[Choice, str]:
    """The cheapest of no cache, the shorter lifetime and an hour for these gaps, if they had all shared one
    prefix."""
    if len(calls) < LEAST_CALLS:
        return "unknown", f"fewer than {LEAST_CALLS} calls"
    rates = step_at(price, calls[-1].usage.prompt) if price is not None else None
    if rates is None or rates.input is None or rates.cache_read is None:
        return "unknown", "the price of input or of cache reads is not known"
    fresh, read = rates.input, rates.cache_read
    costs: dict[Choice, int] = {"none": len(calls) * fresh}
    choices: tuple[tuple[Choice, int | None, int], ...] = (
        ("30m" if lives[0] == _HALF_HOUR_S else "5m", rates.cache_write_5m, lives[0]),
        ("1h", rates.cache_write_1h, lives[1]),
    )
    for lifetime, write, seconds in choices:
        if write is not None:
            hits = sum(gap <= seconds for gap in gaps)
            costs[lifetime] = hits * read + (len(calls) - hits) * write
    if len(costs) == 1:
        return "unknown", "the price of cache writes is not known"
    best = min(costs, key=lambda choice: costs[choice])
    share = Fraction(costs["none"] - costs[best], costs["none"]) if costs["none"] else Fraction(0)
    if best == "none":
        return "none", "the gaps between calls are too long for a write to be read often enough"
    return best, f"{float(share):.0%} less for a shared prefix than sending it uncached"


def _reads_per_write(gaps: Sequence[float], seconds: int) -> Fraction | None:
    """Reads for each write that a lifetime renewed on every use would have had; None for a single call."""
    if not gaps:
        return None
    hits = sum(gap <= seconds for gap in gaps)
    return Fraction(hits, len(gaps) + 1 - hits)


def _any_after(times: Sequence[float], start: float, seconds: int) -> bool:
    at = bisect_right(times, start)
    return at < len(times) and times[at] - start <= seconds


def _start_s(call: Settled) -> float:
    return (call.at_us - call.total_us) / 1e6

"""Advice on prompt caching from recorded calls: what it saved, what it wasted, and which lifetime pays.

The ledger keeps how many tokens were read and written, not which: whether two calls share a prefix is known
only where a prefix digest was recorded. Without one, the calls of a series (one session, or one key and task
where none was given, at one model) are taken to share theirs; what rests on that is marked as assumed, and
waste is told as bounds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from typing import Literal

from msgspec import Struct, structs

from ..nouns import Abilities, Price, Usage
from .cost import cost, step_at
from .ordered import LEAST_CALLS, Aside, Groups, InMemory
from .priced import PricedModel
from .promptcache import LIFETIME_S, Lifetime, break_even_reads
from .settled import Settled

Choice = Literal["none", "5m", "30m", "1h", "fix", "unknown"]
Prices = Callable[[Settled], Price | None]
Able = Callable[[Settled], Abilities]
"""What a call's model caches: how much at least, and for how long."""
_EXAMPLES = 3
_HALF_HOUR_S = 1800
_TOGETHER = 1000
"""Series looked at together when the first are sought."""


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


def advise_by(
    calls: Iterable[Settled], find: Callable[[str], PricedModel | None], aside: Aside = InMemory
) -> Iterator[Series]:
    """`all_series` by the prices and least cacheable tokens of the models that `find` gives by name."""

    def price(call: Settled) -> Price | None:
        priced = find(call.model)
        return priced.price(call.at_us) if priced is not None else None

    def able(call: Settled) -> Abilities:
        priced = find(call.model)
        return priced.model.abilities if priced is not None else Abilities()

    return all_series(calls, price, able, aside)


def advise(calls: Iterable[Settled], prices: Prices, able: Able = lambda _: Abilities()) -> list[Series]:
    """`all_series` of few calls, as they are told."""
    return sorted(all_series(calls, prices, able), key=by_stake)


def by_stake(one: Series) -> tuple[int, int, str, str]:
    """The order in which series are told: the dearest waste first, then the greatest saving."""
    return -(one.wasted_at_most or 0), -(one.saved_pico or 0), one.group, one.model


def top(found: Iterable[Series], most: int) -> tuple[list[Series], int]:
    """The first `most` as they are told, and how many there are."""
    kept: list[Series] = []
    count = 0
    for one in found:
        count += 1
        kept.append(one)
        if len(kept) >= most + _TOGETHER:
            kept = sorted(kept, key=by_stake)[:most]
    return sorted(kept, key=by_stake)[:most], count


def all_series(
    calls: Iterable[Settled], prices: Prices, able: Able, aside: Aside = InMemory
) -> Iterator[Series]:
    """One Series for each group of calls whose tokens are known, in no order. `aside` holds the calls; in
    memory are the times of those that read, and the writes of one group."""
    groups = Groups(group_of, lambda call: call.at_us, aside)
    times: dict[str, array[float]] = defaultdict(lambda: array("d"))
    for call in calls:
        if call.known and call.usage.prompt:
            groups.add(call)
            if call.usage.cache_read:
                times[call.model].append(_start_s(call))
    reads = {model: array("d", sorted(each)) for model, each in times.items()}
    for changing, members in groups.each():
        first = next(members)
        group = f"changing: key {first.key}, task {first.task or '(none)'}" if changing else group_of(first)
        lives = short_life_s(able(first)), LIFETIME_S["1h"]
        sums = Sums(first, reads.get(first.model, ()), prices, lives)
        for call in chain((first,), members):
            sums.add(call)
        yield _series(group, sums, able(first).cache_minimum, changing)


def group_of(call: Settled) -> str:
    """What a call's prefix is known, or taken, to be shared within."""
    if call.prefix:
        return f"prefix {call.prefix}"
    return f"session {call.session}" if call.session else f"key {call.key}, task {call.task or '(none)'}"


class Sums:
    """What a series adds up to, call by call in order of their end."""

    def __init__(
        self, first: Settled, model_reads: Sequence[float], prices: Prices, lives: tuple[int, int]
    ) -> None:
        self.first = self.last = first
        self.lives = lives
        self.calls = self.prompt = self.longest = self.read = self.written = 0
        self.hits = [0, 0]
        """Calls that came within the shorter lifetime and within an hour of the one before."""
        self._model_reads = model_reads
        self._prices = prices
        self._saved: int | None = 0
        self._least = 0
        self._own_reads = array("d")
        # By lifetime: when they began, and what they cost more. Two columns take a third of the room of rows.
        self._writes: tuple[tuple[array[float], list[int]], ...] = ((array("d"), []), (array("d"), []))
        self._examples: list[list[str]] = [[], []]

    @property
    def examples(self) -> tuple[str, ...]:
        """The first calls, of those that wrote where any did."""
        return tuple(self._examples[0] or self._examples[1])

    def add(self, call: Settled) -> None:
        """Counts one call."""
        usage, start = call.usage, _start_s(call)
        if self.calls:
            gap = start - _start_s(self.last)
            for place, life in enumerate(self.lives):
                self.hits[place] += gap <= life
        written = usage.cache_write_5m + usage.cache_write_1h
        self.calls += 1
        self.prompt += usage.prompt
        self.longest = max(self.longest, usage.prompt)
        self.read += usage.cache_read
        self.written += written
        self.last = call
        for shown in self._examples[0 if written else 1 :]:
            if len(shown) < _EXAMPLES:
                shown.append(call.exchange)
        if usage.cache_read:
            self._own_reads.append(start)
        if (usage.cache_read or written) and self._saved is not None:
            self._price(call, start)

    def _price(self, call: Settled, start: float) -> None:
        price = self._prices(call)
        costs = _costs(call.usage, price, call.batch) if price is not None else None
        if costs is None:
            self._saved = None
            return
        assert self._saved is not None
        self._saved += costs[0]
        for premium, life, (starts, premiums) in zip(costs[1:], self.lives, self._writes, strict=True):
            if premium > 0:
                self._least += 0 if _any_after(self._model_reads, start, life) else premium
                starts.append(start)
                premiums.append(premium)

    def money(self) -> tuple[int | None, int | None, int | None]:
        """Saved, wasted at least, wasted at most; None where a price is unknown."""
        if self._saved is None:
            return None, None, None
        reads = sorted(self._own_reads)
        most = sum(
            premium
            for life, (starts, premiums) in zip(self.lives, self._writes, strict=True)
            for start, premium in zip(starts, premiums, strict=True)
            if not _any_after(reads, start, life)
        )
        return self._saved, self._least, most

    def price(self) -> Price | None:
        """Of the last call."""
        return self._prices(self.last)


def _series(group: str, sums: Sums, least: int | None, changing: bool) -> Series:
    first, price = sums.first, sums.price()
    saved, wasted, at_most = sums.money()
    lifetimes: tuple[Lifetime, ...] = ("5m", "1h")
    advice, why = _lifetime(sums, price)
    if least is not None and sums.longest < least:
        advice, why = "none", f"no prompt has the {least} tokens this model caches at least"
    if changing:
        advice, why = "fix", "tools or system text change with every call, so that nothing can be read"
    return Series(
        model=first.model,
        group=group,
        assumed=not first.prefix,
        calls=sums.calls,
        prompt=sums.prompt,
        read=sums.read,
        written=sums.written,
        saved_pico=saved,
        wasted_at_least=wasted,
        wasted_at_most=at_most,
        reads_per_write={
            life: _reads_per_write(sums.calls, hits) for life, hits in zip(lifetimes, sums.hits, strict=True)
        },
        break_even={life: break_even_reads(price, life) if price else None for life in lifetimes},
        advice=advice,
        why=why,
        examples=sums.examples,
        key=first.key,
        task=first.task,
        prefixes=sums.calls if changing else int(bool(first.prefix)),
    )


def short_life_s(able: Abilities) -> int:
    """Seconds that a prefix is kept which was written for no longer."""
    return able.cache_lifetime_s or LIFETIME_S["5m"]


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


def _lifetime(sums: Sums, price: Price | None) -> tuple[Choice, str]:
    """The cheapest of no cache, the shorter lifetime and an hour for these calls, if they had all shared one
    prefix."""
    if sums.calls < LEAST_CALLS:
        return "unknown", f"fewer than {LEAST_CALLS} calls"
    rates = step_at(price, sums.last.usage.prompt) if price is not None else None
    if rates is None or rates.input is None or rates.cache_read is None:
        return "unknown", "the price of input or of cache reads is not known"
    fresh, read = rates.input, rates.cache_read
    costs: dict[Choice, int] = {"none": sums.calls * fresh}
    choices: tuple[tuple[Choice, int | None, int], ...] = (
        ("30m" if sums.lives[0] == _HALF_HOUR_S else "5m", rates.cache_write_5m, sums.hits[0]),
        ("1h", rates.cache_write_1h, sums.hits[1]),
    )
    for lifetime, write, hits in choices:
        if write is not None:
            costs[lifetime] = hits * read + (sums.calls - hits) * write
    if len(costs) == 1:
        return "unknown", "the price of cache writes is not known"
    best = min(costs, key=lambda choice: costs[choice])
    share = Fraction(costs["none"] - costs[best], costs["none"]) if costs["none"] else Fraction(0)
    if best == "none":
        return "none", "the gaps between calls are too long for a write to be read often enough"
    return best, f"{float(share):.0%} less for a shared prefix than sending it uncached"


def _reads_per_write(calls: int, hits: int) -> Fraction | None:
    """Reads for each write that a lifetime renewed on every use would have had; None for a single call."""
    return Fraction(hits, calls - hits) if calls > 1 else None


def _any_after(times: Sequence[float], start: float, seconds: int) -> bool:
    at = bisect_right(times, start)
    return at < len(times) and times[at] - start <= seconds


def _start_s(call: Settled) -> float:
    return (call.at_us - call.total_us) / 1e6

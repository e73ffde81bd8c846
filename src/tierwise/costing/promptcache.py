"""Prompt-cache return on investment: what writing a shared prefix costs, and what reading it saves.

A request that finds the prefix in the cache reads it; one that does not writes it. With Poisson arrivals at
rate λ and a lifetime τ that every use renews, the share that finds it is P(gap ≤ τ) = 1 − e^(−λτ).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from ..nouns import Price
from .cost import step_at

Lifetime = Literal["5m", "1h"]
LIFETIME_S = {"5m": 300, "1h": 3600}


class CacheReturn(Struct, frozen=True):
    """A prefix over `requests`: pico-dollars without and with the cache. `saved` is a share of the former,
    exact.
    """

    requests: int
    hits: int
    uncached_pico: int
    cached_pico: int

    @property
    def saved(self) -> Fraction:
        return 1 - Fraction(self.cached_pico, self.uncached_pico)


def poisson_hit_rate(arrivals_per_minute: float, lifetime: Lifetime) -> float:
    """1 − e^(−λτ), in 0..1: the share of requests that come within `lifetime` of the one before."""
    return -math.expm1(-arrivals_per_minute / 60 * LIFETIME_S[lifetime])


def hits_in_log(times_s: Iterable[float], lifetime: Lifetime) -> int:
    """How many of these arrivals (seconds, any order) find the prefix written or read at most `lifetime`
    before.
    """
    ordered = sorted(times_s)
    return sum(b - a <= LIFETIME_S[lifetime] for a, b in pairwise(ordered))


def cache_return(
    price: Price, prefix_tokens: int, requests: int, hits: int, lifetime: Lifetime = "5m", *, beside: int = 0
) -> CacheReturn | None:
    """What `prefix_tokens` over `requests` cost without a cache, and with `hits` reads and the rest writes.
    The `beside` other tokens of each prompt are in neither sum, but count for the long-context step.

    None when the price of fresh input, of reads or of writes is unknown, or there is nothing to compare.
    """
    rates = rates_at(price, prefix_tokens + beside, lifetime)
    if rates is None or requests <= 0 or prefix_tokens <= 0 or not rates[0]:
        return None
    fresh, read, write = rates
    cached = prefix_tokens * (hits * read + (requests - hits) * write)
    return CacheReturn(requests, hits, prefix_tokens * requests * fresh, cached)


def break_even_reads(price: Price, lifetime: Lifetime = "5m", prompt_tokens: int = 0) -> Fraction | None:
    """Expected reads per write above which caching pays for prompts of this length: (write − input) /
    (input − read). None when unknown or never.
    """
    rates = rates_at(price, prompt_tokens, lifetime)
    if rates is None or rates[0] <= rates[1]:
        return None
    fresh, read, write = rates
    return Fraction(write - fresh, fresh - read)


def hit_rate_needed(
    price: Price, saved: Fraction, lifetime: Lifetime = "5m", prompt_tokens: int = 0
) -> Fraction | None:
    """The least hit rate at which the share `saved` results for prompts of this length: (write − (1 − saved)·
    input) / (write − read). None when unknown, or where no hit rate saves as much.
    """
    rates = rates_at(price, prompt_tokens, lifetime)
    if rates is None or rates[2] <= rates[1]:
        return None
    fresh, read, write = rates
    needed = (write - (1 - saved) * fresh) / (write - read)
    return max(needed, Fraction(0)) if needed <= 1 else None


def rates_at(price: Price, prompt_tokens: int, lifetime: Lifetime) -> tuple[int, int, int] | None:
    """Pico-dollars a token of fresh input, of cache reads and of cache writes; None when one is unknown."""
    rates = step_at(price, prompt_tokens)
    write = rates.cache_write_5m if lifetime == "5m" else rates.cache_write_1h
    if rates.input is None or rates.cache_read is None or write is None:
        return None
    return rates.input, rates.cache_read, write

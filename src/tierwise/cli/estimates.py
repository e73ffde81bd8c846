"""What `tierwise estimate` reckons: rows of workloads by model, the prompt cache's return, and the
waiting saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct, structs

from ..config import Settings, published
from ..costing import (
    CacheReturn,
    Estimate,
    Workload,
    break_even_reads,
    cache_return,
    estimate,
    hit_rate_needed,
    hits_in_log,
    latency_saved_s,
    poisson_hit_rate,
    read_calls,
    total_usage,
)
from ..errors import BadRequest
from ..money import pico_to_usd
from ..nouns import Price
from .listed import Listed, chosen, tiers_of

Lifetime = Literal["5m", "1h"]
_MINUTES_A_DAY = 1440
_DAY_S = 86_400


class Asked(Protocol):
    """The command's options."""

    @property
    def calls_per_day(self) -> int | None: ...
    @property
    def input(self) -> int | None: ...
    @property
    def output(self) -> int | None: ...
    @property
    def days(self) -> int: ...
    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def prefix(self) -> int | None: ...
    @property
    def arrivals_per_minute(self) -> float | None: ...
    @property
    def ttl(self) -> Lifetime: ...
    @property
    def batch(self) -> bool: ...
    @property
    def file(self) -> Path | None: ...


class Row(Struct, frozen=True):
    """One model's cost of one workload; `Estimate` says unpriced with the reason where a price is unknown."""

    listed: Listed
    cost: Estimate


class Work(Struct, frozen=True):
    """A workload with a row per model. `what` says it in words; `days` the month's length; a log has
    no day of its own.
    """

    what: str
    rows: tuple[Row, ...]
    days: int
    by_day: bool = True


class _Shared(Struct, frozen=True):
    """A prefix that `requests` share, `hits` of which read it from the cache; `basis` says how that is
    known. `beside`: the other tokens of a prompt.
    """

    prefix: int
    requests: int
    hits: int
    basis: str
    ttl: Lifetime
    beside: int = 0

    def back(self, price: Price, hits: int) -> CacheReturn | None:
        return cache_return(price, self.prefix, self.requests, hits, self.ttl, beside=self.beside)


class Cache(Struct, frozen=True):
    """A shared prefix at one model. `expected` at the hit rate reckoned; `claimed` is the published
    saving, None: none.

    `needed` is the hit rate that gives the claimed saving, `reads` the break-even reads per write for
    5m and 1h.
    """

    listed: Listed
    prefix: int
    expected: CacheReturn
    basis: str
    reads: tuple[Fraction | None, Fraction | None]
    best: CacheReturn | None = None
    """One write, then only reads."""
    claimed: Fraction | None = None
    needed: Fraction | None = None
    at_needed: CacheReturn | None = None
    needed_80: Fraction | None = None


class Waiting(Struct, frozen=True):
    """Seconds a day saved at most by the faster tier; `claimed_hours` is the published figure, None: none."""

    calls: int
    slow: Listed
    fast: Listed
    slow_ms: int
    fast_ms: int
    saved_s: Fraction
    claimed_hours: float | None = None


class Answer(Struct, frozen=True):
    """Everything the command prints."""

    work: tuple[Work, ...]
    cache: tuple[Cache, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    batch: bool = False

    def as_object(self) -> dict[str, Any]:
        """JSON values: USD as exact decimal strings, unknown as null with the reason in `unpriced`."""
        return {
            "batch": self.batch,
            "workloads": [_work_object(work) for work in self.work],
            "cache": [_cache_object(cache) for cache in self.cache],
            "latency": [
                {
                    "calls_per_day": each.calls,
                    "slow": each.slow.model.name,
                    "fast": each.fast.model.name,
                    "slow_p99_ms": each.slow_ms,
                    "fast_p99_ms": each.fast_ms,
                    "saved_hours_per_day_at_most": round(float(each.saved_s / 3600), 4),
                    "published_hours": each.claimed_hours,
                }
                for each in self.waiting
            ],
        }


def answer(asked: Asked, listed: Sequence[Listed], settings: Settings) -> Answer:
    """The estimates asked for; the catalog's own workloads when none was. Raises BadRequest or
    UnknownModel.
    """
    models = chosen(asked.models, listed, settings) if asked.models else tiers_of(listed, settings)
    if asked.file is not None:
        return _of_file(asked, asked.file, models)
    if asked.calls_per_day is None:
        return _of_catalog(asked, models)
    work = Workload(
        calls_per_day=asked.calls_per_day,
        input=asked.input or 0,
        output=asked.output or 0,
        prefix=asked.prefix or 0,
        ttl=asked.ttl,
        batch=asked.batch,
        days=asked.days,
    )
    what = f"{work.calls_per_day:,} calls a day, {work.input:,} input and {work.output:,} output tokens each"
    if not asked.prefix:
        return Answer((_work(what, work, models),), (), _waiting(work.calls_per_day, models), asked.batch)
    rate = asked.arrivals_per_minute
    basis = "arrivals given" if rate is not None else "calls spread over the day"
    rate = work.calls_per_day / _MINUTES_A_DAY if rate is None else rate
    share = poisson_hit_rate(rate, asked.ttl)
    hits = min(round(work.calls_per_day * share), work.calls_per_day)
    basis = f"{share:.1%} hits at {rate:g} arrivals a minute ({basis}), lifetime {asked.ttl}"
    cached = structs.replace(work, hits_per_day=hits)
    prefix = f"{what}, and a shared prefix of {work.prefix:,}"
    return Answer(
        (_work(f"{prefix}, not cached", work, models), _work(f"{prefix}, cached", cached, models)),
        tuple(_caches(models, _Shared(work.prefix, work.calls_per_day, hits, basis, asked.ttl, work.input))),
        _waiting(work.calls_per_day, models),
        asked.batch,
    )


def _of_catalog(asked: Asked, models: Sequence[Listed]) -> Answer:
    facts = published()
    work = [
        _work(
            f"{row.name}, {row.input:,} input and {row.output:,} output tokens each",
            Workload(row.calls_per_day, row.input, row.output, batch=asked.batch, days=asked.days),
            models,
        )
        for row in facts.workloads
    ]
    cache = _caches(models[:1], _Shared(5000, 1000, 999, "one write, then 999 reads", "5m"))
    waiting = _waiting(10_000, models[:2], float(facts.claims["latency_hours"].value))
    return Answer(tuple(work), tuple(cache), waiting, asked.batch)


def _of_file(asked: Asked, path: Path, models: Sequence[Listed]) -> Answer:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"{path} cannot be read: {error}.", "It must be CSV or JSON Lines in UTF-8."
        ) from None
    calls = read_calls(text, path.name)
    number = len(calls.usages)
    span_s = max(calls.times_s) - min(calls.times_s) if calls.times_s else 0.0
    days = max(1, -(-int(span_s) // _DAY_S)) if span_s else 0
    rows = []
    for each in models:
        total = total_usage(calls.usages, each.price, asked.batch)
        rows.append(Row(each, Estimate(None, total.pico, total.unpriced)))
    span = f", over {days} day{'s' * (days != 1)}" if days else ""
    title = f"{number:,} call{'s' * (number != 1)} of {path.name}{span}"
    work = [Work(title, tuple(rows), days, by_day=False)]
    a_day = Fraction(asked.calls_per_day) if asked.calls_per_day else Fraction(number, days) if days else None
    if a_day is not None:
        scaled = tuple(Row(row.listed, _scaled(row.cost, a_day / number, asked.days)) for row in rows)
        what = f"{float(a_day):,g} calls a day like those of {path.name} (mean, rounded to a pico-dollar)"
        work.append(Work(what, scaled, asked.days))
    cache: tuple[Cache, ...] = ()
    if asked.prefix:
        if not calls.times_s and asked.arrivals_per_minute is None:
            raise BadRequest(
                f"{path.name} has no column of times for the cache's hit rate.",
                "Add a column `at`, or give --arrivals-per-minute.",
            )
        hits, basis = _hits(asked, calls.times_s, number)
        beside = sum(usage.prompt for usage in calls.usages) // number  # of a call in the mean
        cache = tuple(_caches(models, _Shared(asked.prefix, number, hits, basis, asked.ttl, beside)))
    waiting = _waiting(max(round(a_day), 1), models) if a_day is not None else ()
    return Answer(tuple(work), cache, waiting, asked.batch)


def _hits(asked: Asked, times_s: Sequence[float], number: int) -> tuple[int, str]:
    if asked.arrivals_per_minute is None:
        hits = hits_in_log(times_s, asked.ttl)
        return hits, f"{hits / number:.1%} hits by the log's times, lifetime {asked.ttl}"
    share = poisson_hit_rate(asked.arrivals_per_minute, asked.ttl)
    return min(
        round(number * share), number
    ), f"{share:.1%} hits at {asked.arrivals_per_minute:g} arrivals a minute"


def _scaled(cost: Estimate, share: Fraction, days: int) -> Estimate:
    """The cost of that `share` of the calls each day."""
    if cost.total_pico is None:
        return cost
    day = cost.total_pico * share
    return Estimate(round(day), round(day * days))


def _work(what: str, work: Workload, models: Sequence[Listed]) -> Work:
    return Work(what, tuple(Row(each, estimate(work, each.price)) for each in models), work.days)


def _caches(models: Sequence[Listed], shared: _Shared) -> list[Cache]:
    """One Cache per model whose cache prices are known, with what the published saving would mean there."""
    claimed = Fraction(str(published().claims["cache_saving"].value))
    found = []
    for each in models:
        price = each.price
        back = shared.back(price, shared.hits) if price else None
        if price is None or back is None:
            continue
        prompt = shared.prefix + shared.beside
        needed = hit_rate_needed(price, claimed, shared.ttl, prompt)
        hits = round(shared.requests * needed) if needed is not None else None
        found.append(
            Cache(
                listed=each,
                prefix=shared.prefix,
                expected=back,
                basis=shared.basis,
                reads=(break_even_reads(price, "5m", prompt), break_even_reads(price, "1h", prompt)),
                best=shared.back(price, shared.requests - 1),
                claimed=claimed,
                needed=needed,
                at_needed=shared.back(price, hits) if hits is not None else None,
                needed_80=hit_rate_needed(price, Fraction(4, 5), shared.ttl, prompt),
            )
        )
    return found


def _waiting(calls: int, models: Sequence[Listed], claimed: float | None = None) -> tuple[Waiting, ...]:
    """The first model against each other one, by published P99 of 1K output."""
    found = []
    fast = models[0] if models else None
    fast_ms = _p99(fast) if fast else None
    for slow in models[1:]:
        slow_ms = _p99(slow)
        if fast is not None and fast_ms is not None and slow_ms is not None and slow_ms > fast_ms:
            saved = latency_saved_s(calls, slow_ms, fast_ms)
            found.append(Waiting(calls, slow, fast, slow_ms, fast_ms, saved, claimed))
    return tuple(found)


def _p99(each: Listed) -> int | None:
    fact = each.model.speed.get("p99_ms_1k")
    return int(fact.value) if fact is not None else None


def _usd(pico: int | None) -> str | None:
    return None if pico is None else format(pico_to_usd(pico).normalize(), "f")


def _work_object(work: Work) -> dict[str, Any]:
    return {
        "workload": work.what,
        "days": work.days,
        "models": [
            {
                "model": row.listed.model.name,
                "tier": row.listed.tier or None,
                "price_id": row.listed.price.id if row.listed.price else None,
                "source": structs.asdict(row.listed.price.source) if row.listed.price else None,
                "day_usd": _usd(row.cost.day_pico),
                "month_usd" if work.by_day else "total_usd": _usd(row.cost.total_pico),
                "unpriced": row.cost.unpriced or None,
            }
            for row in work.rows
        ],
    }


def _cache_object(cache: Cache) -> dict[str, Any]:
    def rounded(share: Fraction | None) -> float | None:
        return None if share is None else round(float(share), 6)

    back = cache.expected
    return {
        "model": cache.listed.model.name,
        "prefix": cache.prefix,
        "cache_minimum": cache.listed.model.abilities.cache_minimum,
        "requests": back.requests,
        "hits": back.hits,
        "basis": cache.basis,
        "uncached_usd": _usd(back.uncached_pico),
        "cached_usd": _usd(back.cached_pico),
        "saved": rounded(back.saved),
        "best_cached_usd": _usd(cache.best.cached_pico) if cache.best else None,
        "best_saved": rounded(cache.best.saved) if cache.best else None,
        "break_even_reads_5m": rounded(cache.reads[0]),
        "break_even_reads_1h": rounded(cache.reads[1]),
        "published_saved": rounded(cache.claimed),
        "hit_rate_for_published": rounded(cache.needed),
        "cached_usd_at_that_rate": _usd(cache.at_needed.cached_pico) if cache.at_needed else None,
        "hit_rate_for_80_percent": rounded(cache.needed_80),
    }

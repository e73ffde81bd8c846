"""How fast tiers answer: streamed calls under a load of our own, and what the ledger has seen of real ones.

Every word is defined in docs/latency.md; the arithmetic is in judging.latency. Tokens come from the
provider's usage, cached replies are left out, and what the sample cannot show is None.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from ..clock import now_us, tick_us
from ..dialects.base import StreamReader
from ..errors import SuiteError, UpstreamBroke, UpstreamError, UpstreamStatus
from ..http1 import Pool, Response
from ..judging.latency import (
    Timing,
    goodput,
    itl_us,
    overhead_us,
    quantile,
    tail,
    tokens_per_second,
    tpot_us,
)
from ..nouns import Case, Delta, Ended, Event, Failed, Started, Usage, UsageSeen
from ..upstream import send
from .running.asking import ChatTier

ONE_K = 1000
"""Output tokens of the reply that "P99 at 1K output" speaks of."""
_WORDS = (
    "river", "stone", "lamp", "orchard", "winter", "copper", "ladder", "violet", "harbour", "candle",
    "meadow", "engine", "silver", "garden", "thunder", "basket", "marble", "feather", "island", "mirror",
    "anchor", "forest", "pepper", "saddle", "window", "button", "carpet", "ribbon",
)  # fmt: skip


class Load(Struct, frozen=True):
    """What is asked: `requests` calls, `concurrency` at a time, or at `rate` a second (Poisson, drawn by
    `seed`) however many are under way. `warmup` calls before them are not counted.
    """

    requests: int = 40
    concurrency: int = 4
    rate: float | None = None
    prompt_tokens: int = 512
    output_tokens: int = 256
    warmup: int = 1
    seed: int = 0


class Slo(Struct, frozen=True):
    """The limits of goodput, milliseconds; None: no limit."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return self.ttft_ms is not None or self.tpot_ms is not None


class Sample(Struct, frozen=True):
    """One call. `began_us` counts from the run's start; `exchange` is the gateway's name for it, "" without
    a gateway.

    `input_tokens` None: the provider's usage did not say. `cost_pico` None: unpriced.
    """

    timing: Timing
    began_us: int
    input_tokens: int | None = None
    cost_pico: int | None = None
    cached: bool = False
    exchange: str = ""
    error: str = ""


class Run(Struct, frozen=True):
    """One tier under one Load: its samples in order of sending. `started_us`: wall clock; `seconds`: first
    call sent to last one over.
    """

    tier: str
    model: str
    load: Load
    samples: tuple[Sample, ...]
    started_us: int
    seconds: float

    @property
    def counted(self) -> list[Sample]:
        """All but the cached ones."""
        return [each for each in self.samples if not each.cached]

    @property
    def timings(self) -> list[Timing]:
        """Of the calls that succeeded, cached ones left out."""
        return [each.timing for each in self.counted if each.timing.ok]


class Spread(Struct, frozen=True):
    """`n` values in the unit the name says. P95 is None below 80 of them, P99 below 400."""

    n: int
    mean: float
    p50: float
    p95: float | None
    p99: float | None


class Summary(Struct, frozen=True):
    """One tier in numbers: times in milliseconds, rates per second. None: not measured or not given.

    `at_1k_ms` is what a reply of 1,000 output tokens takes at each reply's own TTFT and TPOT. `unreported`
    replies told no token count. `overhead_ms` is the gateway's own part, total − upstream. `spend_pico` is of
    the calls that succeeded; None: some of them could not be priced.
    """

    tier: str
    model: str
    requests: int
    completed: int
    failed: int
    cached: int
    unreported: int
    seconds: float
    ttft_ms: Spread | None
    tpot_ms: Spread | None
    itl_ms: Spread | None
    e2e_ms: Spread | None
    at_1k_ms: Spread | None
    tokens_per_s: Spread | None
    input_tokens: float | None
    output_tokens: float | None
    requests_per_s: float
    output_tokens_per_s: float | None
    goodput: float | None
    overhead_ms: Spread | None
    spend_pico: int | None
    errors: dict[str, int]


async def measure(tier: ChatTier, load: Load, pool: Pool, seen: Callable[[], None] = lambda: None) -> Run:
    """Asks `tier` under `load`; `seen` is called after each counted call. A failed call is a Sample too.

    Raises SuiteError on a load that asks for nothing.
    """
    if load.requests < 1 or load.concurrency < 1 or (load.rate is not None and load.rate <= 0):
        raise SuiteError("There is nothing to measure.", "Ask for at least one request, at a rate above 0.")
    for number in range(load.warmup):
        await _call(tier, pool, _case(load, -1 - number), tick_us())
    started, began = now_us(), tick_us()
    samples: list[Sample | None] = [None] * load.requests

    async def one(number: int) -> None:
        samples[number] = await _call(tier, pool, _case(load, number), began)
        seen()

    if load.rate is None:
        numbers = iter(range(load.requests))
        await asyncio.gather(*(_worker(numbers, one) for _ in range(min(load.concurrency, load.requests))))
    else:
        await _at_rate(load, load.rate, one, began)
    found = tuple(each for each in samples if each is not None)
    return Run(tier.card.name, tier.card.model, load, found, started, (tick_us() - began) / 1e6)


def summarise(run: Run, slo: Slo | None = None) -> Summary:
    """The numbers of a Run."""
    timings, counted = run.timings, run.counted
    told = [each.output_tokens for each in timings if each.output_tokens is not None]
    inputs = [each.input_tokens for each in counted if each.timing.ok and each.input_tokens is not None]
    costs = [each.cost_pico for each in run.samples if each.timing.ok]
    priced = [cost for cost in costs if cost is not None]
    errors: dict[str, int] = {}
    for each in counted:
        if each.error:
            errors[each.error] = errors.get(each.error, 0) + 1
    good = None
    if slo is not None and slo.given:
        good = goodput([each.timing for each in counted], run.seconds, _us(slo.ttft_ms), _us(slo.tpot_ms))
    return Summary(
        tier=run.tier,
        model=run.model,
        requests=len(run.samples),
        completed=len(timings),
        failed=len(counted) - len(timings),
        cached=len(run.samples) - len(counted),
        unreported=len(timings) - len(told),
        seconds=run.seconds,
        ttft_ms=spread_ms(ttfts_us(timings)),
        tpot_ms=spread_ms(_known(tpot_us(each) for each in timings)),
        itl_ms=spread_ms(itl_us(timings)),
        e2e_ms=spread_ms([each.total_us for each in timings]),
        at_1k_ms=spread_ms(_known(at_1k_us(each) for each in timings)),
        tokens_per_s=spread(_known(tokens_per_second(each) for each in timings)),
        input_tokens=statistics.fmean(inputs) if inputs else None,
        output_tokens=statistics.fmean(told) if told else None,
        requests_per_s=len(timings) / run.seconds if run.seconds else 0.0,
        output_tokens_per_s=sum(told) / run.seconds if told and run.seconds else None,
        goodput=good,
        overhead_ms=spread_ms([overhead_us(each) for each in timings if each.upstream_us]),
        spend_pico=sum(priced) if len(priced) == len(costs) else None,
        errors=errors,
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and quantiles of `values` in their own unit; None of nothing."""
    middle = quantile(values, 0.5)
    if middle is None:
        return None
    return Spread(len(values), statistics.fmean(values), middle, tail(values, 0.95), tail(values, 0.99))


def spread_ms(values_us: Sequence[float]) -> Spread | None:
    """The Spread of microseconds, in milliseconds."""
    return spread([value / 1000 for value in values_us])


def ttfts_us(timings: Iterable[Timing]) -> list[int]:
    """The times to first token that were measured."""
    return [each.ttft_us for each in timings if each.ttft_us is not None]


def at_1k_us(timing: Timing) -> float | None:
    """TTFT + 999 × TPOT: what 1,000 output tokens take at this reply's pace; equal to its total when it has
    that many. None where TPOT is.
    """
    each = tpot_us(timing)
    return None if each is None or timing.ttft_us is None else timing.ttft_us + (ONE_K - 1) * each


def with_upstream(run: Run, rows: Iterable[Mapping[str, Any]]) -> Run:
    """`run` with what the gateway's ledger says of its own part: each Sample whose exchange is among the
    CLOSE `rows` gets an `upstream_us` such that total − upstream is the time the gateway took by its own
    clock.
    """
    wanted = {each.exchange for each in run.samples if each.exchange}
    own = {
        row["exchange"]: max(0, row["total_us"] - row["upstream_us"])
        for row in rows
        if row["event"] == "close" and row["exchange"] in wanted and row["upstream_us"]
    }
    samples = []
    for each in run.samples:
        if each.exchange in own:
            upstream = max(1, each.timing.total_us - own[each.exchange])
            each = structs.replace(each, timing=structs.replace(each.timing, upstream_us=upstream))
        samples.append(each)
    return structs.replace(run, samples=tuple(samples))


def live(rows: Iterable[Mapping[str, Any]], tiers: Sequence[str] = ()) -> list[Summary]:
    """What the ledger's `rows` say of each tier (a pinned model under its own name), most called first.

    Of users' calls that a provider answered: TTFT and TPOT of streams answered at the first attempt, end to
    end of all that ended well. Gaps between tokens are not recorded, nor is a rate of any meaning.
    """
    found: dict[str, list[tuple[Timing, bool, str, str]]] = {}
    for row in rows:
        label = row["tier"] or row["model"]
        if row["event"] != "close" or row["kind"] != "call" or (tiers and label not in tiers):
            continue
        # Nobody was asked: answered from a cache.
        if row["upstream_us"]:
            found.setdefault(label, []).append(_recorded(row))
    seen = [_seen(label, calls) for label, calls in found.items()]
    return sorted(seen, key=lambda each: (-each.requests, each.tier))


def _recorded(row: Mapping[str, Any]) -> tuple[Timing, bool, str, str]:
    """(timing, whether it was streamed at the first attempt, model, error) of a CLOSE row."""
    reported = row["usage_source"] == "reported"
    timing = Timing(
        total_us=row["total_us"],
        ttft_us=row["ttft_us"],
        upstream_us=row["upstream_us"],
        output_tokens=row["usage"]["output"] if reported else None,
        ok=row["outcome"] == "ok",
    )
    streamed = row["stream"] and row["attempt"].endswith("-1")
    return timing, streamed, row["model"], row["error"] or row["outcome"]


def _seen(label: str, calls: list[tuple[Timing, bool, str, str]]) -> Summary:
    done = [timing for timing, *_ in calls if timing.ok]
    # The provider's own part: from sending to the last byte, which is what TPOT is about.
    streams = [
        structs.replace(timing, total_us=timing.upstream_us)
        for timing, streamed, *_ in calls
        if timing.ok and streamed
    ]
    errors: dict[str, int] = {}
    for timing, _, _, error in calls:
        if not timing.ok:
            errors[error] = errors.get(error, 0) + 1
    told = [each.output_tokens for each in done if each.output_tokens is not None]
    return Summary(
        tier=label,
        model=calls[-1][2],
        requests=len(calls),
        completed=len(done),
        failed=len(calls) - len(done),
        cached=0,
        unreported=len(done) - len(told),
        seconds=0.0,
        ttft_ms=spread_ms(ttfts_us(streams)),
        tpot_ms=spread_ms(_known(tpot_us(each) for each in streams)),
        itl_ms=None,
        e2e_ms=spread_ms([each.total_us for each in done]),
        at_1k_ms=spread_ms(_known(at_1k_us(each) for each in streams)),
        tokens_per_s=spread(_known(tokens_per_second(each) for each in streams)),
        input_tokens=None,
        output_tokens=statistics.fmean(told) if told else None,
        requests_per_s=0.0,
        output_tokens_per_s=None,
        goodput=None,
        overhead_ms=spread_ms([max(0, overhead_us(each)) for each in done]),
        spend_pico=None,
        errors=errors,
    )


class Stamped:
    """A stream's times: first content, the gaps after it, its terminator; with its usage."""

    def __init__(self, reader: StreamReader) -> None:
        self.first_us: int | None = None
        self.last_us = 0
        self.ended_us: int | None = None
        self.gaps: list[int] = []
        self.usage: Usage | None = None
        self.served = ""
        self._reader = reader

    async def read(self, response: Response) -> None:
        """Reads to the end. Raises UpstreamBroke without a terminator, UpstreamStatus on an error in it."""
        while data := await response.chunk():
            self._take(self._reader.feed(data))
        self._take(self._reader.finish())
        if self.ended_us is None:
            raise UpstreamBroke("The provider's stream broke off before its end.")

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Delta):
                if event.text:
                    self._content()
            elif isinstance(event, UsageSeen):
                self.usage = event.usage
            elif isinstance(event, Started):
                self.served, self.usage = event.model, event.usage or self.usage
            elif isinstance(event, Failed):
                raise UpstreamStatus(event.status, event.message, event.code)
            elif isinstance(event, Ended):
                self.ended_us = tick_us()

    def _content(self) -> None:
        now = tick_us()
        if self.first_us is None:
            self.first_us = now
        else:
            self.gaps.append(now - self.last_us)
        self.last_us = now


async def _call(tier: ChatTier, pool: Pool, case: Case, origin_us: int) -> Sample:
    sent = tier.written(case)
    began = tick_us()
    stamped = Stamped(tier.deployment.dialect.reader())
    exchange, cached = "", False
    try:
        response = await send(pool, tier.deployment, sent)
        exchange = (response.header(b"x-tierwise-exchange") or b"").decode("latin1")
        cached = response.header(b"x-tierwise-cache") == b"hit"
        try:
            await stamped.read(response)
        finally:
            response.close()
    except UpstreamError as error:
        said = f"{error.kind} {error.status}" if isinstance(error, UpstreamStatus) else error.kind
        return Sample(Timing(tick_us() - began, ok=False), began - origin_us, exchange=exchange, error=said)
    usage = stamped.usage
    timing = Timing(
        total_us=(stamped.ended_us or tick_us()) - began,
        ttft_us=None if stamped.first_us is None else stamped.first_us - began,
        output_tokens=None if usage is None else usage.output,
        gaps_us=tuple(stamped.gaps),
    )
    return Sample(
        timing=timing,
        began_us=began - origin_us,
        input_tokens=None if usage is None else usage.prompt,
        cost_pico=0 if cached else None if usage is None else tier.cost(usage, stamped.served),
        cached=cached,
        exchange=exchange,
    )


async def _worker(numbers: Iterator[int], one: Callable[[int], Any]) -> None:
    for number in numbers:
        await one(number)


async def _at_rate(load: Load, rate: float, one: Callable[[int], Any], began_us: int) -> None:
    """Calls leave at exponential intervals, whether or not earlier ones are back."""
    draw = random.Random(load.seed)
    due_s, running = 0.0, []
    for number in range(load.requests):
        wait_s = due_s - (tick_us() - began_us) / 1e6
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        running.append(asyncio.create_task(one(number)))
        due_s += draw.expovariate(rate)
    await asyncio.gather(*running)


def _case(load: Load, number: int) -> Case:
    """A prompt of about `prompt_tokens`, different from its first word on, so that no prompt cache helps."""
    draw = random.Random(f"{load.seed}/{number}")
    opening = f"{draw.getrandbits(40):x}. Tell a long story, without a break, that uses all of these words:"
    words = (draw.choice(_WORDS) for _ in range(max(0, load.prompt_tokens - 28)))
    return Case(str(number), f"{opening} {' '.join(words)}")


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _us(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1000)

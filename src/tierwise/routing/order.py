"""Order: `provider.routing`, the caller's wish which of several fitting candidates comes first.

| routing | order |
|---|---|
| priority | as listed: the policy's choice, the caller's fallbacks, dearer tiers |
| cost | estimated cost of this request, unknown prices last |
| latency | median time to first token of recent streams (of whole answers if not streaming), unknown last |
| balanced | cost / least cost + latency / least latency, an unknown counted as the worst known one |

Ties keep the listed order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..nouns import Price, TierHealth
from .table import Rung

DEFAULT_OUTPUT_TOKENS = 500


def expected_output(max_output: int | None, expected: int | None) -> int:
    """Answer tokens to reckon with: the policy's figure for the task or 500, but never above what was asked
    for.
    """
    tokens = DEFAULT_OUTPUT_TOKENS if expected is None else expected
    return tokens if max_output is None else min(tokens, max_output)


def estimated_pico(price: Price | None, prompt_tokens: int, output_tokens: int) -> int | None:
    """Pico-dollars of so many fresh prompt and answer tokens, long-context steps applied; None when a price
    is unknown.
    """
    if price is None:
        return None
    fresh, output = price.input, price.output
    for step in price.steps:
        if prompt_tokens > step.above:
            fresh, output = step.input, step.output
    if fresh is None or output is None:
        return None
    return fresh * prompt_tokens + output * output_tokens


def by_cost(rungs: Sequence[Rung], prompt_tokens: int, output_tokens: int) -> list[Rung]:
    """Cheapest estimate first, unknown prices last."""
    costs = [estimated_pico(rung.price, prompt_tokens, output_tokens) for rung in rungs]
    return _ranked(rungs, [(cost is None, cost or 0) for cost in costs])


def by_latency(rungs: Sequence[Rung], health: Mapping[str, TierHealth], stream: bool) -> list[Rung]:
    """Fastest recent median first, unknown last."""
    times = [latency_ms(health, rung, stream) for rung in rungs]
    return _ranked(rungs, [(time is None, time or 0.0) for time in times])


def balanced(rungs: Sequence[Rung], costs: Sequence[int | None], times: Sequence[float | None]) -> list[Rung]:
    """Least sum of both ratios first; `costs` in pico-dollars and `times` in ms stand beside the rungs."""
    sums = [cost + time for cost, time in zip(_ratios(costs), _ratios(times), strict=True)]
    return _ranked(rungs, [(False, each) for each in sums])


def latency_ms(health: Mapping[str, TierHealth], rung: Rung, stream: bool) -> float | None:
    """The median that matters to this caller, None: unknown."""
    seen = health.get(rung.candidate.model)
    if seen is None:
        return None
    return seen.ttft_ms if stream else seen.total_ms


def _ratios(figures: Sequence[int | float | None]) -> list[Fraction]:
    """Each figure over the least known one; unknown counts as the worst known, and as 1 when nothing is
    known.
    """
    known = [Fraction(max(figure, 0)) for figure in figures if figure is not None]
    least = min((figure for figure in known if figure > 0), default=Fraction(1))
    worst = max(known, default=least)
    return [(worst if figure is None else Fraction(max(figure, 0))) / least for figure in figures]


def _ranked(rungs: Sequence[Rung], keys: Sequence[tuple[bool, int | float | Fraction]]) -> list[Rung]:
    return [rungs[i] for i in sorted(range(len(rungs)), key=lambda i: keys[i])]

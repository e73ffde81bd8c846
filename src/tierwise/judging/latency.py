"""Words for speed: TTFT, TPOT, ITL, goodput, and quantiles that say so when there are too few samples.

Tokens come from the provider's usage, never from counting chunks; cached replies are left out before calling
these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ..errors import SuiteError


class Timing(Struct, frozen=True):
    """One reply, microseconds. `ttft_us`: request sent → first content token; `gaps_us`: between content
    arrivals.
    """

    total_us: int
    ttft_us: int | None = None
    upstream_us: int = 0
    output_tokens: int | None = None
    gaps_us: tuple[int, ...] = ()
    ok: bool = True


def quantile(values: Iterable[float], share: float) -> float | None:
    """Linear interpolation between order statistics (Hyndman & Fan's type 7); None of nothing."""
    if not 0 <= share <= 1:
        raise SuiteError(f"{share} is not a quantile between 0 and 1.", "Use a share such as 0.5.")
    ordered = sorted(values)
    if not ordered:
        return None
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def tail(values: Sequence[float], share: float) -> float | None:
    """A tail quantile, or None where fewer than four samples would lie beyond it (P99 below 400, P95 below
    80).
    """
    return quantile(values, share) if len(values) >= least_samples(share) else None


def least_samples(share: float) -> int:
    """How many samples the quantile `share` takes: four beyond it, 400 for P99."""
    return math.ceil(4 / (1 - share) - 1e-9)


def tpot_us(timing: Timing) -> float | None:
    """Time per output token, the first excluded: (total − TTFT)/(output tokens − 1), as vLLM means it; None
    below two tokens.
    """
    if timing.ttft_us is None or timing.output_tokens is None or timing.output_tokens < 2:
        return None
    return (timing.total_us - timing.ttft_us) / (timing.output_tokens - 1)


def tokens_per_second(timing: Timing) -> float | None:
    """Tokens per second as one user sees them: 1/TPOT; None where TPOT is None or 0."""
    each = tpot_us(timing)
    return 1e6 / each if each else None


def itl_us(timings: Iterable[Timing]) -> list[int]:
    """Inter-token latency: the gaps themselves, pooled over all replies."""
    return [gap for timing in timings for gap in timing.gaps_us]


def overhead_us(timing: Timing) -> int:
    """The gateway's own part: total − upstream."""
    return timing.total_us - timing.upstream_us


def goodput(
    timings: Iterable[Timing], seconds: float, ttft_us: int | None = None, tpot_limit_us: float | None = None
) -> float:
    """Requests per second that succeeded and met every limit given. A limit on what was not measured is not
    met.
    """
    if seconds <= 0:
        raise SuiteError("Goodput needs a span of time.", "Give seconds > 0.")
    return sum(_meets(timing, ttft_us, tpot_limit_us) for timing in timings) / seconds


def _meets(timing: Timing, ttft_us: int | None, tpot_limit_us: float | None) -> bool:
    if not timing.ok or (ttft_us is not None and (timing.ttft_us is None or timing.ttft_us > ttft_us)):
        return False
    if tpot_limit_us is None:
        return True
    each = tpot_us(timing)
    # A reply of one token has no gap that could be too long.
    return timing.output_tokens in (0, 1) if each is None else each <= tpot_limit_us

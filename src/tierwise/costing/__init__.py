"""What a call costs, what it may cost at most, and what a workload or a prompt cache will cost. Exact and
pure.

Begin at `cost` (tokens × price) and `bound` (what a budget reserves). Prompt caches: `promptcache`,
`placement`, `advice`. From recorded calls: `savings`, `waste`, `reprice`, and `reconcile` against `bills`.
Ahead: `workload`.
"""

from .bound import (
    OUTPUT_TOKENS_UNSAID,
    TOKENS_PER_MEDIA,
    batch_share,
    cautious_size,
    estimate_tokens,
    upper_bound,
)
from .cost import Cost, cost, price_at, small_call
from .moves import Quality, Replayed, TaskMove
from .priced import PricedModel, compile_price
from .promptcache import (
    CacheReturn,
    break_even_reads,
    cache_return,
    hit_rate_needed,
    hits_in_log,
    poisson_hit_rate,
)
from .workload import Estimate, Workload, estimate, latency_saved_s, read_calls, total_usage

__all__ = [
    "OUTPUT_TOKENS_UNSAID", "TOKENS_PER_MEDIA", "CacheReturn", "Cost", "Estimate", "PricedModel",
    "Quality", "Replayed", "TaskMove", "Workload", "batch_share", "break_even_reads", "cache_return",
    "cautious_size", "compile_price", "cost", "estimate", "estimate_tokens", "hit_rate_needed", "hits_in_log",
    "latency_saved_s", "poisson_hit_rate", "price_at", "read_calls", "small_call", "total_usage",
    "upper_bound",
]  # fmt: skip

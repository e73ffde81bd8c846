"""Billed units beside the buckets of Usage, for formats that have no place for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType

from msgspec.structs import replace

from ..nouns import Usage
from ..nouns.answer import OTHERS
from .losses import Losses

_BUCKETS: Mapping[str, str] = MappingProxyType(
    {
        "input_audio": "input",
        "input_image": "input",
        "cache_audio_read": "cache_read",
        "cache_image_read": "cache_read",
        "output_audio": "output",
        "output_image": "output",
        "output_video": "output",
    }
)
"""Units that are tokens of a prompt or an answer, by the bucket they would be in at the price of text."""


_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def count_of(value: float | None) -> int:
    """A count of tokens as told; 0 for none, for less, and for what is no number."""
    return int(value) if value and 0 < value < inf else 0


def _together(usage: Usage) -> dict[str, int]:
    """The buckets of `usage`, those of other models among them."""
    every = (usage, *(part for _, part in usage.others))
    return {name: sum(getattr(each, name) for each in every) for name in _TOKENS}


def folded(usage: Usage, known: frozenset[str], losses: Losses) -> Usage:
    """`usage` with tokens that have no place of their own in the target's format counted in the bucket of
    their like, so that the totals are whole; `answer.usage` names them. `known` are the units that it has.

    Units that are no tokens count steps of the vendor's own tools, which are carried or named themselves.
    """
    if known.issuperset(usage.extra):
        return usage
    if "fallback_tokens" in usage.extra:  # the caller is told of the answer as a whole
        usage = replace(usage, others=(), **_together(usage))
    counts = {"input": usage.input, "cache_read": usage.cache_read, "output": usage.output}
    kept = {}
    for unit, count in usage.extra.items():
        if unit in known:
            kept[unit] = count
        elif count and (unit in _BUCKETS or unit in OTHERS):
            losses.add("answer.usage", unit)
            if unit in _BUCKETS:
                counts[_BUCKETS[unit]] += count
    return replace(usage, extra=kept, **counts)

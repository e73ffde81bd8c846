"""Prompt-cache breakpoints: vendors take at most 4 in a request."""

from __future__ import annotations

from typing import Any

from .losses import Losses

MOST = 4


def surplus(marked: list[dict[str, Any]], losses: Losses) -> list[dict[str, Any]]:
    """Those of `marked`, in order, that must do without: the first (what every request shares) and the last 3
    (what this conversation shares) stay.
    """
    if len(marked) <= MOST:
        return []
    losses.add("cache.more_than_4", f"{len(marked)} were asked for")
    return marked[1 : 1 - MOST]

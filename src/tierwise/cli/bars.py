"""Bars and sparklines in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LEVELS = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """`share` (0..1) of `width` characters, to an eighth; what is not nothing shows."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def sparkline(amounts: Sequence[int]) -> str:
    """One character for each amount, the largest full; an amount of 0 is a space."""
    most = max(amounts, default=0)
    if most <= 0:
        return " " * len(amounts)
    return "".join(" " if amount <= 0 else _LEVELS[(amount * 8 - 1) // most] for amount in amounts)

"""Charts as SVG text: the difference with its interval and margin, cost against quality, latency. No scripts,
no network; every label is escaped. Colours are the page's variables, so that they follow its light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ..results import Evaluation

_WIDE, _LEFT = 720, 150
_INK, _SOFT, _GOOD, _BAD, _MARGIN = "ink", "line", "good", "bad", "five"
_COLOURS = ("one", "two", "three", "four", "five", "six")


def difference_chart(one: Evaluation) -> str:
    """One line per comparison: the difference in points with its interval, the margin and the refusal."""
    rows = one.comparisons
    ends = [end for each in rows for end in each.verdict.interval]
    low = min([*ends, -one.bar.refuse]) - 0.02
    high = max([*ends, 0.0]) + 0.02
    height = 40 + 36 * len(rows)
    parts = [_open(height, "difference of scores with interval and margin")]

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDE - _LEFT - 20)

    for value, colour, label in (
        (0.0, _SOFT, "equal"),
        (-one.bar.margin, _MARGIN, f"margin −{one.bar.margin * 100:g}"),
        (-one.bar.refuse, _BAD, f"refuse −{one.bar.refuse * 100:g}"),
    ):
        dash = "" if value == 0 else ' stroke-dasharray="4 3"'
        parts.append(_line((x(value), 20), (x(value), height - 6), colour, dash))
        parts.append(_text(x(value), 13, label, colour, "middle"))
    for number, each in enumerate(rows):
        y = 42 + 36 * number
        verdict = each.verdict
        colour = {"switch": _GOOD, "keep": _BAD}.get(verdict.decision, _INK)
        parts.append(_text(_LEFT - 10, y + 4, verdict.cheap, _INK, "end"))
        parts.append(
            _line((x(verdict.interval[0]), y), (x(verdict.interval[1]), y), colour, ' stroke-width="4"')
        )
        parts.append(_dot(x(verdict.difference), y, colour, f"{verdict.difference * 100:+.1f} points"))
    return "".join([*parts, "</svg>"])


def cost_chart(one: Evaluation) -> str:
    """Price per Case (log) against score, with the frontier; "" when fewer than two tiers have a price."""
    known = [
        (tier.card.name, tier.per_case_pico / 1e12, tier.score.value)
        for tier in one.tiers
        if tier.per_case_pico and tier.score.value is not None
    ]
    if len(known) < 2:
        return ""
    height = 280
    costs, scores = [cost for _, cost, _ in known], [score for _, _, score in known]
    low, high = math.log10(min(costs)) - 0.15, math.log10(max(costs)) + 0.3
    bottom, top = max(0.0, min(scores) - 0.05), min(1.0, max(scores) + 0.05)

    def at(cost: float, score: float) -> tuple[float, float]:
        across = 60 + (math.log10(cost) - low) / (high - low) * (_WIDE - 100)
        return across, 20 + (top - score) / max(top - bottom, 1e-9) * (height - 60)

    parts = [_open(height, "price per case against score")]
    parts.append(_line((60, height - 40), (_WIDE - 20, height - 40), _SOFT))
    parts.append(_line((60, 20), (60, height - 40), _SOFT))
    parts.append(_text(_WIDE / 2, height - 8, "USD per Case (log scale)", _INK, "middle"))
    for value in (bottom, top):
        parts.append(_text(54, at(costs[0], value)[1] + 4, f"{value * 100:.0f} %", _INK, "end"))
    frontier = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(cost, score) for cost, score in _frontier(known)))
    parts.append(
        f'<polyline points="{frontier}" fill="none" style="stroke:var(--{_SOFT})" stroke-dasharray="4 3"/>'
    )
    for number, (name, cost, score) in enumerate(known):
        x, y = at(cost, score)
        parts.append(_dot(x, y, _COLOURS[number % len(_COLOURS)], f"{name}: ${cost:.6f}, {score:.1%}"))
        # Below its dot: the frontier rises from there.
        parts.append(_text(x + 9, y + 15, f"{name} ${cost:.6f}", _INK, "start"))
    return "".join([*parts, "</svg>"])


def latency_chart(times_ms: Mapping[str, Sequence[float]]) -> str:
    """How total times are distributed, one curve per tier: the share answered within so many milliseconds
    (log scale); "" when nothing was timed.
    """
    known = {name: sorted(times) for name, times in times_ms.items() if len(times) >= 2}
    if not known:
        return ""
    height = 260
    low = math.log10(max(min(times[0] for times in known.values()), 0.01))
    high = math.log10(max(0.02, *(times[-1] for times in known.values()))) + 0.02
    span = max(high - low, 1e-6)

    def x(time: float) -> float:
        return 60 + (math.log10(max(time, 0.01)) - low) / span * (_WIDE - 220)

    parts = [_open(height, "distribution of total times")]
    for share in (0.0, 0.5, 0.95, 1.0):
        y = 20 + (1 - share) * (height - 60)
        parts.append(_line((60, y), (_WIDE - 160, y), "faint"))
        if share < 1:
            parts.append(_text(54, y + 4, f"{share:.0%}", _INK, "end"))
    for time in _round_times(low, high):
        parts.append(_text(x(time), height - 22, f"{time:g} ms", _INK, "middle"))
    for number, (name, times) in enumerate(known.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        steps = [i / 100 for i in range(101)]
        points = " ".join(
            f"{x(times[round(share * (len(times) - 1))]):.1f},{20 + (1 - share) * (height - 60):.1f}"
            for share in steps
        )
        parts.append(
            f'<polyline points="{points}" fill="none" style="stroke:var(--{colour})" stroke-width="2"/>'
        )
        middle = times[len(times) // 2]
        parts.append(_text(_WIDE - 150, 30 + 18 * number, f"{name} {middle:,.0f} ms", colour, "start"))
    return "".join([*parts, "</svg>"])


def _round_times(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within two logarithms; powers alone where that would be crowded."""
    powers = range(math.floor(low), math.floor(high) + 1)
    found = [digit * 10.0**power for power in powers for digit in ((1, 2, 5) if high - low < 2 else (1,))]
    return [time for time in found if low <= math.log10(time) <= high]


def _frontier(known: Sequence[tuple[str, float, float]]) -> list[tuple[float, float]]:
    """(cost, score) of the tiers that no other one beats in both."""
    best: list[tuple[float, float]] = []
    for _, cost, score in sorted(known, key=lambda each: (each[1], -each[2])):
        if not best or score > best[-1][1]:
            best.append((cost, score))
    return best


def _open(height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDE} {height}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-size="13">'
    )


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, more: str = "") -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'style="stroke:var(--{colour})"{more}/>'
    )


def _text(x: float, y: float, text: str, colour: str, anchor: str) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} style="fill:var(--{colour})">{escape(text)}</text>'


def _dot(x: float, y: float, colour: str, title: str) -> str:
    where = f'cx="{x:.1f}" cy="{y:.1f}" r="5"'
    return f'<circle {where} style="fill:var(--{colour})"><title>{escape(title)}</title></circle>'

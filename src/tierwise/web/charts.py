"""The geometry of the charts: numbers in, coordinates out. Templates draw them as SVG, colours are the
stylesheet's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from .rollup import DAY_US
from .shown import usd
from .views.exchanges import Attempt, Exchange
from .views.overview import Series
from .views.tasks import Evidence

WIDTH, HEIGHT = 720, 220
_LEFT, _BOTTOM, _TOP = 84, 26, 14


class Bar(Struct, frozen=True):
    """A rectangle. `color` is the number of its series, `words` what it says to people."""

    x: float
    y: float
    width: float
    height: float
    color: int
    words: str


class Tick(Struct, frozen=True):
    """A mark of an axis."""

    at: float
    words: str


class Bars(Struct, frozen=True):
    """Stacked bars over time."""

    width: int
    height: int
    left: int
    base: float
    bars: list[Bar]
    across: list[Tick]
    up: list[Tick]


class Interval(Struct, frozen=True):
    """An interval against its margin, as places 0..width."""

    width: int
    low: float
    high: float
    point: float
    margin: float
    zero: float


class Segment(Struct, frozen=True):
    """A stretch of one attempt, in percent of the whole."""

    x: float
    width: float
    kind: str
    name: str
    us: int


class Wait(Struct, frozen=True):
    """An attempt's row in the waterfall."""

    attempt: Attempt
    segments: list[Segment]


def stacked(series: Series, amounts: list[list[int]], words: Callable[[int], str]) -> Bars:
    """Bars of `amounts[i][j]`, series i at step j."""
    steps = len(series.starts_us)
    tops = [sum(row[step] for row in amounts) for step in range(steps)]
    highest = _ceiling(max(tops, default=0))
    base, space = HEIGHT - _BOTTOM, (WIDTH - _LEFT) / max(1, steps)
    scale = (base - _TOP) / highest if highest else 0.0
    bars = []
    for step, start in enumerate(series.starts_us):
        y = float(base)
        for number, row in enumerate(amounts):
            if row[step] > 0:
                height = row[step] * scale
                y -= height
                what = f"{series.names[number]}, {_instant(start, series.step_us)}: {words(row[step])}"
                bars.append(
                    Bar(_round(_LEFT + step * space + space * 0.12), _round(y), _round(space * 0.76),
                        _round(max(height, 0.5)), number % 8, what)
                )  # fmt: skip
    every = max(1, -(-steps // 8))
    across = [
        Tick(_round(_LEFT + (step + 0.5) * space), _instant(start, series.step_us, brief=True))
        for step, start in enumerate(series.starts_us)
        if step % every == 0
    ]
    parts = (0, highest // 2, highest) if highest else (0,)
    up = [Tick(_round(base - part * scale), words(part)) for part in parts]
    return Bars(WIDTH, HEIGHT, _LEFT, base, bars, across, up)


def spark(values: Sequence[int | None], width: int = 120, height: int = 28) -> list[str]:
    """The pieces of a line through the known values, as SVG points."""
    known = [value for value in values if value is not None]
    top = max(known, default=0) or 1
    step = (width - 4) / max(1, len(values) - 1)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            y = height - 3 - (height - 6) * value / top
            pieces[-1].append(f"{2 + number * step:.1f},{y:.1f}")
    # A value alone has no line: it is drawn as a short one.
    return [
        " ".join(piece) if len(piece) > 1 else f"{piece[0]} {_right(piece[0])}" for piece in pieces if piece
    ]


def interval(evidence: Evidence, width: int = 240) -> Interval:
    """Where an interval of differences lies against 0 and the margin."""
    first, last = min(evidence.low, -evidence.margin), max(evidence.high, 0.0)
    pad = max(last - first, 0.01) * 0.2

    def place(value: float) -> float:
        return _round((value - first + pad) / (last - first + 2 * pad) * width)

    return Interval(
        width, place(evidence.low), place(evidence.high), place(evidence.difference),
        place(-evidence.margin), place(0.0),
    )  # fmt: skip


def waterfall(exchange: Exchange) -> list[Wait]:
    """The attempts of an exchange against its whole time."""
    ends = [each.closed_us or each.opened_us for each in exchange.attempts]
    whole = max(1, max(ends) - exchange.began_us)
    rows, start = [], exchange.began_us
    for number, attempt in enumerate(exchange.attempts):
        segments = []
        first = attempt.opened_us + attempt.line.ttft_us if attempt.line.ttft_us is not None else None
        marks: list[tuple[str, str, int, int]] = []
        before = exchange.attempts[number - 1].closed_us if number else None
        if before is not None:
            marks.append(("pause", "Waiting to try again", before, attempt.opened_us))
        elif not number and attempt.before_us is not None:
            marks.append(("gate", "Door, Reading, Choosing", start, attempt.opened_us))
        if attempt.closed_us is not None:
            until = min(first, attempt.closed_us) if first is not None else attempt.closed_us
            name = "Calling: until the first content" if first is not None else "Calling: no content came"
            marks.append(("wait", name, attempt.opened_us, until))
            if first is not None:
                marks.append(
                    ("write", "Writing and Recording: until the last byte", until, attempt.closed_us)
                )
        for kind, name, begin, end in marks:
            if end >= begin:
                left, width = (begin - exchange.began_us) * 100 / whole, (end - begin) * 100 / whole
                segments.append(Segment(_round(left), _round(max(width, 0.3)), kind, name, end - begin))
        rows.append(Wait(attempt, segments))
    return rows


def charts() -> dict[str, Any]:
    """By the names templates use."""
    return {
        "stacked": stacked, "spark": spark, "interval_of": interval, "waterfall": waterfall, "day": _day,
        "usd_of": usd,
    }  # fmt: skip


def _ceiling(value: int) -> int:
    """The next round number: 1, 2, 2.5 or 5 times a power of ten."""
    power = int(10 ** (len(str(value)) - 1))
    for tenths in (10, 20, 25, 50, 100):
        bound = power * tenths // 10
        if bound >= value:
            return bound
    return value


def _instant(at_us: int, step_us: int, brief: bool = False) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    if step_us >= DAY_US:
        return at.strftime("%d %b") if brief else at.strftime("%Y-%m-%d")
    if step_us > DAY_US // 24:
        return at.strftime("%d %b %Hh") if brief else at.strftime("%Y-%m-%d %H:%M")
    return at.strftime("%H:%M") if brief else at.strftime("%Y-%m-%d %H:%M")


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d")


def _round(value: float) -> float:
    return round(value, 2)


def _right(point: str) -> str:
    x, _, y = point.partition(",")
    return f"{float(x) + 2:.1f},{y}"

"""What `tierwise top` shows: figures of the last seconds, by tier, and how they look in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ..clock import rfc3339
from ..ledger.recent import Ended
from ..ledger.report import Quantiles, quantiles
from ..money import usd_text
from .bars import bar, sparkline
from .ledger_table import ms, short_name

if TYPE_CHECKING:
    from rich.console import RenderableType

LAST = 10
STEPS = 20
_TIER, _BAR = 16, 12
_WIDE = 80
# Columns, and the narrowest terminal that they have room on; those of 0 stay on any.
_TIERS = {"tier": 0, "share": 80, "req/s": 0, "errors": 50, "spend/min": 0, "TTFT": 80, "p95": 0}
_CALLS = {"ended": 60, "task": 80, "tier": 0, "outcome": 50, "cost": 0, "time": 0}
_WIDTHS = {"ended": 8, "task": 14, "outcome": 10, "share": _BAR + 5}


class Gateway(Struct, frozen=True):
    """What a running server says of itself. `open`: models whose circuit breaker is open."""

    in_flight: int
    most: int
    waiting: int
    draining: bool
    open: tuple[str, ...]


class TierLine(Struct, frozen=True):
    """One tier in the window. `share` is of all calls; `spend_pico` of those with a price."""

    tier: str
    calls: int
    share: float
    errors: int
    unpriced: int
    spend_pico: int
    ttft: Quantiles
    total: Quantiles


class Screen(Struct, frozen=True):
    """One look: calls that ended in the last `window_s` seconds. `over_time`: calls per twentieth of it.
    `cached` requests were answered from the response cache: no calls, so in no other figure but `last`."""

    window_s: int
    calls: int
    errors: int
    unpriced: int
    spend_pico: int
    over_time: tuple[int, ...]
    tiers: tuple[TierLine, ...]
    last: tuple[Ended, ...]
    gateway: Gateway | None
    cached: int = 0


def screen_of(ended: Sequence[Ended], now_us: int, window_s: int, gateway: Gateway | None) -> Screen:
    """The figures of `ended`, newest first."""
    calls = [each for each in ended if each.outcome != "cached"]
    by_tier: dict[str, list[Ended]] = {}
    for call in calls:
        by_tier.setdefault(call.tier or "pinned", []).append(call)
    steps = [0] * STEPS
    for call in calls:
        ago = max(0, now_us - call.at_us) * STEPS // (window_s * 1_000_000)
        steps[STEPS - 1 - min(STEPS - 1, ago)] += 1
    lines = [_tier(name, some, len(calls)) for name, some in by_tier.items()]
    return Screen(
        window_s=window_s,
        calls=len(calls),
        errors=sum(call.failed for call in calls),
        unpriced=sum(call.cost_pico is None for call in calls),
        spend_pico=sum(call.cost_pico or 0 for call in calls),
        over_time=tuple(steps),
        tiers=tuple(sorted(lines, key=lambda line: (-line.calls, line.tier))),
        last=tuple(ended[:LAST]),
        gateway=gateway,
        cached=len(ended) - len(calls),
    )


def _tier(name: str, calls: list[Ended], all_calls: int) -> TierLine:
    well = [call for call in calls if call.outcome == "ok"]
    return TierLine(
        tier=name,
        calls=len(calls),
        share=len(calls) / all_calls,
        errors=sum(call.failed for call in calls),
        unpriced=sum(call.cost_pico is None for call in calls),
        spend_pico=sum(call.cost_pico or 0 for call in calls),
        ttft=quantiles([call.ttft_us for call in well if call.ttft_us is not None]),
        total=quantiles([call.total_us for call in well]),
    )


def picture(screen: Screen, columns: int = _WIDE) -> RenderableType:
    """The look for a terminal of so many columns; one of less than 80 gets less."""
    from rich.console import Group
    from rich.text import Text

    hits = f", {screen.cached} more from the response cache" if screen.cached else ""
    return Group(
        Text.assemble(("tierwise", "bold"), f"  calls that ended in the last {screen.window_s} s{hits}"),
        Text(_totals(screen)),
        _state(screen.gateway, columns),
        Text(""),
        _tiers(screen, columns),
        Text(""),
        _last(screen.last, columns),
    )


def _totals(screen: Screen) -> str:
    rate = screen.calls / screen.window_s
    failed = f"{screen.errors / screen.calls:.1%}" if screen.calls else "n/a"
    unpriced = f"   unpriced {screen.unpriced}" if screen.unpriced else ""
    spend = usd_text(screen.spend_pico * 60 // screen.window_s)
    return f"{rate:.1f} req/s {sparkline(screen.over_time)}  {spend}/min   errors {failed}{unpriced}"


def _state(gateway: Gateway | None, columns: int) -> RenderableType:
    from rich.text import Text

    if gateway is None:
        return Text("server: not asked (down, or its control port is not known)", style="dim")
    said = Text(f"in flight {gateway.in_flight} of {gateway.most}   rows waiting {gateway.waiting}   ")
    if gateway.draining:
        said.append("draining   ", "yellow")
    if gateway.open:
        said.append(f"breaker open: {', '.join(map(short_name, gateway.open))}", "bold red")
    else:
        said.append("breakers closed", "green")
    said.truncate(min(_WIDE, columns), overflow="ellipsis")
    return said


def _tiers(screen: Screen, columns: int) -> RenderableType:
    from rich.text import Text

    rows = [
        (
            Text(short_name(line.tier)),
            Text.assemble((f"{bar(line.share, _BAR):<{_BAR}}", "cyan"), f" {line.share:4.0%}"),
            f"{line.calls / screen.window_s:.1f}",
            Text(str(line.errors), "red" if line.errors else ""),
            usd_text(line.spend_pico * 60 // screen.window_s) + ("*" if line.unpriced else ""),
            ms(line.ttft.p50),
            ms(line.total.p95),
        )
        for line in screen.tiers[:12]
    ]
    return _table(_TIERS, rows, columns, _TIER)


def _last(calls: Sequence[Ended], columns: int) -> RenderableType:
    from rich.text import Text

    rows = [
        (
            rfc3339(call.at_us)[11:19],
            Text(short_name(call.task)),
            Text(short_name(call.tier or call.model)),
            Text(call.outcome, "red" if call.failed else ""),
            "unpriced" if call.cost_pico is None else usd_text(call.cost_pico),
            ms(call.total_us),
        )
        for call in calls
    ]
    return _table(_CALLS, rows, columns, 14)


def _table(
    heads: Mapping[str, int], rows: Sequence[Sequence[RenderableType]], columns: int, tier: int
) -> RenderableType:
    """Those of the columns that have room. Names are cut to `tier` columns, to 10 on a narrow terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, width=min(_WIDE, columns))
    widths = {**_WIDTHS, "tier": tier if columns >= _WIDE else 10}
    shown = [number for number, least in enumerate(heads.values()) if columns >= least]
    for heading in (list(heads)[number] for number in shown):
        if heading in widths:
            table.add_column(heading, no_wrap=True, width=widths[heading], overflow="ellipsis")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[number] for number in shown))
    return table

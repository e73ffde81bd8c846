"""Draws: what was kept on the reference tier or routed as chance would have it, and what each cost in all.

A draw is one request with all its attempts, or one session: its calls stay on one tier, so they are drawn
together and are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from .settled import Settled

HOLDOUT = "holdout"
"""The tag of calls kept on the reference tier at random."""
STAYED = "holdout-stayed"
"""The tag of calls that were drawn for it and stayed: the reference tier has no room under their own cap, or
cannot serve them."""
MARKS = (HOLDOUT, STAYED)
LEAST_OF_DAYS = 10
"""Draws of each arm that days are taken together for."""


class Arm(Struct):
    """What draws cost: their number, and the sums of their costs, squares and cubes, exact."""

    calls: int = 0
    sum_pico: int = 0
    squares: int = 0
    cubes: int = 0

    def add(self, pico: int) -> None:
        """Counts the cost of one draw."""
        self.calls += 1
        self.sum_pico += pico
        self.squares += pico * pico
        self.cubes += pico * pico * pico

    def merge(self, other: Arm) -> None:
        """Counts another arm's draws."""
        self.calls += other.calls
        self.sum_pico += other.sum_pico
        self.squares += other.squares
        self.cubes += other.cubes


class Stratum(Struct):
    """The draws of some days in a row: held out on the reference tier, and routed."""

    held: Arm
    routed: Arm

    @property
    def enough(self) -> bool:
        """Whether the days stand by themselves."""
        return min(self.held.calls, self.routed.calls) >= LEAST_OF_DAYS

    def merge(self, other: Stratum) -> None:
        """Takes in another's draws."""
        self.held.merge(other.held)
        self.routed.merge(other.routed)


class Arms(Struct):
    """A task's draws from the first day with one held out to the last, in strata of days in a row: the share
    may have been another on other days, and so may the traffic. `beside_pico` was spent on the task on these
    days beside serving it (shadow, judge, eval …), which routing alone is the reason for.
    """

    strata: tuple[Stratum, ...]
    beside_pico: int = 0


class _Draw(Struct):
    """A draw of several calls, or of a failed attempt that another may follow; `day` is the first."""

    day: str
    cost_pico: int = 0
    held: bool = False
    again: bool = False
    tiers: frozenset[str] = frozenset()


class _Day(Struct):
    """A day's draws of one call each, the routed ones by tier, and what was spent beside."""

    held: Arm
    routed: dict[str, Arm]
    beside_pico: int = 0


class Draws:
    """The draws of one task, from its served calls and failed attempts in any order.

    Only what could have been held out counts: calls that named a model or a tier are left out, and those that
    came to the reference tier by no fault of another. A call that was drawn and stayed counts as held out, at
    what it cost: without routing it would have cost just that.
    """

    def __init__(self) -> None:
        self.any_held = False
        self._references: set[str] = set()
        self._days: dict[str, _Day] = {}
        self._open: dict[tuple[str, str], _Draw] = {}

    def beside(self, day: str, pico: int) -> None:
        """Takes in what was spent on a day beside serving."""
        self._day(day).beside_pico += pico

    def add(self, call: Settled) -> None:
        """Takes in an attempt."""
        if call.cost_pico is None or not _unnamed(call.asked):
            return
        moved, failed = HOLDOUT in call.tags, call.outcome == "error"
        held = moved or STAYED in call.tags
        self.any_held = self.any_held or moved
        if moved and call.tier and not _again(call):
            self._references.add(call.tier)
        where = (call.key, call.session) if call.session else ("", call.exchange)
        draw = self._open.get(where)
        if draw is None and not call.session and not failed and not _again(call):
            day = self._day(call.day)
            (day.held if held else day.routed.setdefault(call.tier, Arm())).add(call.cost_pico)
            return
        if draw is None:
            if failed and not call.cost_pico and not call.session:
                return
            draw = self._open[where] = _Draw(call.day)
        draw.day = min(draw.day, call.day)
        draw.cost_pico += call.cost_pico
        draw.held = draw.held or held
        draw.again = draw.again or failed or _again(call)
        if not failed:
            draw.tiers |= {call.tier}

    def arms(self) -> Arms:
        """Both arms, by days."""
        found = {day: self._stratum(one) for day, one in self._days.items()}
        for draw in self._open.values():
            stratum = found.setdefault(draw.day, Stratum(Arm(), Arm()))
            if draw.held:
                stratum.held.add(draw.cost_pico)
            elif draw.tiers - self._references or (draw.again and (draw.tiers or draw.cost_pico)):
                stratum.routed.add(draw.cost_pico)
        held = [day for day, stratum in found.items() if stratum.held.calls]
        if not held:
            return Arms(())
        within = [day for day in sorted(found) if min(held) <= day <= max(held)]
        beside = sum(self._days[day].beside_pico for day in within if day in self._days)
        return Arms(_together(found[day] for day in within), beside)

    def _day(self, day: str) -> _Day:
        return self._days.setdefault(day, _Day(Arm(), {}))

    def _stratum(self, day: _Day) -> Stratum:
        made = Stratum(Arm(), Arm())
        made.held.merge(day.held)
        for tier, arm in day.routed.items():
            if tier not in self._references:
                made.routed.merge(arm)
        return made


def _together(days: Iterable[Stratum]) -> tuple[Stratum, ...]:
    """Days in a row taken together until both arms have enough. What is left over goes to those before it:
    at the end, and where a day stands by itself, as the first with a larger share does.
    """
    found = [Stratum(Arm(), Arm())]
    for day in days:
        if found[-1].enough or (day.enough and len(found) > 1):
            _join(found)
            found.append(Stratum(Arm(), Arm()))
        found[-1].merge(day)
    _join(found)
    return tuple(found)


def _join(found: list[Stratum]) -> None:
    """Leaves no last stratum without enough draws, unless it is the only one."""
    if len(found) > 1 and not found[-1].enough:
        rest = found.pop()
        found[-1].merge(rest)


def _unnamed(asked: str) -> bool:
    return asked in ("", "auto") or asked.startswith("task/")


def _again(call: Settled) -> bool:
    """Whether it was not the first attempt of its request."""
    number = call.attempt.rpartition("-")[2]
    return number.isdigit() and number != "1"

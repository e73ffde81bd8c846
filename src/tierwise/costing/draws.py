"""Draws: what was kept on the reference tier or routed as chance would have it, and what each cost in all.

A draw is one request with all its attempts, or one session: its calls stay on one tier, so they are drawn
together and are no independent evidence.
"""

from __future__ import annotations

from collections import defaultdict

from msgspec import Struct

from .settled import Settled

HOLDOUT = "holdout"
"""The tag of calls kept on the reference tier at random."""


class Arm(Struct):
    """What one arm of a task cost: the number of draws, sum and sum of squares, exact."""

    calls: int = 0
    sum_pico: int = 0
    squares: int = 0

    def add(self, pico: int) -> None:
        """Counts the cost of one draw."""
        self.calls += 1
        self.sum_pico += pico
        self.squares += pico * pico

    def merge(self, other: Arm) -> None:
        """Counts another arm's draws."""
        self.calls += other.calls
        self.sum_pico += other.sum_pico
        self.squares += other.squares


class Arms(Struct):
    """A task's draws held out on the reference tier, and those routed; `beside_pico` was spent on the task
    beside serving it (shadow, judge, eval …), which routing alone is the reason for.
    """

    held: Arm
    routed: Arm
    beside_pico: int = 0


class _Draw(Struct):
    """A draw of several calls, or of a failed attempt that another may follow."""

    cost_pico: int = 0
    held: bool = False
    again: bool = False
    tiers: frozenset[str] = frozenset()


class Draws:
    """The draws of one task, from its served calls and failed attempts in any order.

    Only what could have been held out counts: calls that named a model or a tier are left out, and those that
    came to the reference tier by no fault of another.
    """

    def __init__(self) -> None:
        self.any_held = False
        self.beside_pico = 0
        self._references: set[str] = set()
        self._held = Arm()
        self._routed: dict[str, Arm] = defaultdict(Arm)
        self._open: dict[tuple[str, str], _Draw] = {}

    def add(self, call: Settled) -> None:
        """Takes in an attempt."""
        if call.cost_pico is None or not _unnamed(call.asked):
            return
        held = HOLDOUT in call.tags
        failed = call.outcome == "error"
        self.any_held = self.any_held or held
        if held and call.tier and not _again(call):
            self._references.add(call.tier)
        where = (call.key, call.session) if call.session else ("", call.exchange)
        draw = self._open.get(where)
        if draw is None and not call.session and not failed and not _again(call):
            (self._held if held else self._routed[call.tier]).add(call.cost_pico)
            return
        if draw is None:
            if failed and not call.cost_pico and not call.session:
                return
            draw = self._open[where] = _Draw()
        draw.cost_pico += call.cost_pico
        draw.held = draw.held or held
        draw.again = draw.again or failed or _again(call)
        if not failed:
            draw.tiers |= {call.tier}

    def arms(self) -> Arms:
        """Both arms."""
        routed = Arm()
        for tier, arm in self._routed.items():
            if tier not in self._references:
                routed.merge(arm)
        held = Arm()
        held.merge(self._held)
        for draw in self._open.values():
            if draw.held:
                held.add(draw.cost_pico)
            elif draw.tiers - self._references or (draw.again and (draw.tiers or draw.cost_pico)):
                routed.add(draw.cost_pico)
        return Arms(held, routed, self.beside_pico)


def _unnamed(asked: str) -> bool:
    return asked in ("", "auto") or asked.startswith("task/")


def _again(call: Settled) -> bool:
    """Whether it was not the first attempt of its request."""
    number = call.attempt.rpartition("-")[2]
    return number.isdigit() and number != "1"

"""Which budget windows a call is charged on: what this replica knows of budgets. The sums are Postgres's.

What is known may be old: a batch says by which version of the budgets it was made, and `post` refuses one
that is not the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import BudgetRefused
from ...nouns import Budget, Open
from ..budgets import Window, refusal
from ..periods import window_of
from .records import budget_of
from .text import stored

Spot = tuple[str, str, str, int, int]
"""A window without its id: scope, period, zone, start, end."""
FIND_WINDOW = "SELECT id FROM budget_window WHERE scope = %s AND period = %s AND zone = %s AND start_us = %s"
MAKE_WINDOW = (
    "INSERT INTO budget_window (scope, period, zone, start_us, end_us) VALUES (%s,%s,%s,%s,%s)"
    " ON CONFLICT DO NOTHING"
)
_MOST_KEPT = 100_000


class Charges:
    """Budgets by scope and the ids of their windows."""

    def __init__(self) -> None:
        self.version = "-1"
        self._budgets: dict[str, Budget] = {}
        self._bounds: dict[str, tuple[int, int]] = {}
        self._ids: dict[Spot, int] = {}

    def learn(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Takes the rows of BUDGETS_SINCE."""
        for version, *row in rows:
            self.version = str(version)
            if row[0] is not None:
                budget = budget_of(tuple(row))
                if budget.cap_pico < 0:  # removed
                    self._budgets.pop(budget.scope, None)
                else:
                    self._budgets[budget.scope] = budget
                self._bounds.pop(budget.scope, None)

    def spots(self, row: Open) -> list[Spot]:
        """The windows an OPEN is charged on, each once, in the order of its scopes."""
        found: list[Spot] = []
        for scope in row.scopes:
            budget = self._budgets.get(scope)
            if budget is None:
                continue
            bounds = self._bounds.get(scope)
            if bounds is None or not bounds[0] <= row.at_us < bounds[1]:
                bounds = self._bounds[scope] = window_of(budget.period, budget.zone, row.at_us)
            spot = (scope, budget.period, budget.zone, *bounds)
            if spot not in found:
                found.append(spot)
        return found

    def capped(self, scopes: Sequence[str]) -> str:
        """The first of `scopes` that has a budget, "" where none has."""
        return next((scope for scope in scopes if scope in self._budgets), "")

    def id_of(self, spot: Spot) -> int | None:
        """The id of a window, None until `know` was told."""
        return self._ids.get(spot)

    def know(self, spot: Spot, id: int) -> None:
        """Remembers a window's id."""
        if len(self._ids) > _MOST_KEPT:
            self._ids.clear()
        self._ids[spot] = id

    def cap(self, spot: Spot) -> str:
        """The cap of a window's budget, pico-dollars, as text: it outgrows 64 bits."""
        return str(self._budgets[spot[0]].cap_pico)

    def refused(self, row: Open, spot: Spot, spent: int, reserved: int) -> BudgetRefused:
        """Why an OPEN was refused on a window whose sums were these."""
        window = Window(0, self._budgets[spot[0]], (spot[3], spot[4]))
        window.spent, window.reserved = spent, reserved
        return refusal(self._budgets[spot[0]], window, row.reserved_pico)

    def forget_windows(self) -> None:
        """After the ledger was restored from a copy, ids may mean something else."""
        self._ids.clear()


def window_key(spot: Spot) -> tuple[Any, ...]:
    """A spot's columns as they are stored."""
    return (stored(spot[0]), *spot[1:])

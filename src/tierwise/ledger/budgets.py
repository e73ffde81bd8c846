"""The budget book: what is reserved and spent per scope and window, in memory, exact, in step with the store.

One writer owns the store, so this copy is the truth between two transactions: checks cost no query. A
transaction that fails is undone here too (`undo`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from weakref import WeakValueDictionary

from msgspec import Struct

from ..errors import BudgetRefused
from ..money import exact_usd, usd_text
from ..nouns.record import Budget
from .periods import reset_text, window_of


class Balance(Struct, frozen=True):
    """A Budget and where it stands in one window, pico-dollars; window bounds in microseconds since 1970."""

    budget: Budget
    start_us: int
    end_us: int
    reserved_pico: int
    spent_pico: int

    @property
    def left_pico(self) -> int:
        """What may still be reserved; negative when the cap was lowered below what is spent."""
        return self.budget.cap_pico - self.spent_pico - self.reserved_pico

    @property
    def soft_passed(self) -> bool:
        """Whether what is spent has reached the budget's own `soft` amount."""
        return self.budget.soft_pico is not None and self.spent_pico >= self.budget.soft_pico

    def passed(self, thresholds: Iterable[int]) -> list[int]:
        """Those of the thresholds, percent of the cap, that what is spent has reached."""
        cap = self.budget.cap_pico
        return [percent for percent in thresholds if cap and self.spent_pico * 100 >= percent * cap]


class Window:
    """One period of one scope: its row in the store, changed in place. Compared by identity."""

    __slots__ = (
        "__weakref__", "end_us", "id", "name", "period", "reserved", "scope", "spent", "start_us", "zone",
    )  # fmt: skip

    def __init__(self, id: int, budget: Budget, bounds: tuple[int, int]) -> None:
        self.id = id
        self.name = str(id)
        self.scope, self.period, self.zone = budget.scope, budget.period, budget.zone
        self.start_us, self.end_us = bounds
        self.reserved = 0
        self.spent = 0


class Meter:
    """A Budget with the window it charges now."""

    __slots__ = ("budget", "window")

    def __init__(self, budget: Budget, window: Window) -> None:
        self.budget = budget
        self.window = window


FindWindow = Callable[[Budget, int], Window | None]
LoadWindow = Callable[[int], Window]


class Book:
    """Reserves and settles. Every change is kept by `keep` once the transaction holds, or taken back by
    `undo`.
    """

    def __init__(self, next_id: int, find: FindWindow, load: LoadWindow) -> None:
        """`find(budget, start_us)` and `load(id)` ask the store for a window that is not in memory."""
        self._meters: dict[str, Meter] = {}
        # Known as long as a meter or an open attempt charges them: a year has 365 days for every budget.
        self._windows: WeakValueDictionary[int, Window] = WeakValueDictionary()
        self._by_start: WeakValueDictionary[tuple[str, str, str, int], Window] = WeakValueDictionary()
        self._prepared: Window | None = None
        self._next_id = next_id
        self._find = find
        self._load = load
        self._before: dict[Window, tuple[int, int]] = {}

    def set(self, budget: Budget, at_us: int) -> Balance:
        """Puts a budget in force. A changed cap keeps the window's sums; a changed period or zone starts
        its own window.
        """
        self._meters[budget.scope] = Meter(budget, self._window(budget, at_us))
        self._prepared = None
        return self.balance(budget.scope, at_us)

    def remove(self, scope: str) -> None:
        """Takes the budget of a scope out of force, if there is one. Its windows keep their sums."""
        self._meters.pop(scope, None)

    def capped(self, scopes: Sequence[str]) -> str:
        """The first of `scopes` that has a budget, "" where none has."""
        return next((scope for scope in scopes if scope in self._meters), "")

    def prepare(self, budget: Budget, at_us: int) -> None:
        """Asks the store what `set` will need, so that `set` cannot fail."""
        self._prepared = self._window(budget, at_us)

    def reserve(self, scopes: Sequence[str], at_us: int, amount: int) -> tuple[Window, ...]:
        """Reserves `amount` on every scope that has a budget, or on none: BudgetRefused says which cap and
        what is left.
        """
        meters = self._meters
        charged: list[Window] = []
        for scope in scopes:
            meter = meters.get(scope)
            if meter is None:
                continue
            window = meter.window
            if not window.start_us <= at_us < window.end_us:
                window = self._turn(meter, at_us)
            if window.spent + window.reserved + amount > meter.budget.cap_pico:
                raise refusal(meter.budget, window, amount)
            if window not in charged:
                charged.append(window)
        for window in charged:
            if window not in self._before:
                self._before[window] = (window.reserved, window.spent)
            window.reserved += amount
        return tuple(charged)

    def settle(self, windows: Iterable[Window], released: int, spent: int) -> None:
        """Takes `released` off the reservations and books `spent`, which a correction may make negative."""
        for window in windows:
            if window not in self._before:
                self._before[window] = (window.reserved, window.spent)
            window.reserved -= released
            window.spent += spent

    def changed(self) -> list[tuple[object, ...]]:
        """The store's rows of the windows this transaction changed. Sums as text: they outgrow 64 bits."""
        return [
            (w.id, w.scope, w.period, w.zone, w.start_us, w.end_us, str(w.reserved), str(w.spent))
            for w in self._before
        ]

    def keep(self) -> None:
        """The transaction holds."""
        self._before.clear()

    def undo(self) -> None:
        """The transaction does not hold: every sum is what it was before."""
        for window, (reserved, spent) in self._before.items():
            window.reserved, window.spent = reserved, spent
        self._before.clear()

    def window(self, id: int) -> Window:
        """The window of that id, from memory or the store."""
        return self._windows.get(id) or self._know(self._load(id))

    def balance(self, scope: str, at_us: int) -> Balance:
        """Where a scope's budget stands at `at_us`. Raises KeyError when it has none."""
        meter = self._meters[scope]
        w = self._turn(meter, at_us)
        return Balance(meter.budget, w.start_us, w.end_us, w.reserved, w.spent)

    def balances(self, at_us: int) -> list[Balance]:
        """Every budget and where it stands at `at_us`, by scope."""
        return [self.balance(scope, at_us) for scope in sorted(self._meters)]

    def _turn(self, meter: Meter, at_us: int) -> Window:
        window = meter.window
        if window.start_us <= at_us < window.end_us:
            return window
        window = self._window(meter.budget, at_us)
        # A row from just before midnight may come late: it is charged to its own day without turning the
        # meter back.
        if window.start_us > meter.window.start_us:
            meter.window = window
        return window

    def _window(self, budget: Budget, at_us: int) -> Window:
        bounds = window_of(budget.period, budget.zone, at_us)
        known = self._by_start.get((budget.scope, budget.period, budget.zone, bounds[0]))
        if known is not None:
            return known
        found = self._find(budget, bounds[0])
        if found is None:
            found = Window(self._next_id, budget, bounds)
            self._next_id += 1
        return self._know(found)

    def _know(self, window: Window) -> Window:
        self._by_start[window.scope, window.period, window.zone, window.start_us] = window
        return self._windows.setdefault(window.id, window)


def cap_text(budget: Budget) -> str:
    """The cap as the audit trail tells it: `$25.00 per month`."""
    return f"{exact_usd(budget.cap_pico)} {_per(budget)}"


def _per(budget: Budget) -> str:
    return "in all" if budget.period == "total" else f"per {budget.period}"


def refusal(budget: Budget, window: Window, amount: int) -> BudgetRefused:
    """Says which cap a call of at most `amount` pico-dollars would pass, what is left, when it resets."""
    left = max(0, budget.cap_pico - window.spent - window.reserved)
    resets = reset_text(window.end_us, budget.zone)
    error = BudgetRefused(
        f"The budget of {budget.scope} is {usd_text(budget.cap_pico)} {_per(budget)}:"
        f" {usd_text(window.spent)} spent,"
        f" {usd_text(window.reserved)} reserved, {usd_text(left)} left."
        f" This call may cost up to {usd_text(amount)}.",
        f"It resets at {resets}, or raise the cap." if resets else "It does not reset: raise the cap.",
    )
    error.scope, error.reserved_pico = budget.scope, window.reserved
    error.too_large = amount > budget.cap_pico > 0
    return error

"""What a store promises. SQLite and Postgres keep it; any must pass tests/conformance/test_store_suite.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..costing.savings import Savings
from ..costing.settled import EVERY, Only, Settled
from ..nouns import Budget, Close, Key, Open, Prefixed
from .budgets import Balance
from .report import By, Report
from .rollups.sql import Ask, Flavour


class Store(Protocol):
    """The writing side. A SQLite file is owned by one process; a Postgres ledger is written by several.

    `open`, `close` and `sweep` belong to one event loop; the rest to any thread.
    """

    def open(self, row: Open) -> Awaitable[None]:
        """Durable, and reserved on its scopes, when it resolves. BudgetRefused; StoreError."""

    def close(self, row: Close) -> Awaitable[None]:
        """Durable when it resolves; releases what OPEN reserved and books the cost. StoreError.

        After a StoreError because the store could not be written the row is kept and written later.
        """

    def sweep(self, before_us: int) -> Awaitable[int]:
        """Closes, as `swept`, attempts opened before then and still open; how many."""

    def load_keys(self) -> list[Key]:
        """Every key ever made, revoked ones too, oldest first."""

    def save_key(self, key: Key, budget: Budget | None, act: str) -> None:
        """Adds or replaces a key, with a budget, and an audit row that says `act`, in one transaction."""

    def save_budget(self, budget: Budget) -> Balance:
        """Puts a budget in force and gives where it stands."""

    def remove_budget(self, scope: str) -> bool:
        """Takes a scope's budget out of force; whether there was one. What was charged stays on record."""

    def balances(self) -> list[Balance]:
        """Every budget and where it stands now."""

    def capped(self, scopes: Sequence[str]) -> str:
        """The first of `scopes` that has a budget, as far as this process knows; "" where none has. From
        memory."""

    def word(self, name: str, make: Callable[[], str]) -> str:
        """A word kept under `name`: the one stored, else what `make` gives, stored."""

    def replace_word(self, name: str, value: str, act: str = "") -> None:
        """Stores another word under `name`; an administrator's `act` is audited."""

    def backlog(self) -> tuple[int, int]:
        """Rows that wait to be written, and when the oldest was made (microseconds; 0: none)."""

    def failing_since(self) -> int:
        """When the ledger could be written no more (monotonic, microseconds); 0: it can, as far as is known.
        While it cannot, the store tries again by itself, whether or not rows wait."""

    def look(self) -> None:
        """Called once a second in the event loop: notices where the ledger is no longer what it was."""

    def roll(self) -> bool:
        """Rolls up the next slice of rows, behind the calls. True: another one may wait. StoreError."""

    def announce(self, admin_url: str, token: str) -> None:
        """Tells other processes of this machine where the owner can be asked."""

    def release(self) -> None:
        """Gives up ownership at once; what is queued is not written."""

    async def shutdown(self) -> None:
        """Writes what is queued and gives up ownership. StoreError when rows could not be written."""


class Reader(Protocol):
    """The reading side: works from any process while the owner writes."""

    flavour: Flavour

    def rows(self, since_us: int | None = None, until_us: int | None = None) -> Iterator[dict[str, Any]]:
        """Events in order of commit, in the shape of `ledger export --jsonl`."""

    def finished(
        self, since_us: int | None = None, until_us: int | None = None, only: Only = EVERY
    ) -> Iterator[Settled]:
        """The finished Attempts among `rows` (see `corrected`), without reading what `only` leaves out."""

    def savings(self, since_us: int | None = None, until_us: int | None = None) -> Savings | None:
        """What `savings` makes of `finished`, from roll-ups; None where calls were held out: the spread of
        their costs is in no sum."""

    def verify(self) -> list[str]:
        """What is wrong, first bad row first; empty when the ledger holds."""

    def report(
        self, by: By, since_us: int | None = None, until_us: int | None = None, kind: str = ""
    ) -> Report:
        """Calls, tokens, spend, latency and saving, per group and in all; only of one kind and hits of the
        response cache where `kind` is given, by task, tier, model or kind.
        """

    def asking(self, seconds: float) -> AbstractContextManager[Ask]:
        """Questions in the SQL of `flavour`, all at one instant and read-only. One that takes longer than
        `seconds` is a StoreError that says so.
        """

    def keys(self) -> list[Key]:
        """Every key, oldest first."""

    def balances(self) -> list[Balance]:
        """Every budget and where it stands now."""

    def word(self, name: str) -> str | None:
        """The word kept under `name`; None where there is none."""

    def prefixed(self, most: int) -> list[Prefixed]:
        """Of the last `most` events, the calls that ended and have a prefix digest, oldest first."""

    def close(self) -> None:
        """Lets go of the database."""

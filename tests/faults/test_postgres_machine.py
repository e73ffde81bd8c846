"""The random life of a ledger, on Postgres: the same rules and the same promises as on SQLite."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, initialize, rule

from postgres import Postgres, expire_leases, running, sweep_living
from property.test_ledger_machine import HOUR_US, LedgerLife
from tierwise.ledger import open_ledger
from unit.ledger.made import NOON


class PostgresLife(LedgerLife):
    server: ClassVar[Postgres]
    swept: ClassVar[Bundle[str]] = LedgerLife.swept

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-life-"))
        self.count = 0
        self.open: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        self.keys: dict[str, str] = {}
        self.place = self.server.new_url()
        self.ledger = open_ledger(self.url, {})

    @property
    def url(self) -> str:
        return self.place

    @rule(target=swept)
    def crash(self) -> object:
        """Its connections end, and the time of its lease passes."""
        self.ledger._store.release()
        expire_leases(self.url)
        self.ledger = open_ledger(self.url, {})
        return self.sweep_all()

    @rule(target=swept)
    def sweep(self) -> object:
        """One that was taken for dead may still believe that more is open than there is."""
        assert self.loop.run_until_complete(self.ledger.sweep(NOON + 1000 * HOUR_US)) >= len(self.open)
        return self.sweep_all()

    @rule(target=swept)
    def taken_for_dead(self) -> object:
        """Another replica sweeps this one, though it lives."""
        sweep_living(self.url)
        return self.sweep_all()


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with running() as made:
        PostgresLife.server = made
        yield


TestPostgresLife = PostgresLife.TestCase
TestPostgresLife.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

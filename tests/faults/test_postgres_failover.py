"""A server that takes over without the last rows of the one before, while replicas run: what a failover to a
standby that lags, or to a copy, leaves is a whole ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from postgres import Postgres, postgres  # noqa: F401  a fixture
from stores import rolled, until
from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.ledger.postgres.keeper import sweep_dead
from tierwise.ledger.postgres.link import terms_of
from tierwise.ledger.rollups import read as rollup_read
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import tally as rollup
from tierwise.nouns import Budget
from unit.ledger.made import closed, opened


class Standby:
    """One database that becomes, again and again, what it was when `now` was called."""

    def __init__(self, postgres: Postgres) -> None:  # noqa: F811
        self.postgres = postgres
        self.url = postgres.new_url()
        self.name, self.copy = (f"{self.url.split('/')[3].split('?')[0]}{end}" for end in ("", "_copy"))
        self.ledgers: list[Ledger] = []

    def new(self) -> Ledger:
        self.ledgers.append(open_ledger(self.url, {}))
        return self.ledgers[-1]

    def lags(self) -> None:
        """From now on it is sent nothing."""
        self._replaced(self.copy, self.name)

    def takes_over(self) -> None:
        """It is the ledger from now on."""
        self._replaced(self.name, self.copy)

    def _replaced(self, one: str, by: str) -> None:
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as server:
            # Nobody may be connected to what is copied, and replicas come back at once.
            server.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false".encode())
            self._alone(server, f"DROP DATABASE IF EXISTS {one}")
            self._alone(server, f"CREATE DATABASE {one} TEMPLATE {by}")
            server.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true".encode())

    def _alone(self, server: psycopg.Connection, statement: str) -> None:
        """Carries it out once nobody is connected. Who was let in just before shows only later."""
        for left in reversed(range(10)):
            server.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s",
                (self.name,),
            )
            try:
                server.execute(statement.encode())
                return
            except psycopg.errors.ObjectInUse:
                if not left:
                    raise

    def sweep(self) -> int:
        with psycopg.connect(**terms_of(self.url), autocommit=True) as database:
            return sweep_dead(database, 15.0)

    def sums(self) -> list[tuple[int, int]]:
        assert read_ledger(self.url).verify() == []
        return [(each.reserved_pico, each.spent_pico) for each in read_ledger(self.url).balances()]


@pytest.fixture
async def standby(postgres: Postgres) -> AsyncIterator[Standby]:  # noqa: F811
    made = Standby(postgres)
    yield made
    for ledger in made.ledgers:
        await ledger.shutdown()


async def writes(ledger: Ledger) -> None:
    """The ledger can be written again."""
    await until(lambda: ledger.failing_us() == 0)


async def test_calls_under_way_are_opened_again_and_booked_where_their_rows_were_lost(
    standby: Standby,
) -> None:
    one, two = standby.new(), standby.new()
    one.set_budget(Budget("key:k", 1000))
    await asyncio.gather(*[one.open(opened(name, 100, "key:k")) for name in "abc"])
    await two.open(opened("d", 100, "key:k"))
    standby.lags()
    await writes(one)
    await asyncio.gather(*[one.open(opened(name, 100, "key:k")) for name in "ef"])
    await one.close(closed("a", 60))
    await two.open(opened("g", 100, "key:k"))
    await asyncio.gather(*[two.close(closed(name, 60)) for name in "dg"])
    standby.takes_over()
    await asyncio.gather(writes(one), writes(two))
    # In the copy a, b, c and d are open, and e, f and g never were.
    results = await asyncio.gather(*[one.close(closed(name, 60)) for name in "bef"])
    assert results == [None] * 3
    await two.open(opened("h", 100, "key:k"))
    assert standby.sums() == [(400, 180)]
    assert standby.sweep() == 3, "a and d, whose ends were lost, and c, of an epoch that is over"
    assert standby.sums() == [(100, 480)]
    await one.close(closed("c", 60))
    await two.close(closed("h", 60))
    assert standby.sums() == [(0, 500)]


async def test_what_was_let_through_before_is_opened_again_above_the_cap(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = standby.new(), standby.new()
    one.set_budget(Budget("key:k", 100))
    standby.lags()
    await writes(one)
    await one.open(opened("a", 100, "key:k"))
    # It comes back with its next row only, after the other: else its call is opened again first.
    monkeypatch.setattr(one._store, "_probe", lambda: None)
    standby.takes_over()
    await writes(two)
    await two.open(opened("b", 100, "key:k"))
    await one.close(closed("a", 60))
    assert standby.sums() == [(100, 60)]
    await two.close(closed("b", 60))
    assert standby.sums() == [(0, 120)]


async def test_a_replica_that_stops_at_once_leaves_the_rest_to_be_swept(standby: Standby) -> None:
    one = standby.new()
    one.set_budget(Budget("key:k", 1000))
    await one.open(opened("a", 100, "key:k"))
    standby.lags()
    await writes(one)
    await one.close(closed("a", 60))
    standby.takes_over()
    standby.ledgers.remove(one)
    await one.shutdown()
    with psycopg.connect(standby.url, autocommit=True) as database:
        database.execute("UPDATE tierwise.epochs SET beat = beat - interval '1 hour'")
    assert standby.sweep() == 1
    assert standby.sums() == [(0, 100)]


async def test_rows_whose_numbers_were_lost_ones_before_are_rolled_up(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (rollup, rollup_read, rollup_step):
        monkeypatch.setattr(room, "SLICE", 8)
    one = standby.new()
    for name in "abc":
        await one.open(opened(name))
        await one.close(closed(name, 60))
    standby.lags()
    await writes(one)
    for name in "de":
        await one.open(opened(name))
        await one.close(closed(name, 60))
    await rolled(one, 1)
    standby.takes_over()
    await writes(one)
    await one.open(opened("h"))
    assert not one.roll(), "the first eight events are not all there"
    await one.close(closed("h", 60))
    for name in "ijkl":
        await one.open(opened(name))
        await one.close(closed(name, 60))
    await rolled(one, 1)
    standby.sums()


async def test_keys_that_were_lost_are_known_no_more_and_those_made_then_are(standby: Standby) -> None:
    one, two = standby.new(), standby.new()
    standby.lags()
    await writes(one)
    lost = [one.digest_of(one.create_key(f"lost {n}")[1]) for n in range(3)]
    await until(lambda: all(two.find(digest) for digest in lost))
    standby.takes_over()
    await until(lambda: not any(ledger.find(digest) for ledger in (one, two) for digest in lost))
    made = one.digest_of(one.create_key("made")[1])
    await until(lambda: two.find(made) is not None)

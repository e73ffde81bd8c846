"""A ledger of so many days that a query over all of them takes more locks than Postgres has room for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from postgres import Postgres, running
from tierwise.errors import StoreError
from tierwise.ledger import open_ledger, read_ledger
from tierwise.ledger.postgres import store as postgres_store
from tierwise.ledger.postgres.journal import DAY_US
from tierwise.ledger.postgres.link import terms_of
from unit.ledger.made import closed, opened

DAYS = 400
"""Seven locks each: more than there is room for."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running("-c fsync=off -c max_connections=20 -c max_locks_per_transaction=16") as made:
        yield made


async def test_what_calls_need_asks_a_few_days_at_once(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.new_url()
    ledger = open_ledger(url, {})
    await ledger.open(opened("a", 100))
    with psycopg.connect(**terms_of(url), autocommit=True) as database:
        for first in range(10_000, 10_000 + DAYS, 10):
            database.execute("SELECT ensure_day(%s + day) FROM generate_series(0, 9) day", (first,))
        assert "max_locks_per_transaction" in read_ledger(url).verify()[0]

        # Taken for dead, swept by one that starts, and alive after all.
        with monkeypatch.context() as late:
            late.setattr(postgres_store, "LEASE_S", -3600.0)
            other = open_ledger(url, {})
        day = opened("a").at_us // DAY_US
        swept = database.execute(f"SELECT outcome FROM close_rows WHERE day = {day}".encode())
        assert swept.fetchall() == [("swept",)]
        await other.shutdown()
        await ledger.close(closed("a", 60))
        assert database.execute("SELECT outcome FROM correction_rows").fetchall() == [("ok",)]

        # Whether a row was written whose answer was lost.
        with monkeypatch.context() as soon, server.hanging():
            soon.setattr(postgres_store, "SLOW_S", 0.5)
            with pytest.raises(StoreError):
                await ledger.open(opened("b", 100))
        end = time.monotonic() + 60
        while ledger.failing_us() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        await ledger.open(opened("c", 100))
        await ledger.close(closed("c", 60))
    await ledger.shutdown()

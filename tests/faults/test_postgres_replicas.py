"""Several replicas on one Postgres ledger: one cap, keys known everywhere, replicas that die."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

import live
from postgres import Postgres, expire_leases, postgres, sweep_living  # noqa: F401  a fixture
from stores import until
from tierwise.errors import BudgetRefused, StoreError
from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.ledger.postgres import journal as postgres_journal
from tierwise.ledger.postgres import keeper as postgres_keeper
from tierwise.ledger.postgres.keeper import sweep_dead
from tierwise.ledger.postgres.link import terms_of
from tierwise.ledger.postgres.migrations import MIGRATIONS
from tierwise.ledger.rows import OPEN_NAMES, open_values
from tierwise.nouns import Budget, Open
from unit.ledger.made import closed, opened

WRITER = """
import asyncio, sys
from unit.ledger.made import closed, opened
from tierwise.errors import BudgetRefused
from tierwise.ledger import open_ledger

async def call(ledger, name):
    await ledger.open(opened(name, 100, "key:k"))
    print("open", name, flush=False)
    if int(name.rpartition("-")[2]) % 7:
        await ledger.close(closed(name, 60))
        print("close", name, flush=False)

async def main():
    ledger = open_ledger(sys.argv[1], {})
    n = 0
    while True:
        await asyncio.gather(*[call(ledger, f"{sys.argv[2]}-{n + i}") for i in range(20)])
        n += 20
        sys.stdout.flush()

asyncio.run(main())
"""


class Replicas:
    """Ledgers on one database, each as a replica of the gateway has it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.open: list[Ledger] = []

    def new(self) -> Ledger:
        self.open.append(open_ledger(self.url, {}))
        return self.open[-1]

    def drop(self, ledger: Ledger) -> None:
        """What kill -9 is to the server: the connections end."""
        self.open.remove(ledger)
        ledger._store.release()

    def sweep(self) -> int:
        with psycopg.connect(**terms_of(self.url), autocommit=True) as database:
            return sweep_dead(database, 15.0)

    def holds(self) -> None:
        assert read_ledger(self.url).verify() == []


@pytest.fixture
async def replicas(postgres: Postgres) -> AsyncIterator[Replicas]:  # noqa: F811
    made = Replicas(postgres.new_url())
    yield made
    for ledger in made.open:
        await ledger.shutdown()


async def test_two_hundred_at_once_on_a_budget_for_ten_over_two_replicas(replicas: Replicas) -> None:
    both = [replicas.new(), replicas.new()]
    both[0].set_budget(Budget("key:k", 1000))

    async def call(n: int) -> bool:
        try:
            await both[n % 2].open(opened(f"a{n}", 100, "key:k"))
        except BudgetRefused:
            return False
        await asyncio.sleep(0)
        await both[n % 2].close(closed(f"a{n}", 100))
        return True

    assert sum(await asyncio.gather(*[call(n) for n in range(200)])) == 10
    for ledger in both:
        assert [(b.spent_pico, b.reserved_pico) for b in ledger.budgets()] == [(1000, 0)]
    replicas.holds()


async def test_replicas_in_threads_of_their_own_share_caps_in_any_order_without_deadlock(
    replicas: Replicas,
) -> None:
    """Scopes are named in opposite orders, so that locks taken as they come would wait for each other."""
    first = replicas.new()
    for scope in ("key:a", "key:b", "project:p"):
        first.set_budget(Budget(scope, 4000))
    taken: list[str] = []

    def replica(name: str, *scopes: str) -> None:
        async def run() -> None:
            ledger = open_ledger(replicas.url, {})
            for n in range(20):
                rows = [opened(f"{name}{n}-{i}", 20, *scopes) for i in range(8)]
                results = await asyncio.gather(*[ledger.open(row) for row in rows], return_exceptions=True)
                assert all(result is None or isinstance(result, BudgetRefused) for result in results)
                taken.extend(row.attempt for row, result in zip(rows, results, strict=True) if result is None)
            await ledger.shutdown()

        asyncio.run(run())

    threads = [
        threading.Thread(target=replica, args=args)
        for args in (("x", "key:a", "project:p", "key:b"), ("y", "key:b", "project:p", "key:a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(taken) == 4000 // 20
    replicas.holds()


async def test_a_cap_that_one_replica_lowers_binds_the_others_next_call(replicas: Replicas) -> None:
    one, two = replicas.new(), replicas.new()
    await two.open(opened("a", 100, "key:k"))
    one.set_budget(Budget("key:k", 50))
    with pytest.raises(BudgetRefused):
        await two.open(opened("b", 60, "key:k"))
    one.set_budget(Budget("key:k", 60))
    await two.open(opened("c", 60, "key:k"))
    one.set_budget(Budget("key:k", 100, "month", "Asia/Tokyo"))
    await two.open(opened("d", 100, "key:k"))
    replicas.holds()


async def test_a_key_made_or_revoked_at_one_replica_is_so_at_the_others(replicas: Replicas) -> None:
    one, two = replicas.new(), replicas.new()
    _, secret = one.create_key("team")
    digest = one.digest_of(secret)
    assert two.digest_of(secret) == digest
    await until(lambda: two.find(digest) is not None)
    one.revoke_key("team")
    await until(lambda: two.find(digest) is None)


async def test_a_replica_that_wrote_many_rows_still_hears_of_keys(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_keeper, "POLL_S", 0.05)
    one, two = replicas.new(), replicas.new()
    for n in range(20):
        await two.open(opened(f"a{n}"))
        await two.close(closed(f"a{n}"))
    for n in range(4):
        digest = one.digest_of(one.create_key(f"team {n}")[1])
        await until(lambda digest=digest: two.find(digest) is not None)
        await asyncio.sleep(0.1)


async def test_a_revoked_key_is_not_brought_back_by_a_replica_that_knew_it_before(
    replicas: Replicas,
) -> None:
    one = replicas.new()
    key, secret = one.create_key("team")
    one.revoke_key("team")
    one._store.save_key(key, None, "as it was")
    assert replicas.new().find(one.digest_of(secret)) is None


async def test_a_replica_that_is_dropped_is_swept_by_another_and_its_late_close_is_a_correction(
    replicas: Replicas,
) -> None:
    one, two = replicas.new(), replicas.new()
    one.set_budget(Budget("key:k", 1000))
    await one.open(opened("a", 100, "key:k"))
    await one.open(opened("b", 100, "key:k"))
    await one.close(closed("b", 60))
    replicas.drop(one)
    assert replicas.sweep() == 0, "its lease is not over"
    expire_leases(replicas.url)
    assert replicas.sweep() == 1
    assert replicas.sweep() == 0
    assert [(b.reserved_pico, b.spent_pico) for b in two.budgets()] == [(0, 160)]
    await two.close(closed("a", 10))
    assert [(b.reserved_pico, b.spent_pico) for b in two.budgets()] == [(0, 70)]
    assert [row["event"] for row in read_ledger(replicas.url).rows()].count("correction") == 1
    replicas.holds()


async def test_a_replica_taken_for_dead_goes_on_under_another_epoch(replicas: Replicas) -> None:
    one = replicas.new()
    one.set_budget(Budget("key:k", 1000))
    await one.open(opened("a", 100, "key:k"))
    await one.open(opened("b", 100, "key:k"))
    assert sweep_living(replicas.url) == 2
    await one.open(opened("c", 100, "key:k"))
    results = await asyncio.gather(*[one.close(closed(name, 60)) for name in "abc"])
    assert results == [None] * 3
    assert [(b.reserved_pico, b.spent_pico) for b in one.budgets()] == [(0, 180)]
    events = [row["event"] for row in read_ledger(replicas.url).rows()]
    assert [events.count(event) for event in ("open", "close", "correction")] == [3, 3, 2]
    replicas.holds()


async def test_what_a_replica_leaves_open_at_its_shutdown_is_swept_at_once(replicas: Replicas) -> None:
    one = replicas.new()
    await one.open(opened("a", 100))
    replicas.open.remove(one)
    await one.shutdown()
    assert replicas.sweep() == 1
    replicas.holds()


async def test_replicas_that_start_at_the_same_time_migrate_once_and_share_one_pepper(
    postgres: Postgres,  # noqa: F811
) -> None:
    url = postgres.new_url()
    ledgers = await asyncio.gather(*[asyncio.to_thread(open_ledger, url, {}) for _ in range(4)])
    assert len({ledger.digest_of("tw-secret") for ledger in ledgers}) == 1
    with psycopg.connect(**terms_of(url)) as database:
        assert database.execute("SELECT count(*) FROM migrations").fetchone() == (len(MIGRATIONS),)
    await asyncio.gather(*[ledger.shutdown() for ledger in ledgers])


async def test_a_replica_of_the_version_before_the_prefix_writes_on_and_its_rows_verify(
    replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old_values(day: int, row: Open, windows: str) -> tuple[object, ...]:
        return open_values(day, row, windows)[: OPEN_NAMES.index("prefix")]

    new, old = replicas.new(), replicas.new()
    await new.open(opened("a", prefix="0f" * 8))
    with monkeypatch.context() as before:
        before.setattr(postgres_journal, "POST", postgres_journal.POST.replace("post_2", "post_1"))
        before.setattr(postgres_journal, "open_values", old_values)
        await old.open(opened("b", prefix="0f" * 8))
    await new.close(closed("a"))
    await old.close(closed("b"))
    replicas.holds()
    found = {row["attempt"]: row["prefix"] for row in read_ledger(replicas.url).rows()}
    assert found == {"a": "0f" * 8, "b": ""}


def test_kill_9_of_writers_loses_no_confirmed_row(postgres: Postgres, tmp_path: Path) -> None:  # noqa: F811
    url = postgres.new_url()
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**30))
    said = [tmp_path / f"said-{n}" for n in range(2)]
    with live.script(WRITER, said[0], url, "w0"), live.script(WRITER, said[1], url, "w1"):
        assert live.wait_for(lambda: all(live.lines(each) for each in said))
        time.sleep(0.3)
    confirmed = [line.split() for each in said for line in live.lines(each)]
    reader = read_ledger(url)
    assert reader.verify() == []
    written = {(row["event"], row["attempt"]) for row in reader.rows()}
    assert [line for line in confirmed if (line[0], line[1]) not in written] == []
    expire_leases(url)
    with psycopg.connect(**terms_of(url), autocommit=True) as database:
        assert sweep_dead(database, 15.0) > 0
    rows = list(reader.rows())
    closes = [row["attempt"] for row in rows if row["event"] == "close"]
    assert len(closes) == len(set(closes)) == len([row for row in rows if row["event"] == "open"])
    assert reader.verify() == []
    (balance,) = reader.balances()
    assert (balance.reserved_pico, balance.spent_pico) == (0, sum(row["cost_pico"] or 0 for row in rows))
    asyncio.run(ledger.shutdown())


async def test_after_shutdown_nothing_is_taken(replicas: Replicas) -> None:
    one = replicas.new()
    await one.shutdown()
    with pytest.raises(StoreError, match="shut down"):
        one.budgets()

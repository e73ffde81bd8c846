"""Postgres goes away, hangs, loses connections: nothing unrecorded, nothing overspent, no restart needed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from postgres import Postgres, running
from tierwise.errors import StoreError
from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.ledger.postgres import migrations as postgres_migrations
from tierwise.ledger.postgres import store as postgres_store
from tierwise.ledger.postgres.link import terms_of
from tierwise.ledger.sqlite import migrations
from tierwise.nouns import Budget
from unit.ledger.made import closed, opened


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running() as made:
        yield made


@pytest.fixture
async def ledger(server: Postgres) -> AsyncIterator[Ledger]:
    made = open_ledger(server.new_url(), {})
    made.set_budget(Budget("key:k", 10**6))
    yield made
    await made.shutdown()


def url_of(ledger: Ledger) -> str:
    terms = ledger._store.terms
    return f"postgres://postgres@/{terms['dbname']}?host={terms['host']}"


async def written(ledger: Ledger, attempt: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while True:
        if any(
            row["attempt"] == attempt and row["event"] == "close"
            for row in read_ledger(url_of(ledger)).rows()
        ):
            return
        assert time.monotonic() < end, "the CLOSE was never written"
        await asyncio.sleep(0.05)


def cut(ledger: Ledger) -> None:
    """The server ends every connection of this ledger, as a failover does."""
    with psycopg.connect(**terms_of(url_of(ledger)), autocommit=True) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_while_postgres_is_away_calls_are_refused_and_closes_wait_for_it(
    server: Postgres, ledger: Ledger
) -> None:
    await asyncio.gather(*[ledger.open(opened(name, 100, "key:k")) for name in "abc"])
    server.stop()
    try:
        results = await asyncio.gather(
            ledger.open(opened("x", 100, "key:k")), ledger.close(closed("a", 60)), return_exceptions=True
        )
        assert [type(result) for result in results] == [StoreError, StoreError]
        with pytest.raises(StoreError, match="cannot be reached"):
            await ledger.close(closed("b", 60))
        with pytest.raises(StoreError):
            ledger.budgets()
    finally:
        server.start()
    await written(ledger, "a")
    await written(ledger, "b")
    await ledger.close(closed("c", 60))
    await ledger.open(opened("d", 100, "key:k"))
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(100, 180)]
    assert read_ledger(url_of(ledger)).verify() == []


async def test_connections_that_were_cut_cost_no_call(ledger: Ledger) -> None:
    await ledger.open(opened("a", 100, "key:k"))
    cut(ledger)
    await ledger.close(closed("a", 60))
    cut(ledger)
    await ledger.open(opened("b", 100, "key:k"))
    await ledger.close(closed("b", 60))
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 120)]
    assert read_ledger(url_of(ledger)).verify() == []


def away(connect: Callable[[], Awaitable[None]], times: int) -> Callable[[], Awaitable[None]]:
    """`connect`, which fails so many times once there is nothing to connect again."""
    calls = iter(range(1_000_000))

    async def tried() -> None:
        if 0 < next(calls) <= times:
            raise OSError("no route to host")
        await connect()

    return tried


async def test_a_batch_whose_answer_is_lost_is_written_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut between the server's commit and its answer, at every row in turn."""
    journal = ledger._store._journal
    real = journal._ask
    lose = {"left": 0}

    async def unlucky(query: str, *values: object) -> list[tuple[object, ...]]:
        found = await real(query, *values)
        if "post_" in query and lose["left"]:
            lose["left"] -= 1
            await journal.disconnect()
            raise psycopg.OperationalError("the connection was lost")
        return found

    journal._ask = unlucky
    for n in range(3):
        lose["left"] = 1
        await ledger.open(opened(f"a{n}", 100, "key:k"))
        lose["left"] = 1
        await ledger.close(closed(f"a{n}", 60))
    events = [row["event"] for row in read_ledger(url_of(ledger)).rows()]
    assert events == ["open", "close"] * 3
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 180)]
    lose["left"] = 1
    monkeypatch.setattr(journal, "connect", away(journal.connect, 2))
    with pytest.raises(StoreError):
        # Written, its caller told that it was not: nothing was sent, so nothing may stay reserved.
        await ledger.open(opened("x", 100, "key:k"))
    end = time.monotonic() + 60
    while ledger.budgets()[0].reserved_pico and time.monotonic() < end:
        await asyncio.sleep(0.05)
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 180)]
    assert read_ledger(url_of(ledger)).verify() == []


async def test_while_postgres_hangs_calls_are_refused_soon_and_go_on_when_it_answers(
    server: Postgres, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.open(opened("a", 100, "key:k"))
    with psycopg.connect(**terms_of(url_of(ledger)), autocommit=True) as database:
        found = database.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    pids = [int(pid) for (pid,) in found]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as soon:
            soon.setattr(postgres_store, "SLOW_S", 0.2)
            calls = ledger.open(opened("x", 100, "key:k")), ledger.close(closed("a", 60))
            async with asyncio.timeout(60):
                results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [StoreError, StoreError]
        with pytest.raises(StoreError, match="no answer"):
            await ledger.open(opened("y", 100, "key:k"))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await written(ledger, "a")
    await written(ledger, "x")
    await ledger.open(opened("b", 100, "key:k"))
    await ledger.close(closed("b", 60))
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 120)]
    assert read_ledger(url_of(ledger)).verify() == []


async def test_closes_that_wait_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "MOST_QUEUED", 3)
    await asyncio.gather(*[ledger.open(opened(name, 100, "key:k")) for name in "abcde"])
    results = await asyncio.gather(
        *[ledger.close(closed(name, 60)) for name in "abcde"], return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None)] * 3 + [StoreError] * 2
    assert await ledger.sweep(2**62) == 2
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 380)]
    assert read_ledger(url_of(ledger)).verify() == []


async def test_an_open_whose_caller_is_cancelled_is_swept_at_no_cost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tierwise.ledger import opening

    monkeypatch.setattr(opening, "ABANDONED_S", 0.0)
    waiting = asyncio.ensure_future(ledger.open(opened("a", 100, "key:k")))
    await asyncio.sleep(0)
    waiting.cancel()
    await written(ledger, "a")
    assert [(b.reserved_pico, b.spent_pico) for b in ledger.budgets()] == [(0, 0)]


async def test_rows_are_found_out_that_were_altered_removed_or_added(ledger: Ledger) -> None:
    for n in range(4):
        await ledger.open(opened(f"a{n}", 100, "key:k"))
        await ledger.close(closed(f"a{n}", 60))
    reader = read_ledger(url_of(ledger))
    assert reader.verify() == []
    harm = {
        "UPDATE close_rows SET output = output + 1 WHERE n = 4": "not as it was written",
        "DELETE FROM close_rows WHERE n = 8": "events were written",
        "UPDATE budget_window SET spent = spent - 1": "its rows sum to",
        "UPDATE open_rows SET reserved_pico = 1 WHERE n = 1": "not as it was written",
        "UPDATE epochs SET events = 9": "events were written",
    }
    with psycopg.connect(**terms_of(url_of(ledger)), autocommit=True) as database:
        for statement, said in harm.items():
            saved = {
                table: database.execute(f"SELECT * FROM {table}").fetchall()
                for table in ("close_rows", "open_rows", "budget_window", "epochs")
            }
            database.execute(statement)
            found = reader.verify()
            assert found, statement
            assert any(said in line for line in found), (statement, found)
            for table, rows in saved.items():
                database.execute(f"DELETE FROM {table}")
                for row in rows:
                    marks = ",".join(["%s"] * len(row))
                    database.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({marks})", row)
            assert reader.verify() == []


async def test_numbers_that_would_be_given_twice_are_told_and_put_right_by_a_restart(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restore over the ledger, or a replication that leaves sequences out."""
    for n in range(4):
        await ledger.open(opened(f"a{n}", 100, "key:k"))
        await ledger.close(closed(f"a{n}", 60))
    url = url_of(ledger)
    with psycopg.connect(**terms_of(url), autocommit=True) as database:
        database.execute("SELECT setval('event_seq', 2)")
        assert any("sequence of events" in line for line in read_ledger(url).verify())
        with pytest.raises(StoreError, match="cannot be written"):
            await ledger.open(opened("b", 100, "key:k"))
        assert "Attempt b cannot be written" in caplog.text
        other = open_ledger(url, {})
        await other.open(opened("c", 100, "key:k"))
        await other.close(closed("c", 60))
        await other.shutdown()
        assert read_ledger(url).verify() == []
        assert database.execute("SELECT max(seq), count(*) FROM open_rows").fetchone() == (9, 5)


async def test_a_lock_that_a_person_holds_is_in_the_log(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "tierwise")
    await ledger.open(opened("before", 100, "key:k"))
    with psycopg.connect(**terms_of(url_of(ledger))) as person, monkeypatch.context() as soon:
        soon.setattr(postgres_store, "SLOW_S", 0.2)
        person.execute("LOCK TABLE open_rows IN ACCESS EXCLUSIVE MODE")
        for n in range(2):
            with pytest.raises(StoreError):
                await ledger.open(opened(f"held{n}", 100, "key:k"))
    await ledger.close(closed("before", 60))
    await written(ledger, "before")
    said = [record.message for record in caplog.records if "the ledger" in record.message.lower()]
    assert ["cannot be" in line for line in said] == [True, False], said


def test_a_key_that_is_made_upgrades_no_ledger_under_servers_of_the_version_before(
    server: Postgres, tmp_path: Path
) -> None:
    older = server.new_url()
    with psycopg.connect(**terms_of(older), autocommit=True) as database:
        postgres_migrations.migrate(database, postgres_migrations.MIGRATIONS[:2])
    small = tmp_path / "l.db"
    with closing(sqlite3.connect(small, isolation_level=None)) as file:
        migrations.migrate(file, migrations.MIGRATIONS[:2])
    for url in (older, f"sqlite:///{small}"):
        with pytest.raises(StoreError, match="older shape"):
            open_ledger(url, {}, upgrade=False)
        asyncio.run(open_ledger(url, {}).shutdown())
        asyncio.run(open_ledger(url, {}, upgrade=False).shutdown())
    asyncio.run(open_ledger(server.new_url(), {}, upgrade=False).shutdown())


def test_a_database_that_cannot_hold_every_text_is_refused(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as database:
        database.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="LATIN1"):
        open_ledger(server.url("latin"), {})


def test_a_url_that_cannot_be_read_or_reached_is_told_without_its_password(server: Postgres) -> None:
    for url in (
        "postgres://u:s3cret@127.0.0.1:1/db", "postgres://u:s3cret@host:port:x/db?nope=1",
        f"postgres://postgres:s3cret@/nowhere?host={server.folder}",
    ):  # fmt: skip
        for use in (open_ledger, read_ledger):
            with pytest.raises(StoreError) as refused:
                use(url)
            assert "s3cret" not in refused.value.sentence()


def test_a_database_without_a_ledger_or_with_a_newer_one_is_told(server: Postgres) -> None:
    url = server.new_url()
    with pytest.raises(StoreError, match="holds no ledger"):
        read_ledger(url)
    asyncio.run(open_ledger(url, {}).shutdown())
    with psycopg.connect(**terms_of(url), autocommit=True) as database:
        database.execute("INSERT INTO migrations VALUES (99, 'later', 0)")
    for use in (open_ledger, read_ledger):
        with pytest.raises(StoreError, match="newer tierwise"):
            use(url)

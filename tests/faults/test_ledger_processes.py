"""The ledger among processes: kill -9 of its writer, a second writer, a full disk, a locked file."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import live
from tierwise.errors import StoreError, StoreLocked
from tierwise.ledger import announcement, open_ledger, read_ledger
from tierwise.ledger.location import database_path
from tierwise.nouns import Budget
from unit.ledger.made import closed, opened

TESTS = Path(__file__).parents[1]
ROUNDS = 5

WRITER = """
import asyncio, sys
from unit.ledger.made import closed, opened
from tierwise.ledger import open_ledger
from tierwise.nouns import Budget

async def call(ledger, name):
    await ledger.open(opened(name, 100, "key:k"))
    print("open", name, flush=False)
    if int(name.rpartition("-")[2]) % 7:
        await ledger.close(closed(name, 60))
        print("close", name, flush=False)

async def main():
    ledger = open_ledger(sys.argv[1], {})
    ledger.set_budget(Budget("key:k", 10**30))
    n = 0
    while True:
        await asyncio.gather(*[call(ledger, f"{sys.argv[2]}-{n + i}") for i in range(20)])
        n += 20
        sys.stdout.flush()

asyncio.run(main())
"""

FULL = """
import asyncio, resource, sys
from unit.ledger.made import closed, opened
from tierwise.errors import StoreError
from tierwise.ledger import open_ledger, read_ledger
from tierwise.nouns import Budget

url = sys.argv[1]

async def main():
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**30))
    for name in ("a", "b"):
        await ledger.open(opened(name, 100, "key:k"))
    size = 4096 * 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    stuck = 0
    for n in range(500):
        try:
            await ledger.open(opened(f"x{n}", 1, "key:k", route="r" * 2000))
        except StoreError as error:
            stuck += 1
            print("open failed:", error.sentence())
            break
    assert stuck, "the disk never filled"
    # Not even a smaller row fits now.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    failed = 0
    for name in ("a", "b"):
        try:
            await ledger.close(closed(name, 60))
        except StoreError:
            failed += 1
    assert failed == 2, failed
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for _ in range(3000):
        if [row["attempt"] for row in read_ledger(url).rows() if row["event"] == "close"] == ["a", "b"]:
            break
        await asyncio.sleep(0.02)
    await ledger.open(opened("after", 100, "key:k"))
    await ledger.close(closed("after", 60))
    assert ledger.budgets()[0].spent_pico == 180, ledger.budgets()
    assert read_ledger(url).verify() == [], read_ledger(url).verify()
    await ledger.shutdown()
    assert read_ledger(url).verify() == []
    print("recovered")

asyncio.run(main())
"""


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


def test_kill_9_in_a_loop_loses_no_row_that_was_confirmed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    rng = random.Random(7)
    confirmed: list[list[str]] = []
    for round_ in range(ROUNDS):
        said = tmp_path / f"said-{round_}"
        with live.script(WRITER, said, url, f"r{round_}") as writer:
            assert live.wait_for(lambda said=said: live.lines(said))
            time.sleep(rng.uniform(0.05, 0.25))
            with pytest.raises(StoreLocked, match=str(writer.pid)):
                open_ledger(url, {})
            assert read_ledger(url).verify() == []
        confirmed += [line.split() for line in live.lines(said)]
        reader = read_ledger(url)
        assert reader.verify() == []
        written = {(row["event"], row["attempt"]) for row in reader.rows()}
        assert [line for line in confirmed if (line[0], line[1]) not in written] == []
    assert len(confirmed) > 20 * ROUNDS
    ledger = open_ledger(url, {})
    asyncio.run(ledger.shutdown())
    rows = list(read_ledger(url).rows())
    closes = [row["attempt"] for row in rows if row["event"] == "close"]
    assert len(closes) == len(set(closes)) == len([row for row in rows if row["event"] == "open"])
    assert read_ledger(url).verify() == []
    (balance,) = read_ledger(url).balances()
    assert (balance.reserved_pico, balance.spent_pico) == (0, sum(row["cost_pico"] or 0 for row in rows))


def test_a_full_disk_refuses_opens_keeps_closes_and_recovers_without_a_restart(tmp_path: Path) -> None:
    process = python(FULL, f"sqlite:///{tmp_path}/ledger.db")
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "recovered" in said
    assert "cannot be written" in said


async def test_a_file_locked_by_another_program_fails_and_recovers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 200))
    await ledger.open(opened("a", 100, "key:k"))
    meddler = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    meddler.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await ledger.open(opened("b", 100, "key:k"))
    with pytest.raises(StoreError, match="locked"):
        await ledger.close(closed("a", 60))
    with pytest.raises(StoreError, match="locked"):
        ledger.create_key("team")
    assert ledger.list_keys() == []
    assert ledger.budgets()[0].reserved_pico == 100
    meddler.execute("ROLLBACK")
    meddler.close()
    for _ in range(3000):
        if len(list(read_ledger(url).rows())) == 2:
            break
        await asyncio.sleep(0.02)
    assert [row["event"] for row in read_ledger(url).rows()] == ["open", "close"]
    await ledger.open(opened("c", 140, "key:k"))
    assert read_ledger(url).verify() == []
    await ledger.shutdown()


async def test_shutdown_says_how_many_closes_it_could_not_write_and_the_next_start_sweeps_them(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    await ledger.open(opened("a", 100))
    meddler = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    meddler.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await ledger.close(closed("a", 60))
    with pytest.raises(StoreError, match="1 closed calls could not be written"):
        await ledger.shutdown()
    meddler.execute("ROLLBACK")
    meddler.close()
    ledger = open_ledger(url, {})
    *_, row = read_ledger(url).rows()
    assert (row["outcome"], row["cost_pico"]) == ("swept", 100)
    await ledger.shutdown()


async def test_a_long_reader_neither_stops_the_writer_nor_sees_half_a_commit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    for n in range(50):
        await ledger.open(opened(f"a{n}"))
    reading = read_ledger(url).rows()
    first = next(reading)
    for n in range(50):
        await asyncio.gather(ledger.close(closed(f"a{n}")), ledger.open(opened(f"b{n}")))
    assert [row["event"] for row in [first, *reading]] == ["open"] * 50
    assert len(list(read_ledger(url).rows())) == 150
    await ledger.shutdown()


async def test_checkpoints_happen_beside_the_writer_and_lose_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**18))
    # One commit writes some 4 pages: this is more than one checkpoint's worth.
    for n in range(1200):
        await ledger.open(opened(f"a{n}", 1, "key:k", route="r" * 500))
        await ledger.close(closed(f"a{n}", 1))
    assert (tmp_path / "ledger.db").stat().st_size > 100_000
    assert read_ledger(url).verify() == []
    assert len(list(read_ledger(url).rows())) == 2400
    await ledger.shutdown()
    assert not (tmp_path / "ledger.db-wal").exists()


async def test_a_link_to_the_file_is_the_same_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    (tmp_path / "other.db").symlink_to(database_path(url))
    with pytest.raises(StoreLocked) as refused:
        open_ledger(f"sqlite:///{tmp_path}/other.db", {})
    assert str(os.getpid()) in str(refused.value)
    assert "--db" in refused.value.hint
    await ledger.shutdown()


async def test_a_lock_file_that_holds_rubbish_is_an_owner_without_a_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    Path(str(database_path(url)) + ".lock").write_text('{"pid": ')
    told = announcement(url)
    assert told is not None
    assert told.pid == 0
    with pytest.raises(StoreLocked, match="Another process"):
        open_ledger(url, {})
    await ledger.shutdown()

"""A backup taken under load is a whole ledger; restored, it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from postgres import PLACES, Postgres, postgres  # noqa: F401  a fixture
from tierwise.batches.engine import open_engine
from tierwise.cli import ledger_backup
from tierwise.errors import BadRequest, ConfigError, StoreError
from tierwise.ledger import Ledger, open_ledger, read_ledger
from tierwise.ledger.sqlite.backup import back_up
from tierwise.ledger.sqlite.migrations import MIGRATIONS, migrate, version
from tierwise.nouns import Budget
from unit.ledger.made import closed, opened


async def calls(ledger: Ledger, name: str, count: int) -> None:
    for n in range(count):
        await ledger.open(opened(f"{name}{n}", 100, "key:k"))
        await ledger.close(closed(f"{name}{n}", 60))


async def test_a_copy_taken_while_rows_are_written_holds_and_can_be_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**9))
    _, secret = ledger.create_key("team")
    await calls(ledger, "before", 50)
    await ledger.open(opened("running", 100, "key:k"))
    writing = asyncio.create_task(calls(ledger, "during", 400))
    while len(list(read_ledger(url).rows())) < 110:
        await asyncio.sleep(0)
    copies = []
    for n in range(3):
        target = tmp_path / f"copy{n}.db"
        last = await asyncio.to_thread(back_up, url, target)
        copies.append((last, target))
    await writing
    assert await asyncio.to_thread(read_ledger(url).verify) == []
    await ledger.shutdown()
    assert copies[0][0] >= 110
    for last, target in copies:
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        copy = read_ledger(f"sqlite:///{target}")
        assert copy.verify() == []
        assert len(list(copy.rows())) == last
    assert sorted(each.name for each in tmp_path.iterdir() if "part" in each.name) == []
    restored = open_ledger(f"sqlite:///{copies[0][1]}", {})
    assert restored.find(restored.digest_of(secret)) is not None
    await calls(restored, "after", 3)
    await restored.shutdown()
    again = read_ledger(f"sqlite:///{copies[0][1]}")
    assert again.verify() == []
    assert again.report("task").all.swept >= 1


async def test_nothing_is_overwritten_and_what_is_wrong_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    with pytest.raises(StoreError, match="no ledger"):
        back_up(url, tmp_path / "copy.db")
    ledger = open_ledger(url, {})
    await ledger.shutdown()
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(BadRequest, match="exists"):
        back_up(url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(url, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(ConfigError) as refused:
        back_up("postgres://user:hunter2@host/db", tmp_path / "other.db")
    assert "pg_dump" in refused.value.sentence()
    assert "hunter2" not in refused.value.sentence()


async def test_a_ledger_is_copied_before_an_upgrade_changes_its_shape(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as before:
        migrate(before, MIGRATIONS[:1])
    back_up(f"sqlite:///{tmp_path}/l.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert version(copy) == 1
    restored = open_ledger(f"sqlite:///{tmp_path}/copy.db", {})
    await calls(restored, "after", 3)
    await restored.shutdown()
    assert read_ledger(f"sqlite:///{tmp_path}/copy.db").verify() == []
    with closing(sqlite3.connect(tmp_path / "notes.db")) as other:
        other.execute("CREATE TABLE notes (words TEXT)")
    with pytest.raises(StoreError, match="another program"):
        back_up(f"sqlite:///{tmp_path}/notes.db", tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


def test_batches_are_copied_with_the_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    asyncio.run(open_ledger(url, {}).shutdown())
    engine = open_engine(url)
    with engine.transaction() as database:
        database.run("INSERT INTO batch_jobs VALUES ('job_1', 'batch_1', 'p', 'm', 1, 'made', 'up', '')")
    done = CliRunner().invoke(ledger_backup.command, [str(tmp_path / "copy.db"), "--db", url])
    engine.close()
    assert done.exit_code == 0, done.output
    copied = open_engine(f"sqlite:///{tmp_path}/copy.db")
    with copied.transaction() as database:
        assert database.run("SELECT id FROM batch_jobs") == [("job_1",)]
    copied.close()


async def test_a_dump_of_postgres_restores_to_a_ledger_that_holds_and_goes_on(
    postgres: Postgres,  # noqa: F811
) -> None:
    if not all((postgres.binaries / name).exists() for name in ("pg_dump", "pg_restore")):
        pytest.skip(f"no pg_dump in {PLACES}")
    url, other = postgres.new_url(), postgres.new_url()
    ledger = open_ledger(url, {})
    ledger.set_budget(Budget("key:k", 10**9))
    await calls(ledger, "before", 30)
    await ledger.open(opened("running", 100, "key:k"))
    dump = postgres.folder / "ledger.dump"
    await asyncio.to_thread(
        postgres.run, "pg_dump", "--schema=tierwise", "--format=custom", f"--file={dump}", url
    )
    await calls(ledger, "after", 5)
    await ledger.shutdown()
    await asyncio.to_thread(postgres.run, "pg_restore", f"--dbname={other}", str(dump))
    assert read_ledger(other).verify() == []
    restored = open_ledger(other, {})
    await calls(restored, "restored", 5)
    [balance] = restored.budgets()
    assert balance.spent_pico >= 35 * 60
    await restored.shutdown()
    assert read_ledger(other).verify() == []

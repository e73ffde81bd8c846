from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tierwise.errors import StoreError
from tierwise.ledger import open_ledger, read_ledger
from tierwise.ledger.migrations import MIGRATIONS, migrate, require_current, version


@pytest.fixture
def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def test_migrations_run_once_and_are_recorded_by_name(database: sqlite3.Connection) -> None:
    assert version(database) == 0
    assert migrate(database) == len(MIGRATIONS)
    assert migrate(database) == 0
    require_current(database)
    assert version(database) == len(MIGRATIONS)
    names = [name for (name,) in database.execute("SELECT name FROM migrations ORDER BY number")]
    assert names == [change.__name__ for change in MIGRATIONS]


def test_a_migration_that_fails_leaves_nothing_behind_and_the_next_start_goes_on(
    database: sqlite3.Connection,
) -> None:
    def m002_breaks(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (a)")
        raise RuntimeError("power cut")

    def m002_works(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE whole (a)")

    with pytest.raises(RuntimeError):
        migrate(database, (*MIGRATIONS, m002_breaks))
    assert version(database) == 1
    assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()
    with pytest.raises(StoreError, match="older shape"):
        require_current(database, (*MIGRATIONS, m002_works))
    assert migrate(database, (*MIGRATIONS, m002_works)) == 1


async def test_a_database_of_a_newer_version_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    ledger = open_ledger(url, {})
    await ledger.shutdown()
    database = sqlite3.connect(tmp_path / "a.db")
    database.execute("INSERT INTO migrations VALUES (99, 'm099_future', 0)")
    database.commit()
    database.close()
    for use in (lambda: open_ledger(url, {}), lambda: read_ledger(url)):
        with pytest.raises(StoreError, match="newer tierwise") as refused:
            use()
        assert "Upgrade" in refused.value.hint


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "a.db")
    database.execute("CREATE TABLE theirs (a)")
    database.commit()
    with pytest.raises(StoreError, match="another program"):
        open_ledger(f"sqlite:///{tmp_path}/a.db", {})
    assert [name for (name,) in database.execute("SELECT name FROM sqlite_master")] == ["theirs"]
    database.close()

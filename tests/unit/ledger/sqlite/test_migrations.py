from __future__ import annotations

import sqlite3
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from tierwise.errors import StoreError
from tierwise.ledger import open_ledger, read_ledger
from tierwise.ledger.rollups import step as rollup_step
from tierwise.ledger.rollups import verify as rollup_verify
from tierwise.ledger.rollups.tally import HOUR_US
from tierwise.ledger.rows import OPEN_NAMES, close_values, open_values
from tierwise.ledger.sqlite.migrations import MIGRATIONS, migrate, require_current, version
from unit.ledger.made import NOON, closed, opened


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
    def m999_breaks(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (a)")
        raise RuntimeError("power cut")

    def m999_works(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE whole (a)")

    with pytest.raises(RuntimeError):
        migrate(database, (*MIGRATIONS, m999_breaks))
    assert version(database) == len(MIGRATIONS)
    assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchall()
    with pytest.raises(StoreError, match="older shape"):
        require_current(database, (*MIGRATIONS, m999_works))
    assert migrate(database, (*MIGRATIONS, m999_works)) == 1


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


async def test_rows_written_before_the_prefix_came_still_verify_and_later_ones_have_it(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    database = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    migrate(database, MIGRATIONS[:1])
    at = OPEN_NAMES.index("prefix")
    values = open_values(1, opened("old"), "")[:at]
    chain = crc32(msgspec.json.encode(values))
    database.execute(f"INSERT INTO open_rows VALUES ({','.join('?' * (at + 1))})", (*values, chain))
    database.close()
    ledger = open_ledger(url, {})  # sweeps the old one
    await ledger.open(opened("new", prefix="0123456789abcdef"))
    await ledger.close(closed("new"))
    await ledger.shutdown()
    reader = read_ledger(url)
    assert reader.verify() == []
    found = {row["attempt"]: row["prefix"] for row in reader.rows()}
    assert found == {"old": "", "new": "0123456789abcdef"}
    database = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    for lie in ("UPDATE open_rows SET prefix = '' WHERE seq = 1", "UPDATE open_rows SET prefix = NULL"):
        database.execute(lie)
        assert "the row is not as it was written" in reader.verify()[0]
        database.execute("UPDATE open_rows SET prefix = iif(seq = 1, NULL, '0123456789abcdef')")
        assert reader.verify() == []
    database.close()


async def test_a_ledger_of_the_first_version_is_brought_up_to_date_and_then_rolled_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are reported on before and after, and one that was cut off is swept."""
    monkeypatch.setattr(rollup_step, "SLICE", 8)
    url, count = f"sqlite:///{tmp_path}/a.db", 10
    database = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    migrate(database, MIGRATIONS[:1])
    at, chain = OPEN_NAMES.index("prefix"), 0
    for n in range(count):
        for table, values in (
            ("open_rows", open_values(2 * n + 1, opened(f"old{n}"), "")[:at]),
            ("close_rows", close_values(2 * n + 2, 2 * n + 1, closed(f"old{n}", 5))),
        ):
            chain = crc32(msgspec.json.encode(values), chain)
            marks = ",".join("?" * (len(values) + 1))
            database.execute(f"INSERT INTO {table} VALUES ({marks})", (*values, chain))
    values = open_values(2 * count + 1, opened("cut off", 7), "")[:at]
    chain = crc32(msgspec.json.encode(values), chain)
    database.execute(f"INSERT INTO open_rows VALUES ({','.join('?' * (at + 1))})", (*values, chain))
    database.close()
    with pytest.raises(StoreError, match="older shape"):
        read_ledger(url)
    ledger = open_ledger(url, {})
    before = read_ledger(url).report("task")
    assert (before.all.calls, before.all.swept, before.all.spend_pico) == (11, 1, 57)
    assert [ledger.roll() for _ in range(3)] == [True, True, False]
    assert read_ledger(url).report("task") == before
    await ledger.shutdown()
    assert read_ledger(url).verify() == []


async def test_hours_of_opens_that_were_rolled_up_before_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (rollup_step, rollup_verify):
        monkeypatch.setattr(room, "SLICE", 8)
    url = f"sqlite:///{tmp_path}/a.db"
    ledger = open_ledger(url, {})
    for n in range(10):
        await ledger.open(opened(f"a{n}", at_us=NOON + n * HOUR_US))
        await ledger.close(closed(f"a{n}", 5, at_us=NOON + (n + 1) * HOUR_US))
    while ledger.roll():
        pass
    await ledger.shutdown()
    # As the version before left it.
    database = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    database.execute("DELETE FROM migrations WHERE number = 5")
    database.execute("DELETE FROM rollup_span")
    database.execute(
        "INSERT INTO rollup_span SELECT at_us / 3600000000, min(seq), max(seq) FROM close_rows"
        " WHERE seq <= 16 GROUP BY 1"
    )
    database.close()
    await open_ledger(url, {}).shutdown()
    reader = read_ledger(url)
    assert reader.verify() == []
    assert [row["attempt"] for row in reader.rows(NOON, NOON + HOUR_US)] == ["a0"]

"""Which rights a Postgres role needs, and what one is told that lacks them."""

from __future__ import annotations

import psycopg
import pytest

from postgres import Postgres, postgres  # noqa: F401  a fixture
from tierwise.errors import StoreError
from tierwise.ledger import open_ledger, read_ledger
from unit.ledger.made import NOON, closed, opened

DAY_US = 86_400_000_000
READS = (
    "GRANT USAGE ON SCHEMA tierwise TO reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA tierwise TO reader",
    "GRANT SELECT ON ALL SEQUENCES IN SCHEMA tierwise TO reader",
)


async def call(url: str, name: str, at_us: int) -> None:
    ledger = open_ledger(url, {})
    await ledger.open(opened(name, at_us=at_us))
    await ledger.close(closed(name, at_us=at_us))
    await ledger.shutdown()


async def test_each_role_is_told_which_rights_it_lacks(postgres: Postgres) -> None:  # noqa: F811
    root = postgres.new_url()
    owner, other, reader = (root.replace("postgres@", f"{name}@") for name in ("owner", "other", "reader"))
    with psycopg.connect(root, autocommit=True) as database:
        for name in ("owner", "other", "reader"):
            database.execute(f"CREATE ROLE {name} LOGIN".encode())
        with pytest.raises(StoreError, match="permission denied for database") as refused:
            open_ledger(owner, {})
        assert "GRANT a role CREATE ON DATABASE" in refused.value.hint
        made = database.execute("SELECT current_database()").fetchone()
        assert made is not None
        database.execute(f"GRANT CREATE ON DATABASE {made[0]} TO owner".encode())
        await call(owner, "a", NOON)
        for grant in READS:
            with pytest.raises(StoreError, match="permission denied for") as refused:
                read_ledger(reader).report("task")
            assert "USAGE ON SCHEMA tierwise, and SELECT ON ALL TABLES" in refused.value.hint
            database.execute(grant.encode())
        with pytest.raises(StoreError, match="permission denied for schema") as refused:
            open_ledger(other, {})
        assert "to write one, the role that made it" in refused.value.hint
        database.execute(b"GRANT owner TO other")
        await call(other, "b", NOON + DAY_US)  # which makes the tables of another day
    assert read_ledger(reader).report("task").all.calls == 2
    assert read_ledger(reader).verify() == []
    assert len(list(read_ledger(reader).rows())) == 4

"""What a replica learns of the others at once, whenever it is told."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from postgres import Postgres, postgres  # noqa: F401  a fixture
from tierwise.ledger.postgres import keeper as postgres_keeper
from tierwise.ledger.postgres.keeper import CHANNEL, PostgresKeeper


class Journal:
    epoch = None
    oldest_open = 0


def test_a_word_that_comes_with_another_answer_is_heard(
    postgres: Postgres,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = postgres.new_url()
    looked = threading.Event()
    looks = []

    def load(database: Any, known: int) -> tuple[list[Any], int]:
        looks.append(known)
        if len(looks) == 1:
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SELECT pg_notify(%s, 'keys')", (CHANNEL,))
            database.execute("SELECT 1")  # brings the word with it
        else:
            looked.set()
        return [], known

    monkeypatch.setattr(postgres_keeper, "load_keys", load)
    monkeypatch.setattr(postgres_keeper, "POLL_S", 600.0)
    unused: Any = None
    journal: Any = Journal()
    keeper = PostgresKeeper(unused, journal, lambda keys, every: None, unused, 600.0)
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("CREATE FUNCTION ensure_day(bigint) RETURNS void LANGUAGE sql AS 'SELECT'")
        thread = threading.Thread(target=keeper._keep, args=(database,), daemon=True)
        thread.start()
        assert looked.wait(30)
        keeper.stop()
        thread.join(30)

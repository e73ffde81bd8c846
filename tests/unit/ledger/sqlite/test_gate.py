"""A disk that hangs under a thread's turn on the connection: calls are refused, not held until it answers."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tierwise.errors import StoreError
from tierwise.ledger.sqlite import gate
from tierwise.ledger.sqlite.store import SqliteStore
from unit.ledger.made import closed, opened


def _look(store: SqliteStore) -> None:
    for _ in range(gate.LOOKS):
        store.look()


async def test_while_a_checkpoint_hangs_calls_are_refused_and_closes_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tierwise")
    store = SqliteStore(f"sqlite:///{tmp_path}/ledger.db")
    await store.open(opened("a"))
    with store._gate.turn():
        waiting = store.open(opened("b"))
        owed = store.close(closed("a"))
        _look(store)
        for future in (waiting, owed, store.open(opened("c"))):
            with pytest.raises(StoreError, match="its disk has not answered for 5 s"):
                await future
        assert store.failing_since() > 0
        assert store.backlog()[0] == 1
        # Nobody's tries meanwhile end it, nor say it again.
        store._retry(asyncio.get_running_loop())
        assert store.failing_since() > 0
    store._retry(asyncio.get_running_loop())
    assert (store.failing_since(), store.backlog()[0]) == (0, 0)
    await store.open(opened("d"))
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "The ledger cannot be written: its disk has not answered for 5 s."
        " Look at its disk; calls resume by themselves when it can be.",
        "the ledger can be written again",
    ]
    await store.close(closed("d"))
    await store.shutdown()


async def test_a_hang_is_seen_where_nobody_calls_and_turns_that_end_are_none(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/ledger.db")
    for _ in range(3):
        with store._gate.turn():
            for _ in range(gate.LOOKS - 1):
                store.look()
    assert store.failing_since() == 0
    with store._gate.turn():
        _look(store)
        assert store.failing_since() > 0
    await store.shutdown()


def test_who_waits_for_a_turn_behind_a_hang_is_told() -> None:
    held = gate.Gate()
    with held.turn(), pytest.raises(StoreError, match="its disk has not answered"), held.turn(0):
        pass
    with held.turn(0):
        pass

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from tierwise.errors import BadRequest, BudgetRefused, StoreError
from tierwise.ledger import Ledger, Reader, open_ledger, opening, read_ledger
from tierwise.ledger.sqlite import store as sqlite_store
from tierwise.ledger.sqlite.backup import back_up
from tierwise.nouns import Budget
from unit.ledger.made import NOON, closed, opened


async def test_a_refusal_says_cap_spent_left_and_the_way_out(ledger: Ledger, url: str) -> None:
    ledger.set_budget(Budget("project:acme", 10 * 10**12, "month", "Europe/Berlin"))
    await ledger.open(opened("a", 9 * 10**12, "project:acme"))
    await ledger.close(closed("a", 8 * 10**12))
    await ledger.open(opened("b", 10**12, "project:acme"))
    with pytest.raises(BudgetRefused) as refused:
        await ledger.open(opened("c", 2 * 10**12, "project:acme"))
    assert refused.value.message == (
        "The budget of project:acme is $10.000000 per month: $8.000000 spent, $1.000000 reserved,"
        " $1.000000 left. This call may cost up to $2.000000."
    )
    assert refused.value.hint == "It resets at 2026-12-01T00:00:00+01:00, or raise the cap."
    assert refused.value.status == 402
    await ledger.shutdown()
    again = open_ledger(url, {})  # which books what `b` left open
    with pytest.raises(BudgetRefused) as told:
        await again.open(opened("d", 2 * 10**12, "project:acme"))
    assert (told.value.hint, "$9.000000 spent" in told.value.message) == (refused.value.hint, True)
    await again.shutdown()


@pytest.mark.parametrize("scope", ["tag:a,b", "tag:a, b", "tag:,", "tag: a", "tag:a "])
async def test_a_budget_on_a_tag_that_no_call_can_have_is_refused(ledger: Ledger, scope: str) -> None:
    with pytest.raises(BadRequest, match="No call can have the tag") as refused:
        ledger.set_budget(Budget(scope, 100))
    assert "one budget for each word" in refused.value.hint
    assert ledger.budgets() == []
    ledger.set_budget(Budget("tag:a b", 100))
    with pytest.raises(BadRequest, match="scope is not printable"):
        ledger.set_budget(Budget("tag:a\x00", 100))


async def much_later(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns the loop's clock past the instant when an abandoned OPEN is swept, and waits for the rows."""
    loop = asyncio.get_running_loop()
    later = loop.time() + opening.ABANDONED_S + 1
    monkeypatch.setattr(loop, "time", lambda: later)
    for _ in range(3):
        await asyncio.sleep(0)
    await ledger.open(opened("later"))  # committed after whatever was queued before it
    await ledger.close(closed("later"))


async def test_a_caller_cancelled_while_it_waits_leaves_no_reservation(
    ledger: Ledger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.set_budget(Budget("key:k", 100))

    async def call(name: str) -> None:
        await ledger.open(opened(name, 40, "key:k"))
        await asyncio.Event().wait()

    async def cancel_in_the_tick_of_its_commit() -> None:
        # This row was queued first, so this task wakes first and finds `late` committed but not yet awake.
        await ledger.open(opened("mark", 0))
        late.cancel()

    early, marking = (
        asyncio.ensure_future(call("early")),
        asyncio.ensure_future(cancel_in_the_tick_of_its_commit()),
    )
    late = asyncio.ensure_future(call("late"))
    await asyncio.sleep(0)
    early.cancel()
    await marking
    for task in (early, late):
        with pytest.raises(asyncio.CancelledError):
            await task
    await much_later(ledger, monkeypatch)
    closes = {
        row["attempt"]: row for row in reader.rows() if row["event"] == "close" and row["attempt"] != "later"
    }
    assert {name: (row["outcome"], row["cost_pico"]) for name, row in closes.items()} == {
        "early": ("swept", 0),
        "late": ("swept", 0),
    }
    assert ledger.budgets()[0].reserved_pico == 0
    assert reader.verify() == []


async def test_a_caller_that_closes_after_being_cancelled_is_not_swept(
    ledger: Ledger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call() -> None:
        try:
            await ledger.open(opened("a", 40))
        except asyncio.CancelledError:
            await ledger.close(closed("a", 7, outcome="cancelled"))
            raise

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await much_later(ledger, monkeypatch)
    assert [(row["event"], row["outcome"]) for row in reader.rows() if row["attempt"] == "a"] == [
        ("open", None),
        ("close", "cancelled"),
    ]


async def test_the_hot_path_takes_any_awaitable_use(ledger: Ledger, reader: Reader) -> None:
    await asyncio.wait_for(ledger.open(opened("a")), 60)
    await asyncio.gather(ledger.open(opened("b")), ledger.close(closed("a")))
    await asyncio.shield(asyncio.ensure_future(ledger.close(closed("b"))))
    # Queued without waiting, as for an exchange that is being cancelled.
    await ledger.open(opened("c"))
    ledger.close(closed("c"))
    await ledger.open(opened("d"))
    assert [row["attempt"] for row in reader.rows() if row["event"] == "close"] == ["a", "b", "c"]


async def test_keys_and_budgets_may_be_changed_from_another_thread(ledger: Ledger, reader: Reader) -> None:
    async def calls() -> None:
        for n in range(50):
            await ledger.open(opened(f"a{n}", 1, "key:k"))
            await ledger.close(closed(f"a{n}", 1))

    def administer() -> None:
        for n in range(50):
            ledger.create_key(f"k{n}")
            ledger.set_budget(Budget("key:k", 10**6 + n))

    await asyncio.gather(calls(), asyncio.to_thread(administer))
    assert len(reader.keys()) == 50
    assert reader.verify() == []
    assert reader.balances() == ledger.budgets()


async def test_readers_see_windows_of_the_past_only_where_they_are(ledger: Ledger, reader: Reader) -> None:
    ledger.set_budget(Budget("key:k", 100, "day"))
    await ledger.open(opened("a", 10, "key:k", at_us=NOON - 86_400_000_000 * 400))
    await ledger.close(closed("a", 10))
    assert [b.spent_pico for b in reader.balances()] == [0]
    assert reader.verify() == []


async def test_a_row_of_the_wrong_shape_fails_alone_and_no_one_waits_for_ever(
    ledger: Ledger, reader: Reader
) -> None:
    await ledger.open(opened("a"))
    results = await asyncio.wait_for(
        asyncio.gather(
            ledger.open(opened("b", task=None)),
            ledger.open(opened("c")),
            ledger.close(closed("a", usage=None)),
            ledger.close(closed("c", total_us="soon")),
            ledger.open(opened("d", tags=None)),
            return_exceptions=True,
        ),
        10,
    )
    assert [type(result).__name__ for result in results] == [
        "StoreError", "NoneType", "StoreError", "StoreError", "NoneType",
    ]  # fmt: skip
    await ledger.close(closed("a"))
    await ledger.close(closed("c"))
    assert reader.verify() == []


async def test_rows_queued_while_shutting_down_are_answered(
    ledger: Ledger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "GATE_S", 0.0)
    await ledger.open(opened("a"))
    stopping = asyncio.ensure_future(ledger.shutdown())
    closing = ledger.close(closed("a"))
    await stopping
    await closing
    with pytest.raises(StoreError, match="shut down"):
        await ledger.open(opened("b"))
    assert [row["event"] for row in reader.rows()] == ["open", "close"]


def test_who_may_not_write_beside_a_ledger_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's words for it are `unable to open database file`, or `attempt to write a readonly database`."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no ledger")
    url = f"sqlite:///{path}"
    with pytest.raises(StoreError, match="cannot be read: ") as broken:
        read_ledger(url)
    assert broken.value.hint == "Check the file and its disk."
    monkeypatch.setattr(os, "access", lambda place, mode: (place, mode) != (tmp_path, os.W_OK))
    for read in (lambda: read_ledger(url), lambda: back_up(url, tmp_path / "copy.db")):
        with pytest.raises(StoreError, match="cannot be read: ") as refused:
            read()
        assert "run as the server's user, or read a copy" in refused.value.hint


async def test_days_that_are_over_are_forgotten_and_charged_all_the_same(url: str) -> None:
    """Ten thousand keys with a budget a day would fill the memory of a server that runs for months."""
    ledger = open_ledger(url, {})
    store = ledger._store
    assert isinstance(store, sqlite_store.SqliteStore)
    known = store._journal.book._windows
    ledger.set_budget(Budget("key:k", 1000, "day"))
    await ledger.open(opened("long", 100, "key:k"))
    # Once the clock goes back.
    for number, day in enumerate((*range(30), 3, 29)):
        at_us = NOON + day * 86_400_000_000
        await ledger.open(opened(f"a{number}", 10, "key:k", at_us=at_us))
        assert len(known) <= 3
        await ledger.close(closed(f"a{number}", 7, at_us=at_us))
    await ledger.close(closed("long", 50))
    assert len(known) == 1
    await ledger.shutdown()
    assert read_ledger(url).verify() == []
    database = sqlite3.connect(url.removeprefix("sqlite:///"))
    days = database.execute("SELECT spent FROM budget_window ORDER BY start_us").fetchall()
    assert days == [("57",), ("7",), ("7",), ("14",), *[("7",)] * 25, ("14",)]
    database.close()
